"""What a report says, section by section, and all of it as Markdown."""

from functools import lru_cache

from bench.records.files import ResultSet
from bench.tables import benchmarks
from bench.tables.accuracy import (
    ACCURACY_LIMITS,
    STEP_LIMITS,
    accuracy_headline,
    accuracy_sections,
    accuracy_setting,
    batches_section,
    steps_setting,
    waterfall_section,
)
from bench.tables.article import ARTICLE_LIMITS, article_sections, article_setting
from bench.tables.calibrate import calibration_section
from bench.tables.compare import beside_each_other, compare_sections
from bench.tables.inspection import inspection_sections, inspection_setting
from bench.tables.peers import peers_sections, peers_setting
from bench.tables.race import race_headline, race_section, race_setting, races_setting, sweep_section, work
from bench.tables.table import Section
from reports.figures.benchmarks import DRAWINGS
from reports.selection import Chosen, without

ABOUT_ALL = [
    "They are times of one machine on one occasion. On another machine, or on this one while it does other work, both "
    "the times and their ratios differ."
]
ABOUT_BENCHMARKS = [
    "All backends of the benchmarks ran in one process, one after another. Their samples were not interleaved, so what "
    "the machine did meanwhile may have hit one backend and spared another.",
    "The ranges beside the ratios of the benchmarks are over the few samples of each backend. They are not confidence "
    "intervals.",
    "A round on one plan and a round on another are different amounts of learning: compare times of a round within the "
    "second table, or time and accuracy together.",
    "Each training is one run from one set of initial parameters. Another set would end at another accuracy.",
    "Only the training and the outputs are on the clock. What comes before, a compilation among it, is not.",
]
ABOUT_RACES = [
    "What favours one backend for longer than a generation of processes, a race does not see; nor can few generations "
    "show a backend whose processes come in two kinds.",
    "The races of a sweep take turns by generations, not by rounds: growth is less sure than a ratio within a race.",
]
NO_BENCHMARKS = (
    "Accuracy, and each backend at home: no results of pytest --benchmark-only --benchmark-json=FILE are among these."
)


@lru_cache(maxsize=1)  # terminal, Markdown, CSV and page ask for the same
def sections(chosen: Chosen) -> list[Section]:
    """One for each kind of results that there are."""
    found = accuracy_sections(chosen.accuracy) if chosen.accuracy else []
    found += waterfall_section(chosen.waterfall) if chosen.waterfall else []
    found += batches_section(chosen.batches) if chosen.batches else []
    found += [of_benchmarks(chosen.benchmarks)] if chosen.benchmarks else []
    found += [race_section(chosen.race)] if chosen.race else []
    found += [beside_each_other(chosen.side_by_side)] if chosen.side_by_side else []
    found += peers_sections(chosen.peers) if chosen.peers else []
    found += compare_sections(chosen.comparison) if chosen.comparison else []
    found += [sweep_section(what, results) for what, results in chosen.sweeps.items()]
    found += [calibration_section(chosen.calibrations)] if chosen.calibrations else []
    found += article_sections(chosen.article, chosen.grid, chosen.relu)
    return found + (inspection_sections(chosen.network) if chosen.network else [])


def of_benchmarks(results: ResultSet) -> Section:
    """The two tables of pytest-benchmark's results."""
    sheets = [benchmarks.default_batch(results).sheet, benchmarks.on_same_plan(results).sheet]
    figures = [drawing.name for drawing in DRAWINGS]
    return Section("The benchmarks, one backend after the other", [], sheets, benchmarks.EXPLANATION, figures)


def headlines(chosen: Chosen) -> list[str]:
    """The report in a sentence or two."""
    found = [accuracy_headline(chosen.accuracy)] if chosen.accuracy else []
    found += [benchmarks.benchmarks_headline(chosen.benchmarks)] if chosen.benchmarks else []
    return found + ([race_headline(chosen.race.races[0])] if chosen.race else [])


def left_out(chosen: Chosen) -> list[str]:
    """Who is in no table and no figure: a line each, with the reason."""
    lines = [line for results in chosen.files for line in benchmarks.left_out_of(results)]
    unsupported = (
        f"{name}: {why}" for results in chosen.files for race in results.races for name, why in race.unsupported.items()
    )
    return list(dict.fromkeys([*lines, *unsupported]))


def limits(chosen: Chosen) -> list[str]:
    """What these numbers do not say."""
    others = [*chosen.of_steps, *chosen.of_article, *filter(None, [chosen.accuracy])]
    raced = any(results.races for results in without(chosen.files, others))
    return (
        ABOUT_ALL
        + ACCURACY_LIMITS * bool(chosen.accuracy)
        + STEP_LIMITS * bool(chosen.of_steps)
        + ARTICLE_LIMITS * bool(chosen.of_article)
        + ABOUT_BENCHMARKS * bool(chosen.benchmarks)
        + ABOUT_RACES * raced
    )


def origins(chosen: Chosen) -> list[tuple[str, str]]:
    """Each file that is shown: its name, and when it was begun, at which commit, and of what it is."""
    found = []
    for results in chosen.files:
        if results is chosen.accuracy:
            about = accuracy_setting(results)
        elif results in chosen.of_steps:
            about = steps_setting(results)
        elif results in chosen.of_article:
            about = article_setting(results)
        elif results is chosen.peers:
            about = peers_setting(results)
        elif results is chosen.comparison:
            about = f"{work(results.races[0])}: {race_setting(results.races[0])}"
        elif results is chosen.network:
            about = inspection_setting(results)
        else:
            about = races_setting(results.races) if results.races else benchmarks.benchmarks_setting(results)
        commit = results.machine.get("commit", "unknown")
        found.append((results.path.name, f"{results.when} · commit {commit} · {about}"))
    return found


def remarks(chosen: Chosen) -> list[str]:
    """What is to be said of the choice of results."""
    first, *others = chosen.files
    described = [f"The machine and its software are described as {first.path.name} has them."] * bool(others)
    return [NO_BENCHMARKS] * (chosen.benchmarks is None) + described + chosen.notes
