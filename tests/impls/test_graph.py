"""The computational graph: derivatives of all operations, sums where a node is used twice, and the order of nodes."""

import numpy as np
import pytest

from impls.graph import OPERATIONS, Node, Operation, Placeholder, Variable, backward, run, topological_order

RNG = np.random.default_rng(2)
SHAPES = {"matmul": ((3, 5), (5, 4)), "add_bias": ((3, 4), (4,)), "quadratic": ((3, 4),), "cross_entropy": ((3, 4),)}
STEP = 1e-6


@pytest.mark.parametrize("name", OPERATIONS)
def test_derivatives_are_those_of_differences(name: str) -> None:
    """By each input, of a weighted sum of the results, with a step to both sides."""
    inputs: list[Node] = [Variable(RNG.normal(size=shape)) for shape in SHAPES.get(name, ((3, 4),))]
    constant = [Placeholder()] if name in ("quadratic", "cross_entropy") else []
    feed = dict.fromkeys(constant, np.eye(4)[[2, 0, 2]])
    order = topological_order(Operation(name, *inputs, *constant))
    weights = RNG.normal(size=np.shape(run(order, feed)))
    result = order[-1]
    assert isinstance(result, Operation)
    for node, derivative in zip(inputs, result.derivatives, strict=True):
        derived = derivative(weights, result.value, *(one.value for one in result.inputs))
        assert derived.shape == node.value.shape
        for place in np.ndindex(node.value.shape):
            sides = []
            for step in (STEP, -STEP):
                node.value[place] += step
                sides.append((weights * run(order, feed)).sum())
                node.value[place] -= step
            run(order, feed)
            np.testing.assert_allclose(derived[place], (sides[0] - sides[1]) / (2 * STEP), rtol=1e-6, atol=1e-8)


def test_a_node_that_is_used_twice_has_the_sum_of_both_gradients() -> None:
    """The product y y of y = tanh(w), of which the cost is (y y - 0)^2 / 2; each node comes once, after its inputs."""
    w, zero = Variable(np.array([[0.3]])), Placeholder()
    y = Operation("tanh", w)
    product = Operation("matmul", y, y)
    order = topological_order(Operation("quadratic", product, zero))
    assert [node for node in order if node is not zero][:3] == [w, y, product]
    assert len(order) == 5
    cost = run(order, {zero: np.zeros((1, 1))})
    backward(order)
    np.testing.assert_allclose(cost, np.tanh(0.3) ** 4 / 2)
    np.testing.assert_allclose(w.gradient, 2 * np.tanh(0.3) ** 3 * (1 - np.tanh(0.3) ** 2))


def test_what_depends_on_no_variable_has_no_gradient_and_depth_has_no_limit() -> None:
    fed, w = Placeholder(), Variable(np.ones((1, 1)))
    node: Node = Operation("matmul", Operation("tanh", fed), w)
    for _ in range(3000):  # more than Python's recursion goes
        node = Operation("relu", node)
    order = topological_order(node)
    run(order, {fed: np.full((2, 1), 0.5)})
    backward(order)
    assert fed.gradient is None
    np.testing.assert_allclose(w.gradient, 2 * np.tanh(0.5))
