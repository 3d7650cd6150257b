"""Initial parameters: each named initialisation has the distribution of its formula."""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import numpy as np
import pytest

from impls.contract import Array, ContractError, DType, Network, check_parameters
from impls.initialisation import INITIALISATIONS, initial_parameters

NETWORK = Network((600, 400, 300))  # so that no two of fan_in and fan_out are equal within a layer


class Expected(NamedTuple):
    """The distribution of a layer's weights, from fan_in m and fan_out n, as published."""

    shape: Literal["normal", "uniform"]
    width: Callable[[int, int], float]  # the standard deviation of the normal, the bound of the uniform


EXPECTED = {
    "lecun_normal": Expected("normal", lambda m, n: (1 / m) ** 0.5),
    "glorot_normal": Expected("normal", lambda m, n: (2 / (m + n)) ** 0.5),
    "glorot_uniform": Expected("uniform", lambda m, n: (6 / (m + n)) ** 0.5),
    "he_normal": Expected("normal", lambda m, n: (2 / m) ** 0.5),
    "he_uniform": Expected("uniform", lambda m, n: (6 / m) ** 0.5),
    "standard_normal": Expected("normal", lambda m, n: 1.0),
}


def test_every_initialisation_has_its_test() -> None:
    assert EXPECTED.keys() == INITIALISATIONS.keys()


@pytest.mark.parametrize("name", INITIALISATIONS)
def test_weights_follow_the_formula(name: str) -> None:
    for weights, _ in initial_parameters(NETWORK, name, seed=3, dtype="float64"):
        width = EXPECTED[name].width(*weights.shape)
        # At least 120,000 draws: the standard error of a standard deviation is 0.2 % of it, of a mean 0.3 %.
        if EXPECTED[name].shape == "uniform":
            assert np.abs(weights).max() <= width
            assert np.abs(weights).max() > 0.999 * width
            width /= 3**0.5
            within = 1 / 3**0.5
        else:
            within = 0.6827
        assert weights.std() == pytest.approx(width, rel=0.015)
        assert abs(weights.mean()) < 0.015 * width
        assert (np.abs(weights) < width).mean() == pytest.approx(within, abs=0.01)


@pytest.mark.parametrize("name", sorted(INITIALISATIONS.keys() - {"standard_normal"}))
def test_biases_are_zero(name: str) -> None:
    assert not any(biases.any() for _, biases in initial_parameters(NETWORK, name, seed=3, dtype="float32"))


def test_biases_of_standard_normal() -> None:
    biases = np.concatenate([layer.biases for layer in initial_parameters(NETWORK, "standard_normal", 3, "float64")])
    assert biases.std() == pytest.approx(1, rel=0.15)
    assert abs(biases.mean()) < 0.2


def flat(name: str, seed: int, dtype: DType, network: Network = NETWORK) -> Array:
    """All parameters in one vector."""
    return np.concatenate([a.ravel() for layer in initial_parameters(network, name, seed, dtype) for a in layer])


@pytest.mark.parametrize("name", INITIALISATIONS)
def test_the_seed_determines_the_parameters(name: str) -> None:
    first = flat(name, 3, "float64")
    assert np.array_equal(first, flat(name, 3, "float64"))
    assert not np.isin(flat(name, 4, "float64"), first[first != 0]).any()


def test_no_value_occurs_twice() -> None:
    values = flat("lecun_normal", 3, "float64")
    drawn = values[values != 0]
    assert len(np.unique(drawn)) == len(drawn) == 600 * 400 + 400 * 300


@pytest.mark.parametrize("name", INITIALISATIONS)
def test_float32_is_the_rounded_float64(name: str) -> None:
    single, double = flat(name, 3, "float32"), flat(name, 3, "float64")
    assert single.dtype == np.float32
    assert double.dtype == np.float64
    assert np.array_equal(single, double.astype(np.float32))


@pytest.mark.parametrize("sizes", [(784, 10), (784, 80, 10), (784, 16, 16, 16, 10)])
@pytest.mark.parametrize("dtype", get_args(DType))
def test_the_result_fits_the_network(sizes: tuple[int, ...], dtype: DType) -> None:
    check_parameters(Network(sizes), initial_parameters(Network(sizes), "standard_normal", 0, dtype))


def test_unknown_name() -> None:
    with pytest.raises(ContractError, match=r"'he_norml' is unknown: did you mean 'he_normal'\? There are: lecun_n"):
        initial_parameters(NETWORK, "he_norml", 0, "float32")
    with pytest.raises(ContractError, match=r"'zzz' is unknown: There are: lecun_normal, .*standard_normal"):
        initial_parameters(NETWORK, "zzz", 0, "float32")
