"""Wrong backends, each a small edit of a right one, and the check that has to reject it.

`WRONG` lists them, and says of each whether `bench.agreement`, the check before any timing, rejects it as well: its
problems are too short to show every error.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import numba
import numpy as np

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State
from tests.suite.conformance import SHALLOW, SOME, WIDE

SIGMOID, RELU, SOFTMAX = SOME  # with one, three and two hidden layers


class Prepared(NamedTuple):
    """Scaled images (n, n_inputs) in the dtype, labels (n,)."""

    images: Array
    labels: Array | None


class Right:
    """A right backend, in parts small enough to get one wrong."""

    NAME = "right"
    SUMMARY = "right, in small parts"
    DTYPES: tuple[str, ...] = ("float32", "float64")
    BATCH_SIZE: int | None = None

    def unsupported(self, quantity: Quantity, network: Network, dtype: DType) -> Any:
        return None

    def prepare(self, network: Network, images: Array, labels: Array | None, dtype: DType) -> Prepared:
        return Prepared(self.scaled(network, images, dtype), labels)

    def scaled(self, network: Network, images: Array, dtype: DType) -> Array:
        return np.multiply(images, network.pixel_scale, dtype=dtype, casting="unsafe")

    def activation(self, name: str, z: Array) -> Array:
        if name == "softmax":
            return self.softmax(z)
        return np.maximum(z, 0) if name == "relu" else np.tanh(z) if name == "tanh" else (1 + np.tanh(z / 2)) / 2

    def softmax(self, z: Array) -> Array:
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def derivative(self, name: str, a: Array) -> Array:
        return a > 0 if name == "relu" else 1 - a * a if name == "tanh" else a * (1 - a)

    def forward(self, network: Network, parameters: Parameters, images: Array) -> tuple[list[Array], Array]:
        activations = [images]
        names = [network.hidden] * (len(parameters) - 1) + [network.output]
        for name, (weights, biases) in zip(names, parameters, strict=True):
            z = activations[-1] @ weights + biases
            activations.append(self.activation(name, z))
        return activations, z

    def costs_of_images(self, network: Network, z: Array, a: Array, labels: Array) -> Array:
        rows = np.arange(len(labels))
        if network.cost == "quadratic":
            return ((a - np.eye(network.sizes[-1], dtype=a.dtype)[labels]) ** 2).sum(axis=1) / 2
        highest = z.max(axis=1)
        return highest + np.log(np.exp(z - highest[:, np.newaxis]).sum(axis=1)) - z[rows, labels]

    def passed_back(self, delta: Array, weights: Array, slope: Array) -> Array:
        return (delta @ weights.T) * slope

    def layer_gradient(self, a: Array, delta: Array, number: int) -> Layer:
        """Summed over the images; number is 0 for the first layer."""
        return Layer(a.T @ delta, delta.sum(axis=0))

    def mean(self, total: Array, n: int) -> Array:
        return total / total.dtype.type(n)

    def mean_gradient(
        self, network: Network, parameters: Parameters, images: Array, labels: Array
    ) -> tuple[Any, Parameters]:
        n = len(images)
        activations, z = self.forward(network, parameters, images)
        a = activations[-1]
        delta = a - np.eye(network.sizes[-1], dtype=a.dtype)[labels]
        if network.cost == "quadratic":
            delta = delta * self.derivative(network.output, a)
        gradient: list[Layer] = []
        for number in range(len(parameters) - 1, -1, -1):
            gradient.insert(0, self.layer_gradient(activations[number], delta, number))
            if number:
                slope = self.derivative(network.hidden, activations[number])
                delta = self.passed_back(delta, parameters[number].weights, slope)
        cost = self.mean(self.costs_of_images(network, z, a, labels).sum(), n)
        return cost, tuple(Layer(self.mean(weights, n), self.mean(biases, n)) for weights, biases in gradient)

    def outputs(self, network: Network, parameters: Parameters, prepared: Prepared) -> Any:
        return self.forward(network, parameters, prepared.images)[0][-1]

    def gradients(self, network: Network, parameters: Parameters, prepared: Prepared) -> Any:
        assert prepared.labels is not None
        return self.mean_gradient(network, parameters, prepared.images, prepared.labels)

    def batch(self, plan: Plan, u: int) -> Any:
        positions = slice(plan.starts[u], plan.stops[u])
        return positions if plan.order is None else plan.order[positions]

    def step(self, state: State, gradient: Parameters, rate: float, mu: float) -> State:
        parameters, velocities = state
        if mu > 0:
            velocities = add(gradient, mu, velocities)
            gradient = add(gradient, mu, velocities)
        return State(add(parameters, -rate, gradient), velocities)

    def update(self, network: Network, state: State, images: Array, labels: Array, plan: Plan, u: int) -> Any:
        cost, gradient = self.mean_gradient(network, state.parameters, images, labels)
        return self.step(state, gradient, float(plan.learning_rates[u]), plan.momentum), cost

    def train(self, network: Network, state: State, prepared: Prepared, plan: Plan) -> Any:
        assert prepared.labels is not None
        costs = []
        for u in range(len(plan.starts)):
            chosen = self.batch(plan, u)
            state, cost = self.update(network, state, prepared.images[chosen], prepared.labels[chosen], plan, u)
            costs.append(cost)
        return state, np.array(costs, state.parameters[0].weights.dtype)


def add(first: Parameters, factor: float, second: Parameters) -> Parameters:
    """first + factor * second, layer by layer."""
    return tuple(Layer(w1 + factor * w2, b1 + factor * b2) for (w1, b1), (w2, b2) in zip(first, second, strict=True))


def times(factor: float, parameters: Parameters) -> Parameters:
    """factor * parameters."""
    return tuple(Layer(factor * weights, factor * biases) for weights, biases in parameters)


# --- the list ----------------------------------------------------------------------------------------------


class Wrong(NamedTuple):
    """A wrong backend, and the check that has to reject it."""

    make: type[Right]  # some keep state between calls, so each test makes its own
    check: str
    gate: bool  # whether the agreement check before any timing rejects it as well
    network: Network
    dtype: DType


WRONG: dict[str, Wrong] = {}
R = TypeVar("R", bound=type[Right])


def rejected_by(check: str, *, gate: bool, network: Network = SIGMOID, dtype: DType = "float32") -> Callable[[R], R]:
    """Register a wrong backend, named after its class."""

    def enter(wrong: R) -> R:
        wrong.NAME = wrong.__name__
        WRONG[wrong.__name__] = Wrong(wrong, check, gate, network, dtype)
        return wrong

    return enter


# --- the forward pass --------------------------------------------------------------------------------------


@rejected_by("large_logits", gate=False, network=SOFTMAX)
class SoftmaxWithoutShift(Right):
    def softmax(self, z: Array) -> Array:
        with np.errstate(all="ignore"):
            e = np.exp(z)
            return e / e.sum(axis=1, keepdims=True)


@rejected_by("large_logits", gate=False, network=SOFTMAX)
class LogOfSoftmax(Right):
    """The cost is the logarithm of a probability, which may have become 0."""

    def costs_of_images(self, network: Network, z: Array, a: Array, labels: Array) -> Array:
        with np.errstate(all="ignore"):
            return -np.log(a[np.arange(len(labels)), labels])


@rejected_by("shifting_output_biases_moves_no_softmax", gate=False, network=SOFTMAX)
class ClippedLogits(Right):
    def softmax(self, z: Array) -> Array:
        return super().softmax(np.minimum(z, 88))


@rejected_by("outputs_agree", gate=True, dtype="float64")
class SingleInsideDouble(Right):
    def activation(self, name: str, z: Array) -> Array:
        return super().activation(name, z.astype(np.float32)).astype(z.dtype)


@rejected_by("dtype_is_kept", gate=True)
class HalfInsideSingle(Right):
    def scaled(self, network: Network, images: Array, dtype: DType) -> Array:
        return super().scaled(network, images, dtype).astype(np.float16).astype(dtype)


@rejected_by("dtype_is_kept", gate=True)
class AlwaysDouble(Right):
    def outputs(self, network: Network, parameters: Parameters, prepared: Prepared) -> Any:
        return super().outputs(network, parameters, prepared).astype(np.float64)


@rejected_by("outputs_agree", gate=True)
class BiasesForgotten(Right):
    def outputs(self, network: Network, parameters: Parameters, prepared: Prepared) -> Any:
        return super().outputs(
            network, tuple(layer._replace(biases=0 * layer.biases) for layer in parameters), prepared
        )


@rejected_by("outputs_agree", gate=True)
class WrongAbove512Images(Right):
    """The second block starts where the first did."""

    def outputs(self, network: Network, parameters: Parameters, prepared: Prepared) -> Any:
        result = super().outputs(network, parameters, prepared)
        result[512:1024] = result[: len(result[512:1024])]
        return result


# --- images and labels -------------------------------------------------------------------------------------


@rejected_by("pixel_scales", gate=False)
class PixelScaleIgnored(Right):
    """Pixels are always divided by 255."""

    def scaled(self, network: Network, images: Array, dtype: DType) -> Array:
        return np.multiply(images, 1 / 255, dtype=dtype, casting="unsafe")


@rejected_by("uint8_and_float_images_agree", gate=False)
class FloatsScaledTwice(Right):
    def scaled(self, network: Network, images: Array, dtype: DType) -> Array:
        result = super().scaled(network, images, dtype)
        return result if images.dtype == np.uint8 else super().scaled(network, result, dtype)


@rejected_by("uint8_and_float_images_agree", gate=False)
class FloatsTruncated(Right):
    def scaled(self, network: Network, images: Array, dtype: DType) -> Array:
        return super().scaled(network, images.astype(np.uint8), dtype)


@rejected_by("outputs_agree", gate=True)
class ArithmeticInBytes(Right):
    """The mean of two copies of a byte."""

    def scaled(self, network: Network, images: Array, dtype: DType) -> Array:
        return super().scaled(network, (images + images) / 2, dtype)


@rejected_by("cost_agrees", gate=True)
class LabelsOffByOne(Right):
    def prepare(self, network: Network, images: Array, labels: Array | None, dtype: DType) -> Prepared:
        labels = None if labels is None else (labels + 1) % network.sizes[-1]
        return super().prepare(network, images, labels, dtype)


@rejected_by("prepare_without_labels", gate=False)
class LabelsNeeded(Right):
    def prepare(self, network: Network, images: Array, labels: Array | None, dtype: DType) -> Prepared:
        assert labels is not None
        return super().prepare(network, images, labels, dtype)


@rejected_by("read_only_and_memory_mapped_inputs", gate=False)
class MemoryAsItLies(Right):
    """Columns are taken for rows where the images are laid out by columns."""

    def scaled(self, network: Network, images: Array, dtype: DType) -> Array:
        return super().scaled(network, images.ravel(order="K").reshape(images.shape), dtype)


@rejected_by("read_only_and_memory_mapped_inputs", gate=False)
class WritesToInputs(Right):
    """It leaves them as they were, but cannot do it where they are read-only."""

    def prepare(self, network: Network, images: Array, labels: Array | None, dtype: DType) -> Prepared:
        images ^= 1 if images.dtype == np.uint8 else images
        images ^= 1 if images.dtype == np.uint8 else images
        return super().prepare(network, images, labels, dtype)


@rejected_by("inputs_are_unchanged", gate=True)
class ImagesModified(Right):
    def prepare(self, network: Network, images: Array, labels: Array | None, dtype: DType) -> Prepared:
        prepared = super().prepare(network, images, labels, dtype)
        images[images < 10] = 0
        return prepared


@rejected_by("inputs_are_unchanged", gate=True)
class LabelsModified(Right):
    def prepare(self, network: Network, images: Array, labels: Array | None, dtype: DType) -> Prepared:
        prepared = super().prepare(network, images, None if labels is None else labels.copy(), dtype)
        if labels is not None:
            labels.sort()
        return prepared


# --- the gradient ------------------------------------------------------------------------------------------


@rejected_by("gradients_agree", gate=True)
class NoMean(Right):
    """The sum over the images."""

    def mean_gradient(
        self, network: Network, parameters: Parameters, images: Array, labels: Array
    ) -> tuple[Any, Parameters]:
        cost, gradient = super().mean_gradient(network, parameters, images, labels)
        return cost, times(len(images), gradient)


@rejected_by("halves_combine_to_the_whole", gate=True)
class OneImageLess(Right):
    """The sum is divided by n - 1, as for a variance."""

    def mean(self, total: Array, n: int) -> Array:
        return super().mean(total, max(1, n - 1))


@rejected_by("sixty_thousand_images", gate=False)
class CountsInShort(Right):
    """The number of images is a 16-bit integer, which ends at 32,767."""

    def mean(self, total: Array, n: int) -> Array:
        return super().mean(total, int(np.array(n).astype(np.int16)))


@rejected_by("gradients_agree", gate=True)
class WrongSign(Right):
    def gradients(self, network: Network, parameters: Parameters, prepared: Prepared) -> Any:
        cost, gradient = super().gradients(network, parameters, prepared)
        return cost, times(-1, gradient)


@rejected_by("gradients_agree", gate=True)
class OnePartInAThousand(Right):
    def gradients(self, network: Network, parameters: Parameters, prepared: Prepared) -> Any:
        cost, gradient = super().gradients(network, parameters, prepared)
        return cost, times(1.001, gradient)


@rejected_by("gradients_agree", gate=True)
class Transposed(Right):
    def layer_gradient(self, a: Array, delta: Array, number: int) -> Layer:
        weights, biases = super().layer_gradient(a, delta, number)
        return Layer(weights.T.reshape(weights.shape), biases)


@rejected_by("wide_layers", gate=True, network=WIDE[0])
class RestOfATileForgotten(Right):
    """The gradient is computed for 16 rows at a time, and those that do not fill 16 are left out."""

    def layer_gradient(self, a: Array, delta: Array, number: int) -> Layer:
        weights, biases = super().layer_gradient(a, delta, number)
        weights[len(weights) // 16 * 16 :] = 0
        return Layer(weights, biases)


@rejected_by("gradients_agree", gate=True, network=SOFTMAX)
class WrongInTheSecondLayer(Right):
    def layer_gradient(self, a: Array, delta: Array, number: int) -> Layer:
        weights, biases = super().layer_gradient(a, delta, number)
        return Layer(weights, biases * biases.dtype.type(0.99) if number == 1 else biases)


@rejected_by("gradients_agree", gate=True, network=RELU)
class WrongWithThreeHiddenLayers(Right):
    """It has two, and uses the second in place of the third."""

    def mean_gradient(
        self, network: Network, parameters: Parameters, images: Array, labels: Array
    ) -> tuple[Any, Parameters]:
        cost, gradient = super().mean_gradient(network, parameters, images, labels)
        return cost, (*gradient[:2], times(0.5, gradient[2:3])[0], *gradient[3:]) if len(gradient) == 4 else gradient


@rejected_by("derivative_of_relu_at_zero", gate=False, network=RELU)
class ReluHasASlopeAtZero(Right):
    def derivative(self, name: str, a: Array) -> Array:
        return a >= 0 if name == "relu" else super().derivative(name, a)

    def activation(self, name: str, z: Array) -> Array:
        """Below zero it stays a little below, so that only zero is 0."""
        tiny = np.finfo(z.dtype).smallest_subnormal
        return np.where(z < 0, -tiny, z) if name == "relu" else super().activation(name, z)


@rejected_by("cost_agrees", gate=True)
class CostIsNaN(Right):
    def gradients(self, network: Network, parameters: Parameters, prepared: Prepared) -> Any:
        return np.nan, super().gradients(network, parameters, prepared)[1]


@rejected_by("cost_agrees", gate=True)
class CostIsNotHalved(Right):
    def costs_of_images(self, network: Network, z: Array, a: Array, labels: Array) -> Array:
        return 2 * super().costs_of_images(network, z, a, labels)


@rejected_by("batch_of_one", gate=False)
class WrongAtBatchOne(Right):
    """The sum over a single image is instead over its outputs."""

    def layer_gradient(self, a: Array, delta: Array, number: int) -> Layer:
        weights, biases = super().layer_gradient(a, delta, number)
        return Layer(weights, np.full_like(biases, biases.sum())) if len(a) == 1 else Layer(weights, biases)


@rejected_by("order_within_a_batch_does_not_matter", gate=True)
class FirstImageCountsMore(Right):
    def layer_gradient(self, a: Array, delta: Array, number: int) -> Layer:
        return super().layer_gradient(np.concatenate([a[:1], a]), np.concatenate([delta[:1], delta]), number)


# --- memory ------------------------------------------------------------------------------------------------


@rejected_by("answers_do_not_depend_on_what_ran_before", gate=True)
class StaleBiases(Right):
    """The biases' gradient is that of the call before."""

    def __init__(self) -> None:
        self.before: dict[tuple[int, ...], Array] = {}

    def layer_gradient(self, a: Array, delta: Array, number: int) -> Layer:
        weights, biases = super().layer_gradient(a, delta, number)
        key = number, *weights.shape
        stale, self.before[key] = self.before.get(key, biases), biases
        return Layer(weights, stale.astype(biases.dtype))


@rejected_by("answers_do_not_depend_on_what_ran_before", gate=True)
class GradientNotReset(Right):
    """The sum of the call before is added."""

    def __init__(self) -> None:
        self.sums: dict[tuple[int, ...], Array] = {}

    def layer_gradient(self, a: Array, delta: Array, number: int) -> Layer:
        weights, biases = super().layer_gradient(a, delta, number)
        key = number, *weights.shape
        self.sums[key] = biases = (biases + self.sums.get(key, 0)).astype(biases.dtype)
        return Layer(weights, biases)


@rejected_by("answers_do_not_depend_on_what_ran_before", gate=True)
class RemembersImages(Right):
    """The outputs are cached by the number of images, not by their content."""

    def __init__(self) -> None:
        self.kept: dict[tuple[int, ...], Array] = {}

    def outputs(self, network: Network, parameters: Parameters, prepared: Prepared) -> Any:
        result = super().outputs(network, parameters, prepared)
        return self.kept.setdefault((len(result), *network.sizes[-1:]), result).astype(result.dtype)


@rejected_by("earlier_results_survive_later_calls", gate=False)
class BufferReused(Right):
    def __init__(self) -> None:
        self.buffers: dict[Any, Array] = {}

    def outputs(self, network: Network, parameters: Parameters, prepared: Prepared) -> Any:
        result = super().outputs(network, parameters, prepared)
        buffer = self.buffers.setdefault((result.shape, result.dtype), np.empty_like(result))
        buffer[...] = result
        return buffer


@rejected_by("earlier_results_survive_later_calls", gate=False)
class StateReused(Right):
    """A training writes to the state that the training before has returned."""

    def __init__(self) -> None:
        self.last: State | None = None

    def train(self, network: Network, state: State, prepared: Prepared, plan: Plan) -> Any:
        results, costs = super().train(network, state, prepared, plan)
        if self.last is not None and same_form(self.last.parameters, results.parameters):
            for kept, new in zip(self.last.parameters, results.parameters, strict=True):
                kept.weights[...] = new.weights
                kept.biases[...] = new.biases
        self.last = results
        return results, costs


def same_form(one: Parameters, other: Parameters) -> bool:
    """Whether shapes and dtypes are the same."""
    return [(w.shape, w.dtype) for w, _ in one] == [(w.shape, w.dtype) for w, _ in other]


@rejected_by("same_answer_twice", gate=False)
class Noisy(Right):
    """A rounding error here and there."""

    def outputs(self, network: Network, parameters: Parameters, prepared: Prepared) -> Any:
        result = super().outputs(network, parameters, prepared)
        jitter = np.random.default_rng().integers(-1, 2, result.shape) * np.finfo(result.dtype).eps
        return (result * (1 + jitter)).astype(result.dtype)


# --- updates -----------------------------------------------------------------------------------------------


@rejected_by("training_agrees", gate=True)
class LayerByLayer(Right):
    """Each layer is updated before the error is passed back through it."""

    rate = 0.0

    def passed_back(self, delta: Array, weights: Array, slope: Array) -> Array:
        return super().passed_back(delta, weights - weights.dtype.type(self.rate) * self.last.weights, slope)

    def layer_gradient(self, a: Array, delta: Array, number: int) -> Layer:
        result = super().layer_gradient(a, delta, number)
        self.last = Layer(self.mean(result.weights, len(a)), result.biases)
        return result

    def update(self, network: Network, state: State, images: Array, labels: Array, plan: Plan, u: int) -> Any:
        self.rate = float(plan.learning_rates[u])
        result = super().update(network, state, images, labels, plan, u)
        self.rate = 0.0
        return result


@rejected_by("momentum_is_nesterovs", gate=True)
class MomentumForgotten(Right):
    def step(self, state: State, gradient: Parameters, rate: float, mu: float) -> State:
        return super().step(state, gradient, rate, 0.0)


@rejected_by("momentum_is_nesterovs", gate=True)
class HeavyBall(Right):
    def step(self, state: State, gradient: Parameters, rate: float, mu: float) -> State:
        if mu == 0:
            return super().step(state, gradient, rate, mu)
        velocities = add(gradient, mu, state.velocities)
        return State(add(state.parameters, -rate, velocities), velocities)


@rejected_by("momentum_is_nesterovs", gate=True)
class DampedVelocity(Right):
    """v <- mu v + (1 - mu) g"""

    def step(self, state: State, gradient: Parameters, rate: float, mu: float) -> State:
        return super().step(state, times(1 - mu, gradient), rate, mu)


@rejected_by("velocities_rest_without_momentum", gate=True)
class VelocitiesWithoutMomentum(Right):
    """v <- mu v + g also where mu is 0."""

    def step(self, state: State, gradient: Parameters, rate: float, mu: float) -> State:
        after = super().step(state, gradient, rate, mu)
        return after if mu > 0 else after._replace(velocities=gradient)


@rejected_by("a_state_continues", gate=True)
class VelocitiesLost(Right):
    """The velocities are not returned."""

    def train(self, network: Network, state: State, prepared: Prepared, plan: Plan) -> Any:
        after, costs = super().train(network, state, prepared, plan)
        return after._replace(velocities=state.velocities), costs


@rejected_by("a_state_continues", gate=False)
class StartsAtRest(Right):
    """The velocities that are passed in are not used."""

    def train(self, network: Network, state: State, prepared: Prepared, plan: Plan) -> Any:
        if plan.momentum:
            state = state._replace(velocities=times(0, state.velocities))
        return super().train(network, state, prepared, plan)


@rejected_by("training_agrees", gate=True)
class BiasesNotTrained(Right):
    def step(self, state: State, gradient: Parameters, rate: float, mu: float) -> State:
        after = super().step(state, gradient, rate, mu)
        kept = zip(after.parameters, state.parameters, strict=True)
        return after._replace(parameters=tuple(Layer(new.weights, old.biases) for new, old in kept))


@rejected_by("every_update_has_its_learning_rate", gate=False)
class FirstRateThroughout(Right):
    def update(self, network: Network, state: State, images: Array, labels: Array, plan: Plan, u: int) -> Any:
        rates = np.full_like(plan.learning_rates, plan.learning_rates[0])
        return super().update(network, state, images, labels, with_rates(plan, rates), u)


@rejected_by("every_update_has_its_learning_rate", gate=False)
class RateZeroIsOne(Right):
    """`rate or 1`, a common way to write a default."""

    def step(self, state: State, gradient: Parameters, rate: float, mu: float) -> State:
        return super().step(state, gradient, rate or 1.0, mu)


def with_rates(plan: Plan, rates: Array) -> Plan:
    """The same plan at other learning rates."""
    return Plan(plan.starts, plan.stops, plan.order, rates, plan.momentum)


@rejected_by("training_agrees", gate=True)
class LastUpdateForgotten(Right):
    def update(self, network: Network, state: State, images: Array, labels: Array, plan: Plan, u: int) -> Any:
        after, cost = super().update(network, state, images, labels, plan, u)
        return (state if u == len(plan.starts) - 1 else after), cost


@rejected_by("full_batch_is_one_mini_batch", gate=True)
class TrainsTooFast(Right):
    """The gradient is right, and the step is one part in a thousand too long."""

    def step(self, state: State, gradient: Parameters, rate: float, mu: float) -> State:
        return super().step(state, times(1.001, gradient), rate, mu)


@rejected_by("training_agrees", gate=True)
class CostsAfterTheUpdate(Right):
    def update(self, network: Network, state: State, images: Array, labels: Array, plan: Plan, u: int) -> Any:
        after, _ = super().update(network, state, images, labels, plan, u)
        return after, self.mean_gradient(network, after.parameters, images, labels)[0]


@rejected_by("training_agrees", gate=True)
class CostsSummed(Right):
    def update(self, network: Network, state: State, images: Array, labels: Array, plan: Plan, u: int) -> Any:
        after, cost = super().update(network, state, images, labels, plan, u)
        return after, cost * len(images)


@rejected_by("inputs_are_unchanged", gate=True)
class TrainsInPlace(Right):
    def step(self, state: State, gradient: Parameters, rate: float, mu: float) -> State:
        after = super().step(state, gradient, rate, mu)
        for old, new in zip(state.parameters, after.parameters, strict=True):
            old.weights[...] = new.weights
            old.biases[...] = new.biases
        return State(state.parameters, after.velocities)


@rejected_by("inputs_are_unchanged", gate=False)
class VelocitiesInPlace(Right):
    def step(self, state: State, gradient: Parameters, rate: float, mu: float) -> State:
        after = super().step(state, gradient, rate, mu)
        for old, new in zip(state.velocities, after.velocities, strict=True):
            old.weights[...] = new.weights
            old.biases[...] = new.biases
        return State(after.parameters, state.velocities)


# --- plans -------------------------------------------------------------------------------------------------


@rejected_by("order_is_obeyed", gate=True)
class OrderIgnored(Right):
    def batch(self, plan: Plan, u: int) -> Any:
        return slice(plan.starts[u], plan.stops[u])


@rejected_by("inputs_are_unchanged", gate=True)
class OrderSorted(Right):
    """The images of a batch come in the order in which they lie, which is faster; in place."""

    def batch(self, plan: Plan, u: int) -> Any:
        chosen = super().batch(plan, u)
        if plan.order is not None:
            chosen.sort()
        return chosen


@rejected_by("an_image_used_twice_counts_twice", gate=False)
class EachImageOnce(Right):
    def batch(self, plan: Plan, u: int) -> Any:
        chosen = super().batch(plan, u)
        return chosen if plan.order is None else np.unique(chosen)


@rejected_by("short_last_batch", gate=False)
class ShortBatchDropped(Right):
    def update(self, network: Network, state: State, images: Array, labels: Array, plan: Plan, u: int) -> Any:
        after, cost = super().update(network, state, images, labels, plan, u)
        return (after if len(images) == plan.stops[0] - plan.starts[0] else state), cost


@rejected_by("short_last_batch", gate=False)
class BatchSizeOfTheFirst(Right):
    """The mean is taken over the images of the first batch, whatever the last one has."""

    def update(self, network: Network, state: State, images: Array, labels: Array, plan: Plan, u: int) -> Any:
        cost, gradient = self.mean_gradient(network, state.parameters, images, labels)
        share = len(images) / int(plan.stops[0] - plan.starts[0])
        return self.step(state, times(share, gradient), float(plan.learning_rates[u]), plan.momentum), cost


@rejected_by("training_agrees", gate=True)
class LastImageDropped(Right):
    def batch(self, plan: Plan, u: int) -> Any:
        last = max(plan.starts[u] + 1, plan.stops[u] - 1)
        return slice(plan.starts[u], last) if plan.order is None else plan.order[plan.starts[u] : last]


@rejected_by("batches_of_any_size", gate=False)
class RoomForTheFirstBatch(Right):
    """Images beyond the size of the first batch are dropped."""

    def batch(self, plan: Plan, u: int) -> Any:
        stop = min(plan.stops[u], plan.starts[u] + max(32, plan.stops[0] - plan.starts[0]))
        return slice(plan.starts[u], stop) if plan.order is None else plan.order[plan.starts[u] : stop]


@rejected_by("updates_may_leave_gaps_and_overlap", gate=True)
class OneAfterTheOther(Right):
    """An update begins where the one before has ended."""

    def batch(self, plan: Plan, u: int) -> Any:
        ends = np.cumsum(plan.stops - plan.starts)
        positions = slice(ends[u] - (plan.stops[u] - plan.starts[u]), ends[u])
        return positions if plan.order is None else plan.order[positions]


# --- the form of results -----------------------------------------------------------------------------------


@rejected_by("results_are_well_formed", gate=True)
class OutputsAreNone(Right):
    def outputs(self, network: Network, parameters: Parameters, prepared: Prepared) -> Any:
        return None


@rejected_by("results_are_well_formed", gate=True)
class OutputsAreLists(Right):
    def outputs(self, network: Network, parameters: Parameters, prepared: Prepared) -> Any:
        return super().outputs(network, parameters, prepared).tolist()


@rejected_by("results_are_well_formed", gate=True)
class LayerMissing(Right):
    def gradients(self, network: Network, parameters: Parameters, prepared: Prepared) -> Any:
        cost, gradient = super().gradients(network, parameters, prepared)
        return cost, gradient[:-1]


@rejected_by("results_are_well_formed", gate=True)
class LayerTooMany(Right):
    def gradients(self, network: Network, parameters: Parameters, prepared: Prepared) -> Any:
        cost, gradient = super().gradients(network, parameters, prepared)
        return cost, (*gradient, gradient[-1])


@rejected_by("results_are_well_formed", gate=True)
class CostIsAnArray(Right):
    def gradients(self, network: Network, parameters: Parameters, prepared: Prepared) -> Any:
        cost, gradient = super().gradients(network, parameters, prepared)
        return np.array(cost), gradient


@rejected_by("results_are_well_formed", gate=True)
class CostsAreAColumn(Right):
    def train(self, network: Network, state: State, prepared: Prepared, plan: Plan) -> Any:
        after, costs = super().train(network, state, prepared, plan)
        return after, costs[:, np.newaxis]


@rejected_by("results_are_well_formed", gate=True)
class CostsAreNone(Right):
    """The costs are None, but not declared unsupported."""

    def train(self, network: Network, state: State, prepared: Prepared, plan: Plan) -> Any:
        return super().train(network, state, prepared, plan)[0], None


@rejected_by("results_are_well_formed", gate=True)
class Raises(Right):
    def train(self, network: Network, state: State, prepared: Prepared, plan: Plan) -> Any:
        raise RuntimeError("out of luck")


# --- what it declares about itself -------------------------------------------------------------------------


@rejected_by("unsupported_quantities_are_reasons", gate=True)
class UnsupportedWithoutAReason(Right):
    def unsupported(self, quantity: Quantity, network: Network, dtype: DType) -> Any:
        return ""


@rejected_by("unsupported_quantities_are_reasons", gate=True)
class UnsupportedIsTrue(Right):
    def unsupported(self, quantity: Quantity, network: Network, dtype: DType) -> Any:
        return True


@rejected_by("unsupported_quantities_are_reasons", gate=False)
class UnsupportedChanges(Right):
    """The first answer is None, the second a reason."""

    def __init__(self) -> None:
        self.asked = 0

    def unsupported(self, quantity: Quantity, network: Network, dtype: DType) -> Any:
        self.asked += 1
        return "not today" if self.asked == 2 else None


@rejected_by("unsupported_quantities_are_reasons", gate=False, dtype="float64")
class DoublePromisedByMistake(Right):
    """DTYPES leaves out a dtype that is not declared unsupported."""

    DTYPES = ("float32",)


@rejected_by("attributes", gate=False)
class SummaryOfTwoLines(Right):
    SUMMARY = "fast\nand right"


@rejected_by("attributes", gate=False)
class BatchSizeIsText(Right):
    BATCH_SIZE: Any = "full batch"


# --- the sizes that are timed --------------------------------------------------------------------------------


@rejected_by("plans_of_many_updates", gate=False, network=SHALLOW)
class MomentumEndsLate(Right):
    """A counter of eight bits and two more."""

    def update(self, network: Network, state: State, images: Array, labels: Array, plan: Plan, u: int) -> Any:
        late = u >= 1024 and plan.momentum > 0
        return super().update(network, state, images, labels, replace(plan, momentum=0.0) if late else plan, u)


@rejected_by("plans_of_many_updates", gate=False, network=SHALLOW, dtype="float64")
class BiasesRestLate(Right):
    def update(self, network: Network, state: State, images: Array, labels: Array, plan: Plan, u: int) -> Any:
        after, cost = super().update(network, state, images, labels, plan, u)
        if u < 1000:
            return after, cost
        layers = zip(after.parameters, state.parameters, strict=True)
        return after._replace(parameters=tuple(Layer(new.weights, old.biases) for new, old in layers)), cost


@rejected_by("updates_of_any_number_of_images", gate=False, network=SHALLOW)
class RoomFor4096Images(Right):
    """What is beyond the buffer is left out, but counted."""

    def update(self, network: Network, state: State, images: Array, labels: Array, plan: Plan, u: int) -> Any:
        cost, gradient = self.mean_gradient(network, state.parameters, images[:4096], labels[:4096])
        share = min(1.0, 4096 / len(labels))
        return self.step(state, times(share, gradient), float(plan.learning_rates[u]), plan.momentum), cost


@rejected_by("updates_of_any_number_of_images", gate=False, network=SHALLOW, dtype="float64")
class LastOfAnOddNumberForgotten(Right):
    """Two images at a time, in updates large enough to be shared out among threads."""

    def update(self, network: Network, state: State, images: Array, labels: Array, plan: Plan, u: int) -> Any:
        n = len(labels)
        even = n - n % 2 if n > 1100 else n
        cost, gradient = self.mean_gradient(network, state.parameters, images[:even], labels[:even])
        return self.step(state, gradient, float(plan.learning_rates[u]), plan.momentum), cost


@rejected_by("gradients_of_any_number_of_images", gate=False, network=SHALLOW)
class OutputsInBlocksOf2048(Right):
    """The last image of a block that is exactly full is overwritten."""

    def outputs(self, network: Network, parameters: Parameters, prepared: Prepared) -> Any:
        result = super().outputs(network, parameters, prepared)
        result[2047::2048] = result[2046::2048][: len(result[2047::2048])]
        return result


@rejected_by("layers_of_any_width", gate=False, network=SHALLOW)
class UnitsBeyond1024Forgotten(Right):
    def layer_gradient(self, a: Array, delta: Array, number: int) -> Layer:
        gradient = super().layer_gradient(a, delta, number)
        gradient.weights[:, 1024:] = 0
        return gradient


@rejected_by("images_of_any_size", gate=False, network=SHALLOW)
class PixelsInSignedShorts(Right):
    """Pixels beyond 2^15 are not found."""

    def layer_gradient(self, a: Array, delta: Array, number: int) -> Layer:
        gradient = super().layer_gradient(a, delta, number)
        gradient.weights[2**15 :] = 0
        return gradient


@rejected_by("hidden_units_have_no_order", gate=True)
class FirstUnitCountsMore(Right):
    """By a little, in the first layer, so that nothing but the order of its units tells."""

    def passed_back(self, delta: Array, weights: Array, slope: Array) -> Array:
        back = super().passed_back(delta, weights, slope)
        back[:, 0] *= back.dtype.type(1.01)
        return back


# --- side effects ------------------------------------------------------------------------------------------


@rejected_by("prints_nothing", gate=False)
class Prints(Right):
    def train(self, network: Network, state: State, prepared: Prepared, plan: Plan) -> Any:
        sys.stdout.write("epoch 1\n")
        return super().train(network, state, prepared, plan)


@rejected_by("prints_nothing", gate=False)
class PrintsPastPython(Right):
    """As a compiled library does."""

    def train(self, network: Network, state: State, prepared: Prepared, plan: Plan) -> Any:
        os.write(1, b"epoch 1\n")
        return super().train(network, state, prepared, plan)


@rejected_by("global_state_is_left_alone", gate=False)
class SeedsNumPy(Right):
    def train(self, network: Network, state: State, prepared: Prepared, plan: Plan) -> Any:
        np.random.seed(0)  # noqa: NPY002
        return super().train(network, state, prepared, plan)


@rejected_by("global_state_is_left_alone", gate=False)
class SilencesNumPy(Right):
    def prepare(self, network: Network, images: Array, labels: Array | None, dtype: DType) -> Prepared:
        np.seterr(all="ignore")
        return super().prepare(network, images, labels, dtype)


@rejected_by("one_thread_and_two_agree", gate=numba.get_num_threads() == 1)
class NeedsTwoThreads(Right):
    """Every thread takes half of the images, even if there is only one thread."""

    def outputs(self, network: Network, parameters: Parameters, prepared: Prepared) -> Any:
        result = super().outputs(network, parameters, prepared)
        if numba.get_num_threads() == 1:
            result[len(result) // 2 :] = 0
        return result
