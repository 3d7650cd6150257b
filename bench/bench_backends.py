"""The benchmarks in pytest-benchmark's form: `pytest --benchmark-only`.

Everything is measured in this one process, one backend after the other: the calls that a race makes, after one that is
not counted. pytest-benchmark's `pedantic` does that; its other form times the first call, in which numba compiles, to
choose the number of rounds. `bench.records.files.Measurement` describes what goes into `extra_info`.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import impls
from bench.experiments.race import expected_of
from bench.timing import threads
from bench.timing.clock import Clock, Elapsed
from bench.timing.process import WrongResult
from bench.timing.worker import FLOOR, TimingTask, Worker
from bench.training.worker import Evaluations, Trainer
from bench.workloads.cases import CASES, FULL_BATCH, MINI_BATCHES, SAME_PLAN, default_case, gently, sampled
from bench.workloads.recipes import with_outputs
from data import Dataset
from impls.contract import Backend

SAMPLES = 5
GRADIENT_SAMPLES = 50  # a gradient of a batch takes well under a millisecond
GRADIENT_BATCH = 128  # the size of the mini-batches
RECIPES = {case.name: case for case in CASES}
OF_FLOOR = "the two products of the first layer over all training images, a NumPy matmul each"


def measure(benchmark: Any, task: TimingTask, of_images: int, samples: int = SAMPLES) -> None:
    """Time the work of a task `samples` times, after one call that is not counted, and describe it in `extra_info`.

    of_images: the number of images to which readers scale the seconds of the task's images.
    """
    worker, case = Worker(timed(task)), task.case
    clock = Clock(worker.drain, worker.processes)
    elapsed: list[Elapsed] = []
    returned: list[object] = []
    about = worker.load()

    def call() -> None:
        returned.append(worker.work())

    def end() -> None:
        elapsed.append(clock.stop())
        worker.check(returned.pop())  # freed before the next call

    try:
        benchmark.pedantic(call, setup=clock.start, teardown=end, rounds=samples, warmup_rounds=1, iterations=1)
    except WrongResult as wrong:  # by now pytest-benchmark knows that there are no times
        pytest.fail(str(wrong), pytrace=False)
    quantity = FLOOR if task.backend == FLOOR else task.measure
    benchmark.extra_info |= {
        "case": case.described(),
        "quantity": quantity,
        "backend": task.backend,
        "summary": about.get("summary", OF_FLOOR),
        "lines_of_code": about.get("lines_of_code", 0),
        "plan": case.name if quantity == "epoch" else "",
        "default_batch": quantity != FLOOR and about["batch_size"] == case.batch,
        "batch": case.batch,
        "network": str(case.network),
        "dtype": case.dtype,
        "images": task.images,
        "of_images": of_images,
        "prepare_seconds": 0.0 if quantity == FLOOR else about["prepare"].wall * of_images / task.images,
        "user_samples": [sample.user for sample in elapsed[-samples:]],
        "system_samples": [sample.system for sample in elapsed[-samples:]],
        "threads": threads.in_force(),
    }


def timed(task: TimingTask) -> TimingTask:
    """The task with the case as it is timed, and with what a call has to return."""
    task = replace(task, case=gently(task.case, task.images))
    return task if task.backend == FLOOR else replace(task, expected=expected_of(task))


@pytest.mark.needs("outputs")
@pytest.mark.benchmark(group="accuracy check: outputs of all test images")
def bench_outputs(benchmark: Any, backend: Backend, folders: dict[str, Path], digits: Dataset) -> None:
    """Outputs of all test images: what the accuracy check costs."""
    n = len(digits.test.labels)
    case = with_outputs(default_case(backend), digits.classes)
    measure(benchmark, TimingTask(backend.NAME, "outputs", case, folders["test"], n, threads.cores()), n)


@pytest.mark.needs("gradients")
@pytest.mark.benchmark(group=f"one gradient of {GRADIENT_BATCH} images")
def bench_gradient(benchmark: Any, backend: Backend, folders: dict[str, Path], digits: Dataset) -> None:
    """Cost and gradient of one batch."""
    case = with_outputs(MINI_BATCHES, digits.classes)
    task = TimingTask(backend.NAME, "gradient", case, folders["train"], GRADIENT_BATCH, threads.cores())
    measure(benchmark, task, GRADIENT_BATCH, GRADIENT_SAMPLES)


@pytest.mark.parametrize("case", RECIPES)
@pytest.mark.needs("train", "outputs")
@pytest.mark.benchmark(group="training: one epoch")
def bench_epoch(benchmark: Any, backend: Backend, case: str, folders: dict[str, Path], digits: Dataset) -> None:
    """One epoch from the initial parameters; for some cases also, not timed by it, the curve of a training.

    The reference has no curve, as an epoch of it over all images takes as long as the curves of all others together.
    """
    benchmark.group = f"training: one epoch, {case}"
    recipe = with_outputs(RECIPES[case], digits.classes)
    of_images = len(digits.train.labels)
    n = sampled(backend.NAME, of_images, recipe.batch)
    measure(benchmark, TimingTask(backend.NAME, "epoch", recipe, folders["train"], n, threads.cores()), of_images)
    if RECIPES[case] in (default_case(backend), SAME_PLAN) and backend.NAME != impls.REFERENCE:
        epochs = int(recipe.epochs)
        trainer = Trainer(backend.NAME, folders["train"], folders["test"])
        points = trainer.train(recipe, 0, Evaluations(tuple(range(epochs + 1)), epochs=epochs))["points"]
        curve = {
            "seconds": [point["wall"] for point in points],
            "epochs": [point["epoch"] for point in points],
            "accuracy": [point["test"]["accuracy"] for point in points],
            "cost": [point["train"]["cost"] for point in points],
        }
        benchmark.extra_info |= {"curve": curve, "cost": curve["cost"][-1], "accuracy": curve["accuracy"][-1]}


@pytest.mark.benchmark(group=f"training: one epoch, {FULL_BATCH.name}")
def bench_floor(benchmark: Any, folders: dict[str, Path], digits: Dataset) -> None:
    """The floor of an epoch: the first layer's two products over all training images."""
    n = len(digits.train.labels)
    benchmark.extra_info["agreement_error"] = 0.0
    measure(benchmark, TimingTask(FLOOR, "epoch", FULL_BATCH, folders["train"], n, threads.cores()), n)
