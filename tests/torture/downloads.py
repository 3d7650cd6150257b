"""`python -m tests.torture downloads`: attack the download of MNIST, through a real server on this machine.

Every fault of a server (tests/helpers/mirrors.py), kills at random points, and two fetches at once of which one is
killed. After each, the folder holds nothing but whole files with the right checksum, and what is being written; after
the next undisturbed fetch it holds the four files and nothing else. Exit code 1 where that does not hold.
"""

import argparse
import collections
import contextlib
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import numpy as np

import data
import temporary
from bench.timing.process import main_script_kept_out
from data import DataError, Digits, download, mnist
from tests.helpers import mirrors

SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")
IN_A_ROW = 5  # kills in one folder, on average, before an undisturbed fetch
PARTS = 8  # of a file, so that a fetch takes long enough to be killed in the middle
LONGEST = 60.0  # seconds that a fetch may take, whatever the server does
LIMITS = {"READ_TIMEOUT": 1.0, "ANSWER": 3.0, "LARGEST": 2**22}  # shorter than for people, in seconds and bytes
OURS = multiprocessing.get_context("forkserver")


class Attack(NamedTuple):
    """What all attacks have in common; `problems` grows."""

    server: mirrors.Server
    known: tuple[mnist.File, ...]
    problems: list[str]

    def start(self, cache: Path, *faults: str) -> BaseProcess:
        """A process that fetches from mirrors with these faults."""
        addresses = tuple(map(self.server.mirror, faults))
        process = OURS.Process(target=fetch, args=(cache, addresses, self.known))
        with main_script_kept_out():
            process.start()
        return process

    def ended(self, process: BaseProcess, *expected: int) -> None:
        """Wait for the end of a process, which has to have one of these exit codes."""
        process.join(LONGEST)
        if process.exitcode not in expected:
            self.problems.append(f"a fetch ended with {process.exitcode}, expected {expected}")
            process.kill()

    def check(self, cache: Path, what: str, complete: bool) -> None:
        """Note what the folder holds that it must not, or lacks."""
        folder = cache / "mnist"
        there = {path.name: path for path in folder.iterdir()} if folder.is_dir() else {}
        for name, path in there.items():
            if name in self.server.files:
                if path.read_bytes() != self.server.files[name]:
                    self.problems.append(f"{what}: {name} has another content")
            elif complete or not name.startswith(temporary.PREFIX):
                self.problems.append(f"{what}: {name} is left")
        if complete and (missing := self.server.files.keys() - there.keys()):
            self.problems.append(f"{what}: {', '.join(sorted(missing))} missing")


def run(arguments: Sequence[str]) -> int:
    """Do all attacks and print how many; return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture downloads", description=__doc__)
    parser.add_argument("--kills", type=int, default=150, help="at random points (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the points and signals (default: %(default)s)")
    options = parser.parse_args(arguments)
    os.environ["NO_PROXY"] = "127.0.0.1"
    begin, rng = time.monotonic(), random.Random(options.seed)
    OURS.set_forkserver_preload(["tests.torture.downloads", "requests", "rich.progress"])
    with tempfile.TemporaryDirectory() as temporary:
        files, known = made_up(Path(temporary) / "digits")
        with mirrors.serving(files, PARTS) as server:
            attack = Attack(server, known, [])
            faults = attack_by_faults(attack, Path(temporary) / "faults")
            seconds = undisturbed(attack, Path(temporary) / "undisturbed")
            kills = attack_by_kills(attack, Path(temporary) / "kills", options.kills, seconds, rng)
            pairs = attack_pairs(attack, Path(temporary) / "pairs", options.kills // 10, seconds, rng)
    for problem in attack.problems:
        print(problem)
    by_signal = ", ".join(f"{count} {name}" for name, count in sorted(kills.items()))
    print(f"{faults} faults of a server; kills: {by_signal}; {pairs} pairs of fetches of which one was killed")
    print(f"{len(attack.problems)} problems in {time.monotonic() - begin:.0f} s")
    return int(bool(attack.problems))


def fetch(cache: Path, addresses: tuple[str, ...], known: tuple[mnist.File, ...]) -> None:
    """Fetch in a process of its own; exit code 3 where no mirror provides a file."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # of the traceback of a SIGINT
    data.CACHE = cache
    for module, name, value in ((mnist, "MIRRORS", addresses), (mnist, "FILES", known)):
        setattr(module, name, value)
    for name, limit in LIMITS.items():
        setattr(download, name, limit)
    try:
        data.fetch(show_progress=False)
    except DataError:
        sys.exit(3)


def made_up(folder: Path) -> tuple[Mapping[str, bytes], tuple[mnist.File, ...]]:
    """Some hundred kB in place of MNIST."""
    rng = np.random.default_rng(0)
    train, test = (Digits(rng.integers(0, 256, (n, 784), np.uint8), np.arange(n) % 10) for n in (600, 100))
    mnist.write_folder(folder, train, test)
    return mirrors.packed(folder)


def undisturbed(attack: Attack, cache: Path) -> float:
    """The seconds of a fetch, once the server of processes is there."""
    for again in ("first", "second"):
        begin = time.monotonic()
        attack.ended(attack.start(cache / again, "good"), 0)
        attack.check(cache / again, "undisturbed", complete=True)
    return time.monotonic() - begin


def attack_by_faults(attack: Attack, caches: Path) -> int:
    """Every fault alone, then followed by a mirror without; returns how many."""
    faults = [fault for fault in mirrors.FAULTS if fault != "good"]
    for fault in faults:
        attack.ended(attack.start(caches / fault, fault), 3)
        attack.check(caches / fault, f"after {fault}", complete=False)
        attack.ended(attack.start(caches / fault, fault, "good"), 0)
        attack.check(caches / fault, f"after {fault} and a good mirror", complete=True)
    return len(faults)


def attack_by_kills(
    attack: Attack, caches: Path, number: int, seconds: float, rng: random.Random
) -> collections.Counter[str]:
    """Fetches that are killed at random points, some in the same folder; returns how many were, by signal.

    One that ended before its signal came is not counted.
    """
    killed: collections.Counter[str] = collections.Counter()
    cache = caches / "0"
    while killed.total() < number:
        name = rng.choice(SIGNALS)
        process = attack.start(cache, rng.choice(("good", "good", "stall", "drip")), "good")
        kill(process, name, rng.uniform(0, seconds))
        if process.exitcode:
            killed[name] += 1
        attack.check(cache, f"after kill {killed.total()}, by {name}", complete=False)
        if not process.exitcode or rng.random() < 1 / IN_A_ROW or killed.total() == number:
            attack.ended(attack.start(cache, "good"), 0)
            attack.check(cache, f"the fetch after kill {killed.total()}", complete=True)
            cache = caches / str(killed.total())
    return killed


def attack_pairs(attack: Attack, caches: Path, number: int, seconds: float, rng: random.Random) -> int:
    """Two fetches into one folder at once, of which one is killed; returns how many pairs."""
    for i in range(number):
        cache = caches / str(i)
        killed, other = attack.start(cache, "good"), attack.start(cache, "good")
        kill(killed, rng.choice(SIGNALS), rng.uniform(0, seconds))
        attack.ended(other, 0)
        attack.check(cache, f"pair {i}", complete=False)
        attack.ended(attack.start(cache, "good"), 0)
        attack.check(cache, f"the fetch after pair {i}", complete=True)
    return number


def kill(process: BaseProcess, name: str, seconds: float) -> None:
    """Send a signal after some seconds, and wait for the end of the process."""
    process.join(seconds)
    with contextlib.suppress(ProcessLookupError):
        if process.pid and process.exitcode is None:
            os.kill(process.pid, getattr(signal, name))
    process.join(LONGEST)


if __name__ == "__main__":
    from tests.torture import downloads  # by its name, under which the server of processes finds it

    sys.exit(downloads.run(sys.argv[1:]))
