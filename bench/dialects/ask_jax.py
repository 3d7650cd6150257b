"""What JAX does, on the CPU unless a GPU is asked for."""

# mypy: ignore-errors

import jax
import jax.numpy as jnp
import numpy as np

from bench.dialects import NotAsked, given, plain

jax.config.update("jax_default_device", jax.devices("cpu")[0])

ADVICE = {
    "denormals": "there is no option; numbers below 1.2e-38, such as old velocities, become 0",
    "row_alone": "compare within a tolerance; bits agree only between batches of the same kernel",
}


def nesterov_momentum():
    """`jax.example_libraries.optimizers.nesterov(schedule, 0.9)`."""
    return of_example_library("nesterov")


def plain_momentum():
    """`jax.example_libraries.optimizers.momentum(schedule, 0.9)`."""
    return of_example_library("momentum")


def of_example_library(name):
    """The parameter after three steps by an optimizer of JAX's examples."""
    from jax.example_libraries import optimizers

    begin, update, parameters = getattr(optimizers, name)(lambda step: jnp.array(given.RATES)[step], given.MOMENTUM)
    state = begin(jnp.zeros(1))
    for step in range(len(given.RATES)):
        state = update(step, jnp.ones(1), state)
    return parameters(state)


def by_schedule(boundaries):
    """The parameter after three steps whose rates a schedule of JAX's examples has."""
    from jax.example_libraries import optimizers

    begin, update, parameters = optimizers.sgd(optimizers.piecewise_constant(boundaries, given.RATES))
    state = begin(jnp.zeros(1))
    for step in range(len(given.RATES)):
        state = update(step, jnp.ones(1), state)
    return parameters(state)


def falling_rate():
    """`jax.example_libraries.optimizers.piecewise_constant([1, 2], rates)`."""
    return by_schedule([1, 2])


def falling_rate_as_contract():
    """Give as a boundary the last update at the old rate, one less: `piecewise_constant([0, 1], rates)`."""
    return by_schedule([0, 1])


def hopeless_image():
    """`-jax.nn.log_softmax(logits)[label]`."""
    return jax.grad(lambda logits: -jax.nn.log_softmax(logits)[1])(jnp.array([given.HOPELESS, 0.0]))[1]


def cost_epsilon():
    """`-jax.nn.log_softmax(logits)[label]`."""
    return -jax.nn.log_softmax(jnp.array([given.HOPELESS, 0.0]))[1]


def relu_at_zero():
    """`jax.nn.relu`."""
    return jax.grad(jax.nn.relu)(0.0)


def maximum_at_zero():
    """`jnp.maximum(x, 0)`."""
    return jax.grad(lambda x: jnp.maximum(x, 0))(0.0)


def maximum_at_zero_as_contract():
    """Write `jax.nn.relu(x)`."""
    return jax.grad(jax.nn.relu)(0.0)


def reversed_maximum_at_zero():
    """`jnp.maximum(0, x)`."""
    return jax.grad(lambda x: jnp.maximum(0, x))(0.0)


def reversed_maximum_at_zero_as_contract():
    """Write `jax.nn.relu(x)`."""
    return jax.grad(jax.nn.relu)(0.0)


def clip_at_zero():
    """`jnp.clip(x, 0)`."""
    return jax.grad(lambda x: jnp.clip(x, 0))(0.0)


def clip_at_zero_as_contract():
    """Write `jax.nn.relu(x)`."""
    return jax.grad(jax.nn.relu)(0.0)


def where_at_zero():
    """`jnp.where(x > 0, x, 0)`."""
    return jax.grad(lambda x: jnp.where(x > 0, x, 0))(0.0)


def ties_in_max():
    """`jnp.max`."""
    return jax.grad(jnp.max)(jnp.array([1.0, 1.0, 0.0, 1.0]))


def ties_in_argmax():
    """`jnp.argmax`."""
    return jnp.argmax(jnp.array([0.0, 1.0, 1.0]))


def bytes_times_floats():
    """`images @ weights`."""
    images, weights = given.few_bytes(), given.weights()
    product = jnp.asarray(images) @ jnp.asarray(weights)
    return product.dtype.name, plain.correct_bits(product, images.astype(float) @ weights)


def sum_of_bytes():
    """`jnp.sum`."""
    return jnp.sum(jnp.asarray(given.many_bytes()))


def sum_of_bytes_as_contract():
    """Set `jax_enable_x64`, and sum with `dtype=jnp.int64`."""
    with jax.enable_x64(True):
        return float(jnp.sum(jnp.asarray(given.many_bytes()), dtype=jnp.int64))


def mean_in_float32():
    """`jnp.mean`."""
    return jnp.mean(jnp.asarray(given.many_floats()))


def float64_kept():
    """`2 * jnp.asarray(array)`."""
    return (2 * jnp.asarray(np.ones(3))).dtype.name


def float64_kept_as_contract():
    """Set `jax_enable_x64`, or the variable JAX_ENABLE_X64=1, before anything is computed."""
    with jax.enable_x64(True):
        return (2 * jnp.asarray(np.ones(3))).dtype.name


def denormals():
    """`a * b`."""
    return float(jnp.float32(1e-30) * jnp.float32(1e-10)) / 1e-40


def on_gpu(**settings):
    """Correct bits of a product on the first GPU."""
    try:
        device = jax.devices("cuda")[0]
    except RuntimeError:
        raise NotAsked("JAX finds no GPU") from None
    images, weights = given.images(), given.weights()
    product = jnp.matmul(jax.device_put(images, device), jax.device_put(weights, device), **settings)
    return plain.correct_bits(product, images.astype(float) @ weights)


def precision_on_gpu():
    """`images @ weights` on `cuda`."""
    return on_gpu()


def precision_on_gpu_as_contract():
    """Give every product `precision="highest"`, or set `jax_default_matmul_precision`."""
    return on_gpu(precision="highest")


def row_alone():
    """`images @ weights`."""
    images, weights = jnp.asarray(given.images()), jnp.asarray(given.weights())
    alone = jnp.concatenate([images[i : i + 1] @ weights for i in range(len(images))])
    return plain.of_other_bits(images @ weights, alone)


def equal_rows():
    """`images @ weights`."""
    product = jnp.asarray(given.equal_images()) @ jnp.asarray(given.weights(given.OUTPUTS))
    return plain.of_other_bits(product, product[:1])


def threads():
    """`images @ weights`, with the process bound to as many cores."""
    return np.asarray(jnp.asarray(given.images()) @ jnp.asarray(given.weights()))
