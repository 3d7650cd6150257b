"""What a worker of a race does: hold one backend and one case, and measure when it is told to.

It answers requests of the parent, ("import", Task), ("load",), ("measure", repeats), ("describe",), with ("done",
answer) or ("failed", reason). Everything is imported when the first request comes, so that the thread variables count.
"""

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, cast

from bench.clock import Clock

FLOOR = "floor"  # an entrant that is no backend: the first layer's products
Measure = Literal["round", "gradient", "outputs"]


@dataclass(frozen=True)
class Task:
    """One entrant's work: a backend's name, or "floor"; the case; which images."""

    backend: str
    measure: Measure
    case: Any  # bench.cases.Case, which would bring NumPy here too early
    digits: Path  # folder with images.npy and labels.npy
    images: int  # of these, from the first
    n_threads: int
    source: Path | None = None  # the folder whose `impls` is meant; None: this checkout's
    again: float = 0.0  # share of a round's updates that are done once more: a slowdown of known size


def serve(connection: Connection) -> None:
    """Answer requests until the parent ends this process."""
    answer_with(connection, Worker)


def answer_with(connection: Connection, make: Callable[..., object]) -> None:
    """Make the worker of the first request, ("import", ...); call its methods by name for those that follow."""
    worker = None
    while True:
        try:
            kind, *arguments = connection.recv()
            if kind == "import":
                worker = make(*arguments)
                answer = None
            else:
                answer = getattr(worker, kind)(*arguments)
            connection.send(("done", answer))
        except EOFError:  # the parent is gone
            return
        except Exception as error:  # the backend's fault, and the parent's to report
            connection.send(("failed", f"{type(error).__name__}: {' '.join(str(error).split())}"))


class Worker:
    """One entrant, in its own process: imported, then loaded, then measured."""

    def __init__(self, task: Task) -> None:
        import impls

        self.task = task
        self.work: Callable[[], object]
        origin = Path(impls.__file__ or "")
        if task.source is not None and not origin.is_relative_to(task.source):
            raise RuntimeError(f"impls should come from {task.source}, found {origin}")
        self.backend = None if task.backend == FLOOR else impls.find(task.backend)

    def load(self) -> dict[str, Any]:
        """Prepare the work that is to be measured; tells what that took, in seconds, and what the backend is."""
        import numpy as np

        from bench.lines import lines_of_code
        from bench.roofline import floor_products

        task, case, backend = self.task, self.task.case, self.backend
        images = np.load(task.digits / "images.npy", mmap_mode="r")[: task.images]
        labels = np.load(task.digits / "labels.npy")[: task.images]
        if backend is None:
            with Clock() as clock:
                self.work = floor_products(images, case.network.sizes[1], case.dtype, task.measure != "outputs")
            return {"prepare": asdict(clock.elapsed)}
        with Clock() as clock:
            prepared = backend.prepare(case.network, images, labels, case.dtype)
        self.work = work_of(task, backend, prepared)
        return {
            "prepare": asdict(clock.elapsed),
            "summary": str(backend.SUMMARY),
            "home": backend.HOME,
            "lines_of_code": lines_of_code(cast(Any, backend)),
        }

    def measure(self, repeats: int) -> dict[str, float]:
        """Seconds of one call, wall, user and system, from `repeats` calls in a row."""
        return measure(self.work, repeats)

    def describe(self) -> dict[str, Any]:
        """A warm call: its seconds, threads in force, peak memory of the process and of the call; the floor's rates.

        Bytes; None where the system does not say: only Linux can start the peak anew.
        """
        from bench import threads
        from bench.roofline import rates

        answer: dict[str, Any] = {"threads": threads.in_force(), "process_peak": None, "call_peak": None}
        if sys.platform == "linux":
            answer["process_peak"] = status("VmHWM")
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from what is held now
            before = status("VmRSS")
        answer["warm"] = self.measure(1)
        if sys.platform == "linux":
            answer["call_peak"] = status("VmHWM") - before
        if self.backend is None:
            answer["rates"] = rates(self.task.case.dtype, self.task.n_threads)._asdict()
        return answer


def work_of(task: Task, backend: Any, prepared: Any) -> Callable[[], object]:
    """One call of what is measured."""
    import numpy as np

    from impls.contract import zero_velocities

    case = task.case
    parameters = case.parameters()
    if task.measure == "gradient":
        return lambda: backend.gradients(case.network, parameters, prepared)
    if task.measure == "outputs":
        return lambda: backend.outputs(case.network, parameters, prepared)
    state = zero_velocities(parameters)
    (plan,) = case.plans(task.images, rounds=1)
    updates = np.arange(len(plan.starts) + round(task.again * len(plan.starts))) % len(plan.starts)
    plan = type(plan)(
        plan.starts[updates], plan.stops[updates], plan.order, plan.learning_rates[updates], plan.momentum
    )
    return lambda: backend.train(case.network, state, prepared, plan)


def measure(work: Callable[[], object], repeats: int) -> dict[str, float]:
    """Seconds of one call, wall, user and system, from `repeats` calls in a row."""
    with Clock() as clock:
        for _ in range(repeats):
            work()
    return {kind: value / repeats for kind, value in asdict(clock.elapsed).items()}


def status(field: str) -> int:
    """A size of this process in bytes, as Linux's /proc/self/status has it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {field}")
