"""bench/tables: the terminal prints the tables that the page, Markdown and CSV have."""

import csv
import io
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.records.files import read
from bench.tables.race import sections_of_races
from bench.tables.table import Section, Table, print_sections
from reports.export import csv_files, markdown_summary
from reports.page import page
from reports.sections import report_of
from reports.selection import choose
from tests.helpers.race_files import race_records, written


@pytest.fixture(scope="module")
def race_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A race with all that its tables can hold: cold calls, a sampled backend, one that failed."""
    records = race_records(failing=("twin",))
    records.insert(
        1,
        {
            "kind": "cold",
            "race": 0,
            "participant": "swift",
            "images": 6000,
            "prepare": {"wall": 0.25},
            "first": {"wall": 9.0},
        },
    )
    for entry in records:
        if entry["kind"] == "process" and entry["participant"] == "slow":
            entry["images"] = 600
    return written(tmp_path_factory.mktemp("race"), "r.jsonl", records)


def printed(sections: list[Section], columns: int) -> list[str]:
    console = Console(width=columns, color_system=None)
    with console.capture() as capture:
        print_sections(console, sections)
    return capture.get().splitlines()


def rows_on_the_page(html: str, title: str) -> list[list[str]]:
    """The heads and rows of the table with this title, each cell on one line."""
    root: Any = ET.fromstring(html)
    (table,) = root.findall(f".//div[@aria-label='{title}']/table")
    return [[" ".join("".join(cell.itertext()).split()) for cell in row] for row in table.iter("tr")]


def test_a_race_prints_the_table_that_the_page_shows(race_file: Path) -> None:
    races = read(race_file).races
    lines = printed(sections_of_races(races), 100)
    report = report_of(choose([race_file]))
    html, markdown, files = page(report, [], {}), markdown_summary(report), csv_files(report)
    (section,) = sections_of_races(races)
    for table in section.tables:
        heads, *rows = rows_on_the_page(html, table.title)
        assert [heads, *rows] == [[" ".join(cell.split()) for cell in row] for row in (table.heads, *table.rows)]
        assert [heads, *rows] == list(csv.reader(io.StringIO(files[f"{table.title.lower()}.csv"])))
        alone = printed([Section("", [], [table])], 100)
        assert all(line in lines for line in alone)
        for row in rows:
            assert f"| {' | '.join(row)} |" in markdown
            (printed_row,) = [line for line in alone if re.match(rf"{row[0]} ", line)]
            first_lines = [cell.split("\n")[0] for cell in table.rows[rows.index(row)]]
            assert " ".join(printed_row.split()) == " ".join(first_lines)
    words = " ".join(" ".join(lines).split())
    for line in (*section.lines, section.explanation, *(note for table in section.tables for note in table.notes)):
        assert line in words
        assert line in " ".join("".join(ET.fromstring(html).itertext()).split())


@pytest.mark.parametrize("columns", [80, 100])
def test_a_race_keeps_within_the_columns(columns: int, race_file: Path) -> None:
    assert max(map(len, printed(sections_of_races(read(race_file).races), columns))) <= columns


def test_a_table_without_rows_is_said() -> None:
    empty = Section("A part", ["[red]as it is[/]"], [Table("Nothing here", ("a", "b"), [], ["a note."])])
    lines = [line.strip() for line in printed([empty], 80) if line.strip()]
    assert lines == ["A part", "[red]as it is[/]", "Nothing here: nothing of this was measured.", "a note."]
