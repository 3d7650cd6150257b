"""`python -m bench`: get the data, check agreement, run the benchmarks, draw the report."""

import argparse
import os
import re
import subprocess
import sys
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

import bench
import data
import impls
from bench import ROOT, UserError
from bench.experiments.agree import agree, posed
from bench.experiments.inspection import inspect_one
from bench.records.journal import results_file
from bench.timing.clock import Clock
from bench.workloads.cases import CASES
from bench.workloads.recipes import with_outputs
from data import DataError, Dataset


def run(arguments: argparse.Namespace) -> int:
    """Run the four steps; return 1 if a backend disagrees, which is left out, or a step fails, else 0."""
    console = Console(highlight=False)
    console.rule("1 of 4: data")
    digits = get_digits(console)
    console.rule(f"2 of 4: agreement with {impls.REFERENCE}")
    left_out = disagreeing(console, digits)
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
    for line in digits.lines():
        console.print(line, style="yellow")
    return digits


def disagreeing(console: Console, digits: Dataset) -> list[str]:
    """Check every available backend on the cases that are benchmarked; return those that disagree."""
    cases = [posed(with_outputs(case, digits.classes), digits.train) for case in CASES]
    return [one.backend for one in agree(console, impls.available(), cases) if one.failures]


def run_benchmarks(console: Console) -> bool:
    """Run `pytest --benchmark-only` with a progress bar, into a new results file; return whether all passed.

    Raises UserError if there are no results.
    """
    bench.RESULTS.mkdir(parents=True, exist_ok=True)
    results = bench.RESULTS / f"{datetime.now():%Y%m%d-%H%M%S-%f}.json"
    partial, log = results.with_suffix(".part"), results.with_suffix(".log")
    command = [sys.executable, "-m", "pytest", "--benchmark-only", f"--benchmark-json={partial}", "-v", "--color=no"]
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(), "{task.description}")
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace"
        ) as process,
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
