"""The contract between a backend and the suite: what a network is, what a plan is, what a backend offers.

Legend, used in every file of this folder: rows are images; n images, L layers, z pre-activation, a activation,
delta = dCost/dz. The network computes

    a_0 = pixels * pixel_scale        z_l = a_(l-1) @ weights_l + biases_l        a_l = activation_l(z_l)

and the cost of n images with targets t (one-hot rows of the labels) is

    quadratic      sum over images and outputs of (a_L - t)^2 / (2 n)
    cross_entropy  -(1/n) * sum over images of log a_L[label]      with a_L the softmax of z_L

The derivative of ReLU at 0 is 0. An update with learning rate eta and momentum mu, from the gradient g of the mean
cost over its images, is Nesterov's as frameworks write it (Sutskever et al. 2013, as in torch.optim.SGD):

    v <- mu v + g        p <- p - eta (g + mu v)

With momentum 0 it is p <- p - eta g, and the velocities stay unchanged.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple, Protocol, cast, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
Activation = Literal["sigmoid", "relu", "tanh"]
Output = Literal["sigmoid", "relu", "softmax"]
Cost = Literal["quadratic", "cross_entropy"]
Quantity = Literal["outputs", "gradients", "costs", "train"]
DType = Literal["float32", "float64"]

COST_OF_OUTPUT: dict[Output, Cost] = {"sigmoid": "quadratic", "relu": "quadratic", "softmax": "cross_entropy"}


class ContractError(ValueError):
    """A network, plan, parameters, images or labels that are invalid for every backend."""


class Layer(NamedTuple):
    """One layer's parameters, or their gradient, or their velocity."""

    weights: Array  # (fan_in, fan_out)
    biases: Array  # (fan_out,)


Parameters = tuple[Layer, ...]


class State(NamedTuple):
    """All that changes in training."""

    parameters: Parameters
    velocities: Parameters


@dataclass(frozen=True)
class Network:
    """Layer sizes, activations and cost. Raises ContractError for invalid sizes, functions or combinations."""

    sizes: tuple[int, ...]  # (784, 80, 10): inputs, hidden layers (any number, or none), outputs
    hidden: Activation = "sigmoid"
    output: Output = "sigmoid"
    cost: Cost = "quadratic"
    pixel_scale: float = 1 / 255  # inputs are pixels * pixel_scale; 1 for raw pixels

    def __post_init__(self) -> None:
        if len(self.sizes) < 2 or not all(isinstance(size, int) and 1 <= size < 2**31 for size in self.sizes):
            text = "-".join(map(str, self.sizes))
            raise ContractError(
                f"network {text}: expected at least an input and an output size, positive whole numbers below 2^31"
            )
        if self.hidden not in get_args(Activation):
            raise ContractError(f"hidden activation {self.hidden!r}: expected one of {', '.join(get_args(Activation))}")
        if self.output not in COST_OF_OUTPUT or COST_OF_OUTPUT[self.output] != self.cost:
            pairs = ", ".join(f"{output} with {cost}" for output, cost in COST_OF_OUTPUT.items())
            raise ContractError(f"output {self.output!r} with cost {self.cost!r}: expected one of {pairs}")
        if not (math.isfinite(self.pixel_scale) and self.pixel_scale > 0):
            raise ContractError(f"pixel scale {self.pixel_scale}: expected a positive, finite number")

    def __str__(self) -> str:
        return f"{'-'.join(map(str, self.sizes))} {self.hidden}, {self.output} with {self.cost}"


@dataclass(frozen=True, eq=False)
class Plan:
    """A batch schedule with learning rates: the images of each update of a training, and its learning rate.

    The harness makes it, and every backend follows it. Update u uses the images order[starts[u]:stops[u]], or images
    starts[u]:stops[u] where order is None, so that a slice needs no copy. Raises ContractError for anything that is no
    plan; `check_plan_fits` checks that it fits the images.
    """

    starts: Array  # (n_updates,) int64
    stops: Array  # (n_updates,) int64
    order: Array | None  # (m,) int64, indices of images
    learning_rates: Array  # (n_updates,) float64, finite, >= 0
    momentum: float = 0.0  # in [0, 1)

    def __post_init__(self) -> None:
        for name in ("starts", "stops"):
            object.__setattr__(self, name, _integers(getattr(self, name), name))
        if self.order is not None:
            object.__setattr__(self, "order", _integers(self.order, "order"))
        rates = np.ascontiguousarray(self.learning_rates, dtype=np.float64)
        object.__setattr__(self, "learning_rates", rates)
        if not (self.starts.shape == self.stops.shape == rates.shape):
            raise ContractError(
                f"plan: {self.starts.size} starts, {self.stops.size} stops and {rates.size} learning rates; "
                "expected one of each per update"
            )
        if not rates.size:
            raise ContractError("plan: no updates; expected at least one")
        if np.any(self.starts < 0) or np.any(self.stops <= self.starts):
            raise ContractError("plan: every update needs 0 <= start < stop, that is at least one image")
        wrong = ~(np.isfinite(rates) & (rates >= 0))
        if wrong.any():
            update = int(np.argmax(wrong))
            raise ContractError(
                f"learning rate {rates[update]} at update {update}: expected a finite number that is not negative"
            )
        if not 0 <= self.momentum < 1:
            raise ContractError(f"momentum {self.momentum}: expected a number from 0 up to, not including, 1")


def _integers(values: ArrayLike, name: str) -> Array:
    array = np.asarray(values)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise ContractError(
            f"plan: {name} has shape {array.shape} and dtype {array.dtype}; expected a vector of integers"
        )
    return np.ascontiguousarray(array, dtype=np.int64)


class Backend(Protocol):
    """A backend: a module with these names.

    For all functions: inputs are never modified and may be read-only or memory-mapped; results are NumPy arrays of the
    parameters' dtype; the work is finished on return; nothing is random, nothing is printed.

    One that can run on a device besides the CPU, or only there, also has `DEVICES`, the names of all of them, and
    `DEVICE`, the first, which its functions read when they are called; `PRECISION`, if it is there, says by device how
    products of float32 are computed. Where a name ends with a device, as `torch:cuda` does, the file is loaded a second
    time, as a module of its own with that `DEVICE`.

    One that computes in other processes besides its own, on this machine, has `processes`, a function that returns
    their numbers, a list of int, empty before they are started: what they use of CPU and memory counts as its own.
    It has them stopped whenever none of its functions runs, see `impls.ranks`.
    """

    @property
    def NAME(self) -> str:
        """What the harness calls it. Commands and tables use the name it is registered under, or its module's path."""

    @property
    def SUMMARY(self) -> str:
        """One line: what this implementation does."""

    @property
    def DTYPES(self) -> tuple[str, ...]:
        """The dtypes it computes in."""

    @property
    def BATCH_SIZE(self) -> int | None:
        """Images per update by default, for which it is written; None: the full batch, one update per epoch."""

    def unsupported(self, quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
        """Return why this quantity is unsupported for this network and dtype; None if it is supported."""

    def prepare(self, network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Any:
        """Return the backend's own form of a split, timed separately; depends on nothing but the arguments.

        images: (n, n_inputs), uint8 or float. labels: (n,) int64, or None where only outputs are needed.
        """

    def outputs(self, network: Network, parameters: Parameters, prepared: Any, /) -> Array:
        """Return the last activations, (n, n_outputs)."""

    def gradients(self, network: Network, parameters: Parameters, prepared: Any, /) -> tuple[float, Parameters]:
        """Return the mean cost over all prepared images, and its gradient, shaped like the parameters."""

    def train(self, network: Network, state: State, prepared: Any, plan: Plan, /) -> tuple[State, Array | None]:
        """Return the state after the plan's updates, and the mean cost of each update's images before it, (n_updates,).

        The costs may be None where `unsupported("costs", ...)` returns a reason.
        """


def zero_velocities(parameters: Parameters) -> State:
    """Return the state in which training starts: these parameters, with velocities of zero."""
    return State(parameters, tuple(Layer(np.zeros_like(w), np.zeros_like(b)) for w, b in parameters))


def check_parameters(network: Network, parameters: Parameters) -> None:
    """Raise ContractError unless the parameters are this network's: shapes, one float dtype, all finite."""
    pairs = list(pairwise(network.sizes))
    if len(parameters) != len(pairs):
        raise ContractError(f"{len(parameters)} layers of parameters; network {network} has {len(pairs)}")
    dtype = parameters[0].weights.dtype
    for number, ((weights, biases), (fan_in, fan_out)) in enumerate(zip(parameters, pairs, strict=True), start=1):
        for name, array, shape in (("weights", weights, (fan_in, fan_out)), ("biases", biases, (fan_out,))):
            if array.shape != shape:
                raise ContractError(f"layer {number}: {name} have shape {array.shape}, expected {shape}")
            if array.dtype != dtype or dtype not in (np.float32, np.float64):
                raise ContractError(f"layer {number}: {name} are {array.dtype}, expected one dtype, float32 or float64")
            finite = np.isfinite(array)
            if not finite.all():
                worst = tuple(int(i) for i in np.argwhere(~finite)[0])
                raise ContractError(
                    f"layer {number}: {name} hold {array[worst]} at {list(worst)}, expected finite numbers; "
                    "lower the learning rate of the training that made them, or start from others"
                )


def check_images(network: Network, images: Array, labels: Array | None) -> None:
    """Raise ContractError unless images (n, n_inputs) and labels (n,) fit one another and the network."""
    if images.ndim != 2 or images.shape[0] < 1:
        raise ContractError(f"images have shape {images.shape}, expected (n, {network.sizes[0]}) with n >= 1")
    if images.shape[1] != network.sizes[0]:
        raise ContractError(
            f"images have {images.shape[1]} pixels, network {network} has {network.sizes[0]} inputs; "
            f"use sizes {images.shape[1]}-...-{network.sizes[-1]}"
        )
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise ContractError(f"images are {images.dtype}, expected uint8 or a float dtype")
    if labels is None:
        return
    if labels.shape != (images.shape[0],) or labels.dtype != np.int64:
        raise ContractError(
            f"labels have shape {labels.shape} and dtype {labels.dtype}, "
            f"expected ({images.shape[0]},) int64, one per image"
        )
    wrong = (labels < 0) | (labels >= network.sizes[-1])
    if wrong.any():
        first = int(np.argmax(wrong))
        raise ContractError(
            f"label {labels[first]} of image {first}: expected 0 to {network.sizes[-1] - 1}, "
            f"as network {network} has {network.sizes[-1]} outputs"
        )


def check_plan_fits(plan: Plan, n_images: int) -> None:
    """Raise ContractError unless the plan names only images that exist."""
    available = n_images if plan.order is None else len(plan.order)
    if plan.stops.max() > available:
        raise ContractError(f"plan: an update ends at position {plan.stops.max()}, but there are {available} images")
    if plan.order is not None and (plan.order.min() < 0 or plan.order.max() >= n_images):
        raise ContractError(
            f"plan: order names images {plan.order.min()} to {plan.order.max()}, but there are {n_images}"
        )


def dtype_of(parameters: Parameters) -> DType:
    """Return the name of the dtype of checked parameters."""
    return cast(DType, parameters[0].weights.dtype.name)
