"""What the trainings of `bench article` say, from its records alone: rows, settings that hold, effects.

A race of a results file is one row of the article, one grid, or the ReLU experiment; `race.about` tells which, and
`race.courses` are its trainings.
"""

from statistics import fmean, median
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from bench.analysis.article import (
    Compared,
    Effect,
    ExperimentResult,
    MiniBatches,
    SettingResult,
    effects,
    experiment_results,
    mini_batches,
    setting_results,
)
from bench.records.files import ResultSet
from bench.records.races import RaceResult
from bench.tables.race import begun, parts_of
from bench.tables.table import (
    NONE,
    Section,
    Sheet,
    in_short,
    interval_in_words,
    interval_of,
    number,
    percent,
    share,
    table_of,
)

if TYPE_CHECKING:
    pass


def figure_name(figure: Compared) -> str:
    """Which figure it is."""
    after = {0: "before training", 1: "after round 1"}.get(figure.epoch, f"after {figure.epoch} rounds")
    return f"{figure.what}, {figure.split}, {after}"


def incidents(row: ExperimentResult) -> str:
    """What went wrong in some seeds, in words."""
    said = f" The article: {row.said}." if row.said else ""
    said += f" Its check of accuracy took {row.article_check:g} s." if row.article_check else ""
    for figure in row.figures:
        if figure.constant:
            said += f" {figure.text} % is the score of {figure.constant}."
    said += f" {row.diverged} diverged." if row.diverged else ""
    for digit, seeds in sorted(row.collapsed.items()):
        said += f" {seeds} collapsed: always {digit}."
    if row.zeros > 0.5:
        said += f" {row.zeros:.0%} of the outputs are exactly 0; {dead_of(row.dead)}."
    return said


def dead_of(dead: list[int]) -> str:
    """How many outputs are 0 for all images, by seed."""
    return f"outputs that are 0 for every test image, by seed: {', '.join(map(str, dead))}"


WHAT_ROWS_ARE = (
    "Held: whether the article's figure, with what was rounded away, lies in the range of our seeds. Where the article "
    "leaves open of which images or after which round a figure is, the nearest of ours is taken. Method: a program as "
    "the article's, on this machine, some of its rounds scaled to all. Ratio: ours to the method, seed by seed. The "
    "article's seconds are of another machine."
)
WHAT_A_GRID_IS = (
    "Settings that the article does not tell were varied. A setting holds a figure if it lies in the range of its "
    "seeds. Left: its first seed was too far off, so no other was tried."
)
WHAT_EFFECTS_ARE = (
    "One factor of the article's ReLU network is changed at a time, all else stays. Points: per cent of the test "
    "images, against the article's setting, seed by seed, with Student's interval across seeds. Costs are of the "
    "training images, each in its own kind. Dead: outputs that are 0 for every test image, by seed."
)
ARTICLE_LIMITS = [
    "The article does not tell all of its settings: what differs from it may come from those, from its random numbers, "
    "or from its program.",
]
MOST_SETTINGS = 12  # of a grid, in a table


def article_setting(results: ResultSet) -> str:
    """Data, how many parts, who trains, dtype and threads, in a line."""
    first = results.races[0]
    n = len(results.races)
    parts = f"{n} experiments" if n > 1 else str(first.about["name"])
    backend = f"trained by {first.about['backend']}"
    return " · ".join([results.data_name, parts, backend, first.key["dtype"], parts_of(first)["threads"]])


def article_opening(results: ResultSet) -> list[str]:
    """What is said before a table."""
    return [f"{article_setting(results)}.", begun(results.races[0])]


def experiments_section(results: ResultSet) -> list[Section]:
    """One, with a table of figures and one of times."""
    sheets = [figures_of(results), times_table(results)]
    found = mini_batches(results.races)
    lines = article_opening(results) + ([mini_batches_in_words(found)] if found else [])
    return [Section("The article's experiments again", lines, sheets, WHAT_ROWS_ARE, [])]


def figures_of(results: ResultSet) -> Sheet:
    """A row a figure that the article prints."""
    found = experiment_results(results.races)
    cells = [[row.name, figure_name(figure), *figure_cells(figure)] for row in found for figure in row.figures]
    notes = [f"{row.name}: {row.shows}. {row.setting}; {row.seeds} seeds.{incidents(row)}" for row in found]
    heads = ("experiment", "figure", "article", "ours,\nleast", "median", "most", "held")
    return Sheet("The article's figures beside ours", heads, cells, notes, 2)


def figure_cells(figure: Compared) -> list[str]:
    """The article's figure, ours from least to most, and whether it lies between them."""
    article = f"{figure.text} %" if figure.what == "accuracy" else figure.text
    return [article, *ends_of(figure), "yes" if figure.holds else "no"]


def ends_of(figure: Compared) -> list[str]:
    """Ours: least, median and most."""
    if not figure.values:
        return [NONE] * 3
    ends = min(figure.values), median(figure.values), max(figure.values)
    return [share(value) if figure.what in ("accuracy", "overflow") else number(value) for value in ends]


def times_table(results: ResultSet) -> Sheet:
    """Seconds of a whole training: the article's, its method's here, ours."""
    cells = [
        [
            row.name,
            NONE if row.article is None else f"{row.article:g}",
            number(row.method_times.wall),
            number(row.method_times.cpu),
            number(row.method_times.check),
            number(row.times.wall),
            number(row.times.cpu),
            in_short(row.ratio.estimate) if row.ratio else NONE,
            interval_of(row.ratio),
        ]
        for row in experiment_results(results.races)
        if row.times and row.method_times
    ]
    heads = ("experiment", "article,\ns", "method\nhere, s", "its\nCPU, s", "its\ncheck, s", "ours,\ns")
    methods = dict.fromkeys(row.method for row in experiment_results(results.races) if row.method)
    notes = [f"Method: {'; '.join(methods)}. Check: of accuracy on the training images"] if methods else []
    return Sheet("Seconds of a training", (*heads, "our\nCPU, s", "ratio", "95 %\ninterval"), cells, notes)


def mini_batches_in_words(found: MiniBatches) -> str:
    """What mini-batches bring, in the article's own setting."""
    needed = "never in these rounds" if found.epochs_needed is None else f"after round {found.epochs_needed}"
    return (
        f"Rounds of 600 updates instead of five, by the article's method: one takes {found.epoch_ratio:.2f} times as "
        f"long; after one, {share(found.first)} of the test images are right; {share(found.target)}, what the others "
        f"reach in {found.epochs} rounds, {needed}."
    )


def grid_section(results: ResultSet) -> list[Section]:
    """One, with a table for each experiment of which a setting holds a figure."""
    found = {race.number: setting_results(race) for race in results.races}
    lines = [
        f"{race.about['name']}: {tried(race, found[race.number])}." for race in results.races if found[race.number]
    ]
    sheets = [grid_table(race, found[race.number]) for race in results.races if best(found[race.number])]
    return [
        Section("Which settings could be the article's?", article_opening(results) + lines, sheets, WHAT_A_GRID_IS, [])
    ]


def best(found: list[SettingResult]) -> list[SettingResult]:
    """The settings that hold most figures; none where nobody holds any."""
    return [one for one in found if one.held == found[0].held > 0]


def tried(race: RaceResult, found: list[SettingResult]) -> str:
    """How many settings were tried, and how many hold most."""
    left, n = sum(one.left for one in found), len(found[0].figures)
    words = f"{len(found)} of {len(race.key['settings'])} settings tried, {left} of them left; "
    return words + (f"{len(best(found))} hold {found[0].held} of {n} figures" if best(found) else "none holds a figure")


def grid_table(race: RaceResult, found: list[SettingResult]) -> Sheet:
    """The settings that hold most figures, with what they give."""
    shown = best(found)[:MOST_SETTINGS]
    cells = [
        [one.name, figure_name(figure), figure.text, *ends_of(figure), "yes" if figure.holds else "no"]
        for one in shown
        for figure in one.figures
    ]
    notes = [f"{len(shown)} of {len(best(found))} are shown"] if len(shown) < len(best(found)) else []
    heads = ("setting", "figure", "article", "ours,\nleast", "median", "most", "held")
    return Sheet(f"{race.about['name']}: settings that hold most", heads, cells, notes, 2)


def relu_section(results: ResultSet) -> list[Section]:
    """One, with a row a change."""
    (race,) = results.races
    cells = [
        [
            effect_name(row),
            str(len(row.accuracies)),
            *(share(value) for value in (min(row.accuracies), fmean(row.accuracies), max(row.accuracies))),
            NONE if row.difference is None else points(row.difference),
            NONE if row.interval is None else " to\n".join(map(points, row.interval)),
            number(fmean(row.costs)) if row.costs else NONE,
            percent(row.zeros),
            " ".join(map(str, row.dead)),
        ]
        for row in effects(race)
    ]
    heads = ("changed", "seeds", "least", "mean", "most", "points", "95 %\ninterval", "cost", "outputs\nthat are\n0")
    notes = [
        f"{effect_name(row)}: {row.diverged} of {len(row.accuracies)} seeds diverged"
        for row in effects(race)
        if row.diverged
    ]
    sheet = Sheet("One factor at a time", (*heads, "dead"), cells, notes)
    lines = [
        f"The article's setting: {race.about['setting']}, {race.about['epochs']} rounds.",
        *article_opening(results),
    ]
    return [Section("Why did ReLU lose?", lines, [sheet], WHAT_EFFECTS_ARE, ["relu"])]


def effect_name(row: Effect) -> str:
    """What is changed, and to what."""
    return row.to if row.difference is None else f"{row.factor}: {row.to}"


def points(difference: float) -> str:
    """A difference of shares, in per cent of the images, with its sign."""
    return f"{100 * difference:+.1f}"


def effect_in_words(row: Effect) -> str:
    """An effect with its interval."""
    assert row.difference is not None
    interval = f" [{', '.join(map(points, row.interval))}]" if row.interval else ""
    return points(row.difference) + interval


def article_sections(rows: ResultSet | None, grids: ResultSet | None, relu: ResultSet | None) -> list[Section]:
    """One for each kind of results that there are."""
    found = experiments_section(rows) if rows else []
    found += grid_section(grids) if grids else []
    return found + (relu_section(relu) if relu else [])


def print_article(console: Console, races: list[RaceResult]) -> None:
    """The tables."""
    purpose = races[0].purpose
    if races[0].notice:
        console.print(races[0].notice)
    if purpose == "article":
        print_rows(console, races)
    elif purpose == "article-grid":
        for race in races:
            print_grid(console, race)
    else:
        print_effects(console, races[0])


def print_rows(console: Console, races: list[RaceResult]) -> None:
    """The article's figures beside ours, what happened, and the article's times beside ours."""
    rows = experiment_results(races)
    table = table_of(f"on {races[0].data_name}", "article", "least", "median", "most", "held")
    for row in rows:
        for figure in row.figures:
            table.add_row(f"{row.name}: {figure_name(figure)}", *print_cells(figure))
    console.print(table)
    console.print("Held: whether the article's figure is in the range of our seeds.\n")
    for row in rows:
        console.print(f"{row.name}: {row.shows}. {row.setting}; {row.seeds} seeds.{incidents(row)}", markup=False)
    console.print()
    print_times(console, rows, races[0].about["backend"])
    found = mini_batches(races)
    if found:
        needed = "never in these rounds" if found.epochs_needed is None else f"after round {found.epochs_needed}"
        console.print(
            f"Mini-batches of a 600th: a round takes {found.epoch_ratio:.2f} times as long as one of five updates; "
            f"after one {found.first:.2%} of the test images are right; {found.target:.2%}, what the others "
            f"reach in {found.epochs} rounds, {needed}.",
            markup=False,
        )


def print_times(console: Console, rows: list[ExperimentResult], backend: str) -> None:
    """Seconds of a whole training: the article's, its method's here, ours."""
    table = table_of("seconds", "article", "method", "cpu", "check", "ours", "cpu", "ratio", "95 %")
    for row in rows:
        if row.times and row.method_times:
            table.add_row(
                row.name,
                "" if row.article is None else f"{row.article:g}",
                *(f"{seconds:.3g}" for seconds in (*row.method_times, row.times.wall, row.times.cpu)),
                in_short(row.ratio.estimate) if row.ratio else "",
                interval_in_words(row.ratio.interval) if row.ratio and row.ratio.interval else "",
            )
    console.print(table)
    methods = "; ".join(dict.fromkeys(row.method for row in rows if row.method))
    console.print(
        f"Method: as the article's, here ({methods}), its rounds, up to 50, spread over the seeds, scaled. Ours: "
        f"{backend}, float32, the same updates, every seed. Check: of accuracy on the training images, by the method. "
        "Ratio: ours to the method, seed by seed.",
        markup=False,
    )


def print_cells(figure: Compared) -> list[str]:
    """What is compared: the article's, ours from least to most, and whether it lies between them."""
    share = figure.what in ("accuracy", "overflow")
    text = f"{figure.text} %" if figure.what == "accuracy" else figure.text
    if not figure.values:
        return [text, "", "", "", "no"]
    ends = min(figure.values), float(np.median(figure.values)), max(figure.values)
    ours = [f"{value:.2%}" if share else f"{value:.4g}" for value in ends]
    return [text, *ours, "yes" if figure.holds else "no"]


def print_grid(console: Console, race: RaceResult) -> None:
    """The settings that hold every figure of the article; those that hold most, where none does."""
    found = setting_results(race)
    if not found:
        return
    n = len(found[0].figures)
    whole = [one for one in found if one.held == n]
    tried = f"{len(found)} of {len(race.key['settings'])} settings tried, {sum(one.left for one in found)} of them left"
    console.print(f"[bold]{race.about['name']}[/]: {tried}; {len(whole)} hold all {n} figures ({race.data_name}).")
    for after, split, what, least, most in race.about["screens"]:
        line = f"Left where the {split} {what} of the first seed is not {least:g} to {most:g} after {after} rounds."
        console.print(line, soft_wrap=True)
    for one in whole or [one for one in found if one.held == found[0].held > 0]:
        console.print(f"  {one.name}; {one.seeds} seeds, {one.held} of {n} held", soft_wrap=True, markup=False)
        for figure in one.figures:
            text, *ours, _ = print_cells(figure)
            found_here = f"here {' / '.join(ours)}; {'held' if figure.holds else 'not held'}"
            line = f"    {figure_name(figure)}: {text}; {found_here if figure.values else 'left before that'}"
            console.print(line, soft_wrap=True, markup=False)


def print_effects(console: Console, race: RaceResult) -> None:
    """What each factor brings."""
    table = table_of("changed", "least", "mean", "most", "points", "95 %", "cost", "zeros")
    rows = effects(race)
    for row in rows:
        table.add_row(
            f"{row.factor}: {row.to}",
            *(f"{value:.2%}" for value in (min(row.accuracies), float(np.mean(row.accuracies)), max(row.accuracies))),
            "" if row.difference is None else f"{100 * row.difference:+.1f}",
            "" if row.interval is None else " to ".join(f"{100 * end:+.1f}" for end in row.interval),
            f"{float(np.mean(row.costs)):.4f}" if row.costs else "",
            f"{row.zeros:.0%}",
        )
    console.print(table)
    for row in rows:
        if any(row.dead):
            console.print(f"{row.factor}: {row.to}: {dead_of(row.dead)}.", markup=False)
        if row.diverged:
            console.print(
                f"{row.factor}: {row.to}: {row.diverged} of {len(row.accuracies)} seeds diverged.", markup=False
            )
    console.print(
        f"Base: {race.about['setting']}. Accuracy: of the test images ({race.data_name}) after {race.about['epochs']} "
        "rounds; points: of it, against the base, seed by seed. Cost: of the training images, each in its own kind. "
        "Zeros: test outputs that are exactly 0.",
        markup=False,
    )
