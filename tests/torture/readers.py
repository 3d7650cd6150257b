"""`python -m tests.torture readers`: damaged files for every reader, and what each did with them.

Inputs are numbered; `--repeat TARGET NUMBER` makes one again. Others are chosen by atheris, if it is installed, which
keeps those that reach new code; the report names one by its bytes, which `--repeat` takes as well.
"""

import argparse
import json
import math
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from bench.timing import threads
from tests.torture.attack import Found, attack
from tests.torture.mutants import Choices
from tests.torture.targets import Target

# How many inputs of each there are where --inputs does not say: about twelve minutes of one core.
USUAL = {
    "idx": 200_000,
    "npz": 100_000,
    "networks": 100_000,
    "pictures": 50_000,
    "results": 100_000,
    "tuning": 100_000,
    "options": 50_000,
    "report": 4_000,
    "figures": 120,
}


def run(arguments: list[str]) -> int:
    """Attack the readers; return 1 where one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture readers", description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(USUAL)} (default: all)")
    parser.add_argument("--inputs", type=int, help="for each (default: as many as take a minute or so)")
    parser.add_argument("--first", type=int, default=0, help="number of the first input (default: 0)")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop each after these minutes (default: 60)")
    parser.add_argument(
        "--guided",
        type=float,
        metavar="MINUTES",
        default=0.4,
        help="let atheris choose further inputs for these minutes each; 0: not at all (default: 0.4)",
    )
    parser.add_argument("--repeat", nargs=2, metavar=("TARGET", "INPUT"), help="read one input, with its traceback")
    parser.add_argument("--write", type=Path, help="with --repeat: keep the file there")
    options = parser.parse_args(arguments)
    if options.repeat:
        return repeat(target_of(options.repeat[0]), options.repeat[1], options.write)
    if unknown := set(options.targets) - set(USUAL):
        parser.error(f"{', '.join(sorted(unknown))}: expected some of {', '.join(USUAL)}")
    if options.guided and not find_spec("atheris"):
        print(
            "Without inputs that are chosen by the code that they reach: `pip install -e '.[torture]'` brings atheris."
        )
        arguments, options.guided = [*arguments, "--guided", "0"], 0.0
    names = options.targets or list(USUAL)
    if len(names) > 1:
        rest = [word for word in arguments if word not in names]
        with ThreadPoolExecutor(threads.cores()) as pool:
            return max(pool.map(lambda name: in_a_process(name, rest), names))
    (name,), first = names, options.first
    numbers = range(first, first + (USUAL[name] if options.inputs is None else options.inputs))
    failed = print_found(name, numbered(target_of(name), numbers, options.minutes))
    if options.guided:
        failed |= guided(name, options.guided)
    return int(failed)


def in_a_process(name: str, options: list[str]) -> int:
    """Attack one of several targets; print what it found once it has ended, and return its exit code."""
    command = [sys.executable, "-m", "tests.torture", "readers", name, *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout.partition("\n")[2], end="", flush=True)  # without the name of the part
    return done.returncode


def target_of(name: str) -> Target:
    """The module of a target."""
    return cast(Target, import_module(f"tests.torture.targets.{name}"))


def choices_of(target: Target, which: str) -> Choices:
    """The choices of an input: of a number, or the bytes in hexadecimal digits after "x"."""
    return Choices(bytes.fromhex(which[1:])) if which.startswith("x") else Choices.of_seed(target.NAME, int(which))


def numbered(target: Target, numbers: range, minutes: float = 60.0) -> Found:
    """Attack with the inputs of these numbers, until so many minutes are over."""
    end = time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "attack.json")
        warm_up(target, path)
        found = Found()
        for number in numbers:
            attack(target, choices_of(target, str(number)), str(number), path, found)
            if time.monotonic() > end:
                break
    return found


def warm_up(target: Target, path: Path) -> None:
    """Import what the reader imports, so that this counts for no input."""
    for number in range(-20, 0):
        attack(target, choices_of(target, str(number)), "", path, Found())


def print_found(name: str, found: Found) -> bool:
    """Print a line for a reader, and one for each kind of failure; return whether there is one."""
    rate = found.inputs / found.seconds if found.seconds else 0.0
    print(
        f"{name}: {found.inputs:,} inputs, {found.refused:,} refused in one line; slowest "
        f"{1000 * found.slowest:.0f} ms, {found.grown / 2**20:.0f} MB beyond the start, {rate:,.0f} a second",
        flush=True,
    )
    for kind, (count, first) in sorted(found.failures.items(), key=lambda item: -item[1][0]):
        print(f"  FAILED {count:,} times: {kind}")
        print(f"    python -m tests.torture readers --repeat {name.partition(',')[0]} {first}", flush=True)
    return bool(found.failures)


def repeat(target: Target, which: str, keep: Path | None) -> int:
    """Read one input; print what the reader says, or let its traceback show."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "attack.json")
        if keep:
            keep.write_bytes(target.make(choices_of(target, which)))
        path.write_bytes(target.make(choices_of(target, which)))
        print(target.read(path) or "it was read")
    return 0


# --- by the code that inputs reach -----------------------------------------------------------------------


def guided(name: str, minutes: float) -> bool:
    """Let atheris attack in a process of its own, as it ends that; return whether something failed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "tests.torture.guided", name, str(report), "-seed=1", "-max_len=64"]
        command += [f"-max_total_time={math.ceil(60 * minutes)}", "-timeout=60", "-rss_limit_mb=4096"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not report.exists():
            print(f"{name}: atheris failed: {done.stderr.strip().splitlines()[-1:]}")
            return True
        content = json.loads(report.read_bytes())
    coverage = re.findall(r"cov: (\d+)", done.stderr)
    found = Found(**{part: content[part] for part in ("inputs", "refused", "slowest", "start", "seconds")})
    found.failures = {kind: (count, first) for kind, (count, first) in content["failures"].items()}
    found.start -= content["grown"] - found.grown  # of the other process
    failed = print_found(f"{name}, guided", found)
    print(f"  {coverage[-1] if coverage else 'unknown'} branches reached; exit code {done.returncode}")
    return failed or done.returncode != 0
