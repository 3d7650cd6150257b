"""What NumPy does. It has no layers and no optimizers: only arithmetic is asked."""

# mypy: ignore-errors

import numpy as np

from bench.dialects import given, plain

ADVICE = {
    "threads": "set OPENBLAS_NUM_THREADS before NumPy is imported, the same wherever bits are compared",
    "row_alone": "compare within a tolerance; bits agree only between batches of the same kernel",
}


def ties_in_argmax():
    """`np.argmax`."""
    return np.argmax([0.0, 1.0, 1.0])


def bytes_times_floats():
    """`images @ weights`."""
    images, weights = given.few_bytes(), given.weights()
    product = images @ weights
    return product.dtype.name, plain.correct_bits(product, images.astype(float) @ weights)


def sum_of_bytes():
    """`np.sum`."""
    return np.sum(given.many_bytes())


def mean_in_float32():
    """`np.mean`."""
    return np.mean(given.many_floats())


def float64_kept():
    """`2 * np.ones(3)`."""
    return (2 * np.ones(3)).dtype.name


def denormals():
    """`a * b` of float32."""
    return np.float64(np.array([1e-30], np.float32) * np.array([1e-10], np.float32)) / 1e-40


def row_alone():
    """`images @ weights`."""
    images, weights = given.images(), given.weights()
    return plain.of_other_bits(images @ weights, np.concatenate([images[i : i + 1] @ weights for i in range(128)]))


def equal_rows():
    """`images @ weights`."""
    product = given.equal_images() @ given.weights(10)
    return plain.of_other_bits(product, product[:1])


def threads():
    """`images @ weights`."""
    return given.images() @ given.weights()
