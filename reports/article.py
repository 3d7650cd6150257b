"""The article's experiments -> tables and a figure: its figures beside ours, other settings, ReLU factor by factor."""

from collections.abc import Sequence
from statistics import fmean, median
from typing import TYPE_CHECKING

from bench import findings
from bench.findings import Compared, Effect, Held, incidents, named
from bench.raced import Raced
from bench.results import ResultSet
from bench.standings import in_short
from reports import races
from reports.accuracy import share
from reports.figures import COLOURS, GREY, Drawn, framed, say, wrapped
from reports.tables import NONE, Section, Sheet, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
LIMITS = [
    "The article does not tell all of its settings: what differs from it may come from those, from its random numbers, "
    "or from its program.",
]
CAPTION = (
    "Left: every seed a mark. Right: what the change brings, with its interval; one that reaches the dashed line may "
    "bring nothing. Changes are made one at a time, so that they do not add up."
)
MOST_SETTINGS = 12  # of a grid, in a table
BLUE, RED = COLOURS[2], COLOURS[4]
FAR = 2.5  # times the largest effect: so far the axis follows an interval


def setting(results: ResultSet) -> str:
    """Data, how many parts, who trains, dtype and threads, in a line."""
    first = results.races[0]
    n = len(results.races)
    parts = f"{n} experiments" if n > 1 else str(first.about["name"])
    backend = f"trained by {first.about['backend']}"
    return " · ".join([results.data_name, parts, backend, first.key["dtype"], races.parts_of(first)["threads"]])


def opening(results: ResultSet) -> list[str]:
    """What is said before a table."""
    return [f"{setting(results)}.", races.begun(results.races[0])]


# --- its figures beside ours -----------------------------------------------------------------------------


def of_rows(results: ResultSet) -> list[Section]:
    """One, with a table of figures and one of times."""
    sheets = [figures_of(results), times_of(results)]
    found = findings.mini_batches(results.races)
    lines = opening(results) + ([in_words(found)] if found else [])
    return [Section("The article's experiments again", lines, sheets, WHAT_ROWS_ARE, [])]


def figures_of(results: ResultSet) -> Sheet:
    """A row a figure that the article prints."""
    found = findings.rows(results.races)
    cells = [[row.name, named(figure), *beside(figure)] for row in found for figure in row.figures]
    notes = [f"{row.name}: {row.shows}. {row.setting}; {row.seeds} seeds.{incidents(row)}" for row in found]
    heads = ("experiment", "figure", "article", "ours,\nleast", "median", "most", "held")
    return Sheet("The article's figures beside ours", heads, cells, notes, 2)


def beside(figure: Compared) -> list[str]:
    """The article's figure, ours from least to most, and whether it lies between them."""
    article = f"{figure.text} %" if figure.what == "accuracy" else figure.text
    return [article, *ends_of(figure), "yes" if figure.holds else "no"]


def ends_of(figure: Compared) -> list[str]:
    """Ours: least, median and most."""
    if not figure.values:
        return [NONE] * 3
    ends = min(figure.values), median(figure.values), max(figure.values)
    return [share(value) if figure.what in ("accuracy", "overflow") else number(value) for value in ends]


def times_of(results: ResultSet) -> Sheet:
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
            races.interval_of(row.ratio),
        ]
        for row in findings.rows(results.races)
        if row.times and row.method_times
    ]
    heads = ("experiment", "article,\ns", "method\nhere, s", "its\nCPU, s", "its\ncheck, s", "ours,\ns")
    methods = dict.fromkeys(row.method for row in findings.rows(results.races) if row.method)
    notes = [f"Method: {'; '.join(methods)}. Check: of accuracy on the training images"] if methods else []
    return Sheet("Seconds of a training", (*heads, "our\nCPU, s", "ratio", "95 %\ninterval"), cells, notes)


def in_words(found: findings.MiniBatches) -> str:
    """What mini-batches bring, in the article's own setting."""
    needed = "never in these rounds" if found.rounds_needed is None else f"after round {found.rounds_needed}"
    return (
        f"Rounds of 600 updates instead of five, by the article's method: one takes {found.round_ratio:.2f} times as "
        f"long; after one, {share(found.first)} of the test images are right; {share(found.target)}, what the others "
        f"reach in {found.rounds} rounds, {needed}."
    )


# --- other settings --------------------------------------------------------------------------------------


def of_grid(results: ResultSet) -> list[Section]:
    """One, with a table for each experiment of which a setting holds a figure."""
    found = {race.number: findings.held(race) for race in results.races}
    lines = [
        f"{race.about['name']}: {tried(race, found[race.number])}." for race in results.races if found[race.number]
    ]
    sheets = [grid(race, found[race.number]) for race in results.races if best(found[race.number])]
    return [Section("Which settings could be the article's?", opening(results) + lines, sheets, WHAT_A_GRID_IS, [])]


def best(found: list[Held]) -> list[Held]:
    """The settings that hold most figures; none where nobody holds any."""
    return [one for one in found if one.held == found[0].held > 0]


def tried(race: Raced, found: list[Held]) -> str:
    """How many settings were tried, and how many hold most."""
    left, n = sum(one.left for one in found), len(found[0].figures)
    words = f"{len(found)} of {len(race.key['settings'])} settings tried, {left} of them left; "
    return words + (f"{len(best(found))} hold {found[0].held} of {n} figures" if best(found) else "none holds a figure")


def grid(race: Raced, found: list[Held]) -> Sheet:
    """The settings that hold most figures, with what they give."""
    shown = best(found)[:MOST_SETTINGS]
    cells = [
        [one.name, named(figure), figure.text, *ends_of(figure), "yes" if figure.holds else "no"]
        for one in shown
        for figure in one.figures
    ]
    notes = [f"{len(shown)} of {len(best(found))} are shown"] if len(shown) < len(best(found)) else []
    heads = ("setting", "figure", "article", "ours,\nleast", "median", "most", "held")
    return Sheet(f"{race.about['name']}: settings that hold most", heads, cells, notes, 2)


# --- ReLU, factor by factor ------------------------------------------------------------------------------


def of_relu(results: ResultSet) -> list[Section]:
    """One, with a row a change."""
    (race,) = results.races
    cells = [
        [
            name_of(row),
            str(len(row.accuracies)),
            *(share(value) for value in (min(row.accuracies), fmean(row.accuracies), max(row.accuracies))),
            NONE if row.difference is None else points(row.difference),
            NONE if row.interval is None else " to\n".join(map(points, row.interval)),
            number(fmean(row.costs)) if row.costs else NONE,
            races.percent(row.zeros),
            " ".join(map(str, row.dead)),
        ]
        for row in findings.effects(race)
    ]
    heads = ("changed", "seeds", "least", "mean", "most", "points", "95 %\ninterval", "cost", "outputs\nthat are\n0")
    notes = [
        f"{name_of(row)}: {row.diverged} of {len(row.accuracies)} seeds diverged"
        for row in findings.effects(race)
        if row.diverged
    ]
    sheet = Sheet("One factor at a time", (*heads, "dead"), cells, notes)
    lines = [f"The article's setting: {race.about['setting']}, {race.about['rounds']} rounds.", *opening(results)]
    return [Section("Why did ReLU lose?", lines, [sheet], WHAT_EFFECTS_ARE, ["relu"])]


def name_of(row: Effect) -> str:
    """What is changed, and to what."""
    return row.to if row.difference is None else f"{row.factor}: {row.to}"


def points(difference: float) -> str:
    """A difference of shares, in per cent of the images, with its sign."""
    return f"{100 * difference:+.1f}"


def effects(results: ResultSet) -> "Figure":
    """A row a change: the accuracy of every seed, and the difference to the article's setting with its interval."""
    (race,) = results.races
    found = findings.effects(race)
    title = "The article's ReLU network with one thing changed: per cent of the test images correct"
    notes = [
        f"Left: a mark is a seed, the bar their mean. Right: against the article's setting ({race.about['setting']}), "
        "seed by seed: mean, and Student's 95 % interval across seeds. The axis follows an interval "
        f"{FAR:g} times as far as the largest effect.",
    ]
    with framed(race.notice, setting(results), title, max(2.4, 0.9 + 0.42 * len(found)), notes) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        for y, row in enumerate(found):
            percent = [100 * accuracy for accuracy in row.accuracies]
            left.plot(percent, [y] * len(percent), "o", color=BLUE, markersize=6, markerfacecolor="none")
            left.plot([fmean(percent)] * 2, [y - 0.3, y + 0.3], color=BLUE, linewidth=2)
            if row.difference is not None:
                if row.interval:
                    right.plot([100 * end for end in row.interval], [y, y], color=RED, linewidth=2)
                right.plot(100 * row.difference, y, "o", color=RED, markersize=7)
                right.text(1.02, y, said(row), transform=right.get_yaxis_transform(), va="center", fontsize=9)
        if not found:
            say(left, "No training was finished in these results.")
        far = max([2.0, *(FAR * 100 * abs(row.difference or 0) for row in found)])
        ends = [100 * end for row in found for end in (row.interval or ())]
        right.set_xlim(max(-far, min([-2.0, *ends]) * 1.05), min(far, max([2.0, *ends]) * 1.05))
        right.axvline(0, color=GREY, linestyle="--", linewidth=1.2, zorder=1)
        left.set_yticks(range(len(found)), [wrapped(name_of(row)) for row in found])
        left.tick_params(axis="y", length=0, labelsize=9)
        right.tick_params(axis="y", length=0)
        left.set_ylim(max(len(found), 1) - 0.5, -0.5)
        left.set_xlabel("per cent correct")
        right.set_xlabel("points more or fewer")
        for axes in (left, right):
            axes.grid(True, axis="x")
    return figure


def said(row: Effect) -> str:
    """An effect with its interval."""
    assert row.difference is not None
    interval = f" [{', '.join(map(points, row.interval))}]" if row.interval else ""
    return points(row.difference) + interval


def sections(rows: ResultSet | None, grids: ResultSet | None, relu: ResultSet | None) -> list[Section]:
    """One for each kind of results that there are."""
    found = of_rows(rows) if rows else []
    found += of_grid(grids) if grids else []
    return found + (of_relu(relu) if relu else [])


def drawn(relu: ResultSet | None) -> list[Drawn]:
    """The one figure."""
    return [Drawn("relu", "ReLU, one factor at a time", CAPTION, effects(relu))] if relu else []


def samples(races_: Sequence[Raced]) -> list[list[str]]:
    """What was trained, a row each, for the file of all samples: after its name, as its heads have it."""
    return [
        [
            "training",
            course["entrant"],
            course["setting"],
            str(course["seed"]),
            "",
            str(race.key["images"] * course["rounds"]),
            *(repr(course[part]) for part in ("wall", "user", "system")),
        ]
        for race in races_
        for course in race.courses
    ]
