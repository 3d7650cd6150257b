"""What stands side by side: two revisions that raced against each other, and races of several files."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench import statistics
from bench.account import accounts, times_of
from bench.raced import Raced
from bench.results import ResultSet
from bench.statistics import CONFIDENCE, MARGIN, Ratio
from reports import races
from reports.figures import GREY, Drawn, Look, framed, say, wrapped
from reports.tables import NONE, Section, Sheet, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WHAT_A_COMPARISON_IS = (
    "Each backend as it was and as it is, in processes of their own that take turns. Slower: the interval wholly above "
    f"1, and the estimate beyond a margin of {races.percent(MARGIN)}. The intervals hold all together with 95 %."
)
SIDE_BY_SIDE = (
    "Races of different times are compared by how often the floor fits into a round, as the machine may have changed "
    "between them; ratios within one race say more."
)
NEAR, FARTHEST = (0.93, 1.07), 4.0  # after over before that the axis shows: always, and at most
CAPTION = (
    "Left of the dashed line it has become faster. An interval that reaches the dashed line tells no difference; "
    "dotted: the margin within which a slowdown does not count."
)


# --- two revisions ---------------------------------------------------------------------------------------


def changes(results: ResultSet) -> dict[str, Ratio | None]:
    """How many times as long each backend takes as before, in the order of the file; None: it did not run in both."""
    error = statistics.error_of_each(len(results.races), CONFIDENCE, looked=False)
    return {
        backend_of(race): statistics.ratio(race.rounds(), after(race), race.baseline, error, race.started())
        for race in results.races
    }


def after(race: Raced) -> str:
    """The side that is not the baseline."""
    return next((name for name in race.entrants if name != race.baseline), "")


def backend_of(race: Raced) -> str:
    """Who is compared with itself."""
    return race.entrants[race.baseline].backend if race.baseline in race.entrants else race.baseline


def verdict(ratio: Ratio) -> str:
    """What `bench compare` would say of it with its usual margin."""
    if ratio.interval is None:
        return "unknown, of a single generation"
    if statistics.is_slowdown(ratio):
        return "slower"
    return "faster" if ratio.interval.high < 1 else "no slowdown found"


def sections(results: ResultSet) -> list[Section]:
    """One, with a row a backend."""
    rows = [
        [name, NONE, NONE, "not measured on both sides"]
        if ratio is None
        else [name, f"{ratio.estimate:.3f}", races.interval_of(ratio), verdict(ratio)]
        for name, ratio in changes(results).items()
    ]
    heads = ("backend", "after /\nbefore", "95 %\ninterval", "verdict")
    first = results.races[0]
    lines = [f"{races.capitalised(races.work(first))}: {races.setting(first)}.", races.begun(first)]
    lines += races.disturbed(results.races)
    sheet = Sheet("After over before", heads, rows, [])
    return [Section("Has it become slower?", lines, [sheet], WHAT_A_COMPARISON_IS, ["comparison"])]


def comparison(results: ResultSet, look: Mapping[str, Look]) -> "Figure":
    """After over before, with intervals, a row a backend."""
    found = {name: ratio for name, ratio in changes(results).items() if ratio}
    race = results.races[0]
    notes = [f"A mark is the estimate, the bar its interval. Dotted: a margin of {races.percent(MARGIN)}."]
    height = 1.0 + sum(0.2 * wrapped(name).count("\n") + 0.34 for name in found)
    title = "Has it become slower? Time after over time before"
    with framed(race.notice, races.setting(race), title, max(2.2, height), notes) as figure:
        axes = figure.subplots()
        if not found:
            say(axes, "Nobody was measured on both sides.")
            return figure
        for y, (name, ratio) in enumerate(found.items()):
            colour, marker = (look[name].colour, look[name].marker) if name in look else ("#0072B2", "o")
            if ratio.interval:
                axes.plot(
                    np.clip(ratio.interval, 0, 10 * FARTHEST), [y, y], color=colour, linewidth=2, solid_capstyle="butt"
                )
            axes.plot(ratio.estimate, y, marker, color=colour, markersize=8)
            said = f"{races.with_interval(ratio)}: {verdict(ratio)}"
            axes.text(1.02, y, said, transform=axes.get_yaxis_transform(), va="center", fontsize=9)
        axes.axvline(1, color=GREY, linestyle="--", linewidth=1.2, zorder=1)
        axes.axvline(1 + MARGIN, color=GREY, linestyle=":", linewidth=1.2, zorder=1)
        axes.set_yticks(range(len(found)), list(map(wrapped, found)))
        axes.set_ylim(len(found) - 0.5, -0.5)
        axes.set_xlabel("time after over time before")
        axes.grid(True, axis="x")
        ends = [end for ratio in found.values() for end in (*(ratio.interval or ()), ratio.estimate)]
        low, high = (min(NEAR[0], *ends), max(NEAR[1], *ends))
        axes.set_xlim(max(low - 0.02, 0), min(high + 0.02, FARTHEST))
    return figure


def drawn(results: ResultSet, look: Mapping[str, Look]) -> list[Drawn]:
    """The one figure."""
    return [Drawn("comparison", "Before and after", CAPTION, comparison(results, look))]


# --- several files ---------------------------------------------------------------------------------------


def beside_each_other(several: Sequence[ResultSet]) -> Section:
    """Races of several files, a column each."""
    found = [results.races[0] for results in several]
    letters = [chr(ord("A") + i) if i < 26 else f"no. {i + 1}" for i in range(len(found))]
    lines = [
        f"{letter}: {results.path.name}, {races.work(race)}: {races.setting(race)}. {races.begun(race)}"
        for letter, results, race in zip(letters, several, found, strict=True)
    ]
    times = [times_of(race) for race in found]
    floors = [{name: row.floors for name, row in accounts(race).items()} for race in found]
    names = list(dict.fromkeys(name for race in found for name in races.fastest_first(race)))
    rows = [
        [
            name,
            *(number(one[name]) if name in one else NONE for one in times),
            *(races.percent(one.get(name)) for one in floors),
        ]
        for name in names
    ]
    heads = ("backend", *(f"{letter}:\nseconds" for letter in letters))
    sheet = Sheet("Side by side", (*heads, *(f"{letter}: floor\nover its time" for letter in letters)), rows, [])
    return Section("Several races", lines, [sheet], SIDE_BY_SIDE, [])
