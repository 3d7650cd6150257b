"""What HIPS autograd does: it differentiates NumPy's functions."""

# mypy: ignore-errors

import autograd.numpy as np
from autograd import grad

from bench.dialects import given


def hopeless_image():
    """`-(logits - logsumexp(logits))[label]`."""
    from autograd.scipy.special import logsumexp

    return grad(lambda logits: -(logits - logsumexp(logits))[1])(np.array([given.HOPELESS, 0.0]))[1]


def maximum_at_zero():
    """`np.maximum(x, 0)`."""
    return grad(lambda x: np.maximum(x, 0.0))(0.0)


def maximum_at_zero_as_contract():
    """Write `np.where(x > 0, x, 0)`."""
    return grad(lambda x: np.where(x > 0, x, 0.0))(0.0)


def reversed_maximum_at_zero():
    """`np.maximum(0, x)`."""
    return grad(lambda x: np.maximum(0.0, x))(0.0)


def reversed_maximum_at_zero_as_contract():
    """Write `np.where(x > 0, x, 0)`."""
    return grad(lambda x: np.where(x > 0, x, 0.0))(0.0)


def clip_at_zero():
    """`np.clip(x, 0, inf)`."""
    return grad(lambda x: np.clip(x, 0.0, np.inf))(0.0)


def where_at_zero():
    """`np.where(x > 0, x, 0)`."""
    return grad(lambda x: np.where(x > 0, x, 0.0))(0.0)


def ties_in_max():
    """`np.max`."""
    return grad(np.max)(np.array([1.0, 1.0, 0.0, 1.0]))
