"""What a backend promises, one check a promise. `test_conformance.py` runs them all.

A check takes a backend, a network and a dtype. It raises BrokenPromise, naming the backend, where it is not kept, and
Denied where the backend says that it has nothing of what the check needs. Values are held against the reference in
float64, within what rounding explains (`bench.agreement`); no check has a tolerance of its own. Where a result is
derived from others, what is allowed is the sum of what is allowed for each.

The cases are made so that these tolerances are sharp, and `case_of` insists on it: images keep away from kinks, and no
tensor is zero that should not be.
"""

import contextlib
import copy
import functools
import io
import itertools
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from threadpoolctl import threadpool_limits

import impls
from bench import UserError
from bench.agreement import (
    CALLS,
    QUANTITIES,
    Expected,
    Trial,
    compare,
    denials,
    differing,
    fault,
    pair,
    reference,
    scale_of,
    tensors,
    widened,
)
from bench.rounding import SAFETY, evaluate, flat
from bench.threads import cores
from bench.trials import MOST_IMAGES, Updates, clear_of_kinks, with_random_biases
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
    """A case that could not tell right from wrong: no fault of any backend."""


class Denied(Exception):
    """The backend says that it has not what the check needs; the message is its reason."""


class Check(NamedTuple):
    """A promise, and on which networks and in which dtypes it is checked."""

    run: Callable[[Backend, Network, DType], None]
    networks: tuple[Network, ...]
    dtypes: tuple[DType, ...]


CHECKS: dict[str, Check] = {}

# --- networks ----------------------------------------------------------------------------------------------

SIZES = [(12, 7, 4), (12, 6, 5, 4), (12, 6, 5, 6, 4)]


def _networks() -> Iterator[Network]:
    """Every pair of hidden activation and output, with one to three hidden layers in turn; every output with none."""
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


# --- cases: what is computed, what is right, how far off it may be -------------------------------------------

SEED = 29  # one of those by which no network is dead on a single image, or saturated
RATE = 0.1  # at which 100 updates do not magnify rounding
SHARP_EVALUATION = 2000  # eps that outputs, cost, gradient may be off at most; in float32 2.4 parts in 10,000
SHARP_TRAINING = 20000  # the same of the costs, parameters and velocities of a training
ALIVE = 1e-6  # no tensor is smaller than this


class Case(NamedTuple):
    """A trial and its right answers."""

    trial: Trial
    expected: dict[str, Expected]


@functools.cache
def pool(n_inputs: int = 12) -> Digits:
    """Images, half of whose pixels are not zero, and labels."""
    rng = np.random.default_rng(SEED)
    n, n_classes = 4000, 4
    images = (rng.integers(1, 256, (n, n_inputs)) * (rng.random((n, n_inputs)) < 0.5)).astype(np.uint8)
    return Digits(images, rng.integers(0, n_classes, n))


def parameters_of(network: Network, dtype: DType, logits: float = 1.0) -> Parameters:
    """Parameters with biases that are not zero. logits: by what the weights of the last layer are multiplied."""
    first, *others = with_random_biases(initial_parameters(network, "lecun_normal", SEED, dtype))
    brightness = np.array(1 / 255 / network.pixel_scale, dtype)  # so that the pixels' scale leaves z as large as it is
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
) -> Case:
    """A case of some updates, each of so many images, at learning rates that fall.

    order: "twice" is shuffled, and every image comes twice. pixels: "fractions" are no whole numbers. Where all images
    go into one update, outputs and gradient are sharp too; where each update has its own, only the training is.
    """
    return _made(network, dtype, sizes, momentum, order, logits, pixels)


@functools.cache
def _made(
    network: Network,
    dtype: DType,
    sizes: tuple[int, ...],
    momentum: float,
    order: Order,
    logits: float,
    pixels: Pixels,
) -> Case:
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
    wanted = Updates(np.array(sizes), np.linspace(rate, rate / 2, len(sizes)), momentum)
    batches = clear_of_kinks(network, widened(parameters), digits, candidates, wanted, eps)
    if [len(batch) for batch in batches] != [*sizes]:
        raise Blunt(f"{network}: too few images keep away from kinks")
    used = chosen = np.concatenate(batches)
    indices = None
    if order != "file":
        used, indices = np.unique(chosen, return_inverse=True)
    stops = np.cumsum(sizes)
    plan = Plan(stops - sizes, stops, indices, wanted.rates, momentum)
    name = f"{network}, {of_images(sizes)}, {order} order, {pixels}, momentum {momentum:g}, logits x {logits:g}"
    trial = Trial(name, network, parameters, digits.images[used], digits.labels[used], plan)
    case = Case(trial, reference(trial))
    insist_on_sharpness(case, max(1.0, logits / 10))  # an error of z is the larger, the larger z is
    return case


def of_images(sizes: tuple[int, ...]) -> str:
    """The updates in words."""
    return f"{sizes[0]} images" if len(sizes) == 1 else f"{len(sizes)} updates, {sum(sizes)} images"


def pixels_of(images: Array, pixels: Pixels) -> Array:
    """The images in that form."""
    if pixels == "fractions":
        return images * 0.37
    return images.astype(pixels)


def insist_on_sharpness(case: Case, factor: float) -> None:
    """A check that allows anything is none, and a tensor of zeros tells nothing."""
    plan = case.trial.plan
    eps = float(np.finfo(dtype_of(case.trial.parameters)).eps)
    for quantity, (value, allowed) in case.expected.items():
        of_training = quantity.startswith(("costs", "parameters", "velocities"))
        if (len(plan.starts) > 1 and not of_training) or (quantity.startswith("velocities") and not plan.momentum):
            continue
        most = (SHARP_TRAINING if len(plan.starts) > 1 else SHARP_EVALUATION) * factor
        found = allowed / scale_of(value) / eps
        if not found <= most:
            raise Blunt(f"{case.trial.name}: {quantity} may be off {found:.3g} eps, expected at most {most:g}")
        if not np.abs(value).max() > ALIVE:
            raise Blunt(f"{case.trial.name}: {quantity} is zero, which tells nothing")


# --- asking a backend, and holding it to the answer ----------------------------------------------------------


def answered(backend: Backend, trial: Trial, *quantities: Quantity, prepared: Any = None) -> dict[str, Any]:
    """What the backend computes of these quantities, tensor by tensor; without any, of all that it has.

    Raises Denied where it denies one that is named, or all.
    """
    denied = denials(backend, trial)
    wanted = quantities or [quantity for quantity in CALLS if quantity not in denied]
    for quantity in wanted or CALLS:
        if quantity in denied:
            raise Denied(denied[quantity])
    if prepared is None:
        prepared = prepared_of(backend, trial)
    found: dict[str, Any] = {}
    for quantity in wanted:
        found |= CALLS[quantity](backend, trial, prepared)
    if "costs" in denied:
        found.pop("costs of updates", None)
    return found


def prepared_of(backend: Backend, trial: Trial) -> Any:
    """The backend's own form of the images and labels."""
    return backend.prepare(trial.network, trial.images, trial.labels, dtype_of(trial.parameters))


def trained(backend: Backend, trial: Trial, state: State, plan: Plan) -> tuple[State, Any]:
    """Train from any state. Raises Denied where the backend does not."""
    if "train" in (denied := denials(backend, trial)):
        raise Denied(denied["train"])
    found = backend.train(trial.network, state, prepared_of(backend, trial), plan)
    after, costs = pair(found, "state and costs of updates")
    parameters, velocities = pair(after, "parameters and velocities")
    state = State(as_layers(parameters, trial.network), as_layers(velocities, trial.network))
    return state, None if "costs" in denied else costs


def as_layers(found: Any, network: Network) -> Parameters:
    """What a backend returned, in our types: it may use its own tuples."""
    arrays = list(tensors("state", found, network).values())
    return tuple(map(Layer, arrays[::2], arrays[1::2]))


def named(state: State, costs: Any, network: Network) -> dict[str, Any]:
    """A training's results by name."""
    found = tensors("parameters", state.parameters, network) | tensors("velocities", state.velocities, network)
    return found if costs is None else {"costs of updates": costs} | found


def hold(backend: Backend, case: Case, found: dict[str, Any], only: str = "") -> None:
    """Raise BrokenPromise unless these are the right answers. only: the quantities that begin so."""
    for quantity, actual in found.items():
        if quantity.startswith(only):
            compared(backend, case.trial, quantity, actual, case.expected[quantity])


REFERENCE = f"{impls.REFERENCE} in float64"


def compared(
    backend: Backend, trial: Trial, quantity: str, actual: Any, expected: Expected, source: str = REFERENCE
) -> None:
    """Raise BrokenPromise unless this tensor is right. source: where the expected value comes from."""
    failure = compare(backend.NAME, trial, quantity, actual, expected).failure
    if failure is not None:
        raise BrokenPromise(failure.replace(REFERENCE, source))


def insist(backend: Backend, trial: Trial, condition: bool, fault: str) -> None:
    """Raise BrokenPromise unless the condition holds."""
    if not condition:
        raise BrokenPromise(f"{backend.NAME}, {trial.name}, {dtype_of(trial.parameters)}: {fault}")


def insist_on_the_same(backend: Backend, trial: Trial, found: dict[str, Any], before: dict[str, Any], why: str) -> None:
    """Raise BrokenPromise unless two answers are the same, bit for bit but for the sign of zero."""
    for quantity, value in before.items():
        insist(backend, trial, np.array_equal(found[quantity], value), f"{quantity}: {why}")


def promise(*networks: Network, dtypes: tuple[DType, ...] = DTYPES) -> Callable[[Callable[..., None]], Any]:
    """Enter a check in the list. Whatever a backend raises in it breaks the promise."""

    def enter(check: Callable[[Backend, Network, DType], None]) -> Callable[[Backend, Network, DType], None]:
        @functools.wraps(check)
        def run(backend: Backend, network: Network, dtype: DType) -> None:
            try:
                check(backend, network, dtype)
            except (BrokenPromise, Blunt, Denied, UserError):
                raise
            except Exception as error:
                name = getattr(backend, "NAME", "a backend without a name")
                raise BrokenPromise(f"{name}, {network}, {dtype}: {fault(check.__name__, error)}") from error

        CHECKS[check.__name__] = Check(run, networks, dtypes)
        return run

    return enter


# --- what a backend says of itself ----------------------------------------------------------------------------


@promise(SHALLOW, dtypes=("float64",))
def attributes(backend: Backend, _network: Network, _dtype: DType) -> None:
    """NAME and SUMMARY are a line each, DTYPES are dtypes, HOME is a number of images or None."""
    for part, is_right, wanted in (
        ("NAME", is_line, "a line of text"),
        ("SUMMARY", is_line, "a line of text"),
        ("DTYPES", are_dtypes, f"a tuple of some of {', '.join(DTYPES)}"),
        ("HOME", is_home, "a positive whole number or None"),
    ):
        found = getattr(backend, part, "nothing")
        if not is_right(found):
            raise BrokenPromise(f"{getattr(backend, 'NAME', backend)}: {part} should be {wanted}, found {found!r}")


def is_line(found: object) -> bool:
    """Text on one line, with nothing around it."""
    return isinstance(found, str) and found.splitlines() == [found.strip()]


def are_dtypes(found: object) -> bool:
    """Each once."""
    return isinstance(found, tuple) and 0 < len({*found}) == len(found) and {*found} <= {*DTYPES}


def is_home(found: object) -> bool:
    """Images per update, or None for all."""
    return found is None or (isinstance(found, int) and not isinstance(found, bool) and found > 0)


@promise(*EVERY)
def denials_are_reasons(backend: Backend, network: Network, dtype: DType) -> None:
    """`unsupported` says None or why not, and always the same; a dtype that is not in DTYPES is denied."""
    for quantity in QUANTITIES:
        who = f"{backend.NAME}: unsupported({quantity!r}, {network}, {dtype!r})"
        first, second = (backend.unsupported(quantity, network, dtype) for _ in range(2))
        if first is not None and not (isinstance(first, str) and first.strip()):
            raise BrokenPromise(f"{who} should be None or a reason, found {first!r}")
        if first != second:
            raise BrokenPromise(f"{who} should always be the same, found {first!r} and {second!r}")
        if first is None and dtype not in backend.DTYPES and quantity != "costs":
            raise BrokenPromise(f"{who} should be a reason, as DTYPES are {backend.DTYPES}; found None")


# --- the right numbers ----------------------------------------------------------------------------------------

EVALUATIONS = ((1, 1.0), (7, 1.0), (32, 1.0), (32, 10.0), (32, 100.0), (MOST_IMAGES, 1.0))  # images, logits


@promise(*EVERY)
def outputs_agree(backend: Backend, network: Network, dtype: DType) -> None:
    """Few images and many, small logits and large."""
    for n, logits in EVALUATIONS:
        case = case_of(network, dtype, (n,), logits=logits)
        hold(backend, case, answered(backend, case.trial, "outputs"))


@promise(*EVERY)
def cost_agrees(backend: Backend, network: Network, dtype: DType) -> None:
    """The mean cost, that comes with the gradient."""
    for n, logits in EVALUATIONS:
        case = case_of(network, dtype, (n,), logits=logits)
        hold(backend, case, answered(backend, case.trial, "gradients"), "cost")


@promise(*EVERY)
def gradients_agree(backend: Backend, network: Network, dtype: DType) -> None:
    """Of every weight and bias."""
    for n, logits in EVALUATIONS:
        case = case_of(network, dtype, (n,), logits=logits)
        hold(backend, case, answered(backend, case.trial, "gradients"), "gradient")


ORDERS: tuple[Order, ...] = ("file", "shuffled")
TRAININGS: tuple[tuple[int, float, Order], ...] = (  # updates, momentum; each with each other, not all with all
    (1, 0.0, "file"),
    (1, 0.9, "shuffled"),
    (10, 0.0, "shuffled"),
    (10, 0.9, "file"),
    (100, 0.9, "shuffled"),
)
LONG_AND_PLAIN: tuple[int, float, Order] = (100, 0.0, "file")  # less than what the last one asks for


@promise(*EVERY)
def training_agrees(backend: Backend, network: Network, dtype: DType) -> None:
    """Costs, parameters and velocities after 1, 10 and 100 updates; the last batch is short."""
    for n_updates, momentum, order in (*TRAININGS, LONG_AND_PLAIN) if network in SOME else TRAININGS:
        sizes = (*(3,) * (n_updates - 1), 2)
        case = case_of(network, dtype, sizes, momentum=momentum, order=order)
        hold(backend, case, answered(backend, case.trial, "train"))


@promise(*SOFTMAX)
def large_logits(backend: Backend, network: Network, dtype: DType) -> None:
    """Logits whose exponential no float64 can hold: softmax and cross entropy have to be shifted."""
    case = case_of(network, dtype, (32,), logits=4000.0)
    eps = float(np.finfo(dtype).eps)
    trial = case.trial
    logits = evaluate(network, widened(trial.parameters), trial.images, trial.labels, eps).pre_activations[-1]
    if not logits.max() > np.log(np.finfo(np.float64).max):
        raise Blunt(f"{trial.name}: logits up to {logits.max():g} are not large")
    hold(backend, case, answered(backend, trial))


@promise(*RELU)
def derivative_of_relu_at_zero(backend: Backend, network: Network, dtype: DType) -> None:
    """It is 0: blank images, and biases of zero."""
    case = blank_images(network, dtype)
    hold(backend, case, answered(backend, case.trial))


@functools.cache
def blank_images(network: Network, dtype: DType) -> Case:
    """Some images are blank, some are not, no bias helps: all z of the blank ones are 0."""
    trial = case_of(network, dtype, (7,)).trial
    images = trial.images.copy()
    images[::2] = 0
    parameters = tuple(Layer(weights, np.zeros_like(biases)) for weights, biases in trial.parameters)
    trial = trial._replace(name=f"{network}, blank images", images=images, parameters=parameters)
    return Case(trial, reference(trial))


@promise(SHALLOW, dtypes=("float32",))
def sixty_thousand_images(backend: Backend, network: Network, dtype: DType) -> None:
    """The sum over as many images as MNIST has stays within its bound in float32."""
    case = many_times(network, dtype, 100)
    hold(backend, case, answered(backend, case.trial, "gradients"))


@functools.cache
def many_times(network: Network, dtype: DType, times: int) -> Case:
    """The same 600 images many times: the means are what they are, but rounding adds up over all of them."""
    once = case_of(network, dtype, (600,))
    images, labels = np.tile(once.trial.images, (times, 1)), np.tile(once.trial.labels, times)
    trial = once.trial._replace(name=f"{network}, {len(labels)} images", images=images, labels=labels)
    eps = float(np.finfo(dtype).eps)
    there = evaluate(network, widened(trial.parameters), images, labels, eps)
    quantities = [quantity for quantity in once.expected if quantity == "cost" or quantity.startswith("gradient")]
    expected = {
        quantity: once.expected[quantity]._replace(allowed=SAFETY * eps * float(part.error.max()))
        for quantity, part in zip(quantities, [there.cost, *flat(there.gradient)], strict=True)
    }
    case = Case(trial, expected)
    insist_on_sharpness(case, 1.0)
    return case


@promise(*WIDE)
def wide_layers(backend: Backend, network: Network, dtype: DType) -> None:
    """Layers of more units than a backend may take at a time, to the last one; updates of more images, too."""
    case = case_of(network, dtype, (7,))
    hold(backend, case, answered(backend, case.trial))
    hold_training(backend, network, dtype, 5, 150, 3)
    hold_training(backend, network, dtype, 5, 150, 3, order="shuffled", momentum=0.9)


# --- results ---------------------------------------------------------------------------------------------------


@promise(*SOME)
def results_are_well_formed(backend: Backend, network: Network, dtype: DType) -> None:
    """NumPy arrays of the right shapes, for every layer; the cost is a number; one cost for each update."""
    case = case_of(network, dtype, (5, 5, 3), momentum=0.9)
    for quantity, actual in answered(backend, case.trial).items():
        shape = case.expected[quantity].value.shape
        right = np.shape(actual) == shape and (quantity == "cost" or type(actual) is np.ndarray)
        found = f"{type(actual).__name__} of shape {np.shape(actual)}"
        insist(backend, case.trial, right, f"{quantity} should be an ndarray of shape {shape}, found {found}")
        insist(backend, case.trial, bool(np.isfinite(actual).all()), f"{quantity} should be finite")


@promise(*SOME)
def dtype_is_kept(backend: Backend, network: Network, dtype: DType) -> None:
    """Results have the parameters' dtype, whatever the images have; nothing is computed in a coarser one."""
    for pixels in get_args(Pixels):
        case = case_of(network, dtype, (7,), pixels=pixels, momentum=0.9)
        found = answered(backend, case.trial)
        for quantity, actual in found.items():
            right = quantity == "cost" or actual.dtype == dtype
            insist(backend, case.trial, right, f"{quantity} should be {dtype}, found {getattr(actual, 'dtype', None)}")
        hold(backend, case, found)


@promise(*SOME)
def same_answer_twice(backend: Backend, network: Network, dtype: DType) -> None:
    """The same bits, from images prepared anew."""
    for sizes, momentum in (((5, 5, 3), 0.9), ((MOST_IMAGES,), 0.0)):
        trial = case_of(network, dtype, sizes, momentum=momentum).trial
        first, second = (answered(backend, trial) for _ in range(2))
        insist_on_the_same(backend, trial, second, first, "should be the same twice, bit for bit")


@promise(*SOME)
def answers_do_not_depend_on_what_ran_before(backend: Backend, network: Network, dtype: DType) -> None:
    """Neither on another network, nor on another batch, nor on another dtype, nor on a training."""
    trial = case_of(network, dtype, (5, 5, 3), momentum=0.9, order="shuffled").trial
    prepared = prepared_of(backend, trial)
    before = copy.deepcopy(answered(backend, trial, prepared=prepared))
    other_dtype: DType = "float64" if dtype == "float32" else "float32"
    for other in (
        *(case_of(others, dtype, (7,)) for others in SOME if others != network),
        case_of(network, other_dtype, (7,)),
        case_of(network, dtype, (32,), logits=10.0),
    ):
        with contextlib.suppress(Denied):
            hold(backend, other, answered(backend, other.trial))
    after = answered(backend, trial, prepared=prepared)
    insist_on_the_same(backend, trial, after, before, "should not depend on what ran before")


@promise(*SOME)
def earlier_results_survive_later_calls(backend: Backend, network: Network, dtype: DType) -> None:
    """No result is a buffer that the next call writes to."""
    first = case_of(network, dtype, (5, 5, 3), momentum=0.9, order="shuffled").trial
    second = case_of(network, dtype, (5, 5, 3), momentum=0.9, order="shuffled", logits=2.0).trial
    prepared = prepared_of(backend, first)
    found = answered(backend, first, prepared=prepared)
    before = copy.deepcopy(found)
    answered(backend, first._replace(parameters=second.parameters), prepared=prepared)
    answered(backend, second)
    insist_on_the_same(backend, first, found, before, "was changed by a later call")


# --- inputs -----------------------------------------------------------------------------------------------------


@promise(*SOME)
def inputs_are_unchanged(backend: Backend, network: Network, dtype: DType) -> None:
    """Images, labels, parameters and plan; velocities; and a state that came from the backend itself."""
    for order, momentum in itertools.product(ORDERS, (0.0, 0.9)):
        case = case_of(network, dtype, (5, 5, 3), momentum=momentum, order=order)
        given = copy.deepcopy(case.trial)
        answered(backend, given)
        changed = differing(case.trial, given)
        insist(backend, given, not changed, f"modified its inputs: {', '.join(changed)}")
    with contextlib.suppress(Denied):
        state = State(case.trial.parameters, case_of(network, dtype, (7,), logits=2.0).trial.parameters)
        for _ in range(2):
            before = copy.deepcopy(state)
            after, _ = trained(backend, case.trial, state, case.trial.plan)
            names = zip(named(state, None, network).items(), named(before, None, network).values(), strict=True)
            changed = [name for (name, now), was in names if not np.array_equal(now, was)]
            insist(backend, given, not changed, f"modified its inputs: {', '.join(changed)} before the training")
            state = after


@promise(*SOME)
def read_only_and_memory_mapped_inputs(backend: Backend, network: Network, dtype: DType) -> None:
    """So may images, labels, parameters, velocities and plan be; and slices of larger arrays."""
    case = case_of(network, dtype, (5, 5, 3), momentum=0.9, order="shuffled")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for form in (read_only, functools.partial(mapped, Path(folder)), strided, by_columns):
            trial = in_form(case.trial, form)
            hold(backend, case, {k: v for k, v in answered(backend, trial).items() if is_of_training(k)})
    evaluation = case_of(network, dtype, (7,))
    for form in (read_only, strided, by_columns):
        hold(backend, evaluation, answered(backend, in_form(evaluation.trial, form)))


def is_of_training(quantity: str) -> bool:
    """Outputs and gradient are sharp only where all images go into one update."""
    return quantity.startswith(("costs", "parameters", "velocities"))


def in_form(trial: Trial, form: Callable[[Array], Array]) -> Trial:
    """The same trial, every array of which is in another form."""
    plan = copy.copy(trial.plan)
    for part in ("starts", "stops", "order", "learning_rates"):
        if (array := getattr(plan, part)) is not None:
            object.__setattr__(plan, part, read_only(array))  # a plan's arrays are always contiguous
    parameters = tuple(Layer(form(weights), form(biases)) for weights, biases in trial.parameters)
    return trial._replace(images=form(trial.images), labels=form(trial.labels), parameters=parameters, plan=plan)


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
    """Every second row of an array, in which the others are of no use."""
    return np.repeat(array, 2, axis=0)[::2]


def by_columns(array: Array) -> Array:
    """As Fortran lays out a matrix; as a view that runs backwards, if it is a vector."""
    return np.asfortranarray(array) if array.ndim == 2 else array[::-1].copy()[::-1]


@promise(*SOME)
def uint8_and_float_images_agree(backend: Backend, network: Network, dtype: DType) -> None:
    """Pixels may be uint8 or floats, and floats need not be whole."""
    for pixels in get_args(Pixels):
        case = case_of(network, dtype, (7,), pixels=pixels)
        hold(backend, case, answered(backend, case.trial))


@promise(*SOME)
def pixel_scales(backend: Backend, network: Network, dtype: DType) -> None:
    """Inputs are pixels * pixel_scale, also where that is 1."""
    integers, floats = get_args(Pixels)[:2]
    for pixel_scale, pixels in itertools.product((1.0, 1 / 100, 1 / 255), (integers, floats)):
        case = case_of(replace(network, pixel_scale=pixel_scale), dtype, (7,), pixels=pixels)
        hold(backend, case, answered(backend, case.trial))


@promise(*SOME)
def prepare_without_labels(backend: Backend, network: Network, dtype: DType) -> None:
    """Outputs need none."""
    case = case_of(network, dtype, (7,))
    if "outputs" in (denied := denials(backend, case.trial)):
        raise Denied(denied["outputs"])
    prepared = backend.prepare(network, case.trial.images, None, dtype)
    hold(backend, case, answered(backend, case.trial, "outputs", prepared=prepared))


# --- updates ----------------------------------------------------------------------------------------------------


def hold_training(backend: Backend, network: Network, dtype: DType, *sizes: int, **how: Any) -> None:
    """Train as in a case of so many images for each update."""
    case = case_of(network, dtype, sizes, **how)
    hold(backend, case, answered(backend, case.trial, "train"))


@promise(*SOME)
def batch_of_one(backend: Backend, network: Network, dtype: DType) -> None:
    """One image is a batch: outputs, gradient, and updates in any order."""
    case = case_of(network, dtype, (1,))
    hold(backend, case, answered(backend, case.trial))
    for order in ORDERS:
        hold_training(backend, network, dtype, 1, 1, 1, 1, 1, order=order, momentum=0.9)


@promise(*SOME)
def short_last_batch(backend: Backend, network: Network, dtype: DType) -> None:
    """It is an update like any other: the mean is over the images it has."""
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
        hold(backend, case, answered(backend, case.trial, "train"))


@functools.cache
def gaps_and_overlaps(network: Network, dtype: DType, shuffled: bool) -> Case:
    """Three updates: late images, early ones, and some of both."""
    trial = case_of(network, dtype, (20,)).trial
    starts, stops, rates = np.array([12, 2, 6]), np.array([18, 8, 13]), np.array([RATE, RATE / 2, RATE])
    order = np.random.default_rng(5).permutation(20)[:19] if shuffled else None
    trial = trial._replace(name=f"{network}, gaps and overlaps", plan=Plan(starts, stops, order, rates, 0.5))
    case = Case(trial, reference(trial))
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
    """With momentum 0 they go through unchanged, and move nothing."""
    case = case_of(network, dtype, (5, 5, 3))
    velocities = case_of(network, dtype, (7,), logits=2.0).trial.parameters
    state, costs = trained(backend, case.trial, State(case.trial.parameters, velocities), case.trial.plan)
    moved = named(state, costs, network)
    before = tensors("velocities", velocities, network)
    insist_on_the_same(backend, case.trial, moved, before, "should go through a training without momentum unchanged")
    hold(backend, case, {quantity: moved[quantity] for quantity in moved if quantity not in before})


@promise(*SOME)
def a_state_continues(backend: Backend, network: Network, dtype: DType) -> None:
    """A state says all that a training has to know: in two calls it goes as in one."""
    for order, momentum in itertools.product(ORDERS, (0.0, 0.9)):
        case = case_of(network, dtype, (5, 5, 4, 3), momentum=momentum, order=order)
        hold(backend, case, trained_in_parts(backend, case.trial, 1))


def trained_in_parts(backend: Backend, trial: Trial, cut: int) -> dict[str, Any]:
    """What a training yields that is interrupted after so many updates, and goes on from the state it had come to."""
    plan, state = trial.plan, zero_velocities(trial.parameters)
    costs = []
    for part in (slice(0, cut), slice(cut, None)):
        if len(plan.starts[part]):
            of_part = Plan(plan.starts[part], plan.stops[part], plan.order, plan.learning_rates[part], plan.momentum)
            state, costs_of_part = trained(backend, trial, state, of_part)
            costs.append(costs_of_part)
    return named(state, None if costs[0] is None else np.concatenate(costs), trial.network)


@promise(*SOME)
def every_update_has_its_learning_rate(backend: Backend, network: Network, dtype: DType) -> None:
    """At a rate of 0 no parameter moves, and velocities do; the rates of other updates are their own."""
    case = case_of(network, dtype, (7,), momentum=0.9)
    still = case.trial._replace(plan=replace(case.trial.plan, learning_rates=np.zeros(1)))
    found = answered(backend, still, "train")
    before = tensors("parameters", case.trial.parameters, network)
    insist_on_the_same(backend, still, found, before, "should not move at a learning rate of 0")
    hold(backend, case, {quantity: found[quantity] for quantity in found if quantity not in before})
    hold_training(backend, network, dtype, 4, 4, 4, 4, 3)  # the last rate is half of the first


# --- what follows from the mathematics ----------------------------------------------------------------------------


@promise(*SOME)
def halves_combine_to_the_whole(backend: Backend, network: Network, dtype: DType) -> None:
    """The gradient of all images is the mean of those of the parts, weighted by their images."""
    whole, *parts = whole_and_parts(network, dtype)
    found = answered(backend, whole.trial, "gradients")
    found_of_parts = [answered(backend, part.trial, "gradients") for part in parts]
    shares = [len(part.trial.labels) / len(whole.trial.labels) for part in parts]
    for quantity, actual in found.items():
        value = sum(share * np.asarray(of[quantity], float) for share, of in zip(shares, found_of_parts, strict=True))
        allowed = sum(share * part.expected[quantity].allowed for share, part in zip(shares, parts, strict=True))
        expected = Expected(np.asarray(value), whole.expected[quantity].allowed + allowed)
        compared(backend, whole.trial, quantity, actual, expected, "the mean of its parts")


@functools.cache
def whole_and_parts(network: Network, dtype: DType) -> tuple[Case, ...]:
    """Eleven images; the first four; the other seven."""
    whole = case_of(network, dtype, (11,))
    cases = [whole]
    for part in (slice(0, 4), slice(4, 11)):
        images, labels = whole.trial.images[part], whole.trial.labels[part]
        plan = Plan(np.array([0]), np.array([len(labels)]), None, np.array([RATE]))
        trial = whole.trial._replace(
            name=f"{network}, {len(labels)} of 11 images", images=images, labels=labels, plan=plan
        )
        cases.append(Case(trial, reference(trial)))
    return tuple(cases)


@promise(*SOME)
def order_within_a_batch_does_not_matter(backend: Backend, network: Network, dtype: DType) -> None:
    """A batch has a mean: the images may come in any order."""
    case = case_of(network, dtype, (11,), momentum=0.9)
    order = np.random.default_rng(6).permutation(11)
    by_plan = case.trial._replace(plan=replace(case.trial.plan, order=order))
    permuted = case.trial._replace(images=case.trial.images[order], labels=case.trial.labels[order])
    found = answered(backend, permuted)
    if "outputs" in found:
        found["outputs"] = found["outputs"][np.argsort(order)]
    hold(backend, case, found)
    hold(backend, case, answered(backend, by_plan))


@promise(*SOME)
def full_batch_is_one_mini_batch(backend: Backend, network: Network, dtype: DType) -> None:
    """One update with all images is a step along the gradient of all images, and tells their cost."""
    case = case_of(network, dtype, (11,))
    found = answered(backend, case.trial, "gradients", "train")
    start = tensors("parameters", case.trial.parameters, network)
    for quantity, before in start.items():
        gradient = quantity.replace("parameters", "gradient")
        value = before.astype(np.float64) - RATE * found[gradient]
        allowed = case.expected[quantity].allowed + RATE * case.expected[gradient].allowed
        expected = Expected(value, allowed)
        compared(backend, case.trial, quantity, found[quantity], expected, "a step along its own gradient")
    if "costs of updates" in found:
        allowed = case.expected["costs of updates"].allowed + case.expected["cost"].allowed
        expected = Expected(np.array([found["cost"]], np.float64), allowed)
        costs = found["costs of updates"]
        compared(backend, case.trial, "costs of updates", costs, expected, "the cost that comes with its gradient")


@promise(*SOFTMAX)
def shifting_output_biases_moves_no_softmax(backend: Backend, network: Network, dtype: DType) -> None:
    """What is added to all logits alike changes neither outputs, nor cost, nor gradient."""
    case, shifted = case_of(network, dtype, (7,)), shifted_logits(network, dtype)
    for quantity, actual in answered(backend, shifted.trial).items():
        if not is_of_training(quantity):
            value, allowed = case.expected[quantity]
            # The biases themselves are rounded when they are shifted, which is within what is allowed of both.
            expected = Expected(value, allowed + shifted.expected[quantity].allowed)
            compared(backend, shifted.trial, quantity, actual, expected)


@functools.cache
def shifted_logits(network: Network, dtype: DType) -> Case:
    """The same images and parameters, but for the biases of the output layer."""
    trial = case_of(network, dtype, (7,)).trial
    *others, last = trial.parameters
    last = last._replace(biases=last.biases + np.array(100, dtype))
    trial = trial._replace(name=f"{network}, logits shifted by 100", parameters=(*others, last))
    return Case(trial, reference(trial))


# --- manners ------------------------------------------------------------------------------------------------------


@promise(*SOME)
def prints_nothing(backend: Backend, network: Network, dtype: DType) -> None:
    """Neither by Python's streams nor past them."""
    trial = case_of(network, dtype, (5, 5, 3), momentum=0.9, order="shuffled").trial
    with listening() as heard:
        answered(backend, trial)
    insist(backend, trial, not heard, f"should print nothing, printed {''.join(heard)!r}")


@contextlib.contextmanager
def listening() -> Iterator[list[str]]:
    """What is written to standard output and error meanwhile; by libraries too, which do not use Python's streams."""
    heard: list[str] = []
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    with tempfile.TemporaryFile() as file, io.StringIO() as text:
        try:
            for number in (1, 2):
                os.dup2(file.fileno(), number)
            with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
                yield heard
        finally:
            for number, copied in zip((1, 2), kept, strict=True):
                os.dup2(copied, number)
                os.close(copied)
            file.seek(0)
            heard += [said for said in (text.getvalue(), file.read().decode(errors="replace")) if said]


@promise(*SOME)
def global_state_is_left_alone(backend: Backend, network: Network, dtype: DType) -> None:
    """Random numbers of others, NumPy's error handling, the working directory and the environment."""
    trial = case_of(network, dtype, (5, 5, 3), momentum=0.9, order="shuffled").trial
    before = global_state()
    answered(backend, trial)
    for part, now in global_state().items():
        insist(backend, trial, now == before[part], f"changed {part}")


def global_state() -> dict[str, object]:
    """What a backend shares with everybody else in the process, by name."""
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
    """With any number of threads the answers are right, if not the same to the bit."""
    case = case_of(network, dtype, (MOST_IMAGES,))
    for n in sorted({1, min(2, cores())}):
        with threads_limited(n):
            hold(backend, case, answered(backend, case.trial))


def threads_in_force() -> dict[str, int]:
    """The threads that libraries would use now; importing none."""
    numba = sys.modules.get("numba")
    return {} if numba is None else {"numba": numba.get_num_threads()}


@contextlib.contextmanager
def threads_limited(n: int) -> Iterator[None]:
    """All libraries that are loaded use so many threads."""
    numba = sys.modules.get("numba")
    before = numba.get_num_threads() if numba else 0
    with threadpool_limits(n):
        if numba:
            numba.set_num_threads(min(n, numba.config.NUMBA_NUM_THREADS))  # more than at its start it cannot have
        try:
            yield
        finally:
            if numba:
                numba.set_num_threads(before)
