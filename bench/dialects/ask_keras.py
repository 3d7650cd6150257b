"""What Keras does, on the back end that KERAS_BACKEND names."""

# mypy: ignore-errors

import keras
import numpy as np
from keras import layers, losses, ops, optimizers

from bench.dialects import given, plain

BACKEND = keras.backend.backend()
ADVICE = {
    "row_alone": "compare within a tolerance; bits agree only between batches of the same kernel",
    "equal_rows": "on PyTorch pad 10 columns to 12",
    "float64_kept": "on JAX set `jax_enable_x64` before anything is computed",
    "denormals": "on JAX there is no option; numbers below 1.2e-38, such as old velocities, become 0",
}


def three_steps(start=0.0, rates=given.RATES, **settings):
    """The parameter after three steps at rates that are assigned."""
    p = keras.Variable(np.array([start], np.float32))
    optimizer = optimizers.SGD(**settings)
    for rate in rates:
        optimizer.learning_rate = rate
        optimizer.apply_gradients([(ops.ones(1), p)])
    return ops.convert_to_numpy(p.value)


def three_converted_steps(**settings):
    """The same with velocities that are multiplied by new rate over old rate before each step."""
    p = keras.Variable(np.zeros(1, np.float32))
    optimizer = optimizers.SGD(given.RATES[0], momentum=given.MOMENTUM, **settings)
    optimizer.build([p])
    for rate in given.RATES:
        for velocity in optimizer.momentums:
            velocity.assign(velocity * (rate / optimizer.learning_rate))
        optimizer.learning_rate = rate
        optimizer.apply_gradients([(ops.ones(1), p)])
    return ops.convert_to_numpy(p.value)


def plain_momentum():
    """`optimizers.SGD(momentum=0.9)`."""
    return three_steps(momentum=given.MOMENTUM)


def plain_momentum_as_contract():
    """Multiply `optimizer.momentums` by new rate / old rate whenever the rate changes."""
    return three_converted_steps()


def nesterov_momentum():
    """`optimizers.SGD(momentum=0.9, nesterov=True)`."""
    return three_steps(momentum=given.MOMENTUM, nesterov=True)


def nesterov_momentum_as_contract():
    """Multiply `optimizer.momentums` by new rate / old rate whenever the rate changes."""
    return three_converted_steps(nesterov=True)


def by_schedule(boundaries):
    """The parameter after three steps whose rates a schedule has, with these boundaries."""
    p = keras.Variable(np.zeros(1, np.float32))
    schedule = optimizers.schedules.PiecewiseConstantDecay(boundaries, list(given.RATES))
    optimizer = optimizers.SGD(schedule)
    for _ in given.RATES:
        optimizer.apply_gradients([(ops.ones(1), p)])
    return ops.convert_to_numpy(p.value)


def falling_rate():
    """`schedules.PiecewiseConstantDecay([1, 2], rates)`."""
    return by_schedule([1, 2])


def falling_rate_as_contract():
    """Give as a boundary the last update at the old rate, one less: `PiecewiseConstantDecay([0, 1], rates)`."""
    return by_schedule([0, 1])


def model(start, loss, inputs=1, outputs=1, activation=None, **settings):
    """A layer without biases, whose weights are `start`, compiled with SGD."""
    network = keras.Sequential([
        keras.Input((inputs,)),
        layers.Dense(outputs, activation, use_bias=False, kernel_initializer="zeros"),
    ])  # fmt: skip
    network.set_weights([np.array(start, np.float32).reshape(inputs, outputs)])
    network.compile(optimizers.SGD(**settings), loss=loss)
    return network


def output_itself(labels, outputs):
    """A cost whose gradient is 1."""
    return outputs[:, 0]


def assigned_rate():
    """`model.optimizer.learning_rate = rate` between calls of `train_on_batch`."""
    network = model(0.0, output_itself, learning_rate=0.1)
    places = [0.0]
    for rate in (0.1, 0.01):
        network.optimizer.learning_rate = rate
        network.train_on_batch(np.ones((1, 1)), np.ones(1))
        places.append(network.get_weights()[0].item())
    return (places[2] - places[1]) / (places[1] - places[0])


def decay_unasked():
    """`optimizers.SGD(1)`."""
    p = keras.Variable(np.ones(1, np.float32))
    optimizers.SGD(1.0).apply_gradients([(ops.zeros(1), p)])
    return 1 - ops.convert_to_numpy(p.value)


def weight_decay():
    """`optimizers.SGD(momentum=0.9, weight_decay=0.1)`."""
    return three_steps(1.0, momentum=given.MOMENTUM, weight_decay=given.DECAY)


def clipped(**settings):
    """What is left of gradients 3 and 4 in an update at rate 1."""
    pair = [keras.Variable(np.zeros(1, np.float32)) for _ in range(2)]
    optimizers.SGD(1.0, **settings).apply_gradients(list(zip([3 * ops.ones(1), 4 * ops.ones(1)], pair, strict=True)))
    return [-ops.convert_to_numpy(p.value).item() for p in pair]


def clipping():
    """`optimizers.SGD(clipnorm=1)`; `global_clipnorm=1` is by the norm of all."""
    return clipped(clipnorm=1)


def clipping_and_decay():
    """`optimizers.SGD(1, clipnorm=1, weight_decay=0.1)`."""
    p = keras.Variable(np.ones(1, np.float32))
    optimizers.SGD(1.0, clipnorm=1, weight_decay=given.DECAY).apply_gradients([(3 * ops.ones(1), p)])
    return 1 - ops.convert_to_numpy(p.value)


def short_last_batch():
    """`fit(images, labels, batch_size=3)`."""
    network = model(0.0, output_itself, learning_rate=0.1)
    network.fit(np.ones((4, 1)), np.ones(4), batch_size=3, verbose=0)
    return -network.get_weights()[0] / 0.1


def short_last_batch_cost():
    """`fit(..., batch_size=3).history["loss"]`."""
    network = model([0.0], output_itself, learning_rate=0.0)
    network.set_weights([np.array([[given.HOPELESS]], np.float32)])
    images = np.array([[0.0], [0.0], [0.0], [1.0]])
    return network.fit(images, np.ones(4), batch_size=3, shuffle=False, verbose=0).history["loss"]


def order(**settings):
    """The order in which images are taken, read from the velocity, which halves with every image.

    Image i has only its pixel i lit, so the weight from that pixel moves when it is its turn.
    """
    network = model(np.zeros(8), output_itself, inputs=8, learning_rate=1.0, momentum=0.5)
    keras.utils.set_random_seed(0)
    network.fit(np.eye(8), np.ones(8), batch_size=1, verbose=0, **settings)
    return np.argsort(np.abs(ops.convert_to_numpy(network.optimizer.momentums[0].value)[:, 0]))


def order_of_images():
    """`fit(images, labels, batch_size=1)`."""
    return order()


def order_of_images_as_contract():
    """Give `shuffle=False`."""
    return order(shuffle=False)


def hopeless_image():
    """`Dense(activation="softmax")` with the loss "sparse_categorical_crossentropy", as most examples have it."""
    return slope_of_hopeless("softmax", "sparse_categorical_crossentropy")


def hopeless_image_as_contract():
    """Give the layer no activation, and the loss `SparseCategoricalCrossentropy(from_logits=True)`."""
    return slope_of_hopeless(None, losses.SparseCategoricalCrossentropy(from_logits=True))


def slope_of_hopeless(activation, loss):
    """The derivative with respect to the logit of the image's class, from an update at rate 1."""
    network = model([given.HOPELESS, 0.0], loss, outputs=2, activation=activation, learning_rate=1.0)
    network.train_on_batch(np.ones((1, 1)), np.ones(1))
    return -network.get_weights()[0][0, 1]


def cost_epsilon():
    """`sparse_categorical_crossentropy(label, softmax(logits))`."""
    return cost(from_logits=False)


def cost_epsilon_as_contract():
    """Give it the logits, and `from_logits=True`."""
    return cost(from_logits=True)


def cost(from_logits):
    """The cost of the hopeless image."""
    outputs = ops.convert_to_tensor(np.array([[given.HOPELESS, 0.0]], np.float32))
    outputs = outputs if from_logits else ops.softmax(outputs)
    return ops.convert_to_numpy(
        losses.sparse_categorical_crossentropy(ops.ones(1, "int32"), outputs, from_logits=from_logits)
    )


def gradient(function, values=(0.0,)):
    """The gradient of a function of some numbers, by the back end."""
    if BACKEND == "jax":
        import jax

        return jax.grad(lambda x: ops.sum(function(x)))(jax.numpy.array(values))
    import torch

    x = torch.tensor(values, requires_grad=True)
    ops.sum(function(x)).backward()
    return x.grad.tolist()


def relu_at_zero():
    """`ops.relu`."""
    return gradient(ops.relu)


def maximum_at_zero():
    """`ops.maximum(x, 0)`."""
    return gradient(lambda x: ops.maximum(x, 0))


def maximum_at_zero_as_contract():
    """Write `ops.relu(x)`."""
    return gradient(ops.relu)


def reversed_maximum_at_zero():
    """`ops.maximum(0, x)`."""
    return gradient(lambda x: ops.maximum(0, x))


def reversed_maximum_at_zero_as_contract():
    """Write `ops.relu(x)`."""
    return gradient(ops.relu)


def clip_at_zero():
    """`ops.clip(x, 0, inf)`."""
    return gradient(lambda x: ops.clip(x, 0, float("inf")))


def clip_at_zero_as_contract():
    """Write `ops.relu(x)`."""
    return gradient(ops.relu)


def where_at_zero():
    """`ops.where(x > 0, x, 0)`."""
    return gradient(lambda x: ops.where(x > 0, x, 0))


def ties_in_max():
    """`ops.max`."""
    return gradient(ops.max, (1.0, 1.0, 0.0, 1.0))


def ties_in_argmax():
    """`ops.argmax`."""
    return ops.convert_to_numpy(ops.argmax(ops.convert_to_tensor([0.0, 1.0, 1.0])))


def bytes_times_floats():
    """`layers.Dense` on images of uint8."""
    images, weights = given.few_bytes(), given.weights()
    layer = layers.Dense(given.HIDDEN, use_bias=False)
    layer.build(images.shape)
    layer.set_weights([weights])
    product = ops.convert_to_numpy(layer(ops.convert_to_tensor(images)))
    return product.dtype.name, plain.correct_bits(product, images.astype(float) @ weights)


def bytes_into_layer():
    """`fit` on images of uint8: the dtype of the weights."""
    network = model(np.zeros(given.INPUTS), output_itself, inputs=given.INPUTS)
    network.fit(given.few_bytes(), np.ones(4), verbose=0)
    return network.get_weights()[0].dtype.name


def sum_of_bytes():
    """`ops.sum`."""
    return ops.convert_to_numpy(ops.sum(ops.convert_to_tensor(given.many_bytes())))


def sum_of_bytes_as_contract():
    """Give NumPy the sum: `np.sum(images)`, which adds up in 64 bits."""
    return np.sum(given.many_bytes())


def mean_in_float32():
    """`ops.mean`."""
    return ops.convert_to_numpy(ops.mean(ops.convert_to_tensor(given.many_floats())))


def float64_kept():
    """`2 * ops.convert_to_tensor(array)`."""
    return ops.convert_to_numpy(2 * ops.convert_to_tensor(np.ones(3))).dtype.name


def denormals():
    """`a * b`."""
    product = ops.convert_to_tensor(np.float32([1e-30])) * ops.convert_to_tensor(np.float32([1e-10]))
    return ops.convert_to_numpy(product).astype(float) / 1e-40


def times(images, weights):
    """The product of two arrays."""
    return ops.convert_to_numpy(ops.matmul(ops.convert_to_tensor(images), ops.convert_to_tensor(weights)))


def row_alone():
    """`ops.matmul(images, weights)`."""
    images, weights = given.images(), given.weights()
    alone = np.concatenate([times(images[i : i + 1], weights) for i in range(len(images))])
    return plain.of_other_bits(times(images, weights), alone)


def equal_rows():
    """`ops.matmul(images, weights)`."""
    product = times(given.equal_images(), given.weights(given.OUTPUTS))
    return plain.of_other_bits(product, product[:1])


def threads():
    """`ops.matmul(images, weights)`."""
    return times(given.images(), given.weights())


def start_of(**settings):
    """The start of a new layer."""
    layer = layers.Dense(given.HIDDEN, **settings)
    layer.build((None, given.INPUTS))
    return plain.described_start(*layer.get_weights())


def dense_start():
    """`layers.Dense(128)`."""
    return start_of()


def dense_start_as_contract():
    """Give `kernel_initializer=RandomNormal(stddev=(2 / 784) ** 0.5)`; "he_normal" is truncated."""
    return start_of(kernel_initializer=keras.initializers.RandomNormal(stddev=(2 / given.INPUTS) ** 0.5, seed=0))
