"""`python -m bench`: get the data, check agreement, answer the four questions by short measurements, draw the report.

The measurements are commands of their own, each in a process of its own with options that make it short, so that any of
them can be repeated at length. One that fails takes no other with it.
"""

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

import bench
import data
import impls
import temporary
from bench import ROOT, UserError
from bench.experiments.agree import agree, posed
from bench.experiments.inspection import inspect_one
from bench.experiments.race import BASELINE
from bench.records.journal import results_file
from bench.timing.clock import Clock
from bench.timing.process import bound
from bench.workloads.batch_sizes import CHOSEN
from bench.workloads.cases import CASES, MINI_BATCHES
from bench.workloads.recipes import with_outputs
from data import DataError, Dataset

RACED_SECONDS = 30, 4  # of the race: at least, and for each backend; three generations or more on two cores
# Each process of these starts or compiles for seconds, so that there would be no time for the others' intervals.
LEFT_TO_RACE = ("torch_compile", "keras:torch", "keras:jax")
# One implementation of each kind, from the loop to the fastest, as all would take minutes: of the base installation for
# the benchmarks, of all for the time to an accuracy.
BENCHMARKED = (impls.REFERENCE, "vectorized", "numba", "numba_sparse")
TRAINED = (impls.REFERENCE, "vectorized", "numba_sparse", "torch", "jax", "cuda", "torch:cuda")
ELSEWHERE = ("--target", "90")  # on digits that are not MNIST, which may be harder
RECIPE = "first-94"  # to the article's best accuracy, in so few images that the loop can train by it with ten seeds
QUICK = ("numba_sparse", "numba_dense", "minibatch")  # one trains where the question is not which backend
BATCHES = (1, 16, 64, 512, 10_000)  # the largest are about the article's, of which there are five in an epoch
SEEDS = 3
TIDIED = 30.0  # seconds that a step may take to end after an interruption


class Step(NamedTuple):
    """A measurement of the pipeline, as a command of `python -m bench`."""

    title: str
    arguments: tuple[str, ...]


def run(arguments: argparse.Namespace) -> int:
    """Run all steps; return 1 if a backend disagrees, which is left out, or a step fails, else 0."""
    console = Console(highlight=False)
    console.rule("Data")
    digits = get_digits(console)
    console.rule(f"Agreement with {impls.REFERENCE}")
    checked = usable()
    if skipped := [name for name in impls.available() if name in LEFT_TO_RACE]:
        console.print(f"Left to python -m bench race --backend {','.join(skipped)}, which start slowly", soft_wrap=True)
    left_out = disagreeing(console, digits, checked)
    failed: list[str] = []
    for step in steps(digits, [name for name in checked if name not in left_out], arguments.threads):
        console.rule(step.title)
        if run_command("bench", *step.arguments):
            failed.append(step.title)
    console.rule("Benchmarks, one backend after the other")
    if not attempted(console, lambda: run_benchmarks(console)):
        failed.append("Benchmarks")
    console.rule("Report")
    if not attempted(console, lambda: inspect_one(digits, results_file(None, "network"))):
        failed.append("Pictures of a trained network")
    if run_command("reports", "--results", str(bench.RESULTS)):
        failed.append("Report")
    if left_out:
        console.print(f"[red]Left out, as they disagree with {impls.REFERENCE}: {', '.join(left_out)}[/]")
    if failed:
        console.print(f"[red]Failed, see above: {'; '.join(failed)}[/]")
    return 1 if left_out or failed else 0


def usable() -> list[str]:
    """The backends that are measured here, also under their names on a GPU where there is one."""
    names = [name for name in impls.available() if name not in LEFT_TO_RACE]
    on_gpu = [impls.on_device(name, "cuda") for name in names]
    return list(dict.fromkeys([*names, *(name for name in on_gpu if impls.unavailable_reason(name) is None)]))


def steps(digits: Dataset, names: Sequence[str], threads: int | None) -> list[Step]:
    """The measurements on these digits, by backends of these names, which agree; threads: of --threads, if given."""
    common = ("--data", source_of(digits), *(("--threads", str(threads)) if threads else ()))
    if not names:
        return []
    trained = ",".join(name for name in TRAINED if name in names) or names[0]
    quick = ("--backend", next((name for name in QUICK if name in names), impls.REFERENCE))
    known, n_images = json.loads(CHOSEN.read_text(encoding="utf-8")), len(digits.train.labels)
    batches = ",".join(str(batch) for batch in BATCHES if str(batch) in known and batch <= n_images)
    least, each = RACED_SECONDS
    race = ("race", "--backend", ",".join(names), "--budget", str(max(least, each * len(names))))
    baseline = () if BASELINE in names else ("--baseline", names[0])
    accuracy = ("accuracy", "--backend", trained, "--recipe", RECIPE, "--curves", "1", "--short-check")
    target = () if digits.notice is None else ELSEWHERE
    short = ("--seeds", str(SEEDS), "--short-check")
    commands = {
        "An epoch of training, by all backends": (*race, *baseline),
        "Time to an accuracy, by implementation": (*accuracy, *target),
        "Mini-batches": ("study", "batches", *quick, "--batch", batches, *short),
        "ReLU against sigmoid": ("study", "relu", *quick, "--factor", "hidden", *short),
    }
    return [Step(title, (*command, *common)) for title, command in commands.items()]


def source_of(digits: Dataset) -> str:
    """The value of --data that gives these digits again."""
    return "auto" if digits.notice is None else os.environ.get(data.VARIABLE) or "builtin"


def run_command(*arguments: str) -> int:
    """Run a package of this checkout with these arguments, in a process that prints here; return its exit code."""
    with process_of([sys.executable, "-m", *arguments]) as process:
        return process.wait()


@contextlib.contextmanager
def process_of(command: Sequence[str], **others: Any) -> Iterator[subprocess.Popen[str]]:
    """Within the `with`, a process that runs this command; it ends with this one. others: see `subprocess.Popen`.

    An interruption of this process ends it like Ctrl-C, and waits until it has tidied up.
    """
    with subprocess.Popen(bound(command), cwd=ROOT, **others) as process:
        try:
            yield process
        except BaseException:
            process.terminate()
            try:
                process.wait(TIDIED)
            except subprocess.TimeoutExpired:
                process.kill()
            raise


def attempted(console: Console, work: Callable[[], object]) -> bool:
    """Do some work; whether it ended well: False where it returned that, or met what a line can tell, printed here."""
    try:
        return work() is not False
    except (UserError, DataError) as error:
        console.print(f"[red]error:[/] {escape(str(error))}", soft_wrap=True)
        return False


def get_digits(console: Console) -> Dataset:
    """Return MNIST where it is present or can be downloaded, else the built-in digits; print which."""
    if not os.environ.get(data.VARIABLE):
        try:
            data.fetch()
        except DataError as error:
            console.print(f"No download: {error}")
    with Clock() as clock:
        digits = data.load()
    counts = f"{len(digits.train.labels):,} training and {len(digits.test.labels):,} test images"
    console.print(f"{digits.name}, {counts}, read in {clock.elapsed.wall:.2f} s")
    for line in digits.lines():
        console.print(line, style="yellow")
    return digits


def disagreeing(console: Console, digits: Dataset, names: Sequence[str]) -> list[str]:
    """Check these backends on the cases that are benchmarked; return those that disagree."""
    cases = [posed(with_outputs(case, digits.classes), digits.train) for case in CASES]
    return [one.backend for one in agree(console, names, cases) if one.failures]


def benchmarks_of(names: Sequence[str]) -> list[str]:
    """The benchmarks of these backends that are run, and the floor, as pytest names them."""
    of_each = [(f"outputs[{name}]", f"epoch[{name}-{MINI_BATCHES.name}]") for name in names]
    return [f"bench/bench_backends.py::bench_{what}" for what in (*chain(*of_each), "floor")]


def run_benchmarks(console: Console) -> bool:
    """Run `pytest --benchmark-only` with a progress bar, into a new results file; return whether all passed.

    Only the base installation's kinds are timed, for an epoch of mini-batches and for outputs, as the race has all:
    working out what an epoch in a full batch has to return takes half a minute.
    Raises UserError if there are no results.
    """
    bench.RESULTS.mkdir(parents=True, exist_ok=True)
    results = bench.RESULTS / f"{datetime.now():%Y%m%d-%H%M%S-%f}.json"
    with temporary.folder(bench.RESULTS) as folder:
        made, log = folder / results.name, folder / results.with_suffix(".log").name
        code = benchmarked(console, made, log)
        found = made.exists() and made.stat().st_size
        kept = log if found and not code else log.replace(results.with_suffix(".log"))
        if not found:
            raise UserError(f"{results}: expected results of the benchmarks, found none; the reason is in {kept}")
        made.replace(results)
    if code:
        console.print(f"Some benchmarks failed; {kept} has their full output.")
    return code == 0


def benchmarked(console: Console, results: Path, log: Path) -> int:
    """Run the benchmarks with a progress bar, and return pytest's exit code. results, log: files for what comes out."""
    command = [sys.executable, "-m", "pytest", "--benchmark-only", f"--benchmark-json={results}", "-v", "--color=no"]
    command += benchmarks_of([name for name in impls.available() if name in BENCHMARKED])
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(), "{task.description}")
    piped: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
    with (
        log.open("w", encoding="utf-8") as file,
        process_of(command, **piped, errors="replace") as process,
        Progress(*columns, console=console, transient=True) as progress,
    ):
        task = progress.add_task("", total=None)
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            if collected := re.match(r"collected (\d+) items", line):
                progress.update(task, total=int(collected[1]))
            elif done := re.match(r"\S+::(\S.*) (PASSED|FAILED|ERROR|SKIPPED)", line):
                progress.update(task, advance=1, description=done[1])
            elif line.startswith(("FAILED", "ERROR", "SKIPPED")):
                console.print(line.rstrip(), markup=False)
    return int(process.returncode)
