"""What a report holds: its sections, figures and sentences, each made once, for terminal, Markdown, CSV and page."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from bench.records.files import ResultSet
from bench.records.races import RaceResult
from bench.tables import benchmarks
from bench.tables.accuracy import (
    ACCURACY_LIMITS,
    STEP_LIMITS,
    accuracy_headline,
    accuracy_sections,
    accuracy_setting,
    batches_sections,
    waterfall_sections,
)
from bench.tables.article import ARTICLE_LIMITS, article_setting, sections_of_article
from bench.tables.compare import calibration_sections, compare_sections, comparison_setting, races_in_columns
from bench.tables.inspection import inspection_sections, inspection_setting
from bench.tables.peers import peers_sections, peers_setting
from bench.tables.race import race_headline, race_section, race_setting, races_setting, sweep_section
from bench.tables.table import Section
from bench.timing.worker import FLOOR
from reports.answers import Answer, answers
from reports.figures.accuracy import accuracy_figures, batches_figures, waterfall_figures
from reports.figures.article import article_figures
from reports.figures.benchmarks import benchmark_figures
from reports.figures.compare import compare_figures
from reports.figures.inspection import inspection_figures
from reports.figures.peers import peers_figures
from reports.figures.race import calibration_figures, race_figures, sweep_figures
from reports.figures.style import Figure, Looks, looks_of
from reports.selection import SWEEPS, Chosen

ABOUT_ALL = [
    "They are times of one machine on one occasion. On another machine, or on this one while it does other work, both "
    "the times and their ratios differ.",
]
ABOUT_BENCHMARKS = [
    "All backends of the benchmarks ran in one process, one after another. Their samples were not interleaved, so "
    "other work on the machine may have slowed one backend and not another.",
    "The ranges of the ratios of the benchmarks are over the few samples of each backend. They are not confidence "
    "intervals.",
    "An epoch on one plan and an epoch on another are different amounts of learning: compare times of an epoch within "
    "the second table, or time and accuracy together.",
    "Each training is one run from one set of initial parameters. Another set would end at another accuracy.",
    "Only the training and the outputs are timed. What comes before, compilation included, is not.",
]
ABOUT_RACES = [
    "A race does not show what favours one backend for longer than a generation of processes; nor can few generations "
    "show a backend whose processes come in two kinds.",
    "The races of a sweep are interleaved by generations, not by rounds: growth is less certain than a ratio within a "
    "race.",
]
NO_BENCHMARKS = (
    "Accuracy, and each backend at its default batch size: no results of pytest --benchmark-only --benchmark-json=FILE "
    "are among these."
)

Races = Sequence[RaceResult]
Files = Sequence[ResultSet]


class Kind(NamedTuple):
    """How results of one kind are shown."""

    sections: Callable[[Files], list[Section]]
    setting: Callable[[ResultSet], str]  # of one file, in a line
    figures: Callable[[Files, Looks], list[Figure]]
    limits: Sequence[str]  # what the numbers do not say


def kind_of_races(
    sections: Callable[[Races], list[Section]],
    setting: Callable[[Races], str],
    figures: Callable[[Races, Looks], list[Figure]],
    limits: Sequence[str] = ABOUT_RACES,
) -> Kind:
    """A kind whose files hold races."""
    return Kind(
        lambda files: sections(races_in(files)),
        lambda results: setting(results.races),
        lambda files, look: figures(races_in(files), look),
        limits,
    )


def races_in(files: Files) -> list[RaceResult]:
    """The races of all these files."""
    return [race for results in files for race in results.races]


def sections_of_race_files(files: Files) -> list[Section]:
    """The newest race, and where there are several all of them in columns."""
    newest = race_section(files[-1].races[0])
    return [newest, races_in_columns(files)] if len(files) > 1 else [newest]


def relu_figures(races: Races) -> list[Figure]:
    """Of the three experiments of the article only this has a figure."""
    return article_figures(races) if races[0].purpose == "article-relu" else []


ARTICLE = kind_of_races(sections_of_article, article_setting, lambda races, look: relu_figures(races), ARTICLE_LIMITS)
KINDS = {
    "accuracy": kind_of_races(accuracy_sections, accuracy_setting, accuracy_figures, ACCURACY_LIMITS),
    "waterfall": kind_of_races(
        waterfall_sections, accuracy_setting, lambda races, look: waterfall_figures(races), STEP_LIMITS
    ),
    "batches": kind_of_races(
        batches_sections, accuracy_setting, lambda races, look: batches_figures(races), STEP_LIMITS
    ),
    "benchmarks": Kind(
        lambda files: [benchmarks.benchmarks_section(files[-1])],
        benchmarks.benchmarks_setting,
        lambda files, look: benchmark_figures(files[-1]),
        ABOUT_BENCHMARKS,
    ),
    "race": Kind(
        sections_of_race_files,
        lambda results: race_setting(results.races[0]),
        lambda files, look: race_figures(files[-1].races[0], look),
        ABOUT_RACES,
    ),
    "peers": kind_of_races(peers_sections, peers_setting, lambda races, look: peers_figures(races)),
    "compare": kind_of_races(compare_sections, comparison_setting, compare_figures),
    **dict.fromkeys(SWEEPS, kind_of_races(lambda races: [sweep_section(races)], races_setting, sweep_figures)),
    "calibrate": kind_of_races(calibration_sections, races_setting, lambda races, look: calibration_figures(races)),
    **dict.fromkeys(("article", "article-grid", "article-relu"), ARTICLE),
    "network": Kind(
        lambda files: inspection_sections(files[-1]),
        inspection_setting,
        lambda files, look: inspection_figures(files[-1]),
        (),
    ),
}


class Report(NamedTuple):
    """All that a report says, but for its figures."""

    chosen: Chosen
    headlines: list[str]
    answers: list[Answer]
    sections: list[Section]
    left_out: list[str]  # backends in no table and no figure, with the reason
    limits: list[str]
    origins: list[tuple[str, str]]  # each file: its name; when it was started, at which commit, and of what it is
    remarks: list[str]  # on the choice of results


def report_of(chosen: Chosen) -> Report:
    """The report of these results."""
    of_kind = chosen.of_kind.items()
    limits = [limit for kind in chosen.of_kind for limit in KINDS[kind].limits]
    return Report(
        chosen,
        headlines(chosen),
        answers(chosen),
        [section for kind, files in of_kind for section in KINDS[kind].sections(files)],
        left_out(chosen),
        list(dict.fromkeys([*ABOUT_ALL, *limits])),
        [(results.path.name, origin(kind, results)) for kind, files in of_kind for results in files],
        remarks(chosen),
    )


def figures_of(chosen: Chosen) -> list[Figure]:
    """All figures, one kind of results after the other."""
    look = looks_of([name for name in chosen.names if name != FLOOR])
    return [figure for kind, files in chosen.of_kind.items() for figure in KINDS[kind].figures(files, look)]


def headlines(chosen: Chosen) -> list[str]:
    """The report in a sentence or two."""
    found = [accuracy_headline(chosen.races("accuracy"))] if chosen.races("accuracy") else []
    if results := chosen.newest("benchmarks"):
        found.append(benchmarks.benchmarks_headline(results))
    return found + [race_headline(race) for race in chosen.races("race")]


def left_out(chosen: Chosen) -> list[str]:
    """The backends in no table and no figure: a line each, with the reason."""
    lines = []
    for results in chosen.files:
        lines += [*results.disagreements, *(f"{name}: {why}" for name, why in results.unavailable.items())]
    lines += [f"{name}: {why}" for race in races_in(chosen.files) for name, why in race.unsupported.items()]
    return list(dict.fromkeys(lines))


def origin(kind: str, results: ResultSet) -> str:
    """When a file was started, at which commit, and of what it is."""
    commit = results.machine.get("commit", "unknown")
    return f"{results.when} · commit {commit} · {KINDS[kind].setting(results)}"


def remarks(chosen: Chosen) -> list[str]:
    """What is to be said of the choice of results."""
    lines = [] if chosen.newest("benchmarks") else [NO_BENCHMARKS]
    if len(chosen.files) > 1:
        lines.append(f"The machine and its software are described as {chosen.files[0].path.name} has them.")
    return lines + chosen.notes
