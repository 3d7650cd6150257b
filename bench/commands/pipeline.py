"""`python -m bench`: get the data, check agreement, run the benchmarks, draw the report."""

import argparse
import os
import re
import subprocess
import sys
from datetime import datetime
from statistics import median

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

import bench
import data
import impls
from bench import ROOT, UserError
from bench.agreement.check import lacks, reference
from bench.agreement.isolated import check_isolated
from bench.agreement.problems import problem_of
from bench.commands import options
from bench.experiments.inspection import inspect_one
from bench.records.journal import results_file
from bench.timing.clock import Clock
from bench.training.loop import prepare
from bench.workloads.cases import CASES, SAMPLED, home, sampled
from data import DataError, Dataset, Digits
from impls.contract import Backend, zero_velocities

FIRST_SAMPLES = 3
ROW = "{:14} {:12} {:>9} {:>15} {:>12} {:>6} {:>5}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the pipeline."""
    options.add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the four steps; return 1 if a backend disagrees, which is left out, or a step fails, else 0."""
    console = Console(highlight=False)
    console.rule("1 of 4: data")
    digits = get_digits(console)
    console.rule(f"2 of 4: agreement with {impls.REFERENCE}, and a first table")
    left_out = first_table(console, digits)
    console.rule("3 of 4: the benchmarks")
    all_passed = run_benchmarks(console)
    console.rule("4 of 4: the report")
    inspect_one(digits, results_file(None, "network"))
    drawn = subprocess.run([sys.executable, "-m", "reports", "--results", str(bench.RESULTS)], cwd=ROOT, check=False)
    if left_out:
        console.print(f"[red]Left out, as they disagree with {impls.REFERENCE}: {', '.join(left_out)}[/]")
    return 0 if all_passed and not left_out and drawn.returncode == 0 else 1


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
    if digits.notice:
        console.print(digits.notice, style="yellow")
    return digits


def first_table(console: Console, digits: Dataset) -> list[str]:
    """Check each available backend and time it at its default batch size, row by row; return those that disagree."""
    problems = [problem_of(case, digits.train) for case in CASES]
    cases = [(problem, reference(problem)) for problem in problems]
    console.print(f"{CASES[0].network}, {CASES[0].dtype}")
    console.print(ROW.format("backend", "default", "epoch", "test outputs", "times naive", "error", "share"))
    disagreeing = []
    seconds_of_reference = None
    for name in impls.available():
        with console.status(f"{name} (it may have to compile first)"):
            results = check_isolated(name, cases)
            failures = [result.failure for result in results if result.failure]
            unsupported = lacks(results, "train", "outputs")
            if failures or unsupported:
                disagreeing += [name] if failures else []
                what = "[red]disagrees[/] and is" if failures else "is"
                console.print(f"{name} {what} left out:", escape((failures + unsupported)[0]))
                continue
            backend = impls.load(name)
            seconds = seconds_of_epoch(backend, digits.train)
            if name == impls.REFERENCE:
                seconds_of_reference = seconds
            row = ROW.format(
                name,
                home(backend).name,
                f"{seconds:.3f} s{'*' if name in SAMPLED else ''}",
                f"{seconds_of_outputs(backend, digits.test):.3f} s",
                f"{seconds_of_reference / seconds:.1f}" if seconds_of_reference else "-",
                f"{max(result.error for result in results):.1f}",
                f"{max(result.share for result in results):.0%}",
            )
        console.print(row)
    sampled = ", ".join(f"* {name}: scaled from {n:,} images" for name, n in SAMPLED.items())
    console.print(f"Medians of {FIRST_SAMPLES}. Error: the worst, in eps, and its share of what is allowed. {sampled}")
    return disagreeing


def seconds_of_epoch(backend: Backend, train: Digits) -> float:
    """Return the seconds of an epoch at the default batch size, scaled where fewer images are timed; a median."""
    case = home(backend)
    n = sampled(backend.NAME, len(train.labels), case.batch)
    split = prepare(backend, case.network, Digits(train.images[:n], train.labels[:n]), case.dtype)
    plan = next(case.plans(n))
    state = zero_velocities(case.parameters())
    samples = []
    for _ in range(FIRST_SAMPLES):
        with Clock() as clock:
            backend.train(case.network, state, split.prepared, plan)
        samples.append(clock.elapsed.wall)
    return median(samples) * len(train.labels) / n


def seconds_of_outputs(backend: Backend, test: Digits) -> float:
    """Return the seconds that the outputs of all test images take; a median."""
    case = home(backend)
    split = prepare(backend, case.network, test, case.dtype)
    parameters = case.parameters()
    samples = []
    for _ in range(FIRST_SAMPLES):
        with Clock() as clock:
            backend.outputs(case.network, parameters, split.prepared)
        samples.append(clock.elapsed.wall)
    return median(samples)


def run_benchmarks(console: Console) -> bool:
    """Run `pytest --benchmark-only` with a progress bar, into a new results file; return whether all passed.

    Raises UserError if there are no results.
    """
    bench.RESULTS.mkdir(parents=True, exist_ok=True)
    results = bench.RESULTS / f"{datetime.now():%Y%m%d-%H%M%S}.json"
    partial, log = results.with_suffix(".part"), results.with_suffix(".log")
    command = [sys.executable, "-m", "pytest", "--benchmark-only", f"--benchmark-json={partial}", "-v", "--color=no"]
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with (
        log.open("w") as file,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process,
        Progress(*columns, console=console, transient=True) as progress,
    ):
        task = progress.add_task("", total=None)
        assert process.stdout is not None
        try:
            for line in process.stdout:
                file.write(line)
                if collected := re.match(r"collected (\d+) items", line):
                    progress.update(task, total=int(collected[1]))
                elif done := re.match(r"\S+::(\S.*) (PASSED|FAILED|ERROR|SKIPPED)", line):
                    progress.update(task, advance=1, description=done[1])
                elif line.startswith(("FAILED", "ERROR", "SKIPPED")):
                    console.print(line.rstrip(), markup=False)
        except BaseException:  # also an interruption: the benchmarks must not continue without this process
            process.terminate()
            raise
    if not partial.exists() or not partial.stat().st_size:
        raise UserError(f"{partial}: expected results of the benchmarks, found none; the reason is in {log}")
    partial.replace(results)
    if process.returncode == 0:
        log.unlink()
    else:
        console.print(f"Some benchmarks failed; {log} has their full output.")
    return process.returncode == 0
