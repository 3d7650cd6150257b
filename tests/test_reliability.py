"""RELIABILITY.md: each promise names what attacks it, and all that it names exists."""

import ast
import re

import bench
from tests.mutation.harness import BUGS

TEXT = (bench.ROOT / "RELIABILITY.md").read_text(encoding="utf-8").partition("## What is not promised")[0]
ATTACK = re.compile(r"`(?:(?P<file>tests/[\w/]+\.py)::(?P<test>\w+)|python -m tests\.torture (?P<module>\w+))`")


def functions_in(file: str) -> set[str]:
    """The names of the functions at the top of a file; none where it does not exist."""
    path = bench.ROOT / file
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


PROMISES = re.findall(r"^- .*(?:\n  .*)*", TEXT, flags=re.MULTILINE)


def test_each_promise_has_an_attack() -> None:
    assert len(PROMISES) > 20
    assert [promise for promise in PROMISES if not ATTACK.search(promise)] == []


def test_each_promise_has_a_bug_that_breaks_it() -> None:
    """Which one of its tests has to catch, where it has any that are run by pytest."""
    caught = {test.partition("[")[0] for bug in BUGS for test in bug.tests}
    attacks = {
        promise: {f"{match['file']}::{match['test']}" for match in ATTACK.finditer(promise) if match["file"]}
        for promise in PROMISES
    }
    assert [promise for promise, tests in attacks.items() if tests and not tests & caught] == []


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
