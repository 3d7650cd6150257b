"""The article's figures and ours, the settings that could be its own, and what changes do to its ReLU network."""

from collections.abc import Sequence
from statistics import fmean, median

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
from bench.records.races import RaceResult
from bench.tables.race import parts_of, started_by
from bench.tables.table import (
    INTERVAL,
    NONE,
    Section,
    Table,
    duration,
    number,
    or_dash,
    percent,
    plural,
    ratio_cells,
    share,
)

EXPERIMENTS_EXPLANATION = (
    "Reproduced: the article's figure, with what was rounded away, lies in the range of our seeds. Where the article "
    "leaves open of which images or after which epoch a figure is, the nearest of ours is taken. Method: a program "
    "like the article's, on this machine; some of its epochs, spread over the seeds, are scaled to all. Ratio: ours to "
    "the method, seed by seed. The article's times are of another machine."
)
GRID_EXPLANATION = (
    "Settings that the article does not state were varied. A setting reproduces a figure if that lies in the range of "
    "its seeds. Stopped early: its first seed was too far off, so no other was tried."
)
EFFECTS_EXPLANATION = (
    "One factor of the article's ReLU network is changed at a time, everything else stays. Points: per cent of the "
    "test images, relative to the article's setting, seed by seed, with Student's interval across seeds. Costs are of "
    "the training images, each in its own kind. Dead: outputs that are 0 for every test image, by seed."
)
ARTICLE_LIMITS = [
    "The article does not state all of its settings: differences from it may come from those, from its random numbers, "
    "or from its program.",
]
MOST_SETTINGS = 12  # of a grid, in a table
FIGURE_HEADS = ("figure", "article", "ours,\nleast", "median", "most", "reproduced")


def article_setting(races: Sequence[RaceResult]) -> str:
    """Data, how many experiments, backend, dtype and threads, in a line."""
    first, n = races[0], len(races)
    experiments = f"{n} experiments" if n > 1 else str(first.about["name"])
    backend = f"trained by {first.about['backend']}"
    return " · ".join([first.data_name, experiments, backend, first.key["dtype"], parts_of(first)["threads"]])


def article_lines(races: Sequence[RaceResult]) -> list[str]:
    """What stands before a table."""
    return [f"{article_setting(races)}.", started_by(races[0])]


def sections_of_article(races: Sequence[RaceResult]) -> list[Section]:
    """Of whichever of the three experiments these races are."""
    by_purpose = {"article": experiments_sections, "article-grid": grid_sections, "article-relu": relu_sections}
    return by_purpose[races[0].purpose](races)


# --- experiments -----------------------------------------------------------------------------------------


def experiments_sections(races: Sequence[RaceResult]) -> list[Section]:
    """One, with a table of figures and one of times."""
    results, lines = experiment_results(races), article_lines(races)
    if found := mini_batches(races):
        lines.append(mini_batches_in_words(found))
    tables = [figures_table(results), times_table(results)]
    return [Section("The article's experiments again", lines, tables, EXPERIMENTS_EXPLANATION)]


def figures_table(results: Sequence[ExperimentResult]) -> Table:
    """A row a figure that the article prints."""
    rows = [[row.name, *figure_cells(figure, " %")] for row in results for figure in row.figures]
    notes = [
        f"{row.name}: {row.about['shows']}. {row.about['setting']}; {plural(row.seeds, 'seed')}.{incidents(row)}"
        for row in results
    ]
    return Table("The article's figures and ours", ("experiment", *FIGURE_HEADS), rows, notes, 2)


def figure_cells(figure: Compared, unit: str = "") -> list[str]:
    """A figure's name, the article's value, ours from least to most, and whether that reproduces it."""
    article = f"{figure.text}{unit}" if figure.what == "accuracy" else figure.text
    if figure.values:
        text = share if figure.what in ("accuracy", "overflow") else number
        ours = [text(value) for value in (min(figure.values), median(figure.values), max(figure.values))]
    else:
        ours = [NONE] * 3
    return [figure_name(figure), article, *ours, "yes" if figure.holds else "no"]


def figure_name(figure: Compared) -> str:
    """What was measured, of which images, and after how much training."""
    after = f"after {plural(figure.epoch, 'epoch')}" if figure.epoch else "before training"
    return f"{figure.what}, {figure.split}, {after}"


def incidents(row: ExperimentResult) -> str:
    """What went wrong in some seeds, in words."""
    words = f" The article: {row.about['said']}." if row.about["said"] else ""
    words += f" Its check of accuracy took {row.about['check']:g} s." if row.about["check"] else ""
    for figure in row.figures:
        if figure.constant:
            words += f" {figure.text} % is the score of {figure.constant}."
    words += f" {row.diverged} diverged." if row.diverged else ""
    for digit, seeds in sorted(row.collapsed.items()):
        words += f" {seeds} collapsed: always {digit}."
    if row.zeros > 0.5:
        dead = ", ".join(map(str, row.dead))
        words += f" {percent(row.zeros)} of the outputs are exactly 0; for every test image, by seed: {dead}."
    return words


def times_table(results: Sequence[ExperimentResult]) -> Table:
    """The time of a whole training: the article's, its method's on this machine, ours."""
    rows = [
        [
            row.name,
            or_dash(row.about["seconds"], lambda seconds: f"{seconds:g} s"),
            *map(duration, (*row.method_times, row.times.wall, row.times.cpu)),
            *ratio_cells("", row.about["method"], row.ratio),
        ]
        for row in results
        if row.times and row.method_times
    ]
    heads = ("experiment", "article", "method\nhere", "its\nCPU", "its\ncheck", "ours", "our\nCPU", "ratio", INTERVAL)
    methods = "; ".join(dict.fromkeys(row.about["method"] for row in results if row.about["method"]))
    backends = "; ".join(dict.fromkeys(row.about["backend"] for row in results))
    notes = []
    if methods:
        notes = [f"Method: {methods}. Ours: {backends}. Check: of accuracy on the training images, by the method"]
    return Table("Time of a training", heads, rows, notes)


def mini_batches_in_words(found: MiniBatches) -> str:
    """What mini-batches bring, in the article's own setting."""
    needed = "never in these epochs" if found.epochs_needed is None else f"after epoch {found.epochs_needed}"
    return (
        f"Epochs of 600 updates instead of five, by the article's method: one takes {found.epoch_ratio:.2f} times as "
        f"long; after one, {share(found.first)} of the test images are right; {share(found.target)}, what the others "
        f"reach in {plural(found.epochs, 'epoch')}, {needed}."
    )


# --- grids -----------------------------------------------------------------------------------------------


def grid_sections(races: Sequence[RaceResult]) -> list[Section]:
    """One, with a table for each experiment of which a setting reproduces a figure."""
    lines, tables = article_lines(races), []
    for race in races:
        results = setting_results(race)
        if results:
            lines.append(f"{race.about['name']}: {tried(race, results)}.")
            lines += [stopping_rule(**screen) for screen in race.about["screens"]]
        if best(results):
            tables.append(grid_table(race, results))
    return [Section("Which settings could be the article's?", lines, tables, GRID_EXPLANATION)]


def best(results: Sequence[SettingResult]) -> list[SettingResult]:
    """The settings that reproduce most figures; none where no setting reproduces any."""
    return [one for one in results if one.held == results[0].held > 0]


def tried(race: RaceResult, results: Sequence[SettingResult]) -> str:
    """How many settings were tried, and how many reproduce most."""
    n, stopped = len(results[0].figures), sum(one.stopped_early for one in results)
    words = f"{len(results)} of {len(race.key['settings'])} settings tried, {stopped} of them stopped early; "
    if not best(results):
        return f"{words}none reproduces a figure"
    return f"{words}{len(best(results))} reproduce {results[0].held} of {plural(n, 'figure')}"


def stopping_rule(epoch: int, split: str, what: str, least: float, most: float) -> str:
    """When a setting was stopped early."""
    return (
        f"Stopped early where the {split} {what} of the first seed was not {least:g} to {most:g} after epoch {epoch}."
    )


def grid_table(race: RaceResult, results: Sequence[SettingResult]) -> Table:
    """The settings that reproduce most figures, with what they give."""
    shown = best(results)[:MOST_SETTINGS]
    rows = [
        [f"{one.name}; {plural(one.seeds, 'seed')}", *figure_cells(figure)] for one in shown for figure in one.figures
    ]
    notes = [f"{len(shown)} of {len(best(results))} are shown"] if len(shown) < len(best(results)) else []
    title = f"{race.about['name']}: settings that reproduce most"
    return Table(title, ("setting", *FIGURE_HEADS), rows, notes, 2)


# --- ReLU ------------------------------------------------------------------------------------------------


def relu_sections(races: Sequence[RaceResult]) -> list[Section]:
    """One, with a row a change."""
    (race,) = races
    results = effects(race)
    rows = [
        [
            effect_name(row),
            str(len(row.accuracies)),
            *map(share, (min(row.accuracies), fmean(row.accuracies), max(row.accuracies))),
            or_dash(row.difference, points),
            or_dash(row.interval, lambda interval: " to\n".join(map(points, interval))),
            number(fmean(row.costs)) if row.costs else NONE,
            percent(row.zeros),
            " ".join(map(str, row.dead)),
        ]
        for row in results
    ]
    heads = ("changed", "seeds", "least", "mean", "most", "points", INTERVAL, "cost", "outputs\nthat are\n0", "dead")
    notes = [
        f"{effect_name(row)}: {row.diverged} of {len(row.accuracies)} seeds diverged" for row in results if row.diverged
    ]
    epochs = plural(race.about["epochs"], "epoch")
    lines = [f"The article's setting: {race.about['setting']}, {epochs}.", *article_lines(races)]
    table = Table("One factor at a time", heads, rows, notes)
    return [Section("Why did ReLU lose?", lines, [table], EFFECTS_EXPLANATION, ["relu"])]


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
