"""What a backend promises, one check per promise. `test_conformance.py` runs them all.

A check takes a backend, a network and a dtype. It raises BrokenPromise, naming the backend, where the promise is not
kept, and Unsupported where the backend declares that it has nothing of what the check needs. Values are compared with
the reference in float64, within what rounding explains (`bench.agreement`); no check has a tolerance of its own. Where
a result is derived from others, the tolerance is the sum of theirs.

The cases are made so that these tolerances are sharp, and `case_of` raises Blunt otherwise: images keep away from
kinks, and no tensor is zero that should not be.
"""

import contextlib
import copy
import functools
import io
import itertools
import os
import pickle
import random
import sys
import tempfile
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

import numpy as np
from threadpoolctl import threadpool_limits

import impls
from bench import UserError
from bench.agreement import timed
from bench.agreement.check import (
    CALLS,
    QUANTITIES,
    Expected,
    Problem,
    call,
    compare,
    differing,
    fault_of,
    pair,
    reference,
    scale_of,
    tensors_of,
    unsupported_quantities,
    widened,
)
from bench.agreement.problems import MOST_IMAGES, clear_of_kinks, with_random_biases
from bench.agreement.rounding import forward, scaled
from bench.timing import threads
from data import Digits
from impls.contract import (
    COST_OF_OUTPUT,
    Activation,
    Array,
    Backend,
    DType,
    Layer,
    Network,
    Output,
    Parameters,
    Plan,
    Quantity,
    State,
    dtype_of,
    zero_velocities,
)
from impls.initialisation import initial_parameters

DTYPES: tuple[DType, ...] = get_args(DType)
Order = Literal["file", "shuffled", "twice"]
Pixels = Literal["uint8", "float32", "float64", "fractions"]


class BrokenPromise(AssertionError):
    """A backend does not do what it should; the message names it."""


class Blunt(Exception):
    """A case that would not distinguish right from wrong: an error of the suite, not of a backend."""


class Unsupported(Exception):
    """The backend declares what the check needs unsupported; the message is its reason."""


class Check(NamedTuple):
    """A promise, with the networks and dtypes for which it is checked."""

    run: Callable[[Backend, Network, DType], None]
    networks: tuple[Network, ...]
    dtypes: tuple[DType, ...]


CHECKS: dict[str, Check] = {}

# --- networks ----------------------------------------------------------------------------------------------

SIZES = [(12, 7, 4), (12, 6, 5, 4), (12, 6, 5, 6, 4)]


def _networks() -> Iterator[Network]:
    """Every pair of hidden activation and output, with one, two or three hidden layers; every output with none."""
    for i, hidden in enumerate(get_args(Activation)):
        for j, output in enumerate(get_args(Output)):
            yield Network(SIZES[(i + j) % 3], hidden, output, COST_OF_OUTPUT[output])
    for output in get_args(Output):
        yield Network((12, 4), "sigmoid", output, COST_OF_OUTPUT[output])


EVERY = tuple(_networks())
SOME = (  # every activation, every output, one to three hidden layers
    Network((12, 7, 4), "sigmoid", "sigmoid", "quadratic"),
    Network((12, 6, 5, 6, 4), "relu", "relu", "quadratic"),
    Network((12, 6, 5, 4), "tanh", "softmax", "cross_entropy"),
)
SOFTMAX = tuple(network for network in EVERY if network.output == "softmax")
RELU = tuple(network for network in EVERY if "relu" in (network.output, network.hidden))
SHALLOW = Network((12, 4), "sigmoid", "softmax", "cross_entropy")
WIDE = (
    Network((270, 150, 4), "tanh", "softmax", "cross_entropy"),
    Network((150, 70, 66, 4), "sigmoid", "sigmoid", "quadratic"),
)
assert {*SOME, *SOFTMAX, SHALLOW} <= {*EVERY}


def label_of(network: Network) -> str:
    """A network as it appears in the name of a test."""
    hidden = [network.hidden] if len(network.sizes) > 2 else []
    return "-".join([*map(str, network.sizes), *hidden, network.output])


# --- cases: a problem, the expected values, their tolerances -------------------------------------------------

SEED = 29  # one of those for which no network is dead on a single image, or saturated
RATE = 0.1  # so small that 100 updates do not magnify rounding
SHARP_EVALUATION = 2000  # eps, the largest tolerance of outputs, cost and gradient; in float32 2.4 parts in 10,000
SHARP_TRAINING = 20000  # the same for the costs, parameters and velocities of a training
ALIVE = 1e-6  # the largest number of every tensor is above this


class Case(NamedTuple):
    """A problem and its expected values."""

    problem: Problem
    expected: dict[str, Expected]


@functools.cache
def pool(n_inputs: int = 12, n: int = 4000) -> Digits:
    """Images, half of whose pixels are not zero, and labels."""
    rng = np.random.default_rng(SEED)
    n_classes = 4
    images = (rng.integers(1, 256, (n, n_inputs)) * (rng.random((n, n_inputs)) < 0.5)).astype(np.uint8)
    return Digits(images, rng.integers(0, n_classes, n))


def parameters_of(network: Network, dtype: DType, logits: float = 1.0) -> Parameters:
    """Parameters with biases that are not zero. logits: the factor of the weights of the last layer."""
    first, *others = with_random_biases(initial_parameters(network, "lecun_normal", SEED, dtype))
    brightness = np.array(1 / 255 / network.pixel_scale, dtype)  # so that z does not depend on the pixels' scale
    layers = [first._replace(weights=first.weights * brightness), *others]
    layers[-1] = layers[-1]._replace(weights=layers[-1].weights * np.array(logits, dtype))
    return tuple(layers)


def case_of(
    network: Network,
    dtype: DType,
    sizes: tuple[int, ...] = (7,),
    *,
    momentum: float = 0.0,
    order: Order = "file",
    logits: float = 1.0,
    pixels: Pixels = "uint8",
    of: tuple[Quantity, ...] = CALLS,
) -> Case:
    """A case of one update per size, of that many images, at learning rates that decrease.

    order: "twice" is shuffled, and every image comes twice. pixels: "fractions" are no whole numbers. Where all images
    go into one update, outputs and gradient are sharp as well; with several updates, only the training is. of: what is
    asked of the backend, as the reference takes most of the suite's time.
    """
    how = (network, dtype, sizes, momentum, order, logits, pixels)
    return Case(_posed(*how), {name: part for quantity in of for name, part in _expected(quantity, *how).items()})


@functools.cache
def _expected(quantity: Quantity, *how: Any) -> dict[str, Expected]:
    """What the reference answers to this part of the problem that `_posed` makes."""
    case = Case(_posed(*how), reference(_posed(*how), (quantity,)))
    logits = how[5]
    insist_on_sharpness(case, max(1.0, logits / 10))  # the error of z grows with z
    return case.expected


@functools.cache
def _posed(
    network: Network,
    dtype: DType,
    sizes: tuple[int, ...],
    momentum: float,
    order: Order,
    logits: float,
    pixels: Pixels,
) -> Problem:
    parameters = parameters_of(network, dtype, logits)
    eps = float(np.finfo(dtype).eps)
    digits = pool(network.sizes[0])
    digits = digits._replace(images=pixels_of(digits.images, pixels))
    candidates = np.arange(len(digits.labels))
    if order != "file":
        candidates = np.random.default_rng(4).permutation(candidates)
    if order == "twice":
        candidates = np.repeat(candidates, 2)
    rate = RATE / max(1.0, logits)  # large weights have large gradients
    stops = np.cumsum(sizes)
    plan = Plan(stops - sizes, stops, None, np.linspace(rate, rate / 2, len(sizes)), momentum)
    batches = clear_of_kinks(network, widened(parameters), digits, candidates, plan, eps)
    if [len(batch) for batch in batches] != [*sizes]:
        raise Blunt(f"{network}: too few images keep away from kinks")
    used = chosen = np.concatenate(batches)
    if order != "file":
        used, indices = np.unique(chosen, return_inverse=True)
        plan = replace(plan, order=indices)
    name = f"{network}, {of_images(sizes)}, {order} order, {pixels}, momentum {momentum:g}, logits x {logits:g}"
    return Problem(name, network, parameters, digits.images[used], digits.labels[used], plan)


def of_images(sizes: tuple[int, ...]) -> str:
    """The updates in words."""
    return f"{sizes[0]} images" if len(sizes) == 1 else f"{len(sizes)} updates, {sum(sizes)} images"


def pixels_of(images: Array, pixels: Pixels) -> Array:
    """The images as that dtype; "fractions" are float64 values that are not whole."""
    if pixels == "fractions":
        return images * 0.37
    return images.astype(pixels)


def insist_on_sharpness(case: Case, factor: float) -> None:
    """Raise Blunt where a tolerance is too large to show an error, or a tensor is all zeros."""
    plan = case.problem.plan
    eps = float(np.finfo(dtype_of(case.problem.parameters)).eps)
    for quantity, (value, allowed) in case.expected.items():
        of_training = quantity.startswith(("costs", "parameters", "velocities"))
        if (len(plan.starts) > 1 and not of_training) or (quantity.startswith("velocities") and not plan.momentum):
            continue
        most = (SHARP_TRAINING if len(plan.starts) > 1 else SHARP_EVALUATION) * factor
        error = float(np.max(allowed)) / scale_of(value) / eps
        if not error <= most:
            raise Blunt(f"{case.problem.name}: tolerance of {quantity} is {error:.3g} eps, expected at most {most:g}")
        if not np.abs(value).max() > ALIVE:
            raise Blunt(f"{case.problem.name}: {quantity} is zero, expected numbers that an error would change")


# --- calling a backend, and comparing its results -------------------------------------------------------------


def answered(backend: Backend, problem: Problem, *quantities: Quantity, prepared: Any = None) -> dict[str, Any]:
    """The backend's results for these quantities, tensor by tensor; if none is named, for all that it supports.

    Raises Unsupported where one that is named is unsupported, or all are.
    """
    unsupported = unsupported_quantities(backend, problem)
    wanted = quantities or [quantity for quantity in CALLS if quantity not in unsupported]
    for quantity in wanted or CALLS:
        if quantity in unsupported:
            raise Unsupported(unsupported[quantity])
    if prepared is None:
        prepared = prepared_of(backend, problem)
    results: dict[str, Any] = {}
    for quantity in wanted:
        results |= call(backend, quantity, problem, prepared)
    if "costs" in unsupported:
        results.pop("costs of updates", None)
    return results


def prepared_of(backend: Backend, problem: Problem) -> Any:
    """The backend's own form of the images and labels."""
    return backend.prepare(problem.network, problem.images, problem.labels, dtype_of(problem.parameters))


def trained(backend: Backend, problem: Problem, state: State, plan: Plan) -> tuple[State, Any]:
    """Train from any state. Raises Unsupported where the backend declares it so."""
    if "train" in (unsupported := unsupported_quantities(backend, problem)):
        raise Unsupported(unsupported["train"])
    returned = backend.train(problem.network, state, prepared_of(backend, problem), plan)
    after, costs = pair(returned, "state and costs of updates")
    parameters, velocities = pair(after, "parameters and velocities")
    state = State(as_layers(parameters, problem.network), as_layers(velocities, problem.network))
    return state, None if "costs" in unsupported else costs


def as_layers(returned: Any, network: Network) -> Parameters:
    """What a backend returned, as the contract's types: it may use its own tuples."""
    arrays = list(tensors_of("state", returned, network).values())
    return tuple(map(Layer, arrays[::2], arrays[1::2]))


def named(state: State, costs: Any, network: Network) -> dict[str, Any]:
    """The results of a training by name."""
    results = tensors_of("parameters", state.parameters, network) | tensors_of("velocities", state.velocities, network)
    return results if costs is None else {"costs of updates": costs} | results


def hold(backend: Backend, case: Case, results: dict[str, Any], only: str = "") -> None:
    """Raise BrokenPromise unless these results agree. only: those whose names begin with this."""
    for quantity, actual in results.items():
        if quantity.startswith(only):
            compared(backend, case.problem, quantity, actual, case.expected[quantity])


REFERENCE = f"{impls.REFERENCE} in float64"


def compared(
    backend: Backend, problem: Problem, quantity: str, actual: Any, expected: Expected, source: str = REFERENCE
) -> None:
    """Raise BrokenPromise unless this tensor agrees. source: where the expected value comes from."""
    failure = compare(backend.NAME, problem, quantity, actual, expected).failure
    if failure is not None:
        raise BrokenPromise(failure.replace(REFERENCE, source))


def insist(backend: Backend, problem: Problem, condition: bool, fault: str) -> None:
    """Raise BrokenPromise unless the condition holds."""
    if not condition:
        raise BrokenPromise(f"{backend.NAME}, {problem.name}, {dtype_of(problem.parameters)}: {fault}")


def insist_on_the_same(
    backend: Backend, problem: Problem, results: dict[str, Any], before: dict[str, Any], why: str
) -> None:
    """Raise BrokenPromise unless two results are the same bits, apart from the sign of zero."""
    for quantity, value in before.items():
        insist(backend, problem, np.array_equal(results[quantity], value), f"{quantity}: {why}")


def promise(*networks: Network, dtypes: tuple[DType, ...] = DTYPES) -> Callable[[Callable[..., None]], Any]:
    """Register a check. Whatever a backend raises in it breaks the promise."""

    def enter(check: Callable[[Backend, Network, DType], None]) -> Callable[[Backend, Network, DType], None]:
        @functools.wraps(check)
        def run(backend: Backend, network: Network, dtype: DType) -> None:
            try:
                check(backend, network, dtype)
            except (BrokenPromise, Blunt, Unsupported, UserError):
                raise
            except Exception as error:
                name = getattr(backend, "NAME", "a backend without a name")
                raise BrokenPromise(f"{name}, {network}, {dtype}: {fault_of(check.__name__, error)}") from error

        CHECKS[check.__name__] = Check(run, networks, dtypes)
        return run

    return enter


# --- what a backend declares about itself ----------------------------------------------------------------------


@promise(SHALLOW, dtypes=("float64",))
def attributes(backend: Backend, _network: Network, _dtype: DType) -> None:
    """NAME and SUMMARY are a line each, DTYPES are dtypes, BATCH_SIZE is a number of images or None."""
    for part, is_right, wanted in (
        ("NAME", is_line, "a line of text"),
        ("SUMMARY", is_line, "a line of text"),
        ("DTYPES", are_dtypes, f"a tuple of some of {', '.join(DTYPES)}"),
        ("BATCH_SIZE", is_batch_size, "a positive whole number or None"),
    ):
        found = getattr(backend, part, "nothing")
        if not is_right(found):
            raise BrokenPromise(f"{getattr(backend, 'NAME', backend)}: {part} should be {wanted}, found {found!r}")


def is_line(value: object) -> bool:
    """Text on one line, with nothing around it."""
    return isinstance(value, str) and value.splitlines() == [value.strip()]


def are_dtypes(value: object) -> bool:
    """A tuple of dtypes, at least one, each once."""
    return isinstance(value, tuple) and 0 < len({*value}) == len(value) and {*value} <= {*DTYPES}


def is_batch_size(value: object) -> bool:
    """Images per update, or None for all."""
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0)


@promise(*EVERY)
def unsupported_quantities_are_reasons(backend: Backend, network: Network, dtype: DType) -> None:
    """`unsupported` returns None or a reason, always the same; a dtype that is not in DTYPES is unsupported."""
    for quantity in QUANTITIES:
        call = f"{backend.NAME}: unsupported({quantity!r}, {network}, {dtype!r})"
        first, second = (backend.unsupported(quantity, network, dtype) for _ in range(2))
        if first is not None and not (isinstance(first, str) and first.strip()):
            raise BrokenPromise(f"{call} should be None or a reason, found {first!r}")
        if first != second:
            raise BrokenPromise(f"{call} should always be the same, found {first!r} and {second!r}")
        if first is None and dtype not in backend.DTYPES and quantity != "costs":
            raise BrokenPromise(f"{call} should be a reason, as DTYPES are {backend.DTYPES}; found None")


# --- the right numbers ----------------------------------------------------------------------------------------

EVALUATION: tuple[Quantity, ...] = ("outputs", "gradients")
MANY_IMAGES = 300  # some backends' threads share them, and take them in several blocks


def evaluations(network: Network, dtype: DType) -> list[Case]:
    """Few and many images, small and large logits; beyond every backend's block of images for SOME."""
    most = MOST_IMAGES if network in SOME else MANY_IMAGES
    made = ((1, 1.0), (7, 1.0), (32, 1.0), (32, 10.0), (32, 100.0), (most, 1.0))
    return [case_of(network, dtype, (n,), logits=logits, of=EVALUATION) for n, logits in made]


Answers = list[tuple[Case, dict[str, Any]]]


def gradients_of(backend: Backend, network: Network, dtype: DType) -> Answers:
    """What a backend answers in these cases. It is asked once, as two promises look at different parts of it."""
    return _gradients_of(cast(Hashable, backend), network, dtype)  # a module is; its protocol does not say so


@functools.lru_cache(maxsize=32)  # more than there are backends, which follow each other in a case
def _gradients_of(backend: Any, network: Network, dtype: DType) -> Answers:
    return [(case, answered(backend, case.problem, "gradients")) for case in evaluations(network, dtype)]


@promise(*EVERY)
def outputs_agree(backend: Backend, network: Network, dtype: DType) -> None:
    """For few and many images, small and large logits."""
    for case in evaluations(network, dtype):
        hold(backend, case, answered(backend, case.problem, "outputs"))


@promise(*EVERY)
def cost_agrees(backend: Backend, network: Network, dtype: DType) -> None:
    """The mean cost that is returned with the gradient."""
    for case, results in gradients_of(backend, network, dtype):
        hold(backend, case, results, "cost")


@promise(*EVERY)
def gradients_agree(backend: Backend, network: Network, dtype: DType) -> None:
    """The gradient of every weight and bias."""
    for case, results in gradients_of(backend, network, dtype):
        hold(backend, case, results, "gradient")


ORDERS: tuple[Order, ...] = ("file", "shuffled")
TRAININGS: tuple[tuple[int, float, Order], ...] = (  # updates, momentum, order; not every combination
    (1, 0.0, "file"),
    (1, 0.9, "shuffled"),
    (10, 0.0, "shuffled"),
    (10, 0.9, "file"),
    (100, 0.9, "shuffled"),
)
LONG_AND_PLAIN: tuple[int, float, Order] = (100, 0.0, "file")  # less demanding than the last one above


@promise(*EVERY)
def training_agrees(backend: Backend, network: Network, dtype: DType) -> None:
    """Costs, parameters and velocities after 1, 10 and 100 updates; the last batch is short."""
    for n_updates, momentum, order in (*TRAININGS, LONG_AND_PLAIN) if network in SOME else TRAININGS:
        hold_training(backend, network, dtype, *(3,) * (n_updates - 1), 2, momentum=momentum, order=order)


@promise(*SOFTMAX)
def large_logits(backend: Backend, network: Network, dtype: DType) -> None:
    """Logits whose exponential no float64 can hold: softmax and cross entropy have to be shifted."""
    case = case_of(network, dtype, (32,), logits=4000.0)
    eps = float(np.finfo(dtype).eps)
    problem = case.problem
    x = scaled(network, problem.images)
    logits = forward(network, widened(problem.parameters), x, eps).pre_activations[-1].value
    if not logits.max() > np.log(np.finfo(np.float64).max):
        raise Blunt(f"{problem.name}: logits up to {logits.max():g} are not large")
    hold(backend, case, answered(backend, problem))


@promise(*RELU)
def derivative_of_relu_at_zero(backend: Backend, network: Network, dtype: DType) -> None:
    """It is 0, as blank images and biases of zero show."""
    case = blank_images(network, dtype)
    hold(backend, case, answered(backend, case.problem))


@functools.cache
def blank_images(network: Network, dtype: DType) -> Case:
    """Some images are blank, some are not, and biases are zero: all z of the blank ones are 0."""
    problem = case_of(network, dtype, (7,)).problem
    images = problem.images.copy()
    images[::2] = 0
    parameters = tuple(Layer(weights, np.zeros_like(biases)) for weights, biases in problem.parameters)
    problem = problem._replace(name=f"{network}, blank images", images=images, parameters=parameters)
    return Case(problem, reference(problem))


@promise(*WIDE)
def wide_layers(backend: Backend, network: Network, dtype: DType) -> None:
    """Layers of more units than a backend may take at a time, to the last one; updates of more images, too."""
    case = case_of(network, dtype, (7,))
    hold(backend, case, answered(backend, case.problem))
    hold_training(backend, network, dtype, 5, 150, 3)
    hold_training(backend, network, dtype, 5, 150, 3, order="shuffled", momentum=0.9)


# --- the sizes that are timed ---------------------------------------------------------------------------------

# Around every power of two, where loops over blocks, tiles and vectors end; small where the other dimension is large.
AROUND_POWERS = tuple(sorted({max(1, 2**k + d) for k in range(14) for d in (-1, 0, 1)}))  # 1 to 8,193
PRIMES = (11, 97, 997)
LONG_PLAN = 1100  # updates


def hold_as_timed(backend: Backend, problem: Problem, quantities: tuple[Quantity, ...], factor: float = 1.0) -> None:
    """Compare with what `bench.agreement.timed` expects of a timed call: the reference is too slow for these sizes."""
    for quantity in quantities:
        case = Case(problem, expected_as_timed(quantity, problem))
        insist_on_sharpness(case, factor)
        results = answered(backend, problem, quantity)
        hold(backend, case, {name: actual for name, actual in results.items() if name in case.expected})


def expected_as_timed(quantity: Quantity, problem: Problem) -> dict[str, Expected]:
    """What all backends have to return for this problem, worked out for the first of them."""
    return _expected_as_timed(quantity, pickle.dumps(problem))


@functools.lru_cache(maxsize=256)
def _expected_as_timed(quantity: Quantity, pickled: bytes) -> dict[str, Expected]:
    problem: Problem = pickle.loads(pickled)
    eps = float(np.finfo(dtype_of(problem.parameters)).eps)
    digits = Digits(problem.images, problem.labels)
    return timed.WORK_OUT[quantity](problem._replace(parameters=widened(problem.parameters)), digits, eps)


def of_updates(network: Network, dtype: DType, starts: Array, stops: Array, rate: float, momentum: float) -> Problem:
    """A training by updates of these images."""
    digits = pool(network.sizes[0], int(stops.max()))
    plan = Plan(starts, stops, None, np.full(len(starts), rate), momentum)
    name = f"{network}, {of_images(tuple((stops - starts).tolist()))}"
    return Problem(name, network, parameters_of(network, dtype), *digits, plan)


@promise(SHALLOW)
def updates_of_any_number_of_images(backend: Backend, network: Network, dtype: DType) -> None:
    """From 1 to 8,193: even, odd, prime, one more and one less than a power of two."""
    stops = np.array([*AROUND_POWERS, *PRIMES])
    hold_as_timed(backend, of_updates(network, dtype, np.zeros_like(stops), stops, 0.01, 0.0), ("train",), 10.0)


@promise(SHALLOW, dtypes=("float32",))
def sixty_thousand_images(backend: Backend, network: Network, dtype: DType) -> None:
    """The sums over as many images as MNIST has stay within their bound in float32."""
    problem = of_updates(network, dtype, np.array([0]), np.array([60_000]), 0.01, 0.0)
    hold_as_timed(backend, problem, ("train",), 10.0)


@promise(SHALLOW, dtypes=("float32",))
def gradients_of_any_number_of_images(backend: Backend, network: Network, dtype: DType) -> None:
    """Of all images that were prepared, and their outputs."""
    for size in (*(size for size in AROUND_POWERS if size <= 2049), *PRIMES, AROUND_POWERS[-1]):
        stop = np.array([size])
        problem = of_updates(network, dtype, np.zeros_like(stop), stop, 0.01, 0.0)
        hold_as_timed(backend, problem, ("gradients", "outputs"), 10.0)


@promise(SHALLOW, dtypes=("float32",))
def layers_of_any_width(backend: Backend, _network: Network, dtype: DType) -> None:
    """From 1 to 2,048 units, in the first hidden layer and in the second."""
    for width in [width for width in AROUND_POWERS if width <= 2048]:
        for sizes in ((9, width, 4), (9, 3, width, 4)):
            network = Network(sizes, "tanh", "softmax", "cross_entropy")
            problem = of_updates(network, dtype, np.array([0, 3]), np.array([3, 8]), 0.01, 0.5)
            hold_as_timed(backend, problem, ("outputs", "train"), 10.0)


@promise(SHALLOW, dtypes=("float32",))
def images_of_any_size(backend: Backend, _network: Network, dtype: DType) -> None:
    """From 1 to 65,535 pixels."""
    for pixels in (*(size for size in AROUND_POWERS if size > 1), 2**14 + 1, 2**15 - 1, 2**15 + 1, 2**16 - 1):
        network = Network((pixels, 3, 4), "tanh", "softmax", "cross_entropy")
        problem = of_updates(network, dtype, np.array([0, 2]), np.array([2, 5]), 0.01, 0.0)
        hold_as_timed(backend, problem, ("outputs", "train"), 10.0)


@promise(SHALLOW)
def plans_of_many_updates(backend: Backend, network: Network, dtype: DType) -> None:
    """The last of more than a thousand updates is made as the first; with momentum and without."""
    starts = np.arange(LONG_PLAN)
    momentum = 0.5 if dtype == "float32" else 0.0
    problem = of_updates(network, dtype, starts, starts + 1 + starts % 2, 0.01, momentum)
    hold_as_timed(backend, problem, ("train",), 10.0)


# --- results ---------------------------------------------------------------------------------------------------


@promise(*SOME)
def results_are_well_formed(backend: Backend, network: Network, dtype: DType) -> None:
    """NumPy arrays of the right shapes, for every layer; the cost is a number; one cost for each update."""
    case = case_of(network, dtype, (5, 5, 3), momentum=0.9)
    for quantity, actual in answered(backend, case.problem).items():
        shape = case.expected[quantity].value.shape
        right = np.shape(actual) == shape and (quantity == "cost" or type(actual) is np.ndarray)
        form = f"{type(actual).__name__} of shape {np.shape(actual)}"
        insist(backend, case.problem, right, f"{quantity} should be an ndarray of shape {shape}, found {form}")
        insist(backend, case.problem, bool(np.isfinite(actual).all()), f"{quantity} should be finite")


@promise(*SOME)
def dtype_is_kept(backend: Backend, network: Network, dtype: DType) -> None:
    """Results have the parameters' dtype, whatever the images'; nothing is computed in a coarser one."""
    for pixels in get_args(Pixels):
        case = case_of(network, dtype, (7,), pixels=pixels, momentum=0.9)
        results = answered(backend, case.problem)
        for quantity, actual in results.items():
            right = quantity == "cost" or actual.dtype == dtype
            insist(
                backend, case.problem, right, f"{quantity} should be {dtype}, found {getattr(actual, 'dtype', None)}"
            )
        hold(backend, case, results)


@promise(*SOME)
def same_answer_twice(backend: Backend, network: Network, dtype: DType) -> None:
    """The same bits, from images prepared a second time."""
    for sizes, momentum in (((5, 5, 3), 0.9), ((MOST_IMAGES,), 0.0)):
        problem = case_of(network, dtype, sizes, momentum=momentum, of=()).problem
        first, second = (answered(backend, problem) for _ in range(2))
        insist_on_the_same(backend, problem, second, first, "should be the same twice, bit for bit")


@promise(*SOME)
def answers_do_not_depend_on_what_ran_before(backend: Backend, network: Network, dtype: DType) -> None:
    """Neither on another network, nor on another batch, nor on another dtype, nor on a training."""
    problem = case_of(network, dtype, (5, 5, 3), momentum=0.9, order="shuffled").problem
    prepared = prepared_of(backend, problem)
    before = copy.deepcopy(answered(backend, problem, prepared=prepared))
    other_dtype: DType = "float64" if dtype == "float32" else "float32"
    for other in (
        *(case_of(others, dtype, (7,)) for others in SOME if others != network),
        case_of(network, other_dtype, (7,)),
        case_of(network, dtype, (32,), logits=10.0),
    ):
        with contextlib.suppress(Unsupported):
            hold(backend, other, answered(backend, other.problem))
    after = answered(backend, problem, prepared=prepared)
    insist_on_the_same(backend, problem, after, before, "should not depend on what ran before")


@promise(*SOME)
def earlier_results_survive_later_calls(backend: Backend, network: Network, dtype: DType) -> None:
    """No result is a buffer that the next call writes to."""
    first = case_of(network, dtype, (5, 5, 3), momentum=0.9, order="shuffled").problem
    second = case_of(network, dtype, (5, 5, 3), momentum=0.9, order="shuffled", logits=2.0).problem
    prepared = prepared_of(backend, first)
    results = answered(backend, first, prepared=prepared)
    before = copy.deepcopy(results)
    answered(backend, first._replace(parameters=second.parameters), prepared=prepared)
    answered(backend, second)
    insist_on_the_same(backend, first, results, before, "was changed by a later call")


# --- inputs -----------------------------------------------------------------------------------------------------


@promise(*SOME)
def inputs_are_unchanged(backend: Backend, network: Network, dtype: DType) -> None:
    """Images, labels, parameters and plan; velocities; and a state that came from the backend itself."""
    for order, momentum in itertools.product(ORDERS, (0.0, 0.9)):
        case = case_of(network, dtype, (5, 5, 3), momentum=momentum, order=order)
        given = copy.deepcopy(case.problem)
        answered(backend, given)
        changed = differing(case.problem, given)
        insist(backend, given, not changed, f"modified its inputs: {', '.join(changed)}")
    with contextlib.suppress(Unsupported):
        state = State(case.problem.parameters, case_of(network, dtype, (7,), logits=2.0).problem.parameters)
        for _ in range(2):
            before = copy.deepcopy(state)
            after, _ = trained(backend, case.problem, state, case.problem.plan)
            names = zip(named(state, None, network).items(), named(before, None, network).values(), strict=True)
            changed = [name for (name, now), was in names if not np.array_equal(now, was)]
            insist(backend, given, not changed, f"modified its inputs: {', '.join(changed)} before the training")
            state = after


@promise(*SOME)
def read_only_and_memory_mapped_inputs(backend: Backend, network: Network, dtype: DType) -> None:
    """Images, labels, parameters, velocities and plan may be read-only, memory-mapped, or slices of larger arrays."""
    case = case_of(network, dtype, (5, 5, 3), momentum=0.9, order="shuffled")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for form in (read_only, functools.partial(mapped, Path(folder)), strided, by_columns):
            problem = in_form(case.problem, form)
            hold(backend, case, {k: v for k, v in answered(backend, problem).items() if is_of_training(k)})
    evaluation = case_of(network, dtype, (7,))
    for form in (read_only, strided, by_columns):
        hold(backend, evaluation, answered(backend, in_form(evaluation.problem, form)))


def is_of_training(quantity: str) -> bool:
    """Whether a quantity is of a training; outputs and gradient are sharp only where all images go into one update."""
    return quantity.startswith(("costs", "parameters", "velocities"))


def in_form(problem: Problem, form: Callable[[Array], Array]) -> Problem:
    """The same problem with every array in another form."""
    plan = copy.copy(problem.plan)
    for part in ("starts", "stops", "order", "learning_rates"):
        if (array := getattr(plan, part)) is not None:
            object.__setattr__(plan, part, read_only(array))  # a plan's arrays are always contiguous
    parameters = tuple(Layer(form(weights), form(biases)) for weights, biases in problem.parameters)
    return problem._replace(images=form(problem.images), labels=form(problem.labels), parameters=parameters, plan=plan)


def read_only(array: Array) -> Array:
    """A copy that cannot be written to."""
    array = array.copy()
    array.flags.writeable = False
    return array


def mapped(folder: Path, array: Array) -> Array:
    """A copy on disk."""
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        array.tofile(file)
    return np.memmap(file.name, array.dtype, "r", shape=array.shape)


def strided(array: Array) -> Array:
    """Every second row of a larger array."""
    return np.repeat(array, 2, axis=0)[::2]


def by_columns(array: Array) -> Array:
    """As Fortran lays out a matrix; as a view that runs backwards, if it is a vector."""
    return np.asfortranarray(array) if array.ndim == 2 else array[::-1].copy()[::-1]


@promise(*SOME)
def uint8_and_float_images_agree(backend: Backend, network: Network, dtype: DType) -> None:
    """Pixels may be uint8 or floats, and floats need not be whole."""
    for pixels in get_args(Pixels):
        case = case_of(network, dtype, (7,), pixels=pixels)
        hold(backend, case, answered(backend, case.problem))


@promise(*SOME)
def pixel_scales(backend: Backend, network: Network, dtype: DType) -> None:
    """Inputs are pixels * pixel_scale, also where that is 1."""
    integers, floats = get_args(Pixels)[:2]
    for pixel_scale, pixels in itertools.product((1.0, 1 / 100, 1 / 255), (integers, floats)):
        case = case_of(replace(network, pixel_scale=pixel_scale), dtype, (7,), pixels=pixels)
        hold(backend, case, answered(backend, case.problem))


@promise(*SOME)
def prepare_without_labels(backend: Backend, network: Network, dtype: DType) -> None:
    """Outputs need no labels."""
    case = case_of(network, dtype, (7,))
    if "outputs" in (unsupported := unsupported_quantities(backend, case.problem)):
        raise Unsupported(unsupported["outputs"])
    prepared = backend.prepare(network, case.problem.images, None, dtype)
    hold(backend, case, answered(backend, case.problem, "outputs", prepared=prepared))


# --- updates ----------------------------------------------------------------------------------------------------


def hold_training(backend: Backend, network: Network, dtype: DType, *sizes: int, **how: Any) -> None:
    """Train as in a case with updates of these sizes, and compare."""
    case = case_of(network, dtype, sizes, of=("train",), **how)
    hold(backend, case, answered(backend, case.problem, "train"))


@promise(*SOME)
def batch_of_one(backend: Backend, network: Network, dtype: DType) -> None:
    """One image is a batch: outputs, gradient, and updates in any order."""
    case = case_of(network, dtype, (1,))
    hold(backend, case, answered(backend, case.problem))
    for order in ORDERS:
        hold_training(backend, network, dtype, 1, 1, 1, 1, 1, order=order, momentum=0.9)


@promise(*SOME)
def short_last_batch(backend: Backend, network: Network, dtype: DType) -> None:
    """A short batch is an update like any other: its mean is over its own images."""
    for order in ORDERS:
        hold_training(backend, network, dtype, 8, 8, 1, order=order)
        hold_training(backend, network, dtype, 5, 3, order=order, momentum=0.9)


@promise(*SOME)
def batches_of_any_size(backend: Backend, network: Network, dtype: DType) -> None:
    """Updates of one plan may differ in size, beyond a block of images too."""
    for order in ORDERS:
        hold_training(backend, network, dtype, 3, MOST_IMAGES, 70, 9, order=order)


@promise(*SOME)
def order_is_obeyed(backend: Backend, network: Network, dtype: DType) -> None:
    """A plan's order says which images an update uses."""
    hold_training(backend, network, dtype, 5, 5, 3, order="shuffled")
    hold_training(backend, network, dtype, 5, 5, 3, order="shuffled", momentum=0.9)


@promise(*SOME)
def an_image_used_twice_counts_twice(backend: Backend, network: Network, dtype: DType) -> None:
    """In one update, or in two."""
    hold_training(backend, network, dtype, 5, 5, 3, order="twice")


@promise(*SOME)
def updates_may_leave_gaps_and_overlap(backend: Backend, network: Network, dtype: DType) -> None:
    """Starts and stops need not follow one another."""
    for shuffled in (False, True):
        case = gaps_and_overlaps(network, dtype, shuffled)
        hold(backend, case, answered(backend, case.problem, "train"))


@functools.cache
def gaps_and_overlaps(network: Network, dtype: DType, shuffled: bool) -> Case:
    """Three updates: late images, early ones, and some of both."""
    problem = case_of(network, dtype, (20,)).problem
    starts, stops, rates = np.array([12, 2, 6]), np.array([18, 8, 13]), np.array([RATE, RATE / 2, RATE])
    order = np.random.default_rng(5).permutation(20)[:19] if shuffled else None
    problem = problem._replace(name=f"{network}, gaps and overlaps", plan=Plan(starts, stops, order, rates, 0.5))
    case = Case(problem, reference(problem))
    insist_on_sharpness(case, 1.0)
    return case


@promise(*SOME)
def momentum_is_nesterovs(backend: Backend, network: Network, dtype: DType) -> None:
    """v <- mu v + g, p <- p - eta (g + mu v), from the first update on."""
    for momentum in (0.5, 0.9):
        hold_training(backend, network, dtype, 4, momentum=momentum)
        hold_training(backend, network, dtype, 4, 4, 4, 4, 3, momentum=momentum)


@promise(*SOME)
def velocities_rest_without_momentum(backend: Backend, network: Network, dtype: DType) -> None:
    """With momentum 0 velocities are returned unchanged, and change no parameter."""
    case = case_of(network, dtype, (5, 5, 3))
    velocities = case_of(network, dtype, (7,), logits=2.0).problem.parameters
    state, costs = trained(backend, case.problem, State(case.problem.parameters, velocities), case.problem.plan)
    moved = named(state, costs, network)
    before = tensors_of("velocities", velocities, network)
    insist_on_the_same(backend, case.problem, moved, before, "should be unchanged by a training without momentum")
    hold(backend, case, {quantity: moved[quantity] for quantity in moved if quantity not in before})


@promise(*SOME)
def a_state_continues(backend: Backend, network: Network, dtype: DType) -> None:
    """A state is all that a training needs to continue: two calls give the result of one."""
    for order, momentum in itertools.product(ORDERS, (0.0, 0.9)):
        case = case_of(network, dtype, (5, 5, 4, 3), momentum=momentum, order=order)
        hold(backend, case, trained_in_parts(backend, case.problem, 1))


def trained_in_parts(backend: Backend, problem: Problem, cut: int) -> dict[str, Any]:
    """The results of a training in two calls: `cut` updates, then the others from the state that the first returned."""
    plan, state = problem.plan, zero_velocities(problem.parameters)
    costs = []
    for part in (slice(0, cut), slice(cut, None)):
        if len(plan.starts[part]):
            of_part = Plan(plan.starts[part], plan.stops[part], plan.order, plan.learning_rates[part], plan.momentum)
            state, costs_of_part = trained(backend, problem, state, of_part)
            costs.append(costs_of_part)
    return named(state, None if costs[0] is None else np.concatenate(costs), problem.network)


@promise(*SOME)
def every_update_has_its_learning_rate(backend: Backend, network: Network, dtype: DType) -> None:
    """At a rate of 0 velocities change and parameters do not; each update has its own rate."""
    case = case_of(network, dtype, (7,), momentum=0.9)
    still = case.problem._replace(plan=replace(case.problem.plan, learning_rates=np.zeros(1)))
    results = answered(backend, still, "train")
    before = tensors_of("parameters", case.problem.parameters, network)
    insist_on_the_same(backend, still, results, before, "should not move at a learning rate of 0")
    hold(backend, case, {quantity: results[quantity] for quantity in results if quantity not in before})
    hold_training(backend, network, dtype, 4, 4, 4, 4, 3)  # the last rate is half the first


# --- what follows from the mathematics ----------------------------------------------------------------------------


@promise(*SOME)
def halves_combine_to_the_whole(backend: Backend, network: Network, dtype: DType) -> None:
    """The gradient of all images is the mean of those of the parts, weighted by their images."""
    whole, *parts = whole_and_parts(network, dtype)
    results = answered(backend, whole.problem, "gradients")
    results_of_parts = [answered(backend, part.problem, "gradients") for part in parts]
    shares = [len(part.problem.labels) / len(whole.problem.labels) for part in parts]
    for quantity, actual in results.items():
        value = sum(share * np.asarray(of[quantity], float) for share, of in zip(shares, results_of_parts, strict=True))
        allowed = sum(share * part.expected[quantity].allowed for share, part in zip(shares, parts, strict=True))
        expected = Expected(np.asarray(value), whole.expected[quantity].allowed + allowed)
        compared(backend, whole.problem, quantity, actual, expected, "the mean of its parts")


@functools.cache
def whole_and_parts(network: Network, dtype: DType) -> tuple[Case, ...]:
    """Eleven images; the first four; the other seven."""
    whole = case_of(network, dtype, (11,))
    cases = [whole]
    for part in (slice(0, 4), slice(4, 11)):
        images, labels = whole.problem.images[part], whole.problem.labels[part]
        plan = Plan(np.array([0]), np.array([len(labels)]), None, np.array([RATE]))
        problem = whole.problem._replace(
            name=f"{network}, {len(labels)} of 11 images", images=images, labels=labels, plan=plan
        )
        cases.append(Case(problem, reference(problem)))
    return tuple(cases)


@promise(*SOME)
def order_within_a_batch_does_not_matter(backend: Backend, network: Network, dtype: DType) -> None:
    """An update uses the mean over its batch: the images may come in any order."""
    case = case_of(network, dtype, (11,), momentum=0.9)
    order = np.random.default_rng(6).permutation(11)
    by_plan = case.problem._replace(plan=replace(case.problem.plan, order=order))
    permuted = case.problem._replace(images=case.problem.images[order], labels=case.problem.labels[order])
    results = answered(backend, permuted)
    if "outputs" in results:
        results["outputs"] = results["outputs"][np.argsort(order)]
    hold(backend, case, results)
    hold(backend, case, answered(backend, by_plan))


@promise(*SOME)
def full_batch_is_one_mini_batch(backend: Backend, network: Network, dtype: DType) -> None:
    """One update with all images is a step along their gradient, and returns their cost."""
    case = case_of(network, dtype, (11,))
    results = answered(backend, case.problem, "gradients", "train")
    start = tensors_of("parameters", case.problem.parameters, network)
    for quantity, before in start.items():
        gradient = quantity.replace("parameters", "gradient")
        value = before.astype(np.float64) - RATE * results[gradient]
        allowed = case.expected[quantity].allowed + RATE * case.expected[gradient].allowed
        expected = Expected(value, allowed)
        compared(backend, case.problem, quantity, results[quantity], expected, "a step along its own gradient")
    if "costs of updates" in results:
        allowed = case.expected["costs of updates"].allowed + case.expected["cost"].allowed
        expected = Expected(np.array([results["cost"]], np.float64), allowed)
        costs = results["costs of updates"]
        compared(backend, case.problem, "costs of updates", costs, expected, "the cost that comes with its gradient")


@promise(*SOME)
def hidden_units_have_no_order(backend: Backend, network: Network, dtype: DType) -> None:
    """If the units of the first hidden layer change places, so does what belongs to them, and nothing else changes."""
    case = case_of(network, dtype, (5, 5, 3), momentum=0.9)
    places = np.random.default_rng(7).permutation(network.sizes[1])
    (first, second, *others) = case.problem.parameters
    moved = (
        Layer(first.weights[:, places], first.biases[places]),
        second._replace(weights=second.weights[places]),
        *others,
    )
    results = answered(backend, case.problem._replace(parameters=moved))
    back = np.argsort(places)
    for quantity, actual in results.items():
        if quantity.endswith("layer 1 weights"):
            results[quantity] = actual[:, back]
        elif quantity.endswith(("layer 1 biases", "layer 2 weights")):
            results[quantity] = actual[back]
    hold(backend, case, results)


@promise(*SOFTMAX)
def shifting_output_biases_moves_no_softmax(backend: Backend, network: Network, dtype: DType) -> None:
    """What is added to all logits alike changes neither outputs, nor cost, nor gradient."""
    case, shifted = case_of(network, dtype, (7,)), shifted_logits(network, dtype)
    for quantity, actual in answered(backend, shifted.problem).items():
        if not is_of_training(quantity):
            value, allowed = case.expected[quantity]
            # The biases themselves are rounded when they are shifted, which is within what is allowed of both.
            expected = Expected(value, allowed + shifted.expected[quantity].allowed)
            compared(backend, shifted.problem, quantity, actual, expected)


@functools.cache
def shifted_logits(network: Network, dtype: DType) -> Case:
    """The same images and parameters, but for the biases of the output layer."""
    problem = case_of(network, dtype, (7,)).problem
    *others, last = problem.parameters
    last = last._replace(biases=last.biases + np.array(100, dtype))
    problem = problem._replace(name=f"{network}, logits shifted by 100", parameters=(*others, last))
    return Case(problem, reference(problem))


# --- side effects -------------------------------------------------------------------------------------------------


@promise(*SOME)
def prints_nothing(backend: Backend, network: Network, dtype: DType) -> None:
    """Neither through Python's streams nor around them."""
    problem = case_of(network, dtype, (5, 5, 3), momentum=0.9, order="shuffled").problem
    with captured() as printed:
        answered(backend, problem)
    insist(backend, problem, not printed, f"should print nothing, printed {''.join(printed)!r}")


@contextlib.contextmanager
def captured() -> Iterator[list[str]]:
    """What is written to standard output and error within the `with`, also by code that bypasses Python's streams."""
    printed: list[str] = []
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    with tempfile.TemporaryFile() as file, io.StringIO() as text:
        try:
            for number in (1, 2):
                os.dup2(file.fileno(), number)
            with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
                yield printed
        finally:
            for number, copied in zip((1, 2), kept, strict=True):
                os.dup2(copied, number)
                os.close(copied)
            file.seek(0)
            printed += [part for part in (text.getvalue(), file.read().decode(errors="replace")) if part]


@promise(*SOME)
def global_state_is_left_alone(backend: Backend, network: Network, dtype: DType) -> None:
    """Shared random states, NumPy's error handling, working directory, environment and threads do not change."""
    problem = case_of(network, dtype, (5, 5, 3), momentum=0.9, order="shuffled").problem
    before = global_state()
    answered(backend, problem)
    for part, now in global_state().items():
        insist(backend, problem, now == before[part], f"changed {part}")


def global_state() -> dict[str, object]:
    """What a backend shares with all other code in the process, by name."""
    name, keys, *others = np.random.get_state()  # noqa: NPY002
    return {
        "NumPy's global random state": (name, np.asarray(keys).tolist(), others),
        "Python's global random state": random.getstate(),
        "how NumPy treats floating-point errors": np.geterr(),
        "the working directory": Path.cwd(),
        "the environment": dict(os.environ),
        "threads": threads_in_force(),
    }


@promise(*SOME)
def one_thread_and_two_agree(backend: Backend, network: Network, dtype: DType) -> None:
    """Results agree with any number of threads, if not to the last bit."""
    case = case_of(network, dtype, (MOST_IMAGES,))
    for n in sorted({1, min(2, threads.cores())}):
        with threads_limited(n):
            hold(backend, case, answered(backend, case.problem))


def threads_in_force() -> dict[str, int]:
    """The threads that loaded libraries use; imports none."""
    numba = sys.modules.get("numba")
    return {} if numba is None else {"numba": numba.get_num_threads()}


@contextlib.contextmanager
def threads_limited(n: int) -> Iterator[None]:
    """Within the `with`, all libraries that are loaded use n threads."""
    numba = sys.modules.get("numba")
    before = numba.get_num_threads() if numba else 0
    with threadpool_limits(n):
        if numba:
            numba.set_num_threads(min(n, numba.config.NUMBA_NUM_THREADS))  # the number at its start is its maximum
        try:
            yield
        finally:
            if numba:
                numba.set_num_threads(before)
