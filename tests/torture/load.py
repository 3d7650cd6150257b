"""`python -m tests.torture load`: many short runs in one process, and a report of very many results.

The soak repeats what a session does all day, in this process: races with their worker processes, workers that die, a
training, reading results, a report. After each turn it notes resident memory, open handles, threads, child processes
and temporary files. Of the turns after the warm-up, no count may be higher at the end than it was in the middle, and
memory may not rise by more than MEMORY_A_TURN, by the median of all pairs' slopes (Theil 1950, Sen 1968).

The report is drawn by `python -m reports` in a process of its own, of a race of 40 backends with 10,000 measurements
and of 200 sweeps with all 40, and of a tenth of that; it has SECONDS and MEMORY for it. Exit code 1 where any of this
does not hold.
"""

import argparse
import contextlib
import gc
import io
import itertools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np

import bench
from bench.__main__ import main as run_bench
from bench.records.files import read
from bench.timing import interleave
from bench.timing.process import Child, ChildFailed, answer_with
from data import Digits, mnist
from reports.__main__ import main as draw_report
from tests.helpers.race_files import race_records, written

WARM_UP = 0.3  # share of the turns
MEMORY_A_TURN = 0.1  # MiB
SECONDS, MEMORY = 60.0, 600  # of a report; MiB
BACKENDS, MEASUREMENTS, SWEEPS = 40, 10_000, 200
SIZES = (32, 128, 1000)  # the batches of a sweep


def run(arguments: Sequence[str]) -> int:
    """Do both and print what was measured; return 1 where a bound is not kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture load", description=__doc__)
    parser.add_argument("--seconds", type=float, default=240, help="of the soak (default: %(default)s)")
    parser.add_argument("--only", choices=("soak", "report"), help="one of the two (default: both)")
    options = parser.parse_args(arguments)
    problems = []
    with tempfile.TemporaryDirectory() as temporary:
        if options.only != "soak":
            problems += large_report(Path(temporary))
        if options.only != "report":
            problems += soak(Path(temporary), options.seconds)
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems")
    return int(bool(problems))


# --- many short runs -------------------------------------------------------------------------------------


class Usage(NamedTuple):
    """What this process holds."""

    memory: float  # MiB, resident
    handles: int
    threads: int
    children: int
    files: int  # in the folder of temporary files


def soak(folder: Path, seconds: float) -> list[str]:
    """Take turns for some seconds; print a line for each tenth of them, and return what grew."""
    temporary = folder / "temporary"
    temporary.mkdir()
    tempfile.tempdir = str(temporary)
    os.environ |= {"TMPDIR": str(temporary), "DIGITBENCH_DATA": str(digits(folder / "digits"))}
    interleave.rates_are_due = lambda generation: False  # they take seconds, and memory of their own
    found: list[Usage] = []
    end = time.monotonic() + seconds
    print(f"{'turn':>5} {'MiB':>7} handles threads children files", flush=True)
    try:
        while time.monotonic() < end:
            turn(folder / "results", len(found))
            found.append(usage(temporary))
            if len(found) % 5 == 0:
                memory, *counts = found[-1]
                print(f"{len(found):5} {memory:7.1f} {' '.join(f'{count:7}' for count in counts)}", flush=True)
    finally:
        tempfile.tempdir = None
    return growth(found)


def turn(folder: Path, number: int) -> None:
    """A race, a worker that dies, one that is killed, a training, and a report of the race."""
    folder.mkdir(exist_ok=True)
    results = folder / f"race-{number}.jsonl"
    quick = ["--images", "60", "--batch", "10", "--backend", "minibatch", "--budget", "0.01", "--rounds", "2"]
    quietly(run_bench, ["race", *quick, "--output", str(results)])
    for what, expected in (("end", "dies"), ("wait", "hangs")):
        with Child(answer_with, Unreliable) as child:
            child.answer(60)
            child.send((what,))
            with contextlib.suppress(ChildFailed):
                child.answer(0.1 if expected == "hangs" else 60)
                raise AssertionError(f"a worker that {expected} gave an answer")
    quietly(run_bench, ["train", "--network", "784-8-10", "--epochs", "1", "--save", str(folder / "network.npz")])
    for _ in range(20):
        read(results)
    quietly(draw_report, ["--results", str(results), "--out", str(folder / "report")])
    results.unlink()


class Unreliable:
    """A worker that ends its process, or gives no answer."""

    def end(self) -> None:
        os._exit(3)

    def wait(self) -> None:
        time.sleep(60)


def quietly(command: Callable[[list[str]], int], arguments: list[str]) -> None:
    """Run a command without its output. Raises AssertionError where it fails."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = command(arguments)
    assert code == 0, f"exit code {code} of {arguments}: {said.getvalue()}"


def digits(folder: Path) -> Path:
    """A few images, in a folder."""
    rng = np.random.default_rng(0)
    pixels = (rng.integers(1, 256, (1200, 784)) * (rng.random((1200, 784)) < 0.2)).astype(np.uint8)
    split = Digits(pixels, np.arange(1200) % 10)
    mnist.write_folder(folder, split, split)
    return folder


def usage(temporary: Path) -> Usage:
    """What this process holds now, by Linux's /proc."""
    gc.collect()
    own = Path("/proc/self")
    pages = int((own / "statm").read_text().split()[1])
    tasks = list((own / "task").iterdir())
    children = sum(len((task / "children").read_text().split()) for task in tasks)
    files = sum(1 for _ in temporary.rglob("*"))
    handles = len(list((own / "fd").iterdir()))
    return Usage(pages * resource.getpagesize() / 2**20, handles, len(tasks), children, files)


def growth(found: Sequence[Usage]) -> list[str]:
    """What grew after the warm-up, a line each. Prints the slope of memory."""
    counted = found[int(WARM_UP * len(found)) :]
    if len(counted) < 6:
        return [f"{len(found)} turns, expected at least {int(6 / (1 - WARM_UP)) + 1}: give more --seconds"]
    third = len(counted) // 3
    problems = []
    for name in Usage._fields[1:]:
        middle, end = (max(getattr(one, name) for one in part) for part in (counted[:third], counted[-third:]))
        if end > middle:
            problems.append(f"{name}: {middle} in the middle, {end} at the end")
    pairs = itertools.combinations(enumerate(one.memory for one in counted), 2)
    slope = statistics.median((later - earlier) / (j - i) for (i, earlier), (j, later) in pairs)
    print(f"{len(found)} turns; memory rises by {slope:.3f} MiB a turn, {MEMORY_A_TURN} allowed")
    if slope > MEMORY_A_TURN:
        problems.append(f"memory: rises by {slope:.3f} MiB a turn")
    return problems


# --- very many results -----------------------------------------------------------------------------------


def large_report(folder: Path) -> list[str]:
    """Draw reports of very many results and of a tenth; print seconds and memory, and return what was too much."""
    problems = []
    for share in (0.1, 1.0):
        results = very_many(folder / f"results-{share}", int(share * MEASUREMENTS), int(share * SWEEPS))
        size = sum(path.stat().st_size for path in results.iterdir()) / 2**20
        seconds, memory = drawn(results, folder / f"report-{share}")
        what = f"report of {int(share * MEASUREMENTS):,} measurements and {int(share * SWEEPS)} sweeps ({size:.0f} MiB)"
        print(f"{what}: {seconds:.1f} s, {memory:.0f} MiB", flush=True)
        if seconds > SECONDS or memory > MEMORY:
            problems.append(f"{what}: {seconds:.1f} s and {memory:.0f} MiB, expected {SECONDS:.0f} s and {MEMORY} MiB")
    return problems


def very_many(folder: Path, measurements: int, sweeps: int) -> Path:
    """A folder with results of one race and of sweeps, of BACKENDS backends."""
    times = {f"backend-{i}": 0.1 * 1.05**i for i in range(BACKENDS - 1)} | {"floor": 0.05}
    rounds = max(1, measurements // BACKENDS // 10)
    written(folder, "race.jsonl", race_records(times, generations=10, rounds=rounds, when=day(sweeps)))
    for i in range(sweeps):
        races = [
            race_records(times, number=n, generations=2, rounds=2, key={"batch": batch}, sweep="batch", when=day(i))
            for n, batch in enumerate(SIZES)
        ]
        written(folder, f"sweep-{i:03}.jsonl", *races)
    return folder


def day(number: int) -> str:
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)).isoformat()


def drawn(results: Path, out: Path) -> tuple[float, float]:
    """The seconds and the peak of memory, in MiB, of `python -m reports`. Raises CalledProcessError where it fails."""
    measuring = (
        "import resource, runpy, sys; sys.argv = ['reports', *sys.argv[1:]]\n"
        "try: runpy.run_module('reports', run_name='__main__')\n"
        "finally: sys.stderr.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))"
    )
    command = [sys.executable, "-c", measuring, "--results", str(results), "--out", str(out)]
    begin = time.monotonic()
    done = subprocess.run(command, cwd=bench.ROOT, capture_output=True, text=True, check=True, timeout=10 * SECONDS)
    return time.monotonic() - begin, int(done.stderr.splitlines()[-1]) / 2**10


if __name__ == "__main__":
    from tests.torture import load  # by its name, under which a child finds the worker

    sys.exit(load.run(sys.argv[1:]))
