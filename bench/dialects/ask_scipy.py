"""What SciPy does: images as a sparse matrix, and functions of logits."""

# mypy: ignore-errors

import numpy as np
from scipy import sparse, special

from bench.dialects import given, plain


def bytes_times_floats():
    """`csr_array(images) @ weights`."""
    images, weights = given.few_bytes(), given.weights()
    product = sparse.csr_array(images) @ weights
    return product.dtype.name, plain.correct_bits(product, images.astype(float) @ weights)


def _row_of_bytes():
    """All bytes in one row of a sparse matrix, without a copy."""
    pixels = given.many_bytes()
    return sparse.csr_array((pixels, np.zeros(pixels.size, np.int32), [0, pixels.size]), shape=(1, 1))


def sum_of_bytes():
    """`csr_array(bytes) @ csr_array(ones of uint8)`, a sum as a sparse product."""
    return (_row_of_bytes() @ sparse.csr_array(np.ones((1, 1), np.uint8))).toarray()


def sum_of_bytes_as_contract():
    """Sum with `csr_array(bytes).sum(axis=1)`, or make the ones int64."""
    return _row_of_bytes().sum(axis=1)


def cost_epsilon():
    """`-log_softmax(logits)[label]`."""
    return -special.log_softmax(np.array([given.HOPELESS, 0], np.float32))[1]


def row_alone():
    """`csr_array(images) @ weights`."""
    images, weights = sparse.csr_array(given.images()), given.weights()
    alone = np.concatenate([images[[i]] @ weights for i in range(given.BATCH)])
    return plain.of_other_bits(images @ weights, alone)


def equal_rows():
    """`csr_array(images) @ weights`."""
    product = sparse.csr_array(given.equal_images()) @ given.weights(given.OUTPUTS)
    return plain.of_other_bits(product, product[:1])


def threads():
    """`csr_array(images) @ weights`."""
    return sparse.csr_array(given.images()) @ given.weights()
