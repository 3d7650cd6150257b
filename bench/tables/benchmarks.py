"""Results of pytest-benchmark in two tables."""

import math
from collections.abc import Sequence
from operator import itemgetter
from statistics import median
from typing import NamedTuple

from bench import UserError
from bench.records.files import Measurement, ResultSet
from bench.tables.table import (
    DAGGER,
    NONE,
    Columns,
    Section,
    Table,
    duration,
    in_brackets,
    or_dash,
    plural,
    table_of,
    times,
)

REFERENCE = "naive"  # ratios are to this backend
SAME_PLAN = "mini-batches"  # the plan on which all backends are compared


class RatioRange(NamedTuple):
    """Median over median, and the bounds between which it lies whichever samples are taken."""

    value: float
    low: float
    high: float


class BenchmarkRow(NamedTuple):
    """One backend on one plan; in a table, epoch or check is there. None: not measured."""

    backend: str
    epoch: Measurement | None  # of training on this plan
    check: Measurement | None  # the outputs of all test images
    ratio: RatioRange | None  # times faster than the reference
    floors: float | None  # median time of the epoch over that of the floor

    @property
    def either(self) -> Measurement:
        """The measurement that knows what is known of the backend."""
        measured = self.epoch or self.check
        assert measured is not None
        return measured


BENCHMARK_FIGURES = [
    *("time-per-epoch", "accuracy-check", "accuracy-over-time", "cost-over-epochs", "speed-against-accuracy")
]
BENCHMARK_EXPLANATION = (
    "Times are medians over samples, CPU is user and system time. Accuracy check: the outputs of all test images. "
    f"Agrees to: the worst error against {REFERENCE} in float64, in eps of the dtype. Times faster: ratio of "
    f"medians, in brackets from the fastest sample of {REFERENCE} over the slowest of the backend to the slowest over "
    "the fastest. Floor: the first layer's two products over all training images, a NumPy matmul each."
)


def check_benchmarks(results: ResultSet) -> None:
    """Raise UserError if the results cannot stand in one table: several networks or dtypes, or one thing twice."""
    cases = sorted({f"{measured.network}, {measured.dtype}" for measured in results.measurements})
    if len(cases) > 1:
        raise UserError(
            f"{results.path}: expected one network and dtype, found {len(cases)}: {'; '.join(cases)}; "
            "their times cannot stand in one table, write a results file for each"
        )
    things = [(measured.quantity, measured.backend, measured.plan) for measured in results.measurements]
    for i, thing in enumerate(things):
        if thing in things[:i]:
            raise UserError(
                f"{results.path}: expected each measurement once, found a second {' of '.join(filter(None, thing))}; "
                "write a results file for each run"
            )


def benchmarks_section(results: ResultSet) -> Section:
    """The two tables: each backend at its default batch size, and all on the same plan."""
    tables = [
        benchmark_table("Each backend at its default batch size", default_rows(results)),
        benchmark_table(f"All on the same plan: {same_plan_name(results)}", same_plan_rows(results)),
    ]
    return Section("Benchmarks, one backend after the other", [], tables, BENCHMARK_EXPLANATION, BENCHMARK_FIGURES)


def epochs_of(results: ResultSet) -> list[Measurement]:
    """Epochs of training."""
    return [measured for measured in results.measurements if measured.quantity == "epoch"]


def default_epochs(results: ResultSet) -> list[Measurement]:
    """An epoch of training of each backend at its default batch size."""
    return [measured for measured in epochs_of(results) if measured.default_batch]


def same_plan_epochs(results: ResultSet) -> list[Measurement]:
    """An epoch of training of each backend on the plan that is the same for all."""
    return [measured for measured in epochs_of(results) if measured.plan == SAME_PLAN]


def accuracy_checks(results: ResultSet) -> list[Measurement]:
    """The outputs of all test images, of each backend."""
    return [measured for measured in results.measurements if measured.quantity == "outputs"]


def floor(results: ResultSet) -> Measurement | None:
    """The two products of the first layer over all training images."""
    return next((measured for measured in results.measurements if measured.quantity == "floor"), None)


def ladder(results: ResultSet) -> list[str]:
    """The measured backends in the order of the file, which is that of the ladder."""
    backends = [measured.backend for measured in results.measurements if measured.quantity != "floor"]
    return list(dict.fromkeys(backends))


def default_rows(results: ResultSet) -> list[BenchmarkRow]:
    """At the default batch size; a backend whose accuracy check alone was measured has a row too."""
    return [row for row in benchmark_rows(results, default_epochs(results)) if row.epoch or row.check]


def same_plan_rows(results: ResultSet) -> list[BenchmarkRow]:
    """On the plan that is the same for all."""
    return [row for row in benchmark_rows(results, same_plan_epochs(results)) if row.epoch]


def same_plan_name(results: ResultSet) -> str:
    """The plan that is the same for all, with its batch size where it was measured."""
    batches = sorted({measured.batch for measured in same_plan_epochs(results) if measured.batch is not None})
    return f"{SAME_PLAN} of {' or '.join(map(str, batches))}" if batches else SAME_PLAN


def benchmark_rows(results: ResultSet, measurements: Sequence[Measurement]) -> list[BenchmarkRow]:
    """A row for each backend, with its epoch if one is among these measurements."""
    epochs = {measured.backend: measured for measured in measurements}
    checks = {measured.backend: measured for measured in accuracy_checks(results)}
    reference, lowest = epochs.get(REFERENCE), floor(results)
    rows = []
    for backend in ladder(results):
        epoch = epochs.get(backend)
        ratio = times_faster(reference, epoch) if reference and epoch else None
        floors = median(epoch.seconds) / median(lowest.seconds) if epoch and lowest else None
        rows.append(BenchmarkRow(backend, epoch, checks.get(backend), ratio, floors))
    return rows


def times_faster(slow: Measurement, fast: Measurement) -> RatioRange:
    """How many times faster than another a measurement is."""
    if slow is fast:
        return RatioRange(1, 1, 1)
    return RatioRange(
        median(slow.seconds) / median(fast.seconds),
        min(slow.seconds) / max(fast.seconds),
        max(slow.seconds) / min(fast.seconds),
    )


def benchmark_table(title: str, rows: Sequence[BenchmarkRow]) -> Table:
    """The rows as text, and how scaled times and preparation came about."""
    columns: Columns[BenchmarkRow] = {
        "backend": lambda row: row.backend,
        "plan\n(batch)": lambda row: or_dash(row.epoch, plan_and_batch),
        "epoch:\nwall": lambda row: or_dash(row.epoch, lambda epoch: median_time(epoch, epoch.seconds)),
        "epoch:\nCPU": lambda row: or_dash(row.epoch, lambda epoch: median_time(epoch, epoch.cpu_seconds)),
        "accuracy\ncheck": lambda row: or_dash(row.check, lambda check: median_time(check, check.seconds)),
        "test\nimages\ncorrect": lambda row: or_dash(row.epoch, correct),
        "agrees\nto,\neps": lambda row: f"{row.either.agreement_error:.1f}",
        "lines\nof\ncode": lambda row: f"{row.either.lines_of_code:,}",
        f"times\nfaster\nthan\n{REFERENCE}": lambda row: (
            "1" if row.ratio and row.backend == REFERENCE else or_dash(row.ratio, with_range).replace(" ", "\n", 1)
        ),
        "times\nthe\nfloor": lambda row: or_dash(row.floors, times),
    }
    epochs = [(row.backend, row.epoch) for row in rows if row.epoch]
    checks = [(f"{row.backend}, accuracy check", row.check) for row in rows if row.check]
    notes = [f"{DAGGER} {name}: {note}" for name, measured in epochs + checks if (note := scaling(measured))]
    if epochs:
        prepared = ", ".join(f"{name} {duration(epoch.prepare_seconds)}" for name, epoch in epochs)
        notes.append(f"Preparation of the training images, not in these times: {prepared}")
    return table_of(title, rows, columns, notes, 2)


def scaling(measured: Measurement) -> str | None:
    """How a measurement of fewer images was scaled, and the one true epoch where there was one."""
    if measured.images == measured.of_images:
        return None
    note = f"scaled from {measured.images:,} of {measured.of_images:,} images"
    curve = measured.curve
    if curve is None or len(curve.seconds) < 2:
        return note
    return f"{note}; one true epoch of all took {duration(curve.seconds[1] - curve.seconds[0])}"


def plan_and_batch(epoch: Measurement) -> str:
    """The plan, with the images per update unless that is all."""
    return epoch.plan if epoch.batch is None else f"{epoch.plan}\n({epoch.batch:,})"


def median_time(measured: Measurement, seconds: Sequence[float]) -> str:
    """The median of its wall or CPU seconds, with a dagger where they are scaled from fewer images."""
    return f"{duration(median(seconds))} {DAGGER if scaling(measured) else ''}".rstrip()


def correct(epoch: Measurement) -> str:
    """Per cent of the test images correct, after how much training, and how that ended if badly."""
    if epoch.curve is None:
        return NONE
    words = f"{100 * epoch.curve.accuracy[-1]:.2f} %\nafter {plural(len(epoch.curve.accuracy) - 1, 'epoch')}"
    return words if math.isfinite(epoch.curve.costs[-1]) else f"{words},\ndiverged"


def with_range(ratio: RatioRange) -> str:
    """A ratio with its bounds, e.g. 38 [36, 40]."""
    return in_brackets(ratio.value, (ratio.low, ratio.high), times)


def benchmarks_headline(results: ResultSet) -> str:
    """The report in one sentence: the shortest epoch at the default batch size, and on the same plan."""
    rows = {
        "with each backend at its default batch size": default_rows(results),
        f"with all on the same plan ({same_plan_name(results)})": same_plan_rows(results),
    }
    shortest = [f"{condition} {words}" for condition, several in rows.items() if (words := shortest_epoch(several))]
    if not shortest:
        return "No epoch of training was measured."
    images = max(measured.of_images for measured in epochs_of(results))
    return f"An epoch of {images:,} images on this machine: {'; '.join(shortest)}."


def shortest_epoch(rows: Sequence[BenchmarkRow]) -> str | None:
    """The row with the shortest epoch, in words."""
    timed = [(median(row.epoch.seconds), row.epoch, row.ratio) for row in rows if row.epoch]
    if not timed:
        return None
    wall, epoch, ratio = min(timed, key=itemgetter(0))
    words = f"the shortest is that of {epoch.backend}, {duration(wall)}"
    if scaled := scaling(epoch):
        words += f", {scaled}"
    if ratio and epoch.backend != REFERENCE:
        words += f", {with_range(ratio)} times faster than {REFERENCE}"
    return words


def left_out_of(results: ResultSet) -> list[str]:
    """The backends in no table and no figure: a line each, with the reason."""
    return [*results.disagreements, *(f"{backend}: {reason}" for backend, reason in results.unavailable.items())]


def benchmarks_setting(results: ResultSet) -> str:
    """Data, network, dtype and threads, in a line."""
    pools: dict[str, set[int]] = {}
    for measured in results.measurements:
        for pool, count in measured.threads.items():
            pools.setdefault(pool, set()).add(count)
    threads = ", ".join(f"{pool} {' or '.join(map(str, sorted(counts)))}" for pool, counts in pools.items())
    networks = dict.fromkeys(measured.network for measured in results.measurements)
    dtypes = dict.fromkeys(measured.dtype for measured in results.measurements)
    parts = [results.data_name, *networks, *dtypes, f"threads: {threads}" if threads else ""]
    return " · ".join(filter(None, parts))
