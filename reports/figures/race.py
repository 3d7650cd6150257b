"""Figures of races, sweeps and calibrations; `look` gives a backend the same colour and marker in all figures."""

import textwrap
from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np
from matplotlib.axes import Axes

from bench.analysis import statistics
from bench.analysis.calibrate import comparison_length, verdicts
from bench.analysis.race import (
    GROWING,
    Growth,
    growths,
    intensity,
    machine_rate,
    over_floor,
    ratios_of_race,
    resources,
    times_of,
)
from bench.records.races import Checked, RaceResult
from bench.tables.race import backends_of, race_setting, races_setting, work
from bench.tables.table import duration, in_short, number, percent, power, printable, times, with_interval
from reports.figures import style
from reports.figures.style import BLUE, GREY, Figure, Looks, drawn, logarithmic, wrapped

NOTHING_MEASURED = "No backend was measured in these results."
ONE_GENERATION = "Without an interval: of a single generation of processes."


@drawn(
    "Ratios in a race",
    "Further left is faster; equal steps are equal factors. An interval that does not reach the dashed line shows "
    "which is faster. Faint marks far from each other: generations differ, and more would help.",
)
def ratios(figure: Figure, race: RaceResult, look: Looks) -> None:
    """How many times as long as the baseline each backend takes, with intervals: a row each, fastest first."""
    rows = ratios_of_race(race)
    intervals = [ratio.interval for ratio in rows.values()]
    figure.about(race, race_setting(race), f"{work(race).capitalize()}: how many times as long as {race.baseline}")
    figure.notes = [
        "A filled mark is the estimate, the bar its interval, a faint mark that of one generation of processes.",
        "Numbers at the right: estimate and interval; all intervals hold together with 95 %.",
        ONE_GENERATION if None in intervals else "",
    ]
    (axes,) = figure.panels(rows, f"There is no ratio to {style.text(race.baseline)} in these results.")
    logs = {name: statistics.log_ratios(race.rounds(), name, race.baseline) for name in rows}
    generations = {name: np.exp(statistics.medians_of(of_name)) for name, of_name in logs.items()}
    label = f"times {wrapped(race.baseline)}; left of 1 is faster"
    logarithmic(axes, "x", label, [1.0, *np.concatenate([*generations.values()])], intervals)
    for y, (name, ratio) in enumerate(rows.items()):
        colour, marker, *_ = look[name]
        below = [y + 0.24] * len(generations[name])  # where the bar does not hide them
        axes.plot(generations[name], below, marker, color=colour, alpha=0.4, markersize=5)
        words = with_interval(ratio)
        label = f"{name}, estimate\n{words} times {race.baseline}"
        style.draw_estimate(axes, y, ratio.estimate, ratio.interval, look[name], words, label=label)
        labels = of_generations(name, generations[name].tolist(), race.baseline)
        style.label_marks(axes, generations[name], below, labels)
    axes.axvline(1, color=GREY, linestyle="--", linewidth=1.2, zorder=1)
    figure.name_rows(axes, rows)


def of_generations(name: str, ratios: Sequence[float], baseline: str) -> list[str]:
    """A label for the ratio of each generation of processes."""
    n = len(ratios)
    return [f"{name}, generation {i} of {n}\n{in_short(one)} times {baseline}" for i, one in enumerate(ratios, 1)]


@drawn(
    "Time over what was swept",
    "Both axes are logarithmic: a straight line is a power, the steeper the larger. Where a line bends, something "
    "else begins to limit.",
)
def growth(figure: Figure, races: Sequence[RaceResult], look: Looks) -> None:
    """Seconds over what was swept, on logarithmic axes, a line for each participant with its fitted power."""
    rows, what = growths(races), races[0].sweep
    assert what is not None
    figure.name, figure.title = f"growth-{what}", f"Time over {GROWING[what]}"
    figure.about(races[0], races_setting(races))
    figure.notes = [
        "Below each name the fitted power: 1 is growth in proportion, 0 none; a line that bends has no one power.",
        "In brackets the fit's 95 % interval, from three sizes on: how far the points are from a straight line.",
    ]
    (axes,) = figure.panels(rows, NOTHING_MEASURED)
    for row in rows:
        label = f"{printable(row.name)}\n{power_of(row)}"
        (figure.in_legend[label],) = axes.plot(row.sizes, row.seconds, **look[row.name].line())
        style.label_marks(axes, row.sizes, row.seconds, of_sizes(row, what))
    sizes = sorted({size for row in rows for size in row.sizes})
    logarithmic(axes, "x", GROWING[what], sizes)
    logarithmic(axes, "y", "seconds, wall", [seconds for row in rows for seconds in row.seconds])
    if len(sizes) <= 12:
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])


def of_sizes(row: Growth, what: str) -> list[str]:
    """A label for the time at each size."""
    return [
        f"{row.name}, {GROWING[what]}: {size:,}\n{duration(seconds)}"
        for size, seconds in zip(row.sizes, row.seconds, strict=True)
    ]


def power_of(row: Growth) -> str:
    """The fitted power in words."""
    if row.power is None:
        return "one size"
    words, interval = power(row.power), row.interval
    return f"{words} [{power(interval.low)}, {power(interval.high)}]" if interval else f"power {words}"


@drawn(
    "Time over threads, and over the floor",
    "Left: a line as steep as the dotted ones is twice as fast with twice the threads; a level one gains nothing. "
    "Right: a line that rises gains less from threads than plain matrix products do; below the dashed line a backend "
    "is faster than they are, as it skips zeros.",
)
def growth_threads(figure: Figure, races: Sequence[RaceResult], look: Looks) -> None:
    """Seconds over threads, and the same over the floor with as many threads, on logarithmic axes."""
    rows, ratios = growths(races), over_floor(races)
    counts = sorted({count for row in rows for count in row.sizes})
    figure.about(
        races[0], races_setting(races), "Which backends gain from threads, and how far are they from the floor?"
    )
    figure.notes = [
        "Gain: how many times as fast with the most threads as with the fewest. Floors: how many times as long as the "
        "floor with the most.",
        "The floor: the first layer's products, as one NumPy matmul each. Bars at the right: 95 % intervals, which "
        "hold together at each number of threads.",
    ]
    left, right = figure.panels(rows, NOTHING_MEASURED, columns=2)
    for row in rows:
        (figure.in_legend[gain_of(row, ratios)],) = left.plot(row.sizes, row.seconds, **look[row.name].line())
        style.label_marks(left, row.sizes, row.seconds, of_sizes(row, "threads"))
    draw_proportion(left, rows)
    for axes in (left, right):
        logarithmic(axes, "x", "threads", counts)
        axes.set_xticks(counts, [f"{count:,}" for count in counts])
    logarithmic(left, "y", "seconds, wall", [seconds for row in rows for seconds in row.seconds])
    if not ratios:
        style.say(right, "The floor was not measured.")
        return
    every = [ratio for of_name in ratios.values() for ratio in of_name.values()]
    intervals = [ratio.interval for ratio in every]
    logarithmic(right, "y", "times the floor with as many threads", [1, *(one.estimate for one in every)], intervals)
    for name, of_name in ratios.items():
        ends = [(count, *ratio.interval) for count, ratio in of_name.items() if ratio.interval]
        right.vlines(*np.transpose(ends) if ends else ([], [], []), color=look[name].colour, linewidth=1.2, alpha=0.6)
        estimates = [ratio.estimate for ratio in of_name.values()]
        right.plot([*of_name], estimates, **look[name].line())
        labels = [f"{name}, threads: {n}\n{with_interval(ratio)} times the floor" for n, ratio in of_name.items()]
        style.label_marks(right, [*of_name], estimates, labels)
    right.axhline(1, color=GREY, linestyle="--", linewidth=1.2, zorder=1)


def gain_of(row: Growth, ratios: Mapping[str, Mapping[int, statistics.Ratio]]) -> str:
    """A backend's name, its gain from threads, and how far from the floor it is with the most."""
    words = [f"gain {times(row.seconds[0] / row.seconds[-1])}"] if len(row.sizes) > 1 else ["one count"]
    if ratio := ratios.get(row.name, {}).get(row.sizes[-1]):
        words.append(f"{times(ratio.estimate)} floors")
    return f"{printable(row.name)}\n{', '.join(words)}"


def draw_proportion(axes: Axes, rows: Sequence[Growth]) -> None:
    """Dotted lines on which time falls in proportion to threads, behind all others."""
    most = max(row.sizes[-1] for row in rows)
    low, high = (end(seconds for row in rows for seconds in row.seconds) for end in (min, max))
    for start in np.geomspace(low, high * most, 2 + int(2 * np.log10(high * most / low))):
        axes.plot([1, most], [start, start / most], color="#C4C4C4", linestyle=":", linewidth=0.8, zorder=0)


@drawn(
    "Roofline",
    "The grey line is what this machine reached: on its slope memory limits, on its flat arithmetic. Bytes are at "
    "least the images in the case's dtype once an epoch and the first layer's weights, read and written each update; "
    "caches may hold them. A backend that skips zeros does less than dense arithmetic, and may lie above the line.",
)
def roofline(figure: Figure, races: Sequence[RaceResult], look: Looks) -> None:
    """GFLOP/s over FLOP per byte, a point a backend and race, below what the machine reached."""
    if races[0].sweep:
        figure.name, figure.title = f"roofline-{races[0].sweep}", f"Roofline over {GROWING[races[0].sweep]}"
    points: dict[str, list[tuple[float, float]]] = {}
    for race in sorted(races, key=intensity):
        for name, row in resources(race).items():
            if row.flop_rate is not None:
                points.setdefault(name, []).append((intensity(race), row.flop_rate / 1e9))
    figure.about(races[0], races_setting(races), "Roofline: arithmetic per byte, and per second")
    figure.notes = [
        "Dense arithmetic, over the least that has to come from memory: the images once an epoch, the first layer's "
        "weights read and written each update.",
        "Points of one backend, from left to right: larger batches, whose weights are written less often."
        if len({race.key["batch"] for race in races}) > 1
        else "",
    ]
    (axes,) = figure.panels(points, NOTHING_MEASURED)
    single = len(races) == 1
    for name in (name for name in look if name in points):  # in the order of all figures
        label = printable(name) + (f"\n{number(points[name][0][1])} GFLOP/s" if single else "")
        line = look[name].line(linestyle="none") if single else look[name].line()
        intensities, rates = zip(*points[name], strict=True)
        (figure.in_legend[label],) = axes.plot(intensities, rates, **line)
        labels = [f"{name}\n{number(y)} GFLOP/s at {number(x)} FLOP per byte" for x, y in points[name]]
        style.label_marks(axes, intensities, rates, labels)
    x, y = ([xy[i] for several in points.values() for xy in several] for i in (0, 1))
    gemm, bandwidth = (
        [rate for race in races if (rate := machine_rate(race, what)) is not None] for what in ("gemm", "bandwidth")
    )
    if gemm and bandwidth:
        roof_x, roof_y = draw_roof(figure, median(gemm) / 1e9, median(bandwidth) / 1e9, x)
        x, y = [*x, *roof_x], [*y, *roof_y]
    logarithmic(axes, "x", "FLOP per byte", x)
    logarithmic(axes, "y", "GFLOP/s", y)


def draw_roof(figure: Figure, gemm: float, bandwidth: float, x: Sequence[float]) -> tuple[list[float], list[float]]:
    """Draw what the machine reached, in GFLOP/s and GB/s, around points at x; return the line's x and y."""
    (axes,) = figure.axes
    ridge = gemm / bandwidth  # FLOP per byte from which on arithmetic is what limits
    ends = [min(*x, ridge) / 8, ridge, max(*x, ridge) * 8]
    rates = [min(gemm, bandwidth * end) for end in ends]
    axes.plot(ends, rates, color=GREY, linewidth=1.5, zorder=0)
    for place, words, ha, va in (
        ((ends[2] / 1.1, gemm * 1.06), f"GEMM reached {number(gemm)} GFLOP/s", "right", "bottom"),
        ((ends[0] * 1.3, rates[0] * 1.05), f"copying reached {number(bandwidth)} GB/s", "left", "top"),
    ):
        axes.text(*place, words, ha=ha, va=va, color=GREY, fontsize=9)
    return ends, rates


@drawn(
    "Calibration",
    "Low at 0 % is few false alarms, high elsewhere is few slowdowns missed. Left of the dotted line a slowdown is "
    "within the margin, and is not meant to be found.",
)
def calibration(figure: Figure, races: Sequence[RaceResult]) -> None:
    """The share of comparisons that found a slowdown, over the work that was added."""
    generations = comparison_length(races)
    rows, race = verdicts(races, generations), races[-1]
    heading = f"How often is a slowdown found, and how often a false one? ({backends_of(race)})"
    figure.about(race, race_setting(race), heading)
    figure.notes = [
        "The bar is the 95 % interval of the share. At 0 % both did the same: being called slower is a false alarm.",
        f"Comparisons of {generations} generations; slower is an interval wholly above 1 with an estimate beyond "
        f"{percent(statistics.MARGIN)}.",
    ]
    (axes,) = figure.panels(rows, "The calibrations are shorter than one comparison.")
    extra, share = [100 * (row.work - 1) for row in rows], [100 * row.share for row in rows]
    low, high = 100 * np.transpose([row.interval for row in rows])
    axes.vlines(extra, low, high, color=GREY, linewidth=2)
    axes.plot(extra, share, "o", color=BLUE, markersize=8, clip_on=False)
    labels = [
        f"{x:.0f} % more work\n{y:.0f} % of the comparisons called slower" for x, y in zip(extra, share, strict=True)
    ]
    style.label_marks(axes, extra, share, labels)
    for x, y in zip(extra, share, strict=True):
        axes.annotate(f"{y:.0f} %", (x, y), (9, 0), textcoords="offset points", va="center", fontsize=9)
    axes.axvline(100 * statistics.MARGIN, color=GREY, linestyle=":", zorder=0)
    axes.set(xlim=(-0.7, max(extra) + 1.2), xticks=extra, ylim=(-3, 103), yticks=range(0, 101, 20))
    axes.set(xlabel="work that was added", ylabel="of the comparisons, called slower")
    axes.xaxis.set_major_formatter("{x:.0f} %")
    axes.yaxis.set_major_formatter("{x:.0f} %")
    axes.grid(False, axis="x")


@drawn("Memory", "Further left is less. What a backend holds for the images, and what an update needs in addition.")
def memory(figure: Figure, race: RaceResult, look: Looks) -> None:
    """What each process held at most, and what a call adds to that before it."""
    used = resources(race)
    names = [name for name in look if name in used and (used[name].process_peak or used[name].call_peak)]
    images = {name: race.participants[name].images for name in names}
    everything = race.key["images"]
    figure.about(race, race_setting(race), f"Memory: {work(race)}")
    figure.notes = [
        "Of the process: Python, the libraries and the images among it.",
        *(f"{name}: on {n:,} of {everything:,} images." for name, n in images.items() if n < everything),
    ]
    panels = {
        "the process, at most": {y: used[name].process_peak for y, name in enumerate(names)},
        "beyond what was held before, a call": {y: used[name].call_peak for y, name in enumerate(names)},
    }
    known = {title: [(y, n / 2**20) for y, n in sizes.items() if n is not None] for title, sizes in panels.items()}
    for axes, sizes in figure.side_by_side(known, "This system does not say."):
        for y, size in sizes:
            colour, marker, *_ = look[names[y]]
            axes.hlines(y, 0, size, color=colour, linewidth=2, alpha=0.4)
            axes.plot(size, y, marker, color=colour, markersize=8, clip_on=False)
            words = f"{number(size)} MiB" if size >= 1 else f"{1024 * size:.0f} KiB" if size else "0"
            style.write_right(axes, y, words)
            style.label_marks(axes, [size], [y], [f"{names[y]}\n{words}, {axes.get_title('left')}"])
        axes.set(xlim=(0, 1.05 * max(1.0, *(size for _, size in sizes))), xlabel="MiB")
        figure.name_rows(axes, names)


@drawn(
    "When compilation pays",
    "Lower is sooner done. A line that begins high paid for a compilation; where it crosses another, it has earned "
    "that back.",
)
def break_even(figure: Figure, race: RaceResult, look: Looks) -> None:
    """Seconds in total over epochs, with preparation and first call: where lines cross, both cost the same."""
    used, times = resources(race), times_of(race)
    names = [name for name in look if name in used]
    heading = f"When does a compilation pay? Seconds in total: {work(race)}, again and again"
    figure.about(race, race_setting(race), heading)
    figure.notes = [
        "Preparation, first call and epochs together, as measured in this race and continued. Thick: with compiled "
        "code on disk; thin: with nothing compiled, where that was measured (race --cold).",
    ]
    (axes,) = figure.panels(names, NOTHING_MEASURED)
    calls = np.unique(np.geomspace(1, 1000, 100).round())
    totals = []
    for i, name in enumerate(names):
        for first, width in ((used[name].cold, 0.8), (used[name].first, 2.0)):  # the legend shows the last
            if first is not None:
                totals.append(used[name].prepare + first + (calls - 1) * times[name])
                line = look[name].line(linewidth=width, markevery=(4 + 3 * i % 20, 25), markersize=7)
                (figure.in_legend[name],) = axes.plot(calls, totals[-1], **line)
    logarithmic(axes, "x", "times that this is done", calls)
    logarithmic(axes, "y", "seconds in total", np.concatenate(totals))


@drawn("Agreement", "Pale is well within what rounding explains. A dark cell would be a backend that is nearly wrong.")
def agreement(figure: Figure, race: RaceResult) -> None:
    """How far each backend is from the reference, in eps, for each quantity; and which share of what is allowed."""
    worst: dict[tuple[str, str], Checked] = {}
    for one in sorted(race.checks, key=lambda one: one.error / one.allowed, reverse=True):
        worst.setdefault((one.backend, one.quantity), one)
    backends = list(dict.fromkeys(one.backend for one in race.checks))
    quantities = list(dict.fromkeys(one.quantity for one in race.checks))
    figure.about(race, race_setting(race), "Agreement with the reference")
    figure.notes = [
        "Numbers: the worst error against the reference in float64, in eps of the dtype, norm-wise. Empty: it does not "
        "compute that. Colour: the share of what rounding may explain; a backend beyond all of that is left out.",
    ]
    (axes,) = figure.panels(worst, "No comparison with the reference is kept in these results.")
    cells = [[worst.get((backend, quantity)) for quantity in quantities] for backend in backends]
    shares = np.array([[100 * one.error / one.allowed if one else np.nan for one in row] for row in cells])
    words = [[number(one.error) if one else "" for one in row] for row in cells]
    mesh = style.draw_cells(axes, shares, 100, "Blues", words)
    figure.name_rows(axes, backends)
    figure.height += 0.6  # for the names of the quantities
    labels = [style.text(textwrap.fill(printable(quantity), 12)) for quantity in quantities]
    axes.set_xticks(range(len(quantities)), labels, fontsize=7.5)
    figure.colorbar(mesh, ax=axes, label="% of what is allowed", pad=0.01)


@drawn(
    "Lines of code against speed",
    "Down and left is better: fast, and soon read. To the right, what each factor of speed costs in code.",
)
def lines_of_code(figure: Figure, race: RaceResult, look: Looks) -> None:
    """Seconds over lines of code."""
    times = times_of(race)
    known = {name: n for name in look if name in times and (n := race.participants[name].lines_of_code)}
    figure.about(race, race_setting(race), f"Lines of code against speed: {work(race)}")
    figure.notes = [
        "Lines that hold code, without blank lines, comments and docstrings; those of libraries do not count.",
    ]
    (axes,) = figure.panels(known, "The lengths of backends are not in these results.")
    for name, lines in known.items():
        colour, marker, *_ = look[name]
        label = f"{printable(name)}\n{lines:,} lines, {duration(times[name])}"
        (figure.in_legend[label],) = axes.plot(lines, times[name], marker, color=colour, markersize=9)
        style.label_marks(axes, [lines], [times[name]], [label])
    logarithmic(axes, "x", "lines of code", known.values())
    logarithmic(axes, "y", "seconds, wall", [times[name] for name in known])


def race_figures(race: RaceResult, look: Looks) -> list[Figure]:
    """All figures of one race."""
    of_backends = [draw(race, look) for draw in (ratios, memory, break_even, lines_of_code)]
    return [*of_backends, roofline([race], look), agreement(race)]


def sweep_figures(races: Sequence[RaceResult], look: Looks) -> list[Figure]:
    """Time over what was swept, over threads also against the floor, and over batch sizes the roofline."""
    over_sizes = growth_threads(races, look) if races[0].sweep == "threads" else growth(races, look)
    return [over_sizes, roofline(races, look)] if races[0].sweep == "batch" else [over_sizes]
