"""One damaged file given to one reader, and what is wrong with what it did."""

import resource
import sys
import time
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.mutants import Choices
from tests.torture.targets import Target

# Seconds of CPU time, for targets without a LONGEST; ten times as many in all, as other processes may have the cores.
LONGEST = 2.0
LARGEST, MOST_WORDS = 2**28, 400  # bytes beyond those at the start; characters of a message
UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


@dataclass
class Found:
    """What the attacks on a reader showed."""

    inputs: int = 0
    refused: int = 0  # with the error that the reader promises
    slowest: float = 0.0  # seconds of CPU time
    start: int = field(default_factory=lambda: peak())  # bytes, of the process before the first
    seconds: float = 0.0
    failures: dict[str, tuple[int, str]] = field(default_factory=dict)  # by kind: how often, and the first that did so

    def add(self, kind: str, which: str) -> None:
        """Count a failure of this kind; which: the input."""
        count, first = self.failures.get(kind, (0, which))
        self.failures[kind] = (count + 1, first)

    @property
    def grown(self) -> int:
        """Bytes by which the process has ever been larger than at the start."""
        return peak() - self.start


def peak() -> int:
    """The most bytes of memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


def attack(target: Target, choices: Choices, which: str, path: Path, found: Found) -> None:
    """Give the reader the file that these choices make, at this path; add to `found` what it does.

    which: names the input in the report of a failure.
    """
    content = target.make(choices)
    path.write_bytes(content)
    before, begun, at = peak(), time.process_time(), time.monotonic()
    message = None
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            message = target.read(path)
        except Exception as error:
            found.add(f"{type(error).__name__} {place_of(error)}", which)
    seconds = time.process_time() - begun
    found.inputs += 1
    found.slowest = max(found.slowest, seconds)
    found.seconds += seconds
    longest = getattr(target, "LONGEST", LONGEST)
    if seconds > longest or time.monotonic() - at > 10 * longest:
        found.add(f"took over {longest:g} s", which)
    if peak() > max(before, found.start + LARGEST):
        found.add("took over 256 MB", which)
    for warning in warned:
        found.add(f"warned: {warning.category.__name__} {Path(warning.filename).name}:{warning.lineno}", which)
    if message is not None:
        found.refused += 1
        text = message.replace(str(path), "").replace(str(path.parent), "")
        if len(text.splitlines()) > 1:
            found.add("a message of several lines", which)
        if len(text) > MOST_WORDS:
            found.add("a message of over 400 characters", which)


def place_of(error: BaseException) -> str:
    """The innermost line of ours that a foreign error went through, and the innermost of all."""
    frames = traceback.extract_tb(error.__traceback__)
    root = str(Path(__file__).parents[2])
    ours = [frame for frame in frames if frame.filename.startswith(root) and "torture" not in frame.filename]
    chosen = [*ours[-1:], frames[-1]]
    return " < ".join(dict.fromkeys(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(chosen)))
