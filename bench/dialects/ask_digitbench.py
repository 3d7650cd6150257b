"""What the contract says, asked of a backend that obeys it: `naive`, in float64 unless it says otherwise.

An image that is hopelessly wrong has the same gradient in every update: with biases 1000 and 0 and label 1, that of the
first bias is 1.
"""

# mypy: ignore-errors

import numpy as np

import impls
from bench.dialects import given, plain
from impls.contract import Layer, Network, Plan, zero_velocities
from impls.initialisation import initial_parameters

FAR = 1000.0
BACKEND = impls.load("naive")


def network(inputs=1, *hidden, outputs=2):
    """A network with a softmax, for pixels that are not scaled."""
    return Network((inputs, *hidden, outputs), "relu", "softmax", "cross_entropy", pixel_scale=1.0)


def biases_of(bias, labels, sizes, rates, momentum=0.0):
    """The biases after updates of these sizes on images without ink."""
    parameters = (Layer(np.zeros((1, 2)), np.array(bias, float)),)
    stops = np.cumsum(sizes)
    plan = Plan(stops - sizes, stops, None, np.array(rates), momentum)
    prepared = BACKEND.prepare(network(), np.zeros((len(labels), 1)), np.array(labels), "float64")
    state, costs = BACKEND.train(network(), zero_velocities(parameters), prepared, plan)
    return state.parameters[0].biases, costs


def nesterov_momentum():
    """A plan with these rates and momentum 0.9."""
    biases, _ = biases_of((FAR, 0), [1, 1, 1], [1, 1, 1], given.RATES, given.MOMENTUM)
    return biases[0] - FAR


def falling_rate():
    """A plan with these rates."""
    biases, _ = biases_of((FAR, 0), [1, 1, 1], [1, 1, 1], given.RATES)
    return biases[0] - FAR


def assigned_rate():
    """A plan with both rates."""
    biases, _ = biases_of((FAR, 0), [1, 1], [1, 1], (0.1, 0.01))
    return (FAR - biases[0]) / 0.1 - 1


def short_last_batch():
    """A plan with updates of three and one images."""
    biases, _ = biases_of((FAR, 0), [1, 1, 1, 1], [3, 1], (0.1, 0.1))
    return (FAR - biases[0]) / 0.1


def hopeless_image():
    """The gradient of the second bias."""
    parameters = (Layer(np.zeros((1, 2)), np.array([given.HOPELESS, 0.0])),)
    prepared = BACKEND.prepare(network(), np.zeros((1, 1)), np.array([1]), "float64")
    _, gradient = BACKEND.gradients(network(), parameters, prepared)
    return gradient[0].biases[1]


def cost_epsilon():
    """The cost before an update, in float32."""
    parameters = (Layer(np.zeros((1, 2), np.float32), np.array([given.HOPELESS, 0.0], np.float32)),)
    prepared = BACKEND.prepare(network(), np.zeros((1, 1), np.float32), np.array([1]), "float32")
    return BACKEND.gradients(network(), parameters, prepared)[0]


def relu_at_zero():
    """The gradient of a hidden unit's bias, whose pre-activation is 0."""
    parameters = (Layer(np.zeros((1, 1)), np.zeros(1)), Layer(np.ones((1, 2)) * [1, 2], np.zeros(2)))
    prepared = BACKEND.prepare(network(1, 1), np.ones((1, 1)), np.array([1]), "float64")
    return BACKEND.gradients(network(1, 1), parameters, prepared)[1][0].biases


def bytes_times_floats():
    """The outputs of a layer without softmax for images of uint8."""
    images, weights = given.few_bytes(), np.abs(given.weights())
    linear = Network((given.INPUTS, given.HIDDEN), "relu", "relu", "quadratic", pixel_scale=1.0)
    parameters = (Layer(weights, np.zeros(given.HIDDEN, np.float32)),)
    outputs = BACKEND.outputs(linear, parameters, BACKEND.prepare(linear, images, None, "float32"))
    return outputs.dtype.name, plain.correct_bits(outputs, images.astype(float) @ weights)


def dense_start():
    """`initial_parameters(network, "he_normal", seed, dtype)`."""
    layer = initial_parameters(network(given.INPUTS, outputs=given.HIDDEN), "he_normal", 0, "float32")[0]
    return plain.described_start(*layer)
