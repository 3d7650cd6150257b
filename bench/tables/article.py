"""The article's figures and ours, the settings that could be its own, and what changes do to its ReLU network."""

from collections.abc import Callable, Sequence
from statistics import fmean, median

from bench.analysis import article as analysis
from bench.records.races import RaceResult
from bench.tables import table as text
from bench.tables.machines import machines_tables
from bench.tables.race import parts_of, started_by
from bench.tables.table import INTERVAL, NONE, Columns, Section, Table, table_of
from bench.workloads.article import EXPERIMENTS

ARTICLE = {one.name: one for one in EXPERIMENTS}  # what the article says, by the names of its experiments
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
STOPPING_RULE = (
    "Stopped early where the {split} {what} of the first seed was not {least:g} to {most:g} after epoch {epoch}."
)
MOST_SETTINGS = 12  # of a grid, in a table


def article_setting(races: Sequence[RaceResult]) -> str:
    """Data, how many experiments, backend, dtype and threads, in a line."""
    first, n = races[0], len(races)
    experiments = f"{n} experiments" if n > 1 else str(first.about["name"])
    backend = f"trained by {first.about['backend']}"
    return " · ".join([first.data_name, experiments, backend, first.key["dtype"], parts_of(first)["threads"]])


def sections_of_article(races: Sequence[RaceResult]) -> list[Section]:
    """The section of `study article`, `grid` or `relu`, whichever these races are of."""
    by_purpose = {"article": experiments_sections, "article-grid": grid_sections, "article-relu": relu_sections}
    *others, last = by_purpose[races[0].purpose](races)
    return [*others, last._replace(tables=[*last.tables, *machines_tables(races)])]


def experiments_sections(races: Sequence[RaceResult]) -> list[Section]:
    """The section of `study article`: figures, times, and what mini-batches bring in the article's own setting."""
    results, lines = analysis.experiment_results(races), [f"{article_setting(races)}.", started_by(races[0])]
    if gain := analysis.mini_batches(races):
        needed = "never in these epochs" if gain.epochs_needed is None else f"after epoch {gain.epochs_needed}"
        lines.append(
            f"Epochs of 600 updates instead of five, by the article's method: one takes {gain.epoch_ratio:.2f} times "
            f"as long; after one, {text.share(gain.first)} of the test images are right; {text.share(gain.target)}, "
            f"what the others reach in {text.plural(gain.epochs, 'epoch')}, {needed}."
        )
    tables = [figures_table(results), times_table(results)]
    return [Section("The article's experiments again", lines, tables, EXPERIMENTS_EXPLANATION)]


def figures_table(results: Sequence[analysis.ExperimentResult]) -> Table:
    """The table with a row for each figure that the article prints."""
    figures = [(row.name, figure) for row in results for figure in row.figures]
    notes = [experiment_in_words(row) for row in results]
    return table_of_figures("The article's figures and ours", "experiment", figures, notes)


def table_of_figures(title: str, head: str, figures: list[tuple[str, analysis.Compared]], notes: list[str]) -> Table:
    """The article's figures next to ours. figures: each after its experiment or setting, for which `head` stands."""
    columns: Columns[tuple[str, analysis.Compared]] = {
        head: lambda row: row[0],
        "figure": lambda row: figure_name(row[1]),
        "article": lambda row: row[1].text + (" %" if row[1].what == "accuracy" else ""),
        "ours,\nleast": lambda row: figure_value(row[1], min),
        "median": lambda row: figure_value(row[1], median),
        "most": lambda row: figure_value(row[1], max),
        "reproduced": lambda row: "yes" if row[1].reproduced else "no",
    }
    return table_of(title, figures, columns, notes, 2)


def figure_name(figure: analysis.Compared) -> str:
    """What was measured, of which images, and after how much training."""
    after = f"after {text.plural(figure.epoch, 'epoch')}" if figure.epoch else "before training"
    return f"{figure.what}, {figure.split}, {after}"


def figure_value(figure: analysis.Compared, of_values: Callable[[list[float]], float]) -> str:
    """The least, median or largest of our values; a dash where there are none."""
    write = text.share if figure.what in ("accuracy", "overflow") else text.number
    return write(of_values(figure.values)) if figure.values else NONE


def experiment_in_words(row: analysis.ExperimentResult) -> str:
    """What an experiment shows, its setting, and what went wrong in some seeds."""
    words = f"{row.name}: {row.about['shows']}. {row.about['setting']}; {text.plural(row.seeds, 'seed')}."
    words += f" The article: {row.about['said']}." if row.about["said"] else ""
    words += f" Its check of accuracy took {row.about['check']:g} s." if row.about["check"] else ""
    scored = [figure for figure in row.figures if figure.constant]
    words += "".join(f" {figure.text} % is the score of {figure.constant}." for figure in scored)
    words += f" {row.diverged} diverged." if row.diverged else ""
    words += "".join(f" {seeds} collapsed: always {digit}." for digit, seeds in sorted(row.collapsed.items()))
    if row.zeros > 0.5:
        dead = ", ".join(map(str, row.dead))
        words += f" {text.percent(row.zeros)} of the outputs are exactly 0; for every test image, by seed: {dead}."
    return words


def times_table(results: Sequence[analysis.ExperimentResult]) -> Table:
    """The time of a whole training: the article's, its method's on this machine, ours."""
    rows = [
        [
            row.name,
            text.or_dash(row.about["seconds"], lambda seconds: f"{seconds:g} s"),
            *map(text.duration, (*row.method_times, row.times.wall, row.times.cpu)),
            text.ratio_of(row.ratio),
            text.interval_of(row.ratio and row.ratio.interval),
        ]
        for row in results
        if row.times and row.method_times
    ]
    heads = ("experiment", "article", "method\nhere", "its\nCPU", "its\ncheck", "ours", "our\nCPU", "ratio", INTERVAL)
    methods = "; ".join(dict.fromkeys(row.about["method"] for row in results if row.about["method"]))
    backends = "; ".join(dict.fromkeys(row.about["backend"] for row in results))
    note = f"Method: {methods}. Ours: {backends}. Check: of accuracy on the training images, by the method"
    return Table("Time of a training", heads, rows, [note] if methods else [])


def grid_sections(races: Sequence[RaceResult]) -> list[Section]:
    """The section of `study grid`, with a table for each experiment of which a setting reproduces a figure."""
    lines, tables = [f"{article_setting(races)}.", started_by(races[0])], []
    for race in races:
        if results := analysis.setting_results(race):
            most, stopped = results[0].n_reproduced, sum(one.stopped_early for one in results)
            best = [one for one in results if one.n_reproduced == most > 0]
            summary = f"{len(best)} reproduce {most} of {text.plural(len(results[0].figures), 'figure')}"
            lines.append(
                f"{race.about['name']}: {len(results)} of {len(race.key['settings'])} settings tried, {stopped} of "
                f"them stopped early; {summary if best else 'none reproduces a figure'}."
            )
            lines += [STOPPING_RULE.format(**screen) for screen in race.about["screens"]]
            tables += [grid_table(race.about["name"], best)] if best else []
    return [Section("Which settings could be the article's?", lines, tables, GRID_EXPLANATION)]


def grid_table(name: str, best: Sequence[analysis.SettingResult]) -> Table:
    """The settings of one experiment that reproduce most figures, with what they give."""
    shown = best[:MOST_SETTINGS]
    figures = [(f"{one.name}; {text.plural(one.seeds, 'seed')}", figure) for one in shown for figure in one.figures]
    notes = [f"{len(shown)} of {len(best)} are shown"] if len(shown) < len(best) else []
    return table_of_figures(f"{name}: settings that reproduce most", "setting", figures, notes)


def relu_sections(races: Sequence[RaceResult]) -> list[Section]:
    """The section of `study relu`, with a row for each change."""
    (race,) = races
    columns: Columns[analysis.Effect] = {
        "changed": effect_name,
        "seeds": lambda row: str(len(row.accuracies)),
        "least": lambda row: text.share(min(row.accuracies)),
        "mean": lambda row: text.share(fmean(row.accuracies)),
        "most": lambda row: text.share(max(row.accuracies)),
        "points": lambda row: text.or_dash(row.difference, points),
        INTERVAL: lambda row: text.interval_of(row.interval, points),
        "cost": lambda row: text.number(fmean(row.costs)) if row.costs else NONE,
        "outputs\nthat are\n0": lambda row: text.percent(row.zeros),
        "dead": lambda row: " ".join(map(str, row.dead)),
    }
    results = analysis.effects(race)
    diverged = [row for row in results if row.diverged]
    notes = [f"{effect_name(row)}: {row.diverged} of {len(row.accuracies)} seeds diverged" for row in diverged]
    setting = f"The article's setting: {race.about['setting']}, {text.plural(race.about['epochs'], 'epoch')}."
    lines = [setting, f"{article_setting(races)}.", started_by(race)]
    tables = [table_of("One factor at a time", results, columns, notes)]
    return [Section("Why did ReLU lose?", lines, tables, EFFECTS_EXPLANATION, ["relu"])]


def effect_name(row: analysis.Effect) -> str:
    """What is changed, and to what."""
    return row.to if row.difference is None else f"{row.factor}: {row.to}"


def points(difference: float) -> str:
    """A difference of shares, in per cent of the images, with its sign."""
    return f"{100 * difference:+.1f}"


def effect_in_words(row: analysis.Effect) -> str:
    """An effect with its interval."""
    assert row.difference is not None
    return text.in_brackets(row.difference, row.interval, points)
