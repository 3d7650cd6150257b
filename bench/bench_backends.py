"""The benchmarks in pytest-benchmark's form: `pytest --benchmark-only`.

Everything is measured in this one process, one backend after the other, each with a round to warm up and fresh
arguments in every round. pytest-benchmark's `pedantic` does that; its other form times the first call, with numba's
compile in it, to choose the number of rounds. `bench.records.files.Measurement` describes what goes into `extra_info`.
"""

from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from types import ModuleType
from typing import Any, cast

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import impls
from bench.records.files import Quantity
from bench.timing import threads
from bench.timing.clock import Clock
from bench.timing.floor import floor_products
from bench.timing.source import lines_of_code
from bench.training.loop import evaluate, prepare, train_epochs
from bench.training.worker import finite
from bench.workloads.cases import CASES, FULL_BATCH, MINI_BATCHES, SAME_PLAN, home, sampled
from bench.workloads.curves import LearningCurve
from bench.workloads.recipes import Recipe
from data import Dataset, Digits
from impls.contract import Backend, zero_velocities

SAMPLES = 5
GRADIENT_SAMPLES = 50  # a gradient of a batch takes well under a millisecond
REFERENCE_EPOCHS = 1  # of its curve, as each takes many seconds
GRADIENT_BATCH = MINI_BATCHES.batch


def measure(
    benchmark: Any, work: Callable[..., Any], fresh: Callable[[], tuple[Any, ...]], samples: int = SAMPLES
) -> None:
    """Time work(*fresh()) `samples` times after once to warm up, with the CPU time of each."""
    clock = Clock()
    elapsed = []

    def set_up() -> tuple[tuple[Any, ...], dict[str, Any]]:
        arguments = fresh()
        clock.start()
        return arguments, {}

    def tear_down(*_: Any) -> None:
        elapsed.append(clock.stop())

    benchmark.pedantic(work, setup=set_up, teardown=tear_down, rounds=samples, warmup_rounds=1, iterations=1)
    counted = elapsed[-samples:]
    benchmark.extra_info["user_samples"] = [sample.user for sample in counted]
    benchmark.extra_info["system_samples"] = [sample.system for sample in counted]
    benchmark.extra_info["threads"] = threads.in_force()


def prepared(
    benchmark: BenchmarkFixture, backend: Backend, quantity: Quantity, case: Recipe, digits: Digits, of_images: int = 0
) -> Any:
    """The digits in the backend's form, with what is known of this measurement noted for the results file.

    of_images: that the quantity is about, where these are only some of them.
    """
    split, n = prepare(backend, case.network, digits, case.dtype), len(digits.labels)
    benchmark.extra_info |= fields_of(case, quantity, n, of_images or n) | {
        "backend": backend.NAME,
        "summary": backend.SUMMARY,
        "lines_of_code": lines_of_code(cast(ModuleType, backend)),
        "default_batch": case.batch == backend.BATCH_SIZE,
        "prepare_seconds": split.elapsed.wall * (of_images or n) / n,
    }
    return split.prepared


def fields_of(case: Recipe, quantity: Quantity, images: int, of_images: int) -> dict[str, Any]:
    """The fields of `Measurement` that do not depend on the backend, and the case for its key."""
    return {
        "case": case.described(),
        "quantity": quantity,
        "plan": case.name if quantity == "epoch" else "",
        "batch": case.batch,
        "network": str(case.network),
        "dtype": case.dtype,
        "images": images,
        "of_images": of_images,
    }


@pytest.mark.needs("outputs")
@pytest.mark.benchmark(group="accuracy check: outputs of all test images")
def bench_outputs(benchmark: BenchmarkFixture, backend: Backend, digits: Dataset) -> None:
    """Outputs of the test split: what the accuracy check costs."""
    case = home(backend)
    inputs = case.network, case.parameters(), prepared(benchmark, backend, "outputs", case, digits.test)
    measure(benchmark, backend.outputs, lambda: inputs)


@pytest.mark.needs("gradients")
@pytest.mark.benchmark(group=f"one gradient of {GRADIENT_BATCH} images")
def bench_gradient(benchmark: BenchmarkFixture, backend: Backend, digits: Dataset) -> None:
    """Cost and gradient of one batch."""
    case = MINI_BATCHES
    batch = Digits(digits.train.images[:GRADIENT_BATCH], digits.train.labels[:GRADIENT_BATCH])
    inputs = case.network, case.parameters(), prepared(benchmark, backend, "gradient", case, batch)
    measure(benchmark, backend.gradients, lambda: inputs, GRADIENT_SAMPLES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.needs("train", "outputs")
@pytest.mark.benchmark(group="training: one round")
def bench_epoch(benchmark: BenchmarkFixture, backend: Backend, case: Recipe, digits: Dataset) -> None:
    """One epoch from the initial parameters; for some cases also, off its clock, the curve of a whole training."""
    benchmark.group = f"training: one round, {case.name}"
    of_images = len(digits.train.labels)
    n = sampled(backend.NAME, of_images, case.batch)
    some = Digits(digits.train.images[:n], digits.train.labels[:n])
    images = prepared(benchmark, backend, "epoch", case, some, of_images)
    plan, parameters = next(case.plans(n)), case.parameters()
    measure(benchmark, backend.train, lambda: (case.network, zero_velocities(parameters), images, plan))
    if case in (home(backend), SAME_PLAN):
        epochs = REFERENCE_EPOCHS if backend.NAME == impls.REFERENCE else int(case.epochs)
        curve = training_curve(backend, case, digits, epochs)
        benchmark.extra_info |= {"curve": asdict(curve), "cost": curve.cost[-1], "accuracy": curve.accuracy[-1]}


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
def bench_floor(benchmark: BenchmarkFixture, digits: Dataset) -> None:
    """The floor of a round: the first layer's two products over all training images."""
    case, n = FULL_BATCH, len(digits.train.labels)
    summary = "the two products of the first layer over all training images, a NumPy matmul each"
    benchmark.extra_info |= fields_of(case, "floor", n, n) | {"backend": "floor", "summary": summary}
    benchmark.extra_info |= {"lines_of_code": 0, "default_batch": False, "prepare_seconds": 0.0, "agreement_error": 0.0}
    measure(benchmark, floor_products(digits.train.images, case.network.sizes[1], case.dtype), tuple)
