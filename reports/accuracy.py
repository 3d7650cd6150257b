"""Trainings over seeds -> rows, a table and sentences: how long until the network is right often enough."""

import math

from bench import statistics
from bench.outcomes import Outcome, outcomes, rounds_of
from bench.raced import Raced
from bench.reaching import CONFIDENCE, LEAST_SEEDS
from bench.results import ResultSet
from bench.standings import in_short
from reports import races
from reports.tables import NONE, Section, Sheet, number

WHAT_ACCURACY_IS = (
    "A recipe has a fixed length and never looks at a test image. It reaches its target if the mean accuracy of its "
    f"networks, over {LEAST_SEEDS} seeds or more, is above it with {100 * CONFIDENCE:.0f} % confidence (one-sided). "
    "Seconds are those of uninterrupted training, the median over seeds, in brackets where the target was not reached. "
    "Ratios are of the same seed, their intervals across seeds."
)
LIMITS = [
    "Times to accuracy hold for these recipes. Another network, rate or batch could be faster or slower.",
    "All seeds of a backend ran in one process: what favours a process for as long as it lives, their intervals do not "
    "show.",
]
PEER = "torch"  # whom a headline names beside the baseline
FIGURES = ["time-to-accuracy", "accuracy-over-training", "cost-over-training", "frontier"]


def by_target(results: ResultSet) -> list[Raced]:
    """The trainings for each target, the lowest first."""
    return sorted(results.races, key=lambda race: (race.target or 0, race.number))


def setting(results: ResultSet) -> str:
    """Data, targets, dtype and threads, in a line."""
    ordered = by_target(results)
    parts = races.parts_of(ordered[0])
    targets = f"to {', '.join(share(race.target) for race in ordered)} of the test images"
    return " · ".join([results.data_name, targets, parts["dtype"], parts["threads"]])


def sections(results: ResultSet) -> list[Section]:
    """One, with a table for each target."""
    ordered = by_target(results)
    lines = [f"{setting(results)}.", races.begun(ordered[0])]
    return [Section("Time to accuracy", lines, [table(race) for race in ordered], WHAT_ACCURACY_IS, FIGURES)]


def table(race: Raced) -> Sheet:
    """Who reaches one target, how surely, and how soon."""
    found = outcomes(race)
    rows = [
        [
            row.name,
            share(row.reached.mean),
            share(row.reached.lower) if math.isfinite(row.reached.lower) else NONE,
            f"{round(row.reached.above * row.reached.seeds)} of {row.reached.seeds}",
            number(row.seconds) if row.reached.counts else f"({number(row.seconds)})",
            in_short(row.ratio.estimate) if row.ratio else "1" if row.name == race.baseline else NONE,
            races.interval_of(row.ratio),
            NONE if row.prepare is None else number(row.prepare),
            NONE if row.first is None else number(row.first),
        ]
        for row in found
    ]
    heads = ("backend", "mean\ncorrect", "99 %\nabove", "seeds\nabove", "seconds", f"times\n{race.baseline}")
    beside = ("95 %\ninterval", "prepare,\ns", "first\ntraining,\ns")
    notes = [note for row in found for note in remarks(row)]
    title = f"{share(race.target)} of the test images, by recipe {race.recipe}"
    return Sheet(title, (*heads, *beside), rows, [f"The recipe: {race.key['plan']}", *notes])


def remarks(row: Outcome) -> list[str]:
    """Why a target does not count as reached, and what diverged."""
    found = row.reached
    lines = [f"{row.name}: {found.diverged} of {found.seeds} seeds diverged"] if found.diverged else []
    if found.seeds < LEAST_SEEDS:
        seeds = f"{found.seeds} seed{'s' * (found.seeds != 1)}"
        lines.append(f"{row.name}: {seeds}; a target counts as reached from {LEAST_SEEDS} on")
    elif not found.counts:
        lines.append(f"{row.name}: not reached; mean {share(found.mean)}, best seed {share(found.best)}")
    return lines


def headline(results: ResultSet) -> str:
    """The highest target that somebody reached, who was first, and how much sooner than the baseline."""
    for race in reversed(by_target(results)):
        there = [row for row in outcomes(race) if row.reached.counts]
        if there:
            return f"On this machine {first_of(there, race)}."
    return "No backend reached a target for sure: see the table for how far each came."


def first_of(there: list[Outcome], race: Raced) -> str:
    """The fastest of those who reached the target, in words."""
    first, last = there[0], there[-1]
    words = f"{first.name} trains to {share(race.target)} of the test images in {number(first.seconds)} s"
    if first.ratio:
        told_apart = "" if first.ratio.separated else ", which does not tell them apart"
        words += f", {faster(first.ratio)} as {race.baseline}{told_apart}"
    elif last.ratio and last is not first and last.name != PEER:
        words += f"; {last.name} takes {races.with_interval(last.ratio)} times as long"
    if PEER in (row.name for row in there) and PEER not in (first.name, race.baseline):
        ratio = statistics.ratio(rounds_of(race), first.name, PEER)
        words += f"; {faster(ratio)} as {PEER}" if ratio else ""
    return words


def faster(ratio: statistics.Ratio) -> str:
    """A ratio the other way round, in three digits: "5.10 [4.93, 5.31] times as fast"."""
    words = number(1 / ratio.estimate)
    if ratio.interval:
        low, high = (number(1 / end) if end else "∞" for end in reversed(ratio.interval))
        words += f" [{low}, {high}]"
    return f"{words} times as fast"


def share(value: float | None) -> str:
    """A share in per cent, two decimals where there are any."""
    return NONE if value is None else f"{100 * value:.2f} %".replace(".00 %", " %")
