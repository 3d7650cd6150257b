"""Runs under attack: commands of `python -m bench` are killed at random points, then given again.

    python -m tests.torture runs --kills 300

After each kill the results have to be readable, with every record that was finished, and no process may be left. The
same command then has to end with exit code 0 and the same set of cases, and to leave no process and no temporary
folder, also none of the run that was killed. Besides, backends that fail in different ways run beside right ones, and
commands run on a disk that is full, on which there is room later.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console

import bench
from bench import UserError
from bench.records.journal import read_records
from bench.records.kinds import DrawnCurve, Training
from bench.records.races import races_of
from data import Digits, mnist

TOKEN = "DIGITBENCH_TORTURE"  # in the environment of all processes of a case
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")
TARGETS = ("parent", "worker", "group")
SHARES = {"race": 0.4, "accuracy": 0.3, "agree": 0.26, "bench": 0.04}  # of the kills; the last takes longest
HANGS = 120.0  # seconds after which a command is said to hang
GONE = 5.0  # seconds in which processes end after their parent
BACKENDS = ("minibatch", "vectorized")
SEEDS = 3
TUNED = ("--epochs", "1", "--batch", "20,40", "--learning-rate", "0.1", "--seeds", f"{SEEDS}", "--network", "784-8-10")

# What the commands are, with less to do: no rates of the machine, which take seconds, and fewer steps of the pipeline.
START = """
import sys
from pathlib import Path
import bench
from bench.__main__ import main
from bench.timing import interleave
from bench.training import held_out
interleave.rates_are_due = lambda _: False
held_out.HELD_OUT = 100
bench.RESULTS = Path(sys.argv[1])
{}
Path(sys.argv[2]).touch()
sys.argv = ["bench", *sys.argv[3:]]
sys.exit(main(sys.argv[1:]))
"""
SHORT_PIPELINE = """
from bench.commands import pipeline
from bench.timing.process import bound
folder, backends = bench.RESULTS, "minibatch,vectorized"
quick = ("--backend", backends, "--output")
race = ("race", *quick, f"{folder}/results.jsonl", "--budget", "1", "--rounds", "2", "--images", "200", "--batch", "20")
pipeline.steps = lambda *_: [pipeline.Step("a race", race)]
pipeline.usable = lambda: backends.split(",")
pipeline.benchmarks_of = lambda _: ["bench/bench_backends.py::bench_floor"]
run_command = pipeline.run_command
pipeline.run_command = lambda name, *more: run_command(name, *more, *(("--out", f"{folder}/out") * (name == "reports")))
"""


class Case(NamedTuple):
    """One command in a folder of its own, with its own folders for results and temporary files."""

    command: str
    folder: Path
    digits: Path
    backends: tuple[str, ...] = BACKENDS
    results_name: str = "results.jsonl"
    marker_name: str = "begins"

    @property
    def results(self) -> Path:
        """The file of the command's results."""
        return self.folder / "results" / self.results_name

    @property
    def temporary(self) -> Path:
        """Where the command makes temporary folders."""
        return self.folder / "temporary"

    def prepare(self) -> "Case":
        """Make the folders."""
        self.results.parent.mkdir(parents=True)
        self.temporary.mkdir()
        return self

    def words(self) -> list[str]:
        """The command's own words."""
        usual = ["--backend", ",".join(self.backends), "--output", str(self.results), "--data", str(self.digits)]
        return {
            "race": ["race", *usual, "--budget", "1", "--rounds", "2", "--images", "200", "--batch", "20"],
            "accuracy": ["accuracy", *usual, "--recipe", "first-94", "--seeds", f"{SEEDS}", "--curves", "2"],
            "agree": ["agree", *usual, "--dtype", "float32"],
            "tune": ["tune", *TUNED, "--backend", BACKENDS[0], *usual[2:]],
            "bench": [],
        }[self.command]

    def start(self, changes: str = "") -> subprocess.Popen[str]:
        """Start the command, in a group of processes of its own; its marker is there when it is about to begin.

        changes: code that runs before it.
        """
        changes += SHORT_PIPELINE if self.command == "bench" else ""
        self.marker.unlink(missing_ok=True)
        return subprocess.Popen(
            [sys.executable, "-c", START.format(changes), str(self.results.parent), str(self.marker), *self.words()],
            cwd=bench.ROOT,
            env=os.environ
            | {TOKEN: self.token, "TMPDIR": str(self.temporary), "DIGITBENCH_DATA": str(self.digits), "COLUMNS": "100"}
            | {"PYTHONPATH": str(bench.ROOT), "OPENBLAS_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )

    @property
    def marker(self) -> Path:
        """A file that the process makes when its imports are over."""
        return self.folder / self.marker_name

    @property
    def token(self) -> str:
        """What the environment of all its processes holds."""
        return str(self.folder)

    def processes(self) -> list[int]:
        """The processes of this case, its own and those that they started, running or stopped."""
        wanted, found = f"{TOKEN}={self.token}".encode(), []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended, or is another user's
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return found

    def left(self) -> list[int]:
        """The processes that are still there some seconds after the command ended."""
        end = time.monotonic() + GONE
        while (found := self.processes()) and time.monotonic() < end:
            time.sleep(0.02)
        return found

    def kept(self) -> list[bytes]:
        """The finished records: whole lines of a file that grows, comparisons of a file that is written whole.

        Raises UserError or ValueError where they cannot be read.
        """
        path = self.results
        content = path.read_bytes() if path.exists() else b""
        if not content:
            return []
        if self.command == "agree":
            return [json.dumps(one).encode() for one in json.loads(content)["agreement"]]
        if self.command != "tune" and content.count(b"\n"):
            read_records(path)
        return content.split(b"\n")[:-1]

    def missing(self) -> str:
        """What of the set of cases the results lack; "" where they are whole."""
        if self.command == "agree":
            content = json.loads(self.results.read_bytes())
            agreed = {one["backend"] for one in content["agreement"] if one["failure"] is None}
            return ", ".join([*content["unchecked"], *(set(BACKENDS) - agreed)])
        if self.command == "tune":
            untried = 2 * SEEDS - len(self.kept()[1:])  # the first line is the key
            return f"{untried} trainings" if untried else ""
        records, _ = read_records(self.results)
        (race,) = races_of(records)
        if race.left_out:
            return "; ".join(race.left_out.values())
        if self.command == "accuracy":
            wanted = {(name, seed) for name in BACKENDS for seed in range(SEEDS)}
            lacking = wanted - {(one.participant, one.seed) for one in records if isinstance(one, Training)}
            curves = {(name, seed) for name in BACKENDS for seed in range(2)}
            lacking |= curves - {(one.participant, one.seed) for one in records if isinstance(one, DrawnCurve)}
            return ", ".join(f"{name}, seed {seed}" for name, seed in sorted(lacking))
        rounds = [one for generation in race.rounds() for one in generation]
        return ", ".join(name for name in (*BACKENDS, "floor") if not any(name in one for one in rounds))


class Kill(NamedTuple):
    """When a command is killed, and how."""

    share: float  # of the seconds that it takes
    signal: str
    target: str


def ended(case: Case, process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a command; its exit code and what it printed. A process that hangs is killed, with the code 124."""
    try:
        out, err = process.communicate(timeout=HANGS)
    except subprocess.TimeoutExpired:
        for number in case.processes():
            os.kill(number, signal.SIGKILL)
        out, err = process.communicate()
        return 124, out, err
    return process.returncode, out, err


def begun(case: Case, process: subprocess.Popen[str]) -> None:
    """Wait until a command is about to begin, or has ended."""
    while not case.marker.exists() and process.poll() is None:
        time.sleep(0.005)


def hit(case: Case, process: subprocess.Popen[str], kill: Kill, rng: random.Random) -> str:
    """Send the signal; return what got it: "worker" only where there was one."""
    number = getattr(signal, kill.signal)
    others = [one for one in case.processes() if one != process.pid]
    while kill.target == "worker" and not others and process.poll() is None:
        others = [one for one in case.processes() if one != process.pid]
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        if kill.target == "group":
            os.killpg(process.pid, number)
        elif kill.target == "worker" and others:
            os.kill(rng.choice(others), number)
            return "worker"
        else:
            os.kill(process.pid, number)
    return "group" if kill.target == "group" else "parent"


def attack(case: Case, kill: Kill, seconds: float, rng: random.Random) -> tuple[str, list[str]]:
    """Start a command, kill it, start it again; return what was hit, and what is wrong afterwards."""
    wrong: list[str] = []
    process = case.start()
    begun(case, process)
    time.sleep(kill.share * seconds)
    target = hit(case, process, kill, rng)
    code, out, err = ended(case, process)
    number = getattr(signal, kill.signal)
    expected = {0, 1, 2} if target == "worker" else {0, -number if kill.signal == "SIGKILL" else 128 + number}
    if code not in expected:
        wrong.append(f"the killed run ended with {code}, expected one of {sorted(expected)}: {err[-300:]!r}")
    if "Traceback" in err + out:
        wrong.append(f"the killed run printed a traceback: {err[-600:]!r}")
    if found := case.left():
        wrong.append(f"{len(found)} processes are left after the kill")
    before: list[bytes] = []
    try:
        before = case.kept()
    except (UserError, ValueError) as error:
        wrong.append(f"the results cannot be read after the kill: {error}")
    return target, wrong + again(case, before)


def again(case: Case, before: list[bytes]) -> list[str]:
    """Give the command again; return what is wrong afterwards. before: the records that were finished."""
    wrong: list[str] = []
    code, out, err = ended(case, case.start())
    if code:
        wrong.append(f"the continued run ended with {code}: {out[-300:]!r} {err[-600:]!r}")
    if found := case.left():
        wrong.append(f"{len(found)} processes are left after the continued run")
    if folders := sorted(path.name for path in case.temporary.iterdir()):
        wrong.append(f"temporary files are left: {', '.join(folders)}")
    if parts := [path.name for path in case.results.parent.iterdir() if "part" in path.name or "tempor" in path.name]:
        wrong.append(f"unfinished files are left: {', '.join(parts)}")
    try:
        # A file that was killed before all its headers were there begins anew.
        if case.command in ("race", "accuracy", "tune") and case.kept()[: len(before)] != before:
            wrong.append("finished records were lost")
        if missing := case.missing():
            wrong.append(f"the continued run lacks {missing}")
    except (UserError, ValueError, OSError) as error:
        wrong.append(f"the results cannot be read after the continued run: {error}")
    return wrong


def made_up(n: int, seed: int) -> Digits:
    """Images of class patterns with noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n)
    ink = (np.random.default_rng(0).random((10, 784)) < 0.2)[labels] ^ (rng.random((n, 784)) < 0.05)
    return Digits((ink * rng.integers(100, 256, (n, 784))).astype(np.uint8), labels)


def kills_of(n: int, rng: random.Random) -> Iterator[tuple[str, Kill]]:
    """The kills: of each command its share, every signal and target equally often, at random times."""
    for command, share in SHARES.items():
        combined = [(one, target) for one in SIGNALS for target in TARGETS]
        for index in range(round(n * share)):
            name, target = combined[index % len(combined)]
            yield command, Kill(rng.random(), name, target)


def run(arguments: list[str]) -> int:
    """Attack; print counts and what went wrong; return 1 if anything did, else 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture runs", description=__doc__)
    parser.add_argument("--kills", type=int, default=150, help="kill a command this often (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="draw times and workers from this seed (default: 0)")
    parser.add_argument("--at-once", type=int, default=2, help="attack this many runs at a time (default: 2)")
    parser.add_argument("--only", choices=[*SHARES, "faults", "disk"], help="attack only this (default: all)")
    chosen = parser.parse_args(arguments)
    console, begin = Console(highlight=False, soft_wrap=True), time.monotonic()
    failures = 0
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        folder = Path(name)
        mnist.write_folder(folder / "digits", made_up(400, 1), made_up(100, 2))
        if chosen.only not in ("faults", "disk"):
            failures += kill_all(console, folder, chosen)
        if chosen.only in (None, "faults"):
            failures += report(console, "two at once", together(folder))
            failures += report(console, "fault", (survive(folder, i, fault) for i, fault in enumerate(FAULTS)))
        if chosen.only in (None, "disk"):
            commands = ("race", "accuracy", "agree", "tune")
            filled = (fill(folder, command, room) for command in commands for room in ROOM)
            failures += report(console, "disk", filled)
    console.print(f"{failures} went wrong, {time.monotonic() - begin:.0f} s")
    return 1 if failures else 0


def kill_all(console: Console, folder: Path, chosen: argparse.Namespace) -> int:
    """Kill and continue, several at a time; print counts and what is wrong; return how many kills were not survived."""
    rng = random.Random(chosen.seed)
    planned = [one for one in kills_of(chosen.kills, rng) if chosen.only in (None, one[0])]
    seconds, counts, failed = dict[str, float](), Counter[tuple[str, str, str]](), 0
    for command in dict.fromkeys(command for command, _ in planned):
        case = Case(command, folder / f"whole {command}", folder / "digits").prepare()
        begin = time.monotonic()
        if wrong := again(case, []):
            console.print(f"{command} without a kill: {'; '.join(wrong)}", markup=False)
            return 1
        seconds[command] = time.monotonic() - begin
        console.print(f"{command}: a whole run takes {seconds[command]:.1f} s")

    def attacked(index: int) -> tuple[int, str, list[str]]:
        command, kill = planned[index]
        case = Case(command, folder / f"{index} {command}", folder / "digits").prepare()
        return index, *attack(case, kill, seconds[command], random.Random(f"{chosen.seed} {index}"))

    with ThreadPoolExecutor(chosen.at_once) as pool:
        for index, target, wrong in pool.map(attacked, range(len(planned))):
            command, kill = planned[index]
            counts[command, kill.signal, target] += 1
            if wrong:
                failed += 1
                what = f"{command}, {kill.signal} to the {target} after {kill.share:.2f} of its time"
                console.print(f"{index} {what}: {'; '.join(wrong)}", markup=False)
    for command in seconds:
        of_command = {what: n for (name, *what_), n in counts.items() if name == command for what in [" ".join(what_)]}
        console.print(f"{command}: {sum(of_command.values())} kills, {of_command}")
    return failed


def report(console: Console, what: str, outcomes: Iterable[tuple[str, str]]) -> int:
    """Print the outcome of each check as it is made, "" for a good one; return how many were not."""
    failures = 0
    for name, wrong in outcomes:
        console.print(f"{what}, {name}: {wrong or 'as promised'}", markup=False)
        failures += bool(wrong) and not wrong.startswith("skipped")
    return failures


# A backend that is right until it has been timed a few times.
FAULTY = """
import os, resource, signal, sys, time
import numpy as np
from impls.vectorized import *
from impls import vectorized as right
calls = 0
def train(network, state, prepared, plan):
    global calls
    calls += len(plan.starts) == 10
    if calls > 3:
        {}
    return right.train(network, state, prepared, plan)
"""
FAULTS = {  # what it does then, and how the line that names it goes on; "": it is none
    "runs out of memory under a limit": (
        "resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)); np.ones(2**28)", "MemoryError: "
    ),
    "has no memory left for Python itself": (
        "resource.setrlimit(resource.RLIMIT_AS, (2**20, 2**20)); [bytearray(2**20) for _ in range(99)]", "MemoryError"
    ),
    "crashes": ("os.kill(os.getpid(), signal.SIGSEGV)", "was ended by SIGSEGV"),
    "is killed": ("os.kill(os.getpid(), signal.SIGKILL)", "was ended by SIGKILL"),
    "aborts": ("os.abort()", "was ended by SIGABRT"),
    "ends with 0 too early": ("os._exit(0)", "ended its process with exit code 0"),
    "leaves": ("sys.exit(0)", "ended its process with exit code 0"),
    "closes all its files": ("os.closerange(0, 99); time.sleep(99)", "ed its "),
    "hangs": ("time.sleep(99)", "gave no answer within 3 s"),
    "is stopped": ("os.kill(os.getpid(), signal.SIGSTOP)", "gave no answer within 3 s"),
    "prints garbage": ("os.write(1, bytes(range(256)) * 999)", ""),
    "prints garbage to stderr": ("os.write(2, b'garbage' * 999)", ""),
}  # fmt: skip
IN_SECONDS = """
from bench.experiments import race
from bench.timing import process
process.DYING, begin_race = 3.0, race.begin_race
def with_limit(*arguments):
    begun = begin_race(*arguments)
    begun.time_limit = 3.0
    return begun
race.begin_race = with_limit
"""


def survive(folder: Path, number: int, fault: str) -> tuple[str, str]:
    """Race a backend with this fault beside right ones; return the fault and what is wrong."""
    what, line = FAULTS[fault]
    backend = folder / f"faulty_{number}.py"
    backend.write_text(FAULTY.format(what))
    case = Case("race", folder / f"fault {number}", folder / "digits", (*BACKENDS, str(backend))).prepare()
    code, out, err = ended(case, case.start(IN_SECONDS))
    named = [shown for shown in out.splitlines() if shown.startswith(f"left out: {backend.stem}: ")]
    wrong = []
    if code != bool(line) or len(named) > bool(line) or (line and line not in "".join(named)):
        wrong.append(f"ended with {code} and {named or out[-200:]}, {err[-300:]!r}")
    if "garbage" in out or "\0" in out or "Traceback" in err:
        wrong.append(f"printed {out[-200:]!r} {err[-300:]!r}")
    if case.left() or any(case.temporary.iterdir()):
        wrong.append("processes or temporary files are left")
    (race,) = races_of(read_records(case.results)[0])
    measured = {name for one in race.rounds() for name in one[0]}
    if not {*BACKENDS, "floor"} <= measured:
        wrong.append(f"only {', '.join(measured)} were measured")
    return fault, "; ".join(wrong)


def together(folder: Path) -> list[tuple[str, str]]:
    """Run a command twice at the same time, into two files and into one; return what is wrong."""
    one = Case("race", folder / "two at once", folder / "digits").prepare()
    other = one._replace(results_name="other.jsonl", marker_name="other begins")
    processes = [(case, case.start()) for case in (one, other)]
    codes = [ended(case, process) for case, process in processes]
    two_files = "; ".join(f"{code}: {err[-300:]!r}" for code, _, err in codes if code)
    one.results.unlink()
    first = one.start()
    while not one.results.exists() and first.poll() is None:
        time.sleep(0.005)
    code, _, err = ended(other, other._replace(results_name=one.results_name).start())
    right = code == 2 and f"another run, process {first.pid}, is writing to it" in err
    refused = "" if right else f"the second ended with {code}: {err[-300:]!r}"
    code, _, err = ended(one, first)
    kept = "" if code == 0 and not one.missing() else f"the first ended with {code}: {err[-300:]!r}"
    left = "something is left" if one.left() or any(one.temporary.iterdir()) else ""
    return [("into two files", two_files), ("into one file", "; ".join(filter(None, (refused, kept, left))))]


ROOM = (0, 4, 16, 150, 310, 330, 360, 400)  # KiB on the disk; the digits for the processes take 392


def fill(folder: Path, command: str, room: int) -> tuple[str, str]:
    """Run a command on a disk with so much room; then make more, and run it again; return what is wrong."""
    what, disk = f"{command} with {room} KiB", folder / f"disk {command} {room}"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        return what, f"skipped, as nothing can be mounted here: {mounted.stderr.strip()}"
    try:
        case = Case(command, disk / "case", folder / "digits").prepare()
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        os.truncate(filler, max(0, filler.stat().st_size - 1024 * room))
        code, _, err = ended(case, case.start())
        before, wrong = case.kept(), []
        line = err.strip()
        if code not in (0, 2) or (code and ("\n" in line or "make room" not in line or str(disk) not in line)):
            wrong.append(f"ended with {code}: {err[-500:]!r}")
        filler.unlink()
        return what, "; ".join(wrong + again(case, before))
    finally:
        subprocess.run(["umount", str(disk)], check=False)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
