"""A room imports only rooms below it, no command imports a command, and what runs on the clock starts without NumPy."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench

# From the bottom up. Rooms of one level do not know each other.
LEVELS = (
    {"data"},
    {"impls"},
    {"bench.timing", "bench.workloads"},
    {"bench.records", "bench.training", "bench.agreement", "bench.dialects"},
    {"bench.analysis"},
    {"bench.tables", "bench.experiments"},
    {"bench.commands"},
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
OF_REPORTS = {"bench.records", "bench.analysis", "bench.tables", "bench.timing.worker"}
EARLY = ("clock", "process", "threads")  # of bench/timing: imported before threads are settled


def modules() -> list[Path]:
    """Every module of the four packages."""
    return sorted(path for room in ("data", "impls", "bench", "reports") for path in (bench.ROOT / room).rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(bench.ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> Iterator[str]:
    """The modules that a module imports, at its top, in functions and for types."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(module: str) -> str | None:
    """The room that a module lies in, if it is one with a level."""
    parts = module.split(".")
    return next((room for room in (".".join(parts[:2]), parts[0]) if room in LEVEL), None)


def upward(module: str, imported: str) -> bool:
    """Whether an import goes to a room of the same level or above."""
    here, there = room_of(module), room_of(imported)
    return here is not None and there is not None and here != there and LEVEL[there] >= LEVEL[here]


@pytest.mark.parametrize(
    ("module", "imported", "wrong"),
    [
        ("bench.timing.worker", "bench.records.races", True),
        ("bench.tables.race", "bench.experiments.race", True),
        ("impls.naive", "bench.timing", True),
        ("bench.tables.race", "bench.analysis.race", False),
        ("bench.commands.race", "impls", False),
    ],
)
def test_an_upward_import_is_distinguished_from_one_downward(module: str, imported: str, wrong: bool) -> None:
    assert upward(module, imported) is wrong


def test_a_room_imports_only_rooms_below() -> None:
    found = [(name_of(path), there) for path in modules() for there in imports_of(path)]
    assert [pair for pair in found if upward(*pair)] == []


def test_no_command_imports_a_command() -> None:
    shared = ("bench.commands.options", "bench.commands.measuring")
    wrong = [
        (path.stem, there)
        for path in (bench.ROOT / "bench" / "commands").glob("*.py")
        if path.stem != "parser"  # which lists them
        for there in imports_of(path)
        if there.startswith("bench.commands.") and not there.startswith(shared)
    ]
    assert wrong == []


def test_reports_know_results_alone() -> None:
    allowed = (*OF_REPORTS, "reports")
    wrong = [
        (path.stem, there)
        for path in (bench.ROOT / "reports").rglob("*.py")
        for there in imports_of(path)
        if re.match(r"(bench\.|data\b|impls\b)", there) and not there.startswith(allowed) and "UserError" not in there
    ]
    assert wrong == []


def test_no_backend_imports_another() -> None:
    for path in (bench.ROOT / "impls").rglob("*.py"):
        if path.parent.name == "impls" and path.stem in (
            "__init__",
            "__main__",
            "contract",
            "initialisation",
            "files",
            "ranks",
        ):
            continue
        ours = {there for there in imports_of(path) if there.startswith("impls.")}
        own = f"impls.{path.parent.name}"  # of a backend that is a package
        wrong = {
            there
            for there in ours
            if not there.startswith(("impls.contract", "impls.initialisation", "impls.ranks", own))
        }
        assert wrong == set(), path


def test_what_is_imported_before_threads_are_settled_brings_no_numpy() -> None:
    code = (
        "import sys; " + "; ".join(f"import bench.timing.{name}" for name in EARLY) + "; print('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=bench.ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_bench_holds_rooms_and_little_else() -> None:
    kept = {path.name for path in (bench.ROOT / "bench").iterdir()} - {"__pycache__", "results", ".pytest_cache"}
    rooms = {room.partition(".")[2] for room in LEVEL if room.startswith("bench.")}
    assert kept == rooms | {"README.md", "__init__.py", "__main__.py", "bench_backends.py", "conftest.py", "gpu.sh"}
