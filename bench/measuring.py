"""What a worker of a race does: hold one backend and one case, and measure when it is told to.

It answers requests of the parent, ("load", Task), ("measure", repeats), ("describe",), with ("done", answer) or
("failed", reason). Everything is imported when the first request comes, so that the thread variables count.
"""

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from bench.clock import Clock

FLOOR = "floor"  # an entrant that is no backend: the first layer's two products
Measure = Literal["round", "gradient", "outputs"]


@dataclass(frozen=True)
class Task:
    """One entrant's work: a backend's name, or "floor"; the case; which images."""

    entrant: str
    measure: Measure
    case: Any  # bench.cases.Case, which would bring NumPy here too early
    digits: Path  # folder with images.npy and labels.npy
    images: int  # of these, from the first


def serve(connection: Connection) -> None:
    """Answer requests until the parent ends this process."""
    work: Callable[[], object] = serve_nothing
    while True:
        kind, *arguments = connection.recv()
        try:
            if kind == "load":
                work, answer = load(*arguments)
            elif kind == "measure":
                answer = measure(work, *arguments)
            else:
                answer = describe(work)
            connection.send(("done", answer))
        except Exception as error:  # the backend's fault, and the parent's to report
            connection.send(("failed", f"{type(error).__name__}: {' '.join(str(error).split())}"))


def serve_nothing() -> None:
    """Before anything is loaded there is nothing to measure."""
    raise RuntimeError("measured before it was loaded")


def load(task: Task) -> tuple[Callable[[], object], dict[str, Any]]:
    """The work to be measured, and what its preparation took, in seconds."""
    import numpy as np

    import impls
    from bench.floor import floor_products
    from impls.contract import zero_velocities

    case = task.case
    images = np.load(task.digits / "images.npy", mmap_mode="r")[: task.images]
    labels = np.load(task.digits / "labels.npy")[: task.images]
    if task.entrant == FLOOR:
        with Clock() as clock:
            products = floor_products(images, case.network.sizes[1], case.dtype)
        return products, {"prepare": asdict(clock.elapsed)}
    backend = impls.find(task.entrant)
    parameters = case.parameters()
    state = zero_velocities(parameters)
    with Clock() as clock:
        prepared = backend.prepare(case.network, images, labels, case.dtype)
    answer = {"prepare": asdict(clock.elapsed)}
    if task.measure == "round":
        (plan,) = case.plans(len(labels), rounds=1)
        return lambda: backend.train(case.network, state, prepared, plan), answer
    if task.measure == "gradient":
        return lambda: backend.gradients(case.network, parameters, prepared), answer
    return lambda: backend.outputs(case.network, parameters, prepared), answer


def measure(work: Callable[[], object], repeats: int) -> dict[str, float]:
    """Seconds of one call, wall, user and system, from `repeats` calls in a row."""
    with Clock() as clock:
        for _ in range(repeats):
            work()
    return {kind: value / repeats for kind, value in asdict(clock.elapsed).items()}


def describe(work: Callable[[], object]) -> dict[str, Any]:
    """What is known once the work has been done: threads in force, peak memory of the process and of one more call."""
    from bench import threads

    return {"threads": threads.in_force(), **memory(work)}


def memory(work: Callable[[], object]) -> dict[str, int | None]:
    """Bytes: the peak of the process so far, and how far one call goes beyond what is held before it.

    None where the system does not say: only Linux can start the peak anew.
    """
    if sys.platform != "linux":
        return {"process_peak": None, "call_peak": None}
    process_peak = status("VmHWM")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from what is held now
    before = status("VmRSS")
    work()
    return {"process_peak": process_peak, "call_peak": status("VmHWM") - before}


def status(field: str) -> int:
    """A size of this process in bytes, as /proc/self/status has it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {field}")
