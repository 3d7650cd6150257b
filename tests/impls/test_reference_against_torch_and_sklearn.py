"""Independent oracles: PyTorch and scikit-learn, where installed, compute what the reference computes.

They share no code with this suite. Both are optional; `pip install -c constraints.txt -e '.[oracles]'` installs them.
"""

import importlib
import importlib.util
import itertools
import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from impls import naive
from impls.contract import COST_OF_OUTPUT, Activation, Array, Layer, Network, Parameters, Plan, State, zero_velocities

# Both sides compute in float64 and round differently: sums over images and inputs in another order, exp and tanh from
# another library. That is up to 6 eps; another BLAS may round differently.
ALLOWED = 32.0  # eps

N_IMAGES = 10
SIZES = [(6, 3), (6, 5, 3), (6, 5, 4, 3), (6, 5, 4, 7, 3)]
NETWORKS = [
    Network(sizes, hidden, output, cost)
    for sizes, hidden, (output, cost) in itertools.product(SIZES, get_args(Activation), COST_OF_OUTPUT.items())
    if len(sizes) > 2 or hidden == "sigmoid"  # without a hidden layer its activation does not matter
]
# Four updates of 3, 3, 3 and 1 images, scattered, one of them twice; each with a learning rate of its own.
BATCHES = np.array([0, 3, 6, 9]), np.array([3, 6, 9, 10]), np.array([7, 0, 3, 9, 2, 5, 5, 1, 8, 4])
RATES = np.array([0.5, 0.3, 0.2, 0.4])


def library_or_skip(name: str, library: str) -> Any:
    """Import a module; skip if its library is absent. A library that cannot be imported is an error."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{library} is not installed; `pip install -c constraints.txt -e '.[oracles]'` installs it")
    return importlib.import_module(name)


@pytest.fixture(scope="module")
def torch() -> Any:
    return library_or_skip("torch", "PyTorch")


@pytest.fixture(scope="module")
def neural_network() -> Any:
    library_or_skip("sklearn", "scikit-learn")
    return importlib.import_module("sklearn.neural_network")


def case(network: Network) -> tuple[Parameters, Array, Array]:
    """Weights from N(0, 1/fan_in), with which training is stable; biases that are not zero; images of noise; labels."""
    rng = np.random.default_rng(11)
    parameters = tuple(
        Layer(rng.standard_normal((fan_in, fan_out)) / np.sqrt(fan_in), rng.standard_normal(fan_out))
        for fan_in, fan_out in itertools.pairwise(network.sizes)
    )
    images = rng.integers(0, 256, (N_IMAGES, network.sizes[0]), np.uint8)
    return parameters, images, rng.integers(0, network.sizes[-1], N_IMAGES)


def assert_agrees(what: str, actual: Any, expected: Any) -> None:
    """Norm-wise: max|actual - expected| / max|expected| within ALLOWED eps. NaN fails."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert expected.dtype == np.float64, f"{what}: the oracle computes in {expected.dtype}, expected float64"
    error = np.abs(actual - expected).max() / (np.abs(expected).max() or 1) / np.finfo(np.float64).eps
    assert error <= ALLOWED, f"{what}: {error:.3g} eps apart, allowed are {ALLOWED:g}:\n{actual}\nexpected\n{expected}"


def assert_layers_agree(what: str, actual: Parameters, expected: Parameters) -> None:
    assert len(actual) == len(expected)
    for number, (of_actual, of_expected) in enumerate(zip(actual, expected, strict=True), start=1):
        assert_agrees(f"{what} of layer {number} weights", of_actual.weights, of_expected.weights)
        assert_agrees(f"{what} of layer {number} biases", of_actual.biases, of_expected.biases)


def test_an_absent_oracle_is_skipped_and_a_broken_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(pytest.skip.Exception, match=re.escape("pip install -c constraints.txt -e '.[oracles]'")):
        library_or_skip("oracle_that_is_absent", "Absent")
    (tmp_path / "oracle_that_is_broken.py").write_text("import library_that_is_missing")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="library_that_is_missing"):
        library_or_skip("oracle_that_is_broken", "Broken")


# --- PyTorch: autograd and torch.optim.SGD -------------------------------------------------------------------


def torch_model(torch: Any, network: Network, parameters: Parameters) -> Any:
    """The network in PyTorch, without softmax, which is part of its cross-entropy."""
    nn = torch.nn
    functions = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "tanh": nn.Tanh, "softmax": nn.Identity}
    names = [network.hidden] * (len(parameters) - 1) + [network.output]
    modules = []
    for name, (weights, biases) in zip(names, parameters, strict=True):
        linear = nn.Linear(*weights.shape, dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(weights.T))  # PyTorch stores (fan_out, fan_in)
            linear.bias.copy_(torch.tensor(biases))
        modules += [linear, functions[name]()]
    return nn.Sequential(*modules)


def torch_cost(torch: Any, network: Network, model: Any, inputs: Any, labels: Any) -> Any:
    answers = model(inputs)
    if network.cost == "cross_entropy":
        return torch.nn.functional.cross_entropy(answers, labels)
    targets = torch.nn.functional.one_hot(labels, network.sizes[-1]).double()
    return torch.nn.functional.mse_loss(answers, targets, reduction="sum") / (2 * len(labels))


def layers_of(model: Any, tensor_of: Any) -> Parameters:
    """One tensor for each of a model's parameters, as NumPy layers."""
    return tuple(
        Layer(tensor_of(module.weight).detach().numpy().T, tensor_of(module.bias).detach().numpy())
        for module in model
        if hasattr(module, "weight")
    )


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_autograd_agrees_with_the_reference(torch: Any, network: Network) -> None:
    parameters, images, labels = case(network)
    prepared = naive.prepare(network, images, labels, "float64")
    cost, gradient = naive.gradients(network, parameters, prepared)

    model = torch_model(torch, network, parameters)
    inputs = torch.tensor(images).double() * network.pixel_scale
    answers = model(inputs)
    outputs = torch.softmax(answers, dim=1) if network.output == "softmax" else answers
    torch_answer = torch_cost(torch, network, model, inputs, torch.tensor(labels))
    torch_answer.backward()

    assert min(np.abs(array).max() for of_layer in gradient for array in of_layer) > 1e-4  # no dead or saturated layer
    assert_agrees("outputs", naive.outputs(network, parameters, prepared), outputs.detach().numpy())
    assert_agrees("cost", cost, torch_answer.detach().numpy())
    assert_layers_agree("gradient", gradient, layers_of(model, lambda parameter: parameter.grad))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_sgd_of_torch_agrees_with_the_reference(torch: Any, network: Network, momentum: float) -> None:
    parameters, images, labels = case(network)
    starts, stops, order = BATCHES
    prepared = naive.prepare(network, images, labels, "float64")
    plan = Plan(starts, stops, order, RATES, momentum)
    state, costs = naive.train(network, zero_velocities(parameters), prepared, plan)

    model = torch_model(torch, network, parameters)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=momentum, nesterov=momentum > 0)
    inputs = torch.tensor(images).double() * network.pixel_scale
    torch_costs = []
    for start, stop, rate in zip(starts, stops, RATES, strict=True):
        batch = torch.tensor(order[start:stop])
        optimizer.param_groups[0]["lr"] = float(rate)
        optimizer.zero_grad()
        cost = torch_cost(torch, network, model, inputs[batch], torch.tensor(labels)[batch])
        cost.backward()
        optimizer.step()
        torch_costs.append(cost.item())

    assert_agrees("costs of updates", costs, torch_costs)
    assert_layers_agree("parameters", state.parameters, layers_of(model, lambda parameter: parameter))
    if momentum > 0:
        velocities = layers_of(model, lambda parameter: optimizer.state[parameter]["momentum_buffer"])
        assert_layers_agree("velocities", state.velocities, velocities)


def test_autograd_takes_the_derivative_of_relu_at_zero_as_zero(torch: Any) -> None:
    """In a hidden and in the output layer, whose errors are not zero."""
    network = Network((2, 2, 2), "relu", "relu", "quadratic", pixel_scale=1)
    images, labels = np.array([[1, 1]], np.uint8), np.array([0])
    # z1 = (0, 3), z2 = (0, 6)
    parameters = (
        Layer(np.array([[1.0, 2.0], [-1.0, 1.0]]), np.zeros(2)),
        Layer(np.array([[1.0, 1.0], [0.0, 2.0]]), np.zeros(2)),
    )
    _, gradient = naive.gradients(network, parameters, naive.prepare(network, images, labels, "float64"))
    model = torch_model(torch, network, parameters)
    torch_cost(torch, network, model, torch.tensor(images).double(), torch.tensor(labels)).backward()
    assert_layers_agree("gradient", gradient, layers_of(model, lambda parameter: parameter.grad))


# --- scikit-learn: MLPClassifier ---------------------------------------------------------------------------

NAME_IN_SKLEARN = {"sigmoid": "logistic", "relu": "relu", "tanh": "tanh"}
ETA = 0.3


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("network", [n for n in NETWORKS if n.output == "softmax"], ids=str)
def test_mlp_classifier_agrees_with_the_reference(neural_network: Any, network: Network, momentum: float) -> None:
    """Three calls of `partial_fit`, each one update of the full batch, from the same parameters.

    scikit-learn's velocity is u = -eta v: its u <- mu u - eta g; p <- p + mu u - eta g is the contract's update, as
    long as eta does not change.
    """
    parameters, images, labels = case(network)
    prepared = naive.prepare(network, images, labels, "float64")
    model = classifier(neural_network, network, parameters, prepared, momentum)
    assert_agrees("outputs", naive.outputs(network, parameters, prepared), model.predict_proba(prepared.images))

    state = zero_velocities(parameters)
    plan = Plan(np.array([0]), np.array([N_IMAGES]), None, np.array([ETA]), momentum)
    for _ in range(3):
        state, costs = naive.train(network, state, prepared, plan)
        model.partial_fit(prepared.images, labels)
        assert_agrees("cost", costs[0], model.loss_)
        of_sklearn = state_of(model)
        assert_layers_agree("parameters", state.parameters, of_sklearn.parameters)
        if momentum > 0:
            assert_layers_agree("velocities", state.velocities, of_sklearn.velocities)


def classifier(
    neural_network: Any, network: Network, parameters: Parameters, prepared: naive.Prepared, momentum: float
) -> Any:
    """A classifier with these parameters, velocities of zero, and no features that the contract lacks."""
    model = neural_network.MLPClassifier(
        hidden_layer_sizes=network.sizes[1:-1],
        activation=NAME_IN_SKLEARN[network.hidden],
        solver="sgd",
        alpha=0,  # no penalty on large weights
        batch_size=N_IMAGES,
        learning_rate_init=ETA,
        shuffle=False,
        momentum=momentum,
        nesterovs_momentum=True,
        random_state=0,
    )
    # The first call draws parameters and makes an update; then parameters and velocities are replaced.
    model.partial_fit(prepared.images, prepared.labels, classes=np.arange(network.sizes[-1]))
    model.coefs_ = [weights.copy() for weights, _ in parameters]
    model.intercepts_ = [biases.copy() for _, biases in parameters]
    del model._optimizer
    return model


def state_of(model: Any) -> State:
    """Parameters, and velocities v = -u / eta; scikit-learn lists all weights first, then all biases."""
    v = [-u / ETA for u in model._optimizer.velocities]
    n = len(model.coefs_)
    return State(
        tuple(Layer(*arrays) for arrays in zip(model.coefs_, model.intercepts_, strict=True)),
        tuple(Layer(*arrays) for arrays in zip(v[:n], v[n:], strict=True)),
    )
