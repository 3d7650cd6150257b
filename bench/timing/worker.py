"""The worker of a race: in a process of its own it holds one backend and one case, and measures on request."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

import impls
from bench.timing import device, threads
from bench.timing.clock import Clock, processes_of
from bench.timing.floor import floor_products, rates
from bench.timing.process import WrongResult
from bench.timing.source import lines_of_code
from bench.timing.system import text_of
from impls.contract import zero_velocities

FLOOR = "floor"  # a participant that is no backend: the first layer's products
Measure = Literal["epoch", "gradient", "outputs"]
LOOKING = 0.02  # seconds from one look at the memory to the next
NEEDED = {"epoch": "train", "gradient": "gradients", "outputs": "outputs"}  # which quantity each takes


@dataclass(frozen=True)
class TimingTask:
    """What one participant does: a backend's name, or "floor"; the case; which images."""

    backend: str
    measure: Measure
    case: Any  # a `Recipe` of `bench.workloads`
    digits: Path  # folder with images.npy and labels.npy
    images: int  # how many of these, from the first
    n_threads: int
    source: Path | None = None  # the folder to import `impls` from; None: this checkout
    again: float = 0.0  # fraction of an epoch's images that are trained on twice: a slowdown of known size
    expected: Any = None  # a `TimedCall` of `bench.agreement.timed`: what a call has to return; None: not checked

    @property
    def parameters(self) -> Any:
        """The parameters that a call is given."""
        return self.case.parameters()

    @property
    def plan(self) -> Any:
        """The plan of an epoch."""
        return slowed(next(self.case.plans(self.images)), round(self.again * self.images))


class Worker:
    """One participant, in its own process: imported, then loaded, then measured.

    Raises RuntimeError if `impls` comes from another folder than the task's source.
    """

    def __init__(self, task: TimingTask) -> None:
        self.task = task
        self.work: Callable[[], object]
        origin = Path(impls.__file__ or "")
        if task.source is not None and not origin.is_relative_to(task.source):
            raise RuntimeError(f"impls should come from {task.source}, found {origin}")
        self.backend = None if task.backend == FLOOR else impls.find(task.backend)
        self.drain, self.processes = device.drain_of(self.backend), processes_of(self.backend)

    def load(self) -> dict[str, Any]:
        """Prepare the work to be measured; return the seconds of that, and facts about the backend."""
        task, case, backend = self.task, self.task.case, self.backend
        images = np.load(task.digits / "images.npy", mmap_mode="r")[: task.images]
        labels = np.load(task.digits / "labels.npy")[: task.images]
        images.max()  # reads every page of the file once, so that no participant's clock pays for that
        if backend is None:
            with Clock() as clock:
                self.work = floor_products(images, case.network.sizes[1], case.dtype, task.measure != "outputs")
            return {"prepare": clock.elapsed}
        elapsed, prepared = [], None
        for _ in range(2):  # the first time libraries start threads and import what they put off
            prepared = None  # frees the memory of the first before there is a second
            with Clock(self.drain, self.processes) as clock:
                prepared = backend.prepare(case.network, images, labels, case.dtype)
            elapsed.append(clock.elapsed)
        self.work = work_of(task, backend, prepared)
        about: dict[str, Any] = {"summary": str(backend.SUMMARY), "batch_size": backend.BATCH_SIZE}
        if (where := device.device_of(backend)) != "cpu":
            products = getattr(backend, "PRECISION", {}) if case.dtype == "float32" else {}
            about |= {"device": where, "precision": products.get(where)}
        seconds = {"first_prepare": elapsed[0], "prepare": elapsed[1]}
        return {**seconds, "lines_of_code": lines_of_code(cast(Any, backend)), **about}

    def measure(self, repeats: int) -> dict[str, float]:
        """Seconds of one call, wall, user and system, from `repeats` calls in a row that begin on the first core.

        Raises WrongResult where the last of them did not return what is expected.
        """
        seconds, returned = self.call(repeats)
        self.check(returned)
        return seconds

    def call(self, repeats: int) -> tuple[dict[str, float], object]:
        """Seconds of one of these calls, and what the last returned."""
        work = self.work
        threads.begin_on_first_core()
        with Clock(self.drain, self.processes) as clock:
            for _ in range(repeats - 1):
                work()  # whose result is freed before the next call, as it is elsewhere
            returned = work()
        return {kind: value / repeats for kind, value in asdict(clock.elapsed).items()}, returned

    def check(self, returned: object) -> None:
        """Raise WrongResult where a call did not return what is expected."""
        if self.backend is not None and self.task.expected is not None:
            lacks_costs = self.backend.unsupported("costs", self.task.case.network, self.task.case.dtype)
            held(self.task.expected.check(self.task.backend, returned, has_costs=not lacks_costs))

    def describe(self, with_rates: bool) -> dict[str, Any]:
        """Make a warm call; return its seconds, the threads in force, and memory of process and call, in bytes.

        Before it, a device is given the same work until its clock rate has risen. Memory is that of the CPU, of all
        processes of the backend together; "anonymous" is what they hold that is in no file, at most. Each is None where
        the system does not report it; only Linux can reset a peak, and not everywhere. The floor adds the machine's
        rates if `with_rates`.
        """
        device.warm_up(self.backend, self.work)
        processes = self.processes()
        process_peak, before = status("VmHWM", processes), reset_peak(processes)
        with Anonymous(processes) as anonymous:
            warm, returned = self.call(1)
        peak = status("VmHWM", processes)
        self.check(returned)
        # Not below 0: the system counts a process's memory with a short delay.
        call_peak = None if peak is None or before is None else max(0, peak - before)
        answer = {"warm": warm, "threads": threads.in_force(), "process_peak": process_peak, "call_peak": call_peak}
        answer["anonymous"] = anonymous.peak
        if self.backend is None and with_rates:
            answer["rates"] = rates(self.task.case.dtype, self.task.n_threads)
        return answer


def held(results: list[Any]) -> None:
    """Raise WrongResult where a comparison of `bench.agreement` failed."""
    for result in results:
        if result.failure:
            raise WrongResult(f"what it was timed for is wrong: {result.failure}")


def work_of(task: TimingTask, backend: Any, prepared: Any) -> Callable[[], object]:
    """Return the call that is measured: an epoch, one gradient, or the outputs."""
    case, parameters = task.case, task.parameters
    if task.measure == "gradient":
        return lambda: backend.gradients(case.network, parameters, prepared)
    if task.measure == "outputs":
        return lambda: backend.outputs(case.network, parameters, prepared)
    state = zero_velocities(parameters)
    plan = task.plan
    return lambda: backend.train(case.network, state, prepared, plan)


def slowed(plan: Any, images: int) -> Any:
    """Return the plan, then its first updates again, of exactly this many images; the last may be cut short."""
    n = int(np.searchsorted(plan.starts, images))  # updates that start before that image
    return type(plan)(
        np.concatenate([plan.starts, plan.starts[:n]]),
        np.concatenate([plan.stops, np.minimum(plan.stops[:n], images)]),
        plan.order,
        np.concatenate([plan.learning_rates, plan.learning_rates[:n]]),
        plan.momentum,
    )


class Anonymous:
    """Within the `with`, looks how much memory processes hold that is in no file; afterwards `peak` is the most.

    The system keeps no peak of it. What is mapped from a file counts not, as the system can drop it at any time; what
    processes share does, in each of them. None where it does not say.
    """

    def __init__(self, others: Sequence[int]) -> None:
        self.others, self.peak = others, self.held(others)
        self.over = threading.Event()
        self.watching = threading.Thread(target=self.watch, daemon=True)

    @staticmethod
    def held(others: Sequence[int]) -> int | None:
        """The memory of this process and these others that is in no file, in bytes."""
        private, shared = status("RssAnon", others), status("RssShmem", others)
        return None if private is None or shared is None else private + shared

    def look(self) -> None:
        """Look once."""
        found = self.held(self.others)
        self.peak = None if found is None or self.peak is None else max(self.peak, found)

    def watch(self) -> None:
        """Look every LOOKING seconds."""
        while not self.over.wait(LOOKING):
            self.look()

    def __enter__(self) -> "Anonymous":
        self.watching.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.watching.join()
        self.look()


def reset_peak(others: Sequence[int] = ()) -> int | None:
    """Reset the peak memory of this process, and these others, to what they hold.

    Returns that in bytes; None where it fails.
    """
    try:
        for process in ("self", *others):
            Path(f"/proc/{process}/clear_refs").write_text("5")
    except OSError:
        return None
    return status("VmRSS", others)


def status(field: str, others: Sequence[int] = ()) -> int | None:
    """Return a field of Linux's /proc/self/status, a size of this process, in bytes; None where there is none.

    others: the numbers of processes whose sizes are added.
    """
    sizes = []
    for process in ("self", *others):
        lines = text_of(Path(f"/proc/{process}/status")).splitlines()
        sizes += [1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:")]
    return sum(sizes) if len(sizes) == 1 + len(others) else None
