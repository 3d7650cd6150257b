"""The floor: the least that dense arithmetic has to do, against which a round of training is held."""

from collections.abc import Callable

import numpy as np

from impls.contract import Array, DType


def floor_products(images: Array, n_outputs: int, dtype: DType) -> Callable[[], None]:
    """The two products of the first layer over all images, each as one matrix product of NumPy.

    images: (n, n_inputs), any dtype. Returns a function that does both: images with weights, and images transposed
    with deltas, (n, n_inputs) x (n_inputs, n_outputs) and (n_inputs, n) x (n, n_outputs). The values do not matter.
    """
    x = np.asarray(images, dtype=dtype)
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((x.shape[1], n_outputs)).astype(dtype)
    deltas = rng.standard_normal((x.shape[0], n_outputs)).astype(dtype)
    z = np.empty_like(deltas)
    gradient = np.empty_like(weights)

    def products() -> None:
        np.matmul(x, weights, out=z)
        np.matmul(x.T, deltas, out=gradient)

    return products
