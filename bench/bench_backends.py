"""The benchmarks in pytest-benchmark's form: `pytest --benchmark-only`.

Everything is measured in this one process, one backend after the other, each with a round to warm up and fresh
arguments in every round. pytest-benchmark's `pedantic` does that; its other form times the first call, with numba's
compile in it, to choose the number of rounds. `bench.records.files.Measurement` describes what goes into `extra_info`.
"""

from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from types import ModuleType
from typing import Any, Protocol, cast

import pytest

import impls
from bench.records.trainings import LearningCurve
from bench.timing import threads
from bench.timing.clock import Clock
from bench.timing.floor import floor_products
from bench.timing.source import lines_of_code
from bench.training.loop import evaluate, prepare, train_epochs
from bench.training.worker import finite
from bench.workloads.cases import CASES, FULL_BATCH, MINI_BATCHES, SAME_PLAN, home, sampled
from bench.workloads.recipes import Recipe
from data import Dataset, Digits
from impls.contract import Backend, zero_velocities

SAMPLES = 5
GRADIENT_SAMPLES = 50  # a gradient of a batch takes well under a millisecond
REFERENCE_EPOCHS = 1  # of its curve, as each takes many seconds
GRADIENT_BATCH = MINI_BATCHES.batch


class Benchmark(Protocol):
    """What is used of pytest-benchmark's fixture."""

    group: str
    extra_info: dict[str, Any]

    def pedantic(self, target: Callable[..., Any], **options: Any) -> Any:
        """Time target in rounds, with a set-up, which may return its arguments, and a tear-down around each."""


def measure(
    benchmark: Benchmark, work: Callable[..., Any], arguments: Callable[[], tuple[Any, ...]], samples: int
) -> None:
    """Time work(*arguments()) `samples` times after once to warm up, with the CPU time of each."""
    clock = Clock()
    elapsed = []

    def set_up() -> tuple[tuple[Any, ...], dict[str, Any]]:
        fresh = arguments()
        clock.start()
        return fresh, {}

    def tear_down(*_: Any) -> None:
        elapsed.append(clock.stop())

    benchmark.pedantic(work, setup=set_up, teardown=tear_down, rounds=samples, warmup_rounds=1, iterations=1)
    counted = elapsed[-samples:]
    benchmark.extra_info["user_samples"] = [sample.user for sample in counted]
    benchmark.extra_info["system_samples"] = [sample.system for sample in counted]
    benchmark.extra_info["threads"] = threads.in_force()


def describe(
    backend: Backend, quantity: str, case: Recipe, images: int, of_images: int, error: float, prepare_seconds: float
) -> dict[str, Any]:
    """What is the same for every measurement of a backend."""
    return {
        "case": case.described(),
        "quantity": quantity,
        "backend": backend.NAME,
        "summary": backend.SUMMARY,
        "lines_of_code": lines_of_code(cast(ModuleType, backend)),
        "plan": case.name if quantity == "epoch" else "",
        "default_batch": case.batch == backend.BATCH_SIZE,
        "batch": case.batch,
        "network": str(case.network),
        "dtype": case.dtype,
        "images": images,
        "of_images": of_images,
        "prepare_seconds": prepare_seconds,
        "agreement_error": error,
    }


@pytest.mark.needs("outputs")
@pytest.mark.benchmark(group="accuracy check: outputs of all test images")
def bench_outputs(benchmark: Benchmark, backend: Backend, agreed: float, digits: Dataset) -> None:
    """Outputs of the test split: what the accuracy check costs."""
    case = home(backend)
    parameters = case.parameters()
    split = prepare(backend, case.network, digits.test, case.dtype)
    n = len(split.labels)
    benchmark.extra_info |= describe(backend, "outputs", case, n, n, agreed, split.elapsed.wall)
    measure(benchmark, backend.outputs, lambda: (case.network, parameters, split.prepared), SAMPLES)


@pytest.mark.needs("gradients")
@pytest.mark.benchmark(group=f"one gradient of {GRADIENT_BATCH} images")
def bench_gradient(benchmark: Benchmark, backend: Backend, agreed: float, digits: Dataset) -> None:
    """Cost and gradient of one batch."""
    case = MINI_BATCHES
    parameters = case.parameters()
    batch = Digits(digits.train.images[:GRADIENT_BATCH], digits.train.labels[:GRADIENT_BATCH])
    split = prepare(backend, case.network, batch, case.dtype)
    n = len(split.labels)
    benchmark.extra_info |= describe(backend, "gradient", case, n, n, agreed, split.elapsed.wall)
    measure(benchmark, backend.gradients, lambda: (case.network, parameters, split.prepared), GRADIENT_SAMPLES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.needs("train", "outputs")
@pytest.mark.benchmark(group="training: one round")
def bench_epoch(benchmark: Benchmark, backend: Backend, case: Recipe, agreed: float, digits: Dataset) -> None:
    """One epoch from the initial parameters; for some cases also, off its clock, the curve of a whole training."""
    benchmark.group = f"training: one round, {case.name}"
    of_images = len(digits.train.labels)
    n = sampled(backend.NAME, of_images, case.batch)
    split = prepare(backend, case.network, Digits(digits.train.images[:n], digits.train.labels[:n]), case.dtype)
    plan = next(case.plans(n))
    parameters = case.parameters()
    benchmark.extra_info |= describe(backend, "epoch", case, n, of_images, agreed, split.elapsed.wall * of_images / n)
    measure(
        benchmark,
        backend.train,
        lambda: (case.network, zero_velocities(parameters), split.prepared, plan),
        SAMPLES,
    )
    if case in (home(backend), SAME_PLAN):
        epochs = REFERENCE_EPOCHS if backend.NAME == impls.REFERENCE else int(case.epochs)
        curve = training_curve(backend, case, digits, epochs)
        benchmark.extra_info |= {
            "curve": asdict(curve),
            "cost": curve.cost[-1],
            "accuracy": curve.accuracy[-1],
        }


def training_curve(backend: Backend, case: Recipe, digits: Dataset, epochs: int) -> LearningCurve:
    """Epoch by epoch; costs are of the training images."""
    train = prepare(backend, case.network, digits.train, case.dtype)
    test = prepare(backend, case.network, digits.test, case.dtype)
    curve = LearningCurve([], [], [], [])
    plans = islice(case.plans(len(train.labels)), epochs)
    for point in train_epochs(backend, case.network, case.parameters(), train, plans):
        parameters = point.state.parameters
        curve.seconds.append(point.elapsed.wall)
        curve.epochs.append(point.number)
        curve.accuracy.append(evaluate(backend, case.network, parameters, test).accuracy)
        curve.cost.append(finite(evaluate(backend, case.network, parameters, train).cost))
    return curve


@pytest.mark.benchmark(group=f"training: one round, {FULL_BATCH.name}")
def bench_floor(benchmark: Benchmark, digits: Dataset) -> None:
    """The floor of a round: the first layer's two products over all training images."""
    case = FULL_BATCH
    n = len(digits.train.labels)
    products = floor_products(digits.train.images, case.network.sizes[1], case.dtype)
    benchmark.extra_info |= {
        "case": case.described(),
        "quantity": "floor",
        "backend": "floor",
        "summary": "the two products of the first layer over all training images, a NumPy matmul each",
        "lines_of_code": 0,
        "plan": "",
        "default_batch": False,
        "batch": None,
        "network": str(case.network),
        "dtype": case.dtype,
        "images": n,
        "of_images": n,
        "prepare_seconds": 0.0,
        "agreement_error": 0.0,
    }
    measure(benchmark, products, lambda: (), SAMPLES)
