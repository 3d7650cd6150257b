"""Results of pytest-benchmark in two tables."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from bench import UserError
from bench.records.files import Measurement, ResultSet
from bench.tables.table import DAGGER, NONE, Section, Table, duration, or_dash, plural, printable, times

REFERENCE = "naive"  # ratios are to this backend
SAME_PLAN = "mini-batches"  # the plan on which all backends are compared


class RatioRange(NamedTuple):
    """Median over median, and the bounds between which it lies whichever samples are taken."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class BenchmarkRow:
    """One backend on one plan; seconds are medians over samples, for all images. None: not measured."""

    backend: str
    plan: str | None
    batch: int | None  # images per update; None: all
    wall: float | None  # seconds of an epoch of training
    cpu: float | None  # the same, user and system
    check: float | None  # seconds for the outputs of all test images
    correct: float | None  # share of the test images after the last epoch, 0 to 1
    epochs: int | None  # that were trained for it
    diverged: bool  # whether the cost was not finite at its end
    error: float  # worst disagreement with the reference, in eps
    lines: int
    ratio: RatioRange | None  # times faster than the reference
    floors: float | None  # times the floor
    scaled: str | None  # how the seconds of the epoch came about if not from all images
    check_scaled: str | None


HEADERS = (
    "backend",
    "plan\n(batch)",
    "epoch:\nwall",
    "epoch:\nCPU",
    "accuracy\ncheck",
    "test\nimages\ncorrect",
    "agrees\nto,\neps",
    "lines\nof\ncode",
    f"times\nfaster\nthan\n{REFERENCE}",
    "times\nthe\nfloor",
)
BENCHMARK_FIGURES = ["time-per-epoch", "accuracy-check", "accuracy-over-time", "cost-over-epochs"]
BENCHMARK_FIGURES.append("speed-against-accuracy")
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
    seen = set()
    for measured in results.measurements:
        thing = (measured.quantity, measured.backend, measured.plan)
        if thing in seen:
            raise UserError(
                f"{results.path}: expected each measurement once, found a second {' of '.join(filter(None, thing))}; "
                "write a results file for each run"
            )
        seen.add(thing)


def benchmarks_section(results: ResultSet) -> Section:
    """The two tables: each backend at its default batch size, and all on the same plan."""
    tables = [default_batch(results), on_same_plan(results)]
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


def default_batch(results: ResultSet) -> Table:
    """Each backend at its default batch size."""
    return benchmark_table("Each backend at its default batch size", default_rows(results), default_epochs(results))


def on_same_plan(results: ResultSet) -> Table:
    """All backends on the same plan."""
    title = f"All on the same plan: {same_plan_name(results)}"
    return benchmark_table(title, same_plan_rows(results), same_plan_epochs(results))


def default_rows(results: ResultSet) -> list[BenchmarkRow]:
    """At the default batch size; a backend whose accuracy check alone was measured has a row too."""
    checked = [measured.backend for measured in accuracy_checks(results)]
    return benchmark_rows(results, default_epochs(results), checked)


def same_plan_rows(results: ResultSet) -> list[BenchmarkRow]:
    """On the plan that is the same for all."""
    return benchmark_rows(results, same_plan_epochs(results))


def same_plan_name(results: ResultSet) -> str:
    """The plan that is the same for all, with its batch size where it was measured."""
    batches = sorted({measured.batch for measured in same_plan_epochs(results) if measured.batch is not None})
    return f"{SAME_PLAN} of {' or '.join(map(str, batches))}" if batches else SAME_PLAN


def benchmark_rows(
    results: ResultSet, measurements: Sequence[Measurement], others: Sequence[str] = ()
) -> list[BenchmarkRow]:
    """A row for each backend with an epoch among these, and for these others."""
    epochs = {measured.backend: measured for measured in measurements}
    checks = {measured.backend: measured for measured in accuracy_checks(results)}
    backends = [backend for backend in ladder(results) if backend in epochs or backend in others]
    reference, lowest = epochs.get(REFERENCE), floor(results)
    return [_row(epochs.get(backend), checks.get(backend), reference, lowest) for backend in backends]


def benchmark_table(title: str, rows: Sequence[BenchmarkRow], epochs: Sequence[Measurement]) -> Table:
    """The rows as text, and how scaled times and preparation came about."""
    notes = [f"{DAGGER} {row.backend}: {row.scaled}" for row in rows if row.scaled]
    notes += [f"{DAGGER} {row.backend}, accuracy check: {row.check_scaled}" for row in rows if row.check_scaled]
    if epochs:
        prepared = ", ".join(f"{measured.backend} {duration(measured.prepare_seconds)}" for measured in epochs)
        notes.append(f"Preparation of the training images, not in these times: {prepared}")
    return Table(title, HEADERS, [benchmark_cells(row) for row in rows], notes, 2)


def _row(
    trained: Measurement | None, checked: Measurement | None, reference: Measurement | None, floor: Measurement | None
) -> BenchmarkRow:
    either = trained or checked
    assert either is not None
    curve = trained.curve if trained else None
    return BenchmarkRow(
        backend=either.backend,
        plan=trained.plan if trained else None,
        batch=trained.batch if trained else None,
        wall=median(trained.seconds) if trained else None,
        cpu=median(trained.cpu_seconds) if trained else None,
        check=median(checked.seconds) if checked else None,
        correct=curve.accuracy[-1] if curve else None,
        epochs=len(curve.accuracy) - 1 if curve else None,
        diverged=curve is not None and not math.isfinite(curve.costs[-1]),
        error=either.agreement_error,
        lines=either.lines_of_code,
        ratio=_ratio_range(reference, trained) if reference and trained else None,
        floors=median(trained.seconds) / median(floor.seconds) if trained and floor else None,
        scaled=scaling(trained) if trained else None,
        check_scaled=scaling(checked) if checked else None,
    )


def _ratio_range(slow: Measurement, fast: Measurement) -> RatioRange:
    if slow is fast:
        return RatioRange(1, 1, 1)
    return RatioRange(
        median(slow.seconds) / median(fast.seconds),
        min(slow.seconds) / max(fast.seconds),
        max(slow.seconds) / min(fast.seconds),
    )


def scaling(measured: Measurement) -> str | None:
    """How a measurement of fewer images was scaled, and the one true epoch where there was one."""
    if measured.images == measured.of_images:
        return None
    note = f"scaled from {measured.images:,} of {measured.of_images:,} images"
    curve = measured.curve
    if curve is None or len(curve.seconds) < 2:
        return note
    return f"{note}; one true epoch of all took {duration(curve.seconds[1] - curve.seconds[0])}"


def benchmark_cells(row: BenchmarkRow) -> list[str]:
    """A row as text, a cell for each of HEADERS, with line breaks as there."""
    of_epoch = f" {DAGGER}" if row.scaled else ""
    of_check = f" {DAGGER}" if row.check_scaled else ""
    return [
        printable(row.backend),
        or_dash(row.plan, lambda plan: printable(plan) + ("" if row.batch is None else f"\n({row.batch:,})")),
        or_dash(row.wall, lambda seconds: f"{duration(seconds)}{of_epoch}"),
        or_dash(row.cpu, lambda seconds: f"{duration(seconds)}{of_epoch}"),
        or_dash(row.check, lambda seconds: f"{duration(seconds)}{of_check}"),
        correct(row),
        f"{row.error:.1f}",
        f"{row.lines:,}",
        "1" if row.ratio and row.backend == REFERENCE else or_dash(row.ratio, with_range),
        or_dash(row.floors, times),
    ]


def correct(row: BenchmarkRow) -> str:
    """Per cent correct, after how much training, and how that ended if badly."""
    if row.correct is None or row.epochs is None:
        return NONE
    words = f"{100 * row.correct:.2f} %\nafter {plural(row.epochs, 'epoch')}"
    return f"{words},\ndiverged" if row.diverged else words


def with_range(ratio: RatioRange) -> str:
    """A ratio with its bounds, e.g. 38 [36, 40]."""
    return f"{times(ratio.value)}\n[{times(ratio.low)}, {times(ratio.high)}]"


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
    walls = [(row.wall, i) for i, row in enumerate(rows) if row.wall is not None]
    if not walls:
        return None
    wall, i = min(walls)
    row = rows[i]
    words = f"the shortest is that of {row.backend}, {duration(wall)}"
    if row.scaled:
        words += f", {row.scaled}"
    if row.ratio and row.backend != REFERENCE:
        words += f", {with_range(row.ratio)} times faster than {REFERENCE}".replace("\n", " ")
    return words


def left_out_of(results: ResultSet) -> list[str]:
    """The backends in no table and no figure: a line each, with the reason."""
    unavailable = (f"{backend}: {reason}" for backend, reason in results.unavailable.items())
    return [*results.disagreements, *unavailable]


def benchmarks_setting(results: ResultSet) -> str:
    """Data, network, dtype and threads, in a line."""
    pools: dict[str, set[int]] = {}
    for measured in results.measurements:
        for pool, count in measured.threads.items():
            pools.setdefault(pool, set()).add(count)
    threads = ", ".join(f"{pool} {' or '.join(map(str, sorted(counts)))}" for pool, counts in pools.items())
    parts = [
        results.data_name,
        *dict.fromkeys(measured.network for measured in results.measurements),
        *dict.fromkeys(measured.dtype for measured in results.measurements),
        f"threads: {threads}" if threads else "",
    ]
    return " · ".join(filter(None, parts))
