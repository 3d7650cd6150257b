"""What optax does, on JAX."""

# mypy: ignore-errors

import jax
import jax.numpy as jnp
import optax

from bench.dialects import given

jax.config.update("jax_default_device", jax.devices("cpu")[0])


def steps(optimizer, start=0.0, gradients=(1.0, 1.0, 1.0), before=lambda state, step: state):
    """The parameter after steps with these gradients. before: changes the optimizer's state before a step."""
    p = jnp.array(start)
    state = optimizer.init(p)
    for step, g in enumerate(gradients):
        state = before(state, step)
        updates, state = optimizer.update(jnp.array(g), state, p)
        p = optax.apply_updates(p, updates)
    return p


def rate(step):
    """The three rates, as a schedule."""
    return jnp.array(given.RATES)[step]


def plain_momentum():
    """`optax.sgd(schedule, momentum=0.9)`."""
    return steps(optax.sgd(rate, momentum=given.MOMENTUM))


def nesterov_momentum():
    """`optax.sgd(schedule, momentum=0.9, nesterov=True)`."""
    return steps(optax.sgd(rate, momentum=given.MOMENTUM, nesterov=True))


def falling_rate():
    """`optax.piecewise_constant_schedule(0.4, {1: 0.5, 2: 0.5})`."""
    return steps(optax.sgd(optax.piecewise_constant_schedule(given.RATES[0], {1: 0.5, 2: 0.5})))


def assigned_rate():
    """`optax.inject_hyperparams(optax.sgd)`, `state.hyperparams["learning_rate"] = rate`."""

    def assign(state, step):
        state.hyperparams["learning_rate"] = jnp.array((0.1, 0.01)[step])
        return state

    optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)
    return steps(optimizer, gradients=(1.0, 1.0), before=assign) / -0.1 - 1


def decay_unasked():
    """`optax.sgd(1)`."""
    return 1 - steps(optax.sgd(1.0), 1.0, (0.0,))


def weight_decay():
    """`optax.chain(optax.add_decayed_weights(0.1), optax.sgd(schedule, momentum=0.9))`."""
    return steps(optax.chain(optax.add_decayed_weights(given.DECAY), optax.sgd(rate, momentum=given.MOMENTUM)), 1.0)


def clipping():
    """`optax.clip_by_global_norm(1)`."""
    clip = optax.clip_by_global_norm(1)
    pair = (jnp.array(3.0), jnp.array(4.0))
    return jnp.array(clip.update(pair, clip.init(pair))[0])


def clipping_and_decay():
    """`optax.chain(optax.clip_by_global_norm(1), optax.add_decayed_weights(0.1), optax.sgd(1))`, in this order."""
    chain = optax.chain(optax.clip_by_global_norm(1), optax.add_decayed_weights(given.DECAY), optax.sgd(1.0))
    return 1 - steps(chain, 1.0, (3.0,))


def hopeless_image():
    """`optax.softmax_cross_entropy_with_integer_labels`."""
    cost = optax.softmax_cross_entropy_with_integer_labels
    return jax.grad(lambda logits: cost(logits, 1))(jnp.array([given.HOPELESS, 0.0]))[1]


def cost_epsilon():
    """`optax.softmax_cross_entropy_with_integer_labels`."""
    return optax.softmax_cross_entropy_with_integer_labels(jnp.array([given.HOPELESS, 0.0]), 1)
