"""What numba does: loops and products in compiled functions."""

# mypy: ignore-errors

import numba
import numpy as np

from bench.dialects import given, plain


@numba.njit
def product_of(images, weights):
    """The product, by BLAS."""
    return images @ weights


@numba.njit
def product_by_loops(images, weights):
    """The product, by loops."""
    product = np.zeros((images.shape[0], weights.shape[1]), weights.dtype)
    for i in range(images.shape[0]):
        for k in range(images.shape[1]):
            for j in range(weights.shape[1]):
                product[i, j] += images[i, k] * weights[k, j]
    return product


def bytes_times_floats():
    """`images @ weights` in `njit`."""
    try:
        product = product_of(given.few_bytes(), given.weights())
    except numba.TypingError:
        return "TypeError", 0.0
    return product.dtype.name, plain.correct_bits(product, given.few_bytes().astype(float) @ given.weights())


def bytes_times_floats_as_contract():
    """Write loops, in which uint8 times float32 is float32, or convert the images first."""
    images, weights = given.few_bytes(), given.weights()
    product = product_by_loops(images, weights)
    return product.dtype.name, plain.correct_bits(product, images.astype(float) @ weights)


@numba.njit
def sum_of(values):
    """The sum."""
    return np.sum(values)


@numba.njit
def mean_of(values):
    """The mean."""
    return np.mean(values)


@numba.njit
def times(a, b):
    """A product of numbers."""
    return a * b


def sum_of_bytes():
    """`np.sum` in `njit`."""
    return sum_of(given.many_bytes())


def mean_in_float32():
    """`np.mean` in `njit`."""
    return mean_of(given.many_floats())


def mean_in_float32_as_contract():
    """Add up in float64: `values.astype(np.float64)`, or a loop with a sum that starts as `0.0`."""
    return mean_of(given.many_floats().astype(np.float64))


def denormals():
    """`a * b` of float32 in `njit`."""
    return float(times(np.float32(1e-30), np.float32(1e-10))) / 1e-40


@numba.njit
def argmax_of(values):
    """The place of the largest."""
    return np.argmax(values)


def ties_in_argmax():
    """`np.argmax` in `njit`."""
    return argmax_of(np.array([0.0, 1.0, 1.0]))
