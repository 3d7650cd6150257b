"""`python -m bench race`: backends measured against one another, taking turns, each in a process of its own."""

import argparse
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Literal, get_args

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import data
import impls
from bench import UserError, machine, options, statistics, threads
from bench.agreement import lacks, plain, reference
from bench.cases import MINI_BATCHES, Case
from bench.judging import TIME_LIMIT, judge
from bench.judging import Case as Checked
from bench.measuring import FLOOR, Measure, Task
from bench.plans import Order
from bench.results import FOLDER
from bench.trials import trial_of
from bench.turns import Race, Record, run_generation, stored
from data import Dataset, Digits
from impls.contract import COST_OF_OUTPUT, Activation, DType, Network, Output, Quantity, check_images

BASELINE = "vectorized"
ROUNDS = 5  # of a generation: few, as generations count, and a whole Latin square of four backends and the floor
SAMPLED = {impls.REFERENCE: 2000}  # so many images instead of all, and scaled: a round of all takes many seconds
LEAST_GENERATIONS = 3  # whatever the budget: intervals are across generations
NEEDED: dict[Measure, Quantity] = {"round": "train", "gradient": "gradients", "outputs": "outputs"}
BUSY = 1.0  # load before the race that is worth a warning
STOLEN = 0.01  # share of the cores' time that is
RESTLESS = 1.2  # drift between generations that is worth a warning
SCHEMA = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add(
        "--backend",
        action="append",
        metavar="NAME",
        help="who runs; may be given several times (default: all available)",
    )
    add("--baseline", default=BASELINE, metavar="NAME", help="whom the others are compared with (default: %(default)s)")
    add(
        "--measure",
        choices=get_args(Measure),
        default="round",
        help="a round of training, one gradient, or outputs (default: %(default)s)",
    )
    add(
        "--network", type=options.sizes, default=MINI_BATCHES.network.sizes, metavar="SIZES", help="default: 784-128-10"
    )
    add("--hidden", choices=get_args(Activation), default=MINI_BATCHES.network.hidden, help="default: %(default)s")
    add("--output", choices=get_args(Output), default=MINI_BATCHES.network.output, help="default: %(default)s")
    add(
        "--batch",
        type=options.batch,
        default=MINI_BATCHES.batch,
        metavar="N",
        help="images per update, or all (default: %(default)s)",
    )
    add("--order", choices=get_args(Order), default="file", help="of the images (default: %(default)s)")
    add("--momentum", type=options.number(0, 1), default=0.0, metavar="X", help="default: %(default)s")
    add("--dtype", choices=get_args(DType), default="float32", help="default: %(default)s")
    add("--images", type=options.whole_number(1), metavar="N", help="of the data's first (default: all)")
    add(
        "--budget",
        type=options.number(0.001),
        default=60.0,
        metavar="SECONDS",
        help="to stop after, at the end of a generation (default: %(default)g)",
    )
    add(
        "--precision",
        type=options.number(0.0001),
        default=0.03,
        metavar="X",
        help="to stop when all ratios are known to that share (default: %(default)g)",
    )
    add(
        "--rounds",
        type=options.whole_number(2),
        default=ROUNDS,
        metavar="N",
        help="in a generation of processes (default: %(default)s)",
    )
    add(
        "--seed",
        type=options.whole_number(0),
        default=0,
        metavar="N",
        help="of the order of turns (default: %(default)s)",
    )
    add(
        "--results",
        type=options.output_file,
        metavar="FILE",
        help="JSON, a record a line (default: a new one in bench/results)",
    )
    options.add_data(parser)
    options.add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check, race, print a table; 1 if anybody was left out for a fault, else 0.

    Raises UserError for options that do not go together, UnknownBackend or BackendUnavailable for a name.
    """
    console = Console(highlight=False)
    dataset = data.load(arguments.data)
    digits = digits_of(dataset, arguments)
    case = case_of(arguments)
    check_images(case.network, digits.images, digits.labels)
    names = list(dict.fromkeys([*(arguments.backend or impls.available()), arguments.baseline]))
    for name in names:
        impls.check(name)
    n_threads = arguments.threads or threads.cores()
    trial = trial_of(case, digits)
    expected = reference(trial)
    results = new_file(arguments.results)
    console.print(f"{case.network}, {case.dtype}, {case.plan_name}. {dataset.notice or dataset.name}")
    with tempfile.TemporaryDirectory() as folder, results.open("w", encoding="utf-8") as file:
        records: list[Record] = []

        def record(entry: Record) -> None:
            records.append(entry)
            file.write(json.dumps(entry) + "\n")
            file.flush()

        record(header(arguments, case, dataset, n_threads))
        needed = NEEDED[arguments.measure]
        verdicts = {name: verdict_on(console, name, [(trial, expected)], needed, record) for name in names}
        agreeing = [name for name, verdict in verdicts.items() if verdict == "agrees"]
        if arguments.baseline not in agreeing:
            raise UserError(f"{arguments.baseline}, with whom to compare, is left out; give another --baseline")
        entrants = tasks(agreeing, arguments.measure, case, digits, Path(folder))
        race = Race(entrants, n_threads, arguments.rounds, TIME_LIMIT, record, arguments.seed)
        why = go_on(console, race, arguments, records)
        record({"kind": "end", "reason": why})
    show(console, race, records, arguments.baseline, why)
    console.print(f"Every measurement: {results}", soft_wrap=True)
    return 1 if race.failures or "disagrees" in verdicts.values() else 0


def new_file(asked_for: Path | None) -> Path:
    """Where the records go. Raises UserError for a file that is there already."""
    if asked_for is not None and asked_for.exists():
        raise UserError(f"--results {asked_for}: is there already; expected a new file, so choose another name")
    path = asked_for or FOLDER / f"race-{datetime.now():%Y%m%d-%H%M%S}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def case_of(arguments: argparse.Namespace) -> Case:
    """The case that the options describe. Raises UserError for a batch that is not the same for all."""
    if arguments.batch == "home":
        raise UserError("--batch home: expected a number of images, or all, as all backends race on the same plan")
    network = Network(arguments.network, arguments.hidden, arguments.output, COST_OF_OUTPUT[arguments.output])
    name = "full batch" if arguments.batch is None else f"batches of {arguments.batch:,}"
    name += ", shuffled" if arguments.order == "shuffled" else ""
    name += f", Nesterov {arguments.momentum:g}" if arguments.momentum else ""
    return replace(
        MINI_BATCHES,
        plan_name=name,
        batch=arguments.batch,
        learning_rate=0.1,  # of no consequence for the time, and small, so that agreement can be told for any network
        network=network,
        dtype=arguments.dtype,
        order=arguments.order,
        momentum=arguments.momentum,
    )


def digits_of(dataset: Dataset, arguments: argparse.Namespace) -> Digits:
    """The images that are raced on: of training, or of the test where outputs are measured."""
    split = dataset.test if arguments.measure == "outputs" else dataset.train
    n = arguments.images or len(split.labels)
    if n > len(split.labels):
        raise UserError(f"{n} images: expected at most {len(split.labels)}, as many as {dataset.name} has")
    return Digits(split.images[:n], split.labels[:n])


def header(arguments: argparse.Namespace, case: Case, dataset: Dataset, n_threads: int) -> Record:
    """What holds for all records that follow."""
    return {
        "kind": "race",
        "schema": SCHEMA,
        "when": datetime.now().astimezone().isoformat(timespec="seconds"),
        "measure": arguments.measure,
        "network": str(case.network),
        "plan": case.plan_name,
        "batch": case.batch,
        "dtype": case.dtype,
        "threads": n_threads,
        "baseline": arguments.baseline,
        "seed": arguments.seed,
        "data": dataset.name,
        "data_sha256": dataset.sha256,
        "machine": machine.describe(),
    }


def verdict_on(
    console: Console, name: str, cases: list[Checked], needed: Quantity, record: Callable[[Record], None]
) -> Literal["agrees", "denies", "disagrees"]:
    """Whether a backend agrees with the reference on this very case, and has what is needed. If not, it is named."""
    with console.status(f"{name}: agreement (the first time it may have to compile)"):
        results = judge(name, cases)
    for result in results:
        record({"kind": "agreement", **plain(result)})
    failures = [result.failure for result in results if result.failure]
    denials = lacks(results, needed)
    if failures or denials:
        console.print(f"[red]left out:[/] {escape((failures + denials)[0])}", soft_wrap=True)
    return "disagrees" if failures else "denies" if denials else "agrees"


def tasks(names: list[str], measure: Measure, case: Case, digits: Digits, folder: Path) -> dict[str, Task]:
    """What each entrant has to do: a gradient is of one batch; the floor runs along where rounds are measured."""
    stored(digits, folder)
    n = len(digits.labels) if measure != "gradient" else case.batch or len(digits.labels)
    if measure != "round":
        return {name: Task(name, measure, case, folder, n) for name in names}
    return {name: Task(name, measure, case, folder, min(n, SAMPLED.get(name, n))) for name in (*names, FLOOR)}


def go_on(console: Console, race: Race, arguments: argparse.Namespace, records: list[Record]) -> str:
    """Generation after generation until all is known precisely enough or the budget is spent; return which."""
    begin = time.monotonic()
    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=arguments.budget)
        generation = 0
        while len(race.tasks.keys() - race.failures.keys()) > 1:
            progress.update(bar, completed=time.monotonic() - begin, description=f"generation {generation + 1}")
            run_generation(race, generation)
            generation += 1
            if statistics.precise(rounds_of(race, records), arguments.baseline, arguments.precision):
                return f"all ratios are known to {arguments.precision:.1%}"
            if generation >= LEAST_GENERATIONS and time.monotonic() - begin > arguments.budget:
                return f"the budget of {arguments.budget:g} s is spent"
    return "fewer than two are left"


def rounds_of(race: Race, records: list[Record]) -> list[list[dict[str, float]]]:
    """Seconds of everybody who has not failed, for all images, by generation and round."""
    most = max(task.images for task in race.tasks.values())
    found: dict[int, dict[int, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for entry in records:
        if entry["kind"] == "sample" and entry["entrant"] not in race.failures:
            scale = most / race.tasks[entry["entrant"]].images
            found[entry["generation"]][entry["round"]][entry["entrant"]] = scale * entry["wall"]
    return [list(rounds.values()) for rounds in found.values()]


def show(console: Console, race: Race, records: list[Record], baseline: str, why: str) -> None:
    """The table, fastest first: what each takes, and how many times as long as the baseline."""
    rounds = rounds_of(race, records)
    if not rounds:
        return
    typical = {row.backend: row for row in statistics.seconds(rounds)}
    ratios = {row.backend: row for row in statistics.ratios(rounds, baseline, looked=True)}
    backends_only = [[{name: time for name, time in one.items() if name != FLOOR} for one in g] for g in rounds]
    ranks = statistics.ranks(backends_only, looked=True)
    order = sorted(typical, key=lambda name: typical[name].typical)
    compared = table_of("", "rank", "seconds", f"times {baseline}", "95 % interval", "outliers")
    for name in order:
        found = ratios.get(name)
        interval = " to ".join(map(in_short, found.interval)) if found and found.interval else ""
        ratio = in_short(found.estimate) if found else "1"
        outliers = f"{found.outliers} of {found.pairs}" if found else ""
        compared.add_row(name, str(ranks.get(name, "")), f"{typical[name].typical:.4g}", ratio, interval, outliers)
    console.print(compared)
    console.print(
        f"{len(rounds)} generations of processes, {sum(map(len, rounds))} rounds; it ended as {why}. The intervals "
        "hold all together with 95 %, across generations. Equal ranks are not told apart.\n"
    )
    beside = table_of("", "cpu", "first call", "prepare", "peak of process", "of a call")
    for name in order:
        beside.add_row(name, *beside_time(records, name))
    console.print(beside)
    console.print("Cpu: time of all threads over wall time. First call: in a fresh process, numba's cache on disk.\n")
    for reason in race.failures.values():
        console.print(f"[red]left out:[/] {escape(reason)}", soft_wrap=True)
    for line in disturbances(list(typical.values()), records):
        console.print(f"[yellow]The machine was not quiet:[/] {line}")


def in_short(ratio: float) -> str:
    """Three decimals, or three digits where it is large."""
    return f"{ratio:.3f}" if ratio < 100 else f"{ratio:.3g}"


def disturbances(typical: list[statistics.Seconds], records: list[Record]) -> list[str]:
    """What was seen of other work on the machine, and what to do about it."""
    lines = []
    seen = [entry for entry in records if entry["kind"] == "noise"]
    worst = max(typical, key=lambda row: row.drift or 0)
    if worst.drift and worst.drift > RESTLESS:
        lines.append(
            f"from one generation to another {worst.backend} changed by a factor of {worst.drift:.2f}; give the race a "
            "longer --budget"
        )
    if seen and (seen[0]["load_before"] or 0) > BUSY:
        lines.append(f"its load was {seen[0]['load_before']:.1f} before the race; end what else is running")
    stolen = sum(entry["stolen"] or 0 for entry in seen) / (
        (os.cpu_count() or 1) * sum(entry["seconds"] for entry in seen)
    )
    if stolen > STOLEN:
        lines.append(f"other virtual machines had {stolen:.1%} of its cores' time; come back at another hour")
    return lines


def table_of(*heads: str) -> Table:
    """An empty table with these columns, the first to the left."""
    table = Table(box=SIMPLE, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for head in heads:
        table.add_column(head, no_wrap=True, justify="right" if head else "left")
    return table


def beside_time(records: list[Record], name: str) -> list[str]:
    """What stands beside the time of an entrant: medians over its processes, memory at most."""
    processes = [entry for entry in records if entry["kind"] == "process" and entry["entrant"] == name]
    samples = [entry for entry in records if entry["kind"] == "sample" and entry["entrant"] == name]
    return [
        f"{median((entry['user'] + entry['system']) / entry['wall'] for entry in samples):.0%}",
        f"{median(entry['first']['wall'] for entry in processes):.3g} s",
        f"{median(entry['prepare']['wall'] for entry in processes):.2g} s",
        *(mebibytes([entry[peak] for entry in processes]) for peak in ("process_peak", "call_peak")),
    ]


def mebibytes(sizes: list[int | None]) -> str:
    """The largest; "unknown" where the system does not say."""
    known = [size for size in sizes if size is not None]
    return f"{max(known) / 2**20:.1f} MiB" if known else "unknown"
