"""Races, sweeps and calibrations; with the looks of a report the same backend is drawn alike in all figures."""

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.analysis import statistics
from bench.analysis.calibrate import comparison_length, verdicts
from bench.analysis.race import (
    GROWING,
    Growth,
    growths,
    intensity,
    machine_rate,
    ratios_of_race,
    resources,
    swept,
    times_of,
)
from bench.records.races import Checked, RaceResult
from bench.tables.race import backends_of, race_setting, races_setting, work
from bench.tables.table import capitalised, duration, number, percent, power, printable, with_interval
from bench.timing.worker import FLOOR
from reports.figures.style import (
    DASHES,
    GREY,
    Figure,
    Floats,
    Look,
    Looks,
    add_legend,
    draw_interval,
    drawable,
    framed,
    legend_height,
    logarithmic,
    name_rows,
    rows_height,
    say,
    text,
    wrapped,
    write_right,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

OF_FLOOR = Look(GREY, "|", DASHES[1], 1.5, 7.0)
BEYOND = 3.0  # times the outermost mark: so far the axis follows an interval


def race_ratios(race: RaceResult, look: Looks) -> "Drawing":
    """How many times as long as the baseline each backend takes, with intervals: a row each, fastest first."""
    ratios = ratios_of_race(race)
    generations = {name: of_generations(race, name) for name in ratios}
    title = f"{capitalised(work(race))}: how many times as long as {race.baseline}"
    notes = [
        "A filled mark is the estimate, the bar its interval, a faint mark that of one generation of processes.",
        "Numbers at the right: estimate and interval; all intervals hold together with 95 %.",
    ]
    if any(ratio.interval is None for ratio in ratios.values()):
        notes.append("Without an interval: of a single generation of processes.")
    with framed(race.notice, race_setting(race), title, rows_height(ratios), notes) as figure:
        axes = figure.subplots()
        if not ratios:
            say(axes, f"There is no ratio to {text(race.baseline)} in these results.")
            return figure
        intervals = [ratio.interval for ratio in ratios.values()]
        logarithmic(axes, "x", spanned([1.0], *generations.values(), intervals=intervals))
        for y, (name, ratio) in enumerate(ratios.items()):
            colour, marker, *_ = look_of(name, look)
            below = [y + 0.24] * len(generations[name])  # where the bar does not hide them
            axes.plot(generations[name], below, marker, color=colour, alpha=0.4, markersize=5)
            draw_interval(axes, y, ratio.interval, colour)
            axes.plot(ratio.estimate, y, marker, color=colour, markersize=8)
            write_right(axes, y, with_interval(ratio))
        axes.axvline(1, color=GREY, linestyle="--", linewidth=1.2, zorder=1)
        name_rows(axes, list(ratios))
        axes.set_xlabel(f"times {wrapped(race.baseline)}; left of 1 is faster")
    return figure


def growth_figure(races: Sequence[RaceResult], look: Looks) -> "Drawing":
    """Seconds over what was swept, on logarithmic axes, a line a participant with its fitted power."""
    what = GROWING[swept(races)]
    found = growths(races)
    notes = [
        "Below each name the fitted power: 1 is growth in proportion, 0 none; a line that bends has no one power.",
        "In brackets the fit's 95 % interval, from three sizes on: how far the points are from a straight line.",
    ]
    legend = [f"{printable(grown.name)}\n{power_of(grown)}" for grown in found]
    height = max(4.2, legend_height(legend))
    with framed(races[0].notice, races_setting(races), f"Time over {what}", height, notes) as figure:
        axes = figure.subplots()
        if not found:
            say(axes, "No backend was measured in these results.")
            return figure
        lines = {
            label: axes.plot(grown.sizes, grown.seconds, **look_of(grown.name, look).line())[0]
            for label, grown in zip(legend, found, strict=True)
        }
        logarithmic(axes, "x", np.concatenate([np.array(grown.sizes, float) for grown in found]))
        logarithmic(axes, "y", np.concatenate([grown.seconds for grown in found]))
        sizes = sorted({size for grown in found for size in grown.sizes})
        if len(sizes) <= 12:
            axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.set(xlabel=what, ylabel="seconds, wall")
        axes.grid(True)
        add_legend(figure, lines)
    return figure


def roofline(races: Sequence[RaceResult], look: Looks) -> "Drawing":
    """GFLOP/s over FLOP per byte, a point a backend and race, below what the machine reached."""
    points: dict[str, list[tuple[float, float]]] = {}
    for race in sorted(races, key=intensity):
        for name, row in resources(race).items():
            if row.flop_rate is not None:
                points.setdefault(name, []).append((intensity(race), row.flop_rate / 1e9))
    points = {name: points[name] for name in look if name in points}  # in the order of all figures
    gemm, bandwidth = (middle(machine_rate(race, what) for race in races) for what in ("gemm", "bandwidth"))
    notes = [
        "Dense arithmetic, over the least that has to come from memory: the images once an epoch, the first layer's "
        "weights read and written each update.",
    ]
    sizes = {race.key["batch"] for race in races}
    if len(sizes) > 1:
        notes.append("Points of one backend, from left to right: larger batches, whose weights are written less often.")
    single = len(races) == 1
    legend = {
        name: printable(name) + (f"\n{number(found[0][1])} GFLOP/s" if single else "") for name, found in points.items()
    }
    height = max(4.4, legend_height(legend.values()))
    title = "Roofline: arithmetic per byte, and per second"
    with framed(races[0].notice, races_setting(races), title, height, notes) as figure:
        axes = figure.subplots()
        if not points:
            say(axes, "No backend was measured in these results.")
            return figure
        lines = {}
        for name, found in points.items():
            style = look_of(name, look).line() | ({"linestyle": "none"} if single else {})
            (lines[legend[name]],) = axes.plot(*zip(*found, strict=True), **style)
        x = np.array([x for found in points.values() for x, _ in found])
        y = np.array([y for found in points.values() for _, y in found])
        if gemm and bandwidth:
            ridge = gemm / bandwidth  # FLOP per byte from which on arithmetic is what limits
            ends = np.array([min(x.min(), ridge) / 8, ridge, max(x.max(), ridge) * 8])
            axes.plot(ends, np.minimum(gemm, bandwidth * ends) / 1e9, color=GREY, linewidth=1.5, zorder=0)
            label = f"GEMM reached {number(gemm / 1e9)} GFLOP/s"
            axes.text(ends[2] / 1.1, gemm / 1e9 * 1.06, label, ha="right", va="bottom", color=GREY, fontsize=9)
            under = bandwidth * ends[0] / 1e9
            label = f"copying reached {number(bandwidth / 1e9)} GB/s"
            axes.text(ends[0] * 1.3, under * 1.05, label, ha="left", va="top", color=GREY, fontsize=9)
            x, y = np.append(x, ends), np.append(y, [under, gemm / 1e9])
        logarithmic(axes, "x", x)
        logarithmic(axes, "y", y)
        axes.set(xlabel="FLOP per byte", ylabel="GFLOP/s")
        axes.grid(True)
        add_legend(figure, lines)
    return figure


def calibration_figure(races: Sequence[RaceResult]) -> "Drawing":
    """The share of comparisons that called slower what had so much more work."""
    generations = comparison_length(races)
    found, race = verdicts(races, generations), races[-1]
    notes = [
        "The bar is the 95 % interval of the share. At 0 % both did the same: being called slower is a false alarm.",
        f"Comparisons of {generations} generations; slower is an interval wholly above 1 with an "
        f"estimate beyond {percent(statistics.MARGIN)}.",
    ]
    title = f"How often is a slowdown found, and how often a false one? ({backends_of(race)})"
    with framed(race.notice, race_setting(race), title, 3.6, notes) as figure:
        axes = figure.subplots()
        if not found:
            say(axes, "The calibrations are shorter than one comparison.")
            return figure
        extra, share = (
            [100 * value for value in values] for values in zip(*((v.work - 1, v.share) for v in found), strict=True)
        )
        low, high = ([100 * end for end in ends] for ends in zip(*(v.interval for v in found), strict=True))
        axes.vlines(extra, low, high, color=GREY, linewidth=2)
        axes.plot(extra, share, "o", color="#0072B2", markersize=8, clip_on=False)
        for x, y in zip(extra, share, strict=True):
            axes.annotate(f"{y:.0f} %", (x, y), (9, 0), textcoords="offset points", va="center", fontsize=9)
        axes.axvline(100 * statistics.MARGIN, color=GREY, linestyle=":", zorder=0)
        axes.set_xticks(extra)
        axes.set(xlim=(-0.7, max(extra) + 1.2), ylim=(-3, 103), yticks=range(0, 101, 20))
        axes.xaxis.set_major_formatter("{x:.0f} %")
        axes.yaxis.set_major_formatter("{x:.0f} %")
        axes.set(xlabel="work that was added", ylabel="of the comparisons, called slower")
        axes.grid(True, axis="y")
    return figure


def memory(race: RaceResult, look: Looks) -> "Drawing":
    """What each process held at most, and what a call adds to that before it."""
    rows = resources(race)
    found = {name: rows[name] for name in look if name in rows}
    names = [name for name in found if found[name].process_peak or found[name].call_peak]
    panels = {"the process, at most": "process_peak", "beyond what was held before, a call": "call_peak"}
    notes = ["Of the process: Python, the libraries and the images among it."]
    notes += [
        f"{name}: on {race.participants[name].images:,} of {race.key['images']:,} images."
        for name in names
        if race.participants[name].images < race.key["images"]
    ]
    title = f"Memory: {work(race)}"
    with framed(race.notice, race_setting(race), title, rows_height(names), notes) as figure:
        for axes, (panel, part) in zip(figure.subplots(1, 2, sharey=True), panels.items(), strict=True):
            axes.set_title(panel)
            sizes = {name: getattr(found[name], part) for name in names}
            known = {name: size / 2**20 for name, size in sizes.items() if size is not None}
            if not known:
                say(axes, "This system does not say.")
                continue
            for name, size in known.items():
                y = names.index(name)
                colour, marker, *_ = look[name]
                axes.hlines(y, 0, size, color=colour, linewidth=2, alpha=0.4)
                axes.plot(size, y, marker, color=colour, markersize=8, clip_on=False)
                said = f"{number(size)} MiB" if size >= 1 else f"{1024 * size:.0f} KiB" if size else "0"
                write_right(axes, y, said)
            axes.set_xlim(0, 1.05 * max(max(known.values()), 1.0))
            name_rows(axes, names)
            axes.set_xlabel("MiB")
    return figure


def break_even(race: RaceResult, look: Looks) -> "Drawing":
    """Seconds in total over epochs, with preparation and first call: where lines cross, both cost the same."""
    rows = resources(race)
    found = {name: rows[name] for name in look if name in rows}
    times = times_of(race)
    notes = [
        "Preparation, first call and epochs together, as measured in this race and continued. Thick: with compiled "
        "code on disk; thin: with nothing compiled, where that was measured (race --cold).",
    ]
    calls = np.unique(np.geomspace(1, 1000, 100).round())
    height = max(4.2, legend_height(found))
    title = f"When does a compilation pay? Seconds in total: {work(race)}, again and again"
    with framed(race.notice, race_setting(race), title, height, notes) as figure:
        axes = figure.subplots()
        if not found:
            say(axes, "No backend was measured in these results.")
            return figure
        lines: dict[str, Any] = {}
        every = []
        for i, (name, row) in enumerate(found.items()):
            for first, width in ((row.first, 2.0), (row.cold, 0.8)):
                if first is not None:
                    total = row.prepare + first + (calls - 1) * times[name]
                    every.append(total)
                    style = look[name].line() | {"linewidth": width, "markevery": (4 + 3 * i % 20, 25), "markersize": 7}
                    (line,) = axes.plot(calls, total, **style)
                    lines.setdefault(name, line)
        logarithmic(axes, "x", calls)
        logarithmic(axes, "y", np.concatenate(every))
        axes.set(xlabel="times that this is done", ylabel="seconds in total")
        axes.grid(True)
        add_legend(figure, lines)
    return figure


def agreement(race: RaceResult) -> "Drawing":
    """How far each backend is from the reference, in eps, for each quantity; and which share of what is allowed."""
    worst: dict[tuple[str, str], Checked] = {}
    for one in race.checks:
        where = one.backend, one.quantity
        if where not in worst or one.error / one.allowed > worst[where].error / worst[where].allowed:
            worst[where] = one
    backends = list(dict.fromkeys(one.backend for one in race.checks))
    quantities = list(dict.fromkeys(one.quantity for one in race.checks))
    notes = [
        "Numbers: the worst error against the reference in float64, in eps of the dtype, norm-wise. Empty: it does not "
        "compute that. Colour: the share of what rounding may explain; a backend beyond all of that is left out.",
    ]
    height = rows_height(backends, least=2.6, besides=1.6)
    with framed(race.notice, race_setting(race), "Agreement with the reference", height, notes) as figure:
        axes = figure.subplots()
        if not worst:
            say(axes, "No comparison with the reference is kept in these results.")
            return figure
        shares = np.full((len(backends), len(quantities)), np.nan)
        for (backend, quantity), one in worst.items():
            y, x = backends.index(backend), quantities.index(quantity)
            shares[y, x] = 100 * one.error / one.allowed
            dark = shares[y, x] > 65
            axes.text(x, y, number(one.error), ha="center", va="center", fontsize=8, color="white" if dark else "black")
        mesh = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
        axes.set_yticks(range(len(backends)), list(map(wrapped, backends)))
        axes.set_xticks(
            range(len(quantities)), [text(textwrap.fill(printable(q), 12)) for q in quantities], fontsize=7.5
        )
        axes.spines[:].set_visible(False)
        figure.colorbar(mesh, ax=axes, label="% of what is allowed", pad=0.01)
    return figure


def lines_of_code(race: RaceResult, look: Looks) -> "Drawing":
    """Seconds over lines of code."""
    times = times_of(race)
    found = {name: race.participants[name].lines_of_code for name in look if name in times and name != FLOOR}
    found = {name: lines for name, lines in found.items() if lines}
    notes = ["Lines that hold code, without blank lines, comments and docstrings; those of libraries do not count."]
    legend = {name: f"{printable(name)}\n{lines:,} lines, {duration(times[name])}" for name, lines in found.items()}
    height = max(4.2, 1.05 * legend_height(legend.values()))  # all are of two lines or more
    title = f"Lines of code against speed: {work(race)}"
    with framed(race.notice, race_setting(race), title, height, notes) as figure:
        axes = figure.subplots()
        if not found:
            say(axes, "The lengths of backends are not in these results.")
            return figure
        marks = {}
        for name, lines in found.items():
            colour, marker, *_ = look[name]
            (marks[legend[name]],) = axes.plot(lines, times[name], marker, color=colour, markersize=9)
        logarithmic(axes, "x", np.array(list(found.values()), float))
        logarithmic(axes, "y", np.array([times[name] for name in found]))
        axes.set(xlabel="lines of code", ylabel="seconds, wall")
        axes.grid(True)
        add_legend(figure, marks)
    return figure


CAPTIONS = {
    "memory": "Further left is less. What a backend holds for the images, and what an update needs in addition.",
    "break-even": "Lower is sooner done. A line that begins high paid for a compilation; where it crosses another, "
    "it has earned that back.",
    "agreement": "Pale is well within what rounding explains. A dark cell would be a backend that is nearly wrong.",
    "lines-of-code": "Down and left is better: fast, and soon read. To the right, what each factor of speed costs in "
    "code.",
    "ratios": "Further left is faster; equal steps are equal factors. An interval that does not reach the dashed line "
    "shows which is faster. Faint marks far from each other: generations differ, and more would help.",
    "growth": "Both axes are logarithmic: a straight line is a power, the steeper the larger. Where a line bends, "
    "something else begins to limit.",
    "roofline": "The grey line is what this machine reached: on its slope memory limits, on its flat arithmetic. Bytes "
    "are at least the images in the case's dtype once an epoch and the first layer's weights, read and written each "
    "update; caches may hold them. A backend that skips zeros does less than dense arithmetic, and may lie above "
    "the line.",
    "calibration": "Low at 0 % is few false alarms, high elsewhere is few slowdowns missed. Left of the dotted line a "
    "slowdown is within the margin, and is not meant to be found.",
}


def race_figures(race: RaceResult, look: Looks) -> list[Figure]:
    """All figures of one race."""
    return [
        Figure("ratios", "Ratios in a race", CAPTIONS["ratios"], race_ratios(race, look)),
        Figure("roofline", "Roofline", CAPTIONS["roofline"], roofline([race], look)),
        Figure("memory", "Memory", CAPTIONS["memory"], memory(race, look)),
        Figure("break-even", "When compilation pays", CAPTIONS["break-even"], break_even(race, look)),
        Figure("agreement", "Agreement", CAPTIONS["agreement"], agreement(race)),
        Figure("lines-of-code", "Lines of code against speed", CAPTIONS["lines-of-code"], lines_of_code(race, look)),
    ]


def sweep_figures(races: Sequence[RaceResult], look: Looks) -> list[Figure]:
    """Time over what was swept, and over batch sizes the roofline."""
    what = swept(races)
    over = GROWING[what]
    figures = [Figure(f"growth-{what}", f"Time over {over}", CAPTIONS["growth"], growth_figure(races, look))]
    if what == "batch":
        title = f"Roofline over {over}"
        figures.append(Figure(f"roofline-{what}", title, CAPTIONS["roofline"], roofline(races, look)))
    return figures


def calibration_figures(races: Sequence[RaceResult]) -> list[Figure]:
    """The one figure."""
    return [Figure("calibration", "Calibration", CAPTIONS["calibration"], calibration_figure(races))]


def of_generations(race: RaceResult, name: str) -> Floats:
    """A ratio to the baseline for each generation."""
    return np.exp(statistics.medians_of(statistics.log_ratios(race.rounds(), name, race.baseline)))


def spanned(*values: Iterable[float], intervals: Iterable[statistics.Interval | None]) -> Floats:
    """What an axis has to show: all values, and intervals as far as they are not much beyond them."""
    marks = np.concatenate([np.fromiter(several, float) for several in values])
    shown = marks[drawable(marks)]
    ends = np.array([end for interval in intervals if interval for end in interval])
    return np.append(marks, np.clip(ends, shown.min() / BEYOND, shown.max() * BEYOND))


def look_of(name: str, look: Looks) -> Look:
    """The floor is grey everywhere."""
    return OF_FLOOR if name == FLOOR else look[name]


def power_of(grown: Growth) -> str:
    """The fitted power in words."""
    if grown.power is None:
        return "one size"
    words, interval = power(grown.power), grown.interval
    return f"{words} [{power(interval.low)}, {power(interval.high)}]" if interval else f"power {words}"


def middle(values: Iterable[float | None]) -> float | None:
    """The median of what is known."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
