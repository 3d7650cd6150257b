"""In a terminal or file that is not UTF-8 every command prints what it can, and ASCII in the place of the rest."""

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import track

import data.__main__
import impls.__main__
import reports.__main__
from bench.tables.table import Section, Table, print_sections
from command_line import exit_code, write_lookalikes
from data.mnist import write_folder
from tests.helpers.benchmark_files import SMALL, written
from tests.helpers.digits import digits_of


class Terminal(io.TextIOWrapper):
    """What a command writes to, as a terminal."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode(self.encoding)


def terminal(encoding: str, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard output for a test."""
    made = Terminal(encoding)
    monkeypatch.setattr("sys.stdout", made)
    for name, value in {"TERM": "xterm", "FORCE_COLOR": "1", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    return made


def print_all_kinds() -> int:
    """What commands print with: tables, lines between steps, what turns while one waits, bars."""
    console = Console(highlight=False)
    table = Table("Times", ("name", "time"), [["naïve", "3 µs"], ["––", "∞"]], notes=["a · b"])
    console.rule("1 of 4: data")
    with console.status("waits"):
        print_sections(console, [Section("Title", [], [table], "It is † and ≈.")])
    for _ in track(range(3), console=console):
        sys.stdout.write("a path \udcff that is no text\n")
    return 0


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("ascii", ("na?ve", "3 us", "-- ", "a . b", "It is + and ?.", "---- ")),
        ("latin-1", ("naïve", "3 µs", "-- ", "a · b", "It is + and ?.", "---- ")),
        ("cp1252", ("naïve", "3 µs", "–– ", "a · b", "It is † and ?.", "---- ")),
        ("utf-8", ("naïve", "3 µs", "–– ", "a · b", "It is † and ≈.", "──── ")),
    ],
)
def test_all_kinds_of_output(encoding: str, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    out = terminal(encoding, monkeypatch)
    assert exit_code(print_all_kinds) == 0
    for words in (*expected, "a path ? that is no text"):
        assert words in out.text()


def test_a_column_keeps_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    out = terminal("ascii", monkeypatch)
    write_lookalikes()
    assert out.write("– µs ∞ ⠸ é\n") == 11
    assert out.text() == "- us ~ \\ ?\n"


def test_commands_outside_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results, digits = str(written(tmp_path, "benchmarks.json", SMALL)), str(tmp_path / "digits")
    write_folder(tmp_path / "digits", digits_of(20, 0), digits_of(20, 1))
    monkeypatch.setattr(impls, "names", lambda: ("naive", "minibatch"))
    monkeypatch.setattr(reports.__main__, "write", lambda *_: None)  # of no interest here, and it takes a second
    monkeypatch.setattr(reports.__main__, "render", lambda *_: {})
    out = terminal("ascii", monkeypatch)
    assert impls.__main__.main([]) == 0
    assert data.__main__.main(["info", "--data", digits]) == 0
    assert data.__main__.main(["show", "--data", digits]) == 0
    assert reports.__main__.main(["--results", results]) == 0
    for words in ("by default the full batch", "non-zero pixels", "Page: "):
        assert words in out.text()


@pytest.mark.parametrize("main", [impls.__main__.main, data.__main__.main, reports.__main__.main])
def test_help(main: object, monkeypatch: pytest.MonkeyPatch) -> None:
    out = terminal("ascii", monkeypatch)
    with pytest.raises(SystemExit) as ended:
        main(["--help"])  # type: ignore[operator]
    assert ended.value.code == 0
    assert "usage: python -m " in out.text()
