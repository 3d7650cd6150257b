"""RELIABILITY.md: each promise names what attacks it, and all that it names exists."""

import ast
import re

import bench

TEXT = (bench.ROOT / "RELIABILITY.md").read_text(encoding="utf-8").partition("## What is not promised")[0]
ATTACK = re.compile(r"`(?:(?P<file>tests/[\w/]+\.py)::(?P<test>\w+)|python -m tests\.torture (?P<module>\w+))`")


def functions_in(file: str) -> set[str]:
    """The names of the functions at the top of a file; none where it does not exist."""
    path = bench.ROOT / file
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_each_promise_has_an_attack() -> None:
    promises = re.findall(r"^- .*(?:\n  .*)*", TEXT, flags=re.MULTILINE)
    assert len(promises) > 20
    assert [promise for promise in promises if not ATTACK.search(promise)] == []


def test_every_attack_exists() -> None:
    attacks = {match.group(): match for match in ATTACK.finditer(TEXT)}
    assert attacks.keys() == {
        word for word in re.findall(r"`[^`]*`", TEXT) if re.match(r"`(tests/.*::|python -m tests)", word)
    }
    wanted = {
        name: (match["file"], match["test"]) if match["file"] else (f"tests/torture/{match['module']}.py", "run")
        for name, match in attacks.items()
    }
    assert [name for name, (file, function) in wanted.items() if function not in functions_in(file)] == []
