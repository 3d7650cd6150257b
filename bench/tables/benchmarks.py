"""Results of pytest-benchmark in two tables."""

import math
from statistics import median

from bench import UserError
from bench.records.files import Measurement, ResultSet
from bench.tables import table as text
from bench.tables.table import DAGGER, NONE, Columns, Section, Table, table_of
from untrusted import brief

REFERENCE = "naive"  # errors are against this backend
SAME_PLAN = "mini-batches"  # the plan on which all backends are compared
FIGURES = ("time-per-epoch", "accuracy-check", "accuracy-over-time", "cost-over-epochs", "speed-against-accuracy")
BENCHMARK_EXPLANATION = (
    "Times are medians over samples, CPU is user and system time. Accuracy check: the outputs of all test images. "
    f"Agrees to: the worst error against {REFERENCE} in float64, in eps of the dtype. There are no ratios, as the "
    "backends were measured one after the other: the race has them. Floor: the first layer's two products over all "
    "training images, a NumPy matmul each."
)


def check_benchmarks(results: ResultSet) -> None:
    """Raise UserError if the results cannot stand in one table: several networks or dtypes, or a measurement twice."""
    cases = sorted({f"{measured.network}, {measured.dtype}" for measured in results.measurements})
    if len(cases) > 1:
        raise UserError(
            f"{results.path}: expected one network and dtype, found {len(cases)}: {brief('; '.join(cases))}; "
            "their times cannot stand in one table, write a results file for each"
        )
    things = [(measured.quantity, measured.backend, measured.plan) for measured in results.measurements]
    for i, thing in enumerate(things):
        if thing in things[:i]:
            second = brief(" of ".join(filter(None, thing)))
            raise UserError(
                f"{results.path}: expected each measurement once, found a second {second}; "
                "write a results file for each run"
            )


def benchmarks_section(results: ResultSet) -> Section:
    """The two tables: each backend at its default batch size, and all on the same plan."""
    default, same = default_epochs(results), same_plan_epochs(results)
    tables = [
        benchmark_table("Each backend at its default batch size", results, default, [*results.of("outputs"), *default]),
        benchmark_table(f"All on the same plan: {same_plan_name(results)}", results, same, same),
    ]
    return Section("Benchmarks, one backend after the other", [], tables, BENCHMARK_EXPLANATION, FIGURES)


def default_epochs(results: ResultSet) -> list[Measurement]:
    """An epoch of training of each backend at its default batch size."""
    return [measured for measured in results.of("epoch") if measured.default_batch]


def same_plan_epochs(results: ResultSet) -> list[Measurement]:
    """An epoch of training of each backend on the plan that is the same for all."""
    return [measured for measured in results.of("epoch") if measured.plan == SAME_PLAN]


def ladder(results: ResultSet) -> list[str]:
    """The measured backends in the order of the file, which is that of the ladder."""
    backends = [measured.backend for measured in results.measurements if measured.quantity != "floor"]
    return list(dict.fromkeys(backends))


def same_plan_name(results: ResultSet) -> str:
    """The plan that is the same for all, with its batch size where it was measured."""
    batches = sorted({measured.batch for measured in same_plan_epochs(results) if measured.batch is not None})
    return f"{SAME_PLAN} of {' or '.join(map(str, batches))}" if batches else SAME_PLAN


def benchmark_table(title: str, results: ResultSet, epochs: list[Measurement], shown: list[Measurement]) -> Table:
    """A row for each backend with one of the measurements shown, and notes on scaled times and on preparation."""
    epoch = {measured.backend: measured for measured in epochs}
    check = {measured.backend: measured for measured in results.of("outputs")}
    known = {measured.backend: measured for measured in shown}
    columns: Columns[str] = {
        "backend": str,
        "plan\n(batch)": lambda name: text.or_dash(
            epoch.get(name), lambda one: one.plan + (f"\n({one.batch:,})" if one.batch else "")
        ),
        "epoch:\nwall": lambda name: median_time(epoch.get(name)),
        "epoch:\nCPU": lambda name: median_time(epoch.get(name), cpu=True),
        "accuracy\ncheck": lambda name: median_time(check.get(name)),
        "test\nimages\ncorrect": lambda name: text.or_dash(epoch.get(name), correct),
        "agrees\nto,\neps": lambda name: f"{known[name].agreement_error:.1f}",
        "lines\nof\ncode": lambda name: f"{known[name].lines_of_code:,}",
    }
    names = [name for name in ladder(results) if name in known]
    trained = {name: epoch[name] for name in names if name in epoch}
    checked = {f"{name}, accuracy check": check[name] for name in names if name in check}
    notes = [f"{DAGGER} {name}: {note}" for name, one in (trained | checked).items() if (note := scaling(one))]
    if trained:
        prepared = ", ".join(f"{name} {text.duration(one.prepare_seconds)}" for name, one in trained.items())
        notes.append(f"Preparation of the training images, not in these times: {prepared}")
    return table_of(title, names, columns, notes, 2)


def scaling(measured: Measurement) -> str | None:
    """How a measurement of fewer images was scaled, and what an epoch of all took where one was run; else None."""
    if measured.images == measured.of_images:
        return None
    note = f"scaled from {measured.images:,} of {measured.of_images:,} images"
    curve = measured.curve
    if curve is None or len(curve.seconds) < 2:
        return note
    return f"{note}; an epoch of all of them took {text.duration(curve.seconds[1] - curve.seconds[0])}"


def median_time(measured: Measurement | None, cpu: bool = False) -> str:
    """The median over samples, with a dagger where it is scaled from fewer images; or a dash."""
    if measured is None:
        return NONE
    seconds = text.duration(median(measured.cpu_seconds if cpu else measured.seconds))
    return f"{seconds} {DAGGER}" if scaling(measured) else seconds


def correct(epoch: Measurement) -> str:
    """Per cent of the test images correct, after how much training, and how that ended if badly."""
    if epoch.curve is None:
        return NONE
    words = f"{100 * epoch.curve.accuracy[-1]:.2f} %\nafter {text.plural(len(epoch.curve.accuracy) - 1, 'epoch')}"
    return words if math.isfinite(epoch.curve.costs[-1]) else f"{words},\ndiverged"


def benchmarks_headline(results: ResultSet) -> str:
    """The benchmarks in one sentence: the shortest epoch at the default batch size, and on the same plan."""
    conditions = {
        "with each backend at its default batch size": default_epochs(results),
        f"with all on the same plan ({same_plan_name(results)})": same_plan_epochs(results),
    }
    shortest = []
    for condition, epochs in conditions.items():
        if epochs:
            epoch = min(epochs, key=lambda measured: median(measured.seconds))
            words = f"{condition} the shortest is that of {epoch.backend}, {text.duration(median(epoch.seconds))}"
            words += f", {scaled}" if (scaled := scaling(epoch)) else ""
            shortest.append(words)
    if not shortest:
        return "No epoch of training was measured."
    images = max(measured.of_images for measured in results.of("epoch"))
    return f"An epoch of {images:,} images on this machine: {'; '.join(shortest)}."


def benchmarks_setting(results: ResultSet) -> str:
    """Data, network, dtype and threads, in a line."""
    pools: dict[str, set[int]] = {}
    for measured in results.measurements:
        for pool, count in measured.threads.items():
            pools.setdefault(pool, set()).add(count)
    threads = ", ".join(f"{pool} {' or '.join(map(str, sorted(counts)))}" for pool, counts in pools.items())
    case = dict.fromkeys(part for measured in results.measurements for part in (measured.network, measured.dtype))
    parts = [results.data_name, *case, f"threads: {threads}" if threads else ""]
    return " · ".join(filter(None, parts))
