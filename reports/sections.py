"""What a report holds: its sections, figures and sentences, each made once, for terminal, Markdown, CSV and page."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from bench.analysis.race import neighbours
from bench.records.files import ResultSet
from bench.records.races import RaceResult
from bench.tables import accuracy, article, benchmarks, compare, dialects, inspection, peers, race, ranks
from bench.tables.table import Section, Table
from bench.timing.worker import FLOOR
from reports.answers import Answer, answers
from reports.beside import beside
from reports.brief import Summary, summary
from reports.figures.accuracy import accuracy_figures, batches, waterfall
from reports.figures.article import relu
from reports.figures.benchmarks import benchmark_figures
from reports.figures.compare import comparison
from reports.figures.inspection import inspection_figures
from reports.figures.peers import peers as peers_figure
from reports.figures.race import calibration, race_figures, sweep_figures
from reports.figures.style import Figure, Looks
from reports.selection import SWEEPS, Chosen

ABOUT_ALL = [
    "They are times of one machine on one occasion. On another machine, or on this one while it does other work, both "
    "the times and their ratios differ.",
]
ABOUT_BENCHMARKS = [
    "All backends of the benchmarks ran in one process, one after another. Their samples were not interleaved, so "
    "other work on the machine may have slowed one backend and not another.",
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


class Kind(NamedTuple):
    """How results of one kind are shown. The functions take their races, or results that hold none."""

    sections: Callable[[Any], list[Section]]
    setting: Callable[[Any], str]  # of one file, in a line
    figures: Callable[[Any, Looks], list[Figure]]
    limits: Sequence[str] = ABOUT_RACES  # what the numbers do not say


KINDS = {
    "accuracy": Kind(accuracy.accuracy_sections, accuracy.accuracy_setting, accuracy_figures, accuracy.ACCURACY_LIMITS),
    "waterfall": Kind(
        accuracy.waterfall_sections,
        accuracy.accuracy_setting,
        lambda races, _: [waterfall(races)],
        accuracy.STEP_LIMITS,
    ),
    "batches": Kind(
        accuracy.batches_sections, accuracy.accuracy_setting, lambda races, _: [batches(races)], accuracy.BATCHES_LIMITS
    ),
    "benchmarks": Kind(
        lambda results: [benchmarks.benchmarks_section(results)],
        benchmarks.benchmarks_setting,
        lambda results, _: benchmark_figures(results),
        ABOUT_BENCHMARKS,
    ),
    "race": Kind(
        lambda races: [race.race_section(races[0])],
        lambda races: race.race_setting(races[0]),
        lambda races, look: race_figures(races[0], look),
    ),
    "peers": Kind(peers.peers_sections, peers.peers_setting, lambda races, _: [peers_figure(races)]),
    "ranks": Kind(ranks.ranks_sections, ranks.ranks_setting, lambda races, _: []),
    "compare": Kind(
        compare.compare_sections, compare.comparison_setting, lambda races, look: [comparison(races, look)]
    ),
    **dict.fromkeys(SWEEPS, Kind(lambda races: [race.sweep_section(races)], race.races_setting, sweep_figures)),
    "calibrate": Kind(compare.calibration_sections, race.races_setting, lambda races, _: [calibration(races)]),
    **dict.fromkeys(
        ("article", "article-grid"),
        Kind(article.sections_of_article, article.article_setting, lambda races, _: [], article.ARTICLE_LIMITS),
    ),
    "article-relu": Kind(
        article.sections_of_article, article.article_setting, lambda races, _: [relu(races)], article.ARTICLE_LIMITS
    ),
    "network": Kind(
        inspection.inspection_sections,
        inspection.inspection_setting,
        lambda results, _: inspection_figures(results),
        (),
    ),
    "dialects": Kind(dialects.dialects_sections, dialects.dialects_setting, lambda results, _: [], dialects.LIMITS),
}


class Report(NamedTuple):
    """The content of a report, except its figures."""

    chosen: Chosen
    summary: Summary
    headlines: list[str]
    answers: list[Answer]
    beside: Table | None  # the article's numbers and ours
    sections: list[Section]
    left_out: list[str]  # backends in no table and no figure, with the reason
    busy: list[str]  # that other processes ran beside the measurements
    limits: list[str]
    origins: list[tuple[str, str]]  # each file: its name; when it was started, at which commit, and of what it is
    remarks: list[str]  # on the choice of results


def report_of(chosen: Chosen) -> Report:
    """The report of these results."""
    sections: list[Section] = []
    for kind, files in chosen.of_kind.items():
        sections += KINDS[kind].sections(shown(chosen, kind))
        if kind == "race" and len(files) > 1:
            sections.append(compare.races_in_columns(files))
    return Report(
        chosen,
        summary(chosen),
        headlines(chosen),
        answers(chosen),
        beside(chosen),
        sections,
        left_out(chosen),
        busy(chosen),
        list(dict.fromkeys([*ABOUT_ALL, *(limit for kind in chosen.of_kind for limit in KINDS[kind].limits)])),
        [(results.path.name, origin(kind, results)) for kind, files in chosen.of_kind.items() for results in files],
        remarks(chosen),
    )


def shown(chosen: Chosen, kind: str) -> list[RaceResult] | ResultSet | None:
    """What sections and figures of a kind are made of."""
    return chosen.races(kind) or chosen.newest(kind)


def figures_of(chosen: Chosen) -> list[Figure]:
    """All figures, one kind of results after the other."""
    look = Looks([name for name in chosen.names if name != FLOOR])
    return [figure for kind in chosen.of_kind for figure in KINDS[kind].figures(shown(chosen, kind), look)]


def headlines(chosen: Chosen) -> list[str]:
    """The main results in a sentence or two."""
    sentences = [accuracy.accuracy_headline(chosen.races("accuracy"))] if chosen.races("accuracy") else []
    if results := chosen.newest("benchmarks"):
        sentences.append(benchmarks.benchmarks_headline(results))
    return sentences + [race.race_headline(one) for one in chosen.races("race")]


def left_out(chosen: Chosen) -> list[str]:
    """The backends in no table and no figure: a line each, with the reason."""
    lines = []
    for results in chosen.files:
        lines += [*results.disagreements, *(f"{name}: {why}" for name, why in results.unavailable.items())]
    races = [one for results in chosen.files for one in results.races]
    lines += [f"{name}: {why}" for one in races for name, why in one.unsupported.items()]
    return list(dict.fromkeys(lines))


def busy(chosen: Chosen) -> list[str]:
    """That other processes ran beside the measurements, which makes any ratio doubtful: a line for each remedy."""
    measured = [one for kind in chosen.of_kind for one in chosen.races(kind)]
    return [f"The machine was not quiet: {line}." for line in dict.fromkeys(map(neighbours, measured)) if line]


def origin(kind: str, results: ResultSet) -> str:
    """When a file was started, at which commit, and of what it is."""
    commit = results.machine.get("commit", "unknown")
    return f"{results.when} · commit {commit} · {KINDS[kind].setting(results.races or results)}"


def remarks(chosen: Chosen) -> list[str]:
    """Remarks on the choice of results."""
    lines = [] if chosen.newest("benchmarks") else [NO_BENCHMARKS]
    if len(chosen.files) > 1:
        lines.append(f"The machine and its software are described as {chosen.files[0].path.name} has them.")
    return lines + chosen.notes
