"""The page of a report on several runs: how each backend's ratio to the floor went on from race to race.

The page of results is about the newest run; this one is about all races and sweeps of the files that were read.
"""

from collections.abc import Sequence
from typing import NamedTuple

from bench.analysis.history import History, histories
from bench.records.files import ResultSet
from bench.tables.history import changes_table, history_section, runs_as_rows, runs_table
from bench.tables.table import Section
from reports.export import for_csv
from reports.figures.history import history as history_figure
from reports.figures.style import Figure, Looks
from reports.page import history_page

PAGE = "history.html"


class Past(NamedTuple):
    """All histories among the results, and a line for each race that is in none."""

    histories: list[History]
    left_out: list[str]

    @property
    def sections(self) -> list[Section]:
        """A section for each history, without the table of every run."""
        return [history_section(one, number) for number, one in enumerate(self.histories, start=1)]


def past_of(everything: Sequence[ResultSet]) -> Past:
    """The histories of these results; they may be none, as of a single run."""
    return Past(*histories((results.path.name, race) for results in everything for race in results.races))


def remarks(past: Past, everything: Sequence[ResultSet]) -> list[str]:
    """Why there is no history, where there are several races; nothing where there is one."""
    races = [race for results in everything for race in results.races if race.purpose == "race"]
    if past.histories or len(races) < 2:
        return []
    return ["There is no history of races, as no two are of the same machine, case and data: see --results."]


def history_files(past: Past) -> dict[str, bytes]:
    """The page, its figures and its tables as CSV, by name; none where there is no history."""
    if not past.histories:
        return {}
    figures = figures_of(past)
    files = {name: content for figure in figures for name, content in figure.files().items()}
    every = [runs_table(one, number) for number, one in enumerate(past.histories, start=1)]
    changes = [[str(n), *row] for n, one in enumerate(past.histories, start=1) for row in changes_table(one).rows]
    texts = {
        PAGE: history_page([*past.sections, Section("Every run", [], every)], past.left_out, figures, files),
        "history.csv": for_csv(runs_as_rows(past.histories)),
        "history-changes.csv": for_csv([["history", *changes_table(past.histories[0]).heads], *changes]),
    }
    return files | {name: text.encode() for name, text in texts.items()}


def figures_of(past: Past) -> list[Figure]:
    """A figure for each history; a backend looks the same in all."""
    look = Looks(list(dict.fromkeys(name for one in past.histories for name in one.courses)))
    return [history_figure(one, look, number) for number, one in enumerate(past.histories, start=1)]
