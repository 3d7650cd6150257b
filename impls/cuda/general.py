"""Any network on a GPU: the kernel that trains it, in one launch a plan, and the one that computes its outputs.

An update is a sequence of phases, and between two of them all blocks meet. In each phase the blocks share out the tiles
of a matrix product, whose operands lie in global memory: the activations of one layer after the other, the deltas of
one layer before the other, and at last the gradients of all layers, each applied by the block that has computed it.
What an update cannot take at once is taken in several steps, whose gradients are added up.

A layer's biases are the last row of its matrix of weights, which is multiplied by an input of 1. Sums are added up
tile by tile, in a fixed order: the same call gives the same bits.
"""

from typing import Any, NamedTuple

from numba import cuda

from impls.cuda.device import device_function, kernel
from impls.cuda.functions import Functions, functions_of, means_of

AT_ONCE = 2  # blocks on a multiprocessor
# The columns of the table of steps.
START = 0  # the position of the first image in the plan's order
SIZE = 1  # the number of images
WHOLE = 2  # the number of images of the update
LAST = 3  # 1 for the last step of an update, otherwise 0
# The columns of the table of layers.
FAN_IN = 0
FAN_OUT = 1
WEIGHTS = 2  # where its weights begin
VALUES = 3  # where its activations begin, and its deltas


def product_of(left: Any, right: Any, finish: Any, rows_adjoin: bool, inner_adjoins: bool, real: Any, side: int) -> Any:
    """The device function that computes a matrix product, tile by tile, by side x side threads: each four elements.

    left(net, layer, row, inner), right(net, layer, inner, column): the operands. finish(net, layer, row, column, sum):
    called for each element. rows_adjoin: whether it is the rows of the left operand that lie side by side in memory;
    inner_adjoins: the same of the right operand's inner index. Threads read side by side what lies so.
    """
    tile, n_threads, width = 2 * side, side * side, 2 * side + 1  # a column of an odd width meets all memory banks

    @device_function
    def product(net: Any, layer: int, n_rows: int, n_inner: int, n_columns: int) -> None:
        lefts = cuda.shared.array((tile, width), real)
        rights = cuda.shared.array((tile, width), real)
        sums, totals = cuda.local.array(4, real), cuda.local.array(4, real)
        t = cuda.threadIdx.x
        y, x, across = t // side, t % side, (n_columns + tile - 1) // tile
        for number in range(cuda.blockIdx.x, (n_rows + tile - 1) // tile * across, cuda.gridDim.x):
            row, column = number // across * tile, number % across * tile
            for e in range(4):
                totals[e] = real(0)
            for inner in range(0, n_inner, tile):
                for e in range(t, tile * tile, n_threads):
                    p, q = e // tile, e % tile
                    r, k = (q, p) if rows_adjoin else (p, q)
                    inside = row + r < n_rows and inner + k < n_inner
                    lefts[r, k] = left(net, layer, row + r, inner + k) if inside else real(0)
                    k, c = (q, p) if inner_adjoins else (p, q)
                    inside = inner + k < n_inner and column + c < n_columns
                    rights[k, c] = right(net, layer, inner + k, column + c) if inside else real(0)
                cuda.syncthreads()
                for e in range(4):
                    sums[e] = real(0)
                for k in range(tile):
                    for e in range(4):
                        sums[e] += lefts[y + e // 2 * side, k] * rights[k, x + e % 2 * side]
                for e in range(4):
                    totals[e] += sums[e]
                cuda.syncthreads()
            for e in range(4):
                r, c = row + y + e // 2 * side, column + x + e % 2 * side
                if r < n_rows and c < n_columns:
                    finish(net, layer, r, c, totals[e])

    return product


class Step(NamedTuple):
    """What the phases of a step share."""

    images: Any  # (all, n_pixels)
    order: Any  # of the plan
    start: int  # of the step
    scale: Any  # of pixels
    layers: Any  # see FAN_IN
    weights: Any  # of all layers, one after the other, with their biases
    values: Any  # activations of all layers, one after the other; of the last one z
    deltas: Any  # alike
    velocities: Any  # like the weights
    gradients: Any  # of the update's steps until now, like the weights
    rate: Any
    mu: Any
    is_first: bool  # of its update
    is_last: bool


def operands_of(real: Any) -> tuple[Any, Any, Any]:
    """The device functions that read an input of a layer, a weight, and a delta."""

    @device_function
    def input_of(net: Any, layer: int, image: int, k: int) -> Any:
        if k == net.layers[layer, FAN_IN]:
            return real(1)
        if layer == 0:
            return real(net.images[net.order[net.start + image], k]) * net.scale
        return net.values[net.layers[layer - 1, VALUES] + image * net.layers[layer, FAN_IN] + k]

    @device_function
    def weight_of(net: Any, layer: int, row: int, column: int) -> Any:
        return net.weights[net.layers[layer, WEIGHTS] + row * net.layers[layer, FAN_OUT] + column]

    @device_function
    def delta_of(net: Any, layer: int, image: int, k: int) -> Any:
        return net.deltas[net.layers[layer, VALUES] + image * net.layers[layer, FAN_OUT] + k]

    return input_of, weight_of, delta_of


def forward_of(real: Any, side: int, functions: Functions) -> Any:
    """The device function that fills in the activations of all layers; of the last one z."""
    input_of, weight_of, _ = operands_of(real)

    @device_function
    def keep(net: Any, layer: int, image: int, unit: int, z: Any) -> None:
        place = net.layers[layer, VALUES] + image * net.layers[layer, FAN_OUT] + unit
        net.values[place] = functions.activation(z) if layer < len(net.layers) - 1 else z

    product = product_of(input_of, weight_of, keep, False, False, real, side)

    @device_function
    def forward(net: Any, n: int) -> None:
        for layer in range(len(net.layers)):
            product(net, layer, n, net.layers[layer, FAN_IN] + 1, net.layers[layer, FAN_OUT])
            cuda.cg.this_grid().sync()

    return forward


def backward_of(real: Any, side: int, functions: Functions) -> Any:
    """The device function that fills in the deltas of all layers but the last, whose deltas are there."""
    _, weight_of, delta_of = operands_of(real)

    @device_function
    def weight_transposed(net: Any, layer: int, column: int, row: int) -> Any:
        return weight_of(net, layer, row, column)

    @device_function
    def keep(net: Any, layer: int, image: int, unit: int, product: Any) -> None:
        place = net.layers[layer - 1, VALUES] + image * net.layers[layer, FAN_IN] + unit
        net.deltas[place] = product * functions.derivative(net.values[place])

    product = product_of(delta_of, weight_transposed, keep, False, True, real, side)

    @device_function
    def backward(net: Any, n: int) -> None:
        for layer in range(len(net.layers) - 1, 0, -1):
            product(net, layer, n, net.layers[layer, FAN_OUT], net.layers[layer, FAN_IN])
            cuda.cg.this_grid().sync()

    return backward


def update_of(real: Any, side: int) -> Any:
    """The device function that adds up the gradients of all layers and, in an update's last step, applies them."""
    input_of, _, delta_of = operands_of(real)

    @device_function
    def input_transposed(net: Any, layer: int, k: int, image: int) -> Any:
        return input_of(net, layer, image, k)

    @device_function
    def move(net: Any, layer: int, row: int, column: int, gradient: Any) -> None:
        place = net.layers[layer, WEIGHTS] + row * net.layers[layer, FAN_OUT] + column
        if not net.is_first:
            gradient += net.gradients[place]
        if not net.is_last:
            net.gradients[place] = gradient
        else:
            if net.mu > real(0):
                velocity = net.mu * net.velocities[place] + gradient
                net.velocities[place] = velocity
                gradient += net.mu * velocity
            net.weights[place] -= net.rate * gradient

    product = product_of(input_transposed, delta_of, move, True, False, real, side)

    @device_function
    def update(net: Any, n: int) -> None:
        for layer in range(len(net.layers)):
            product(net, layer, net.layers[layer, FAN_IN] + 1, n, net.layers[layer, FAN_OUT])
        cuda.cg.this_grid().sync()

    return update


def at_outputs_of(real: Any, functions: Functions) -> tuple[Any, Any]:
    """The device functions that turn z of the outputs into deltas and costs, or into activations: a thread an image."""

    @device_function
    def to_deltas(net: Any, labels: Any, n: int, n_whole: int, costs: Any, done: int) -> None:
        last = len(net.layers) - 1
        n_outputs = net.layers[last, FAN_OUT]
        for image in range(cuda.grid(1), n, cuda.gridsize(1)):
            label, first = labels[net.order[net.start + image]], net.layers[last, VALUES] + image * n_outputs
            of_all, cost = functions.scale(net.values, first, n_outputs), real(0)
            for k in range(n_outputs):
                z = net.values[first + k]
                net.deltas[first + k] = functions.delta(z, of_all, k == label) / real(n_whole)
                cost += functions.cost(z, of_all, k == label)
            costs[done + image] = cost
        cuda.cg.this_grid().sync()

    @device_function
    def to_activations(net: Any, n: int, result: Any, done: int) -> None:
        last = len(net.layers) - 1
        n_outputs = net.layers[last, FAN_OUT]
        for image in range(cuda.grid(1), n, cuda.gridsize(1)):
            first = net.layers[last, VALUES] + image * n_outputs
            of_all = functions.scale(net.values, first, n_outputs)
            for k in range(n_outputs):
                result[done + image, k] = functions.output(net.values[first + k], of_all)
        cuda.cg.this_grid().sync()

    return to_deltas, to_activations


def trainer_of(real: Any, side: int, hidden: str, output: str) -> Any:
    """The kernel that trains, for blocks of side x side threads.

    images: (all, n_pixels), bytes or of the dtype. labels, order: int32. steps: int32, see START. rates, mu, scale: of
    the dtype. layers: int64, see FAN_IN. weights, velocities: changed in place. costs: one for each image of the plan;
    ends: int64, where each update's begin in it, and the end; means: one for each update. The others: see `Step`.
    """
    functions = functions_of(hidden, output, real)
    forward, backward, update = (
        forward_of(real, side, functions), backward_of(real, side, functions), update_of(real, side)
    )  # fmt: skip
    to_deltas, _ = at_outputs_of(real, functions)
    n_threads = side * side
    fill_in_means = means_of(real, n_threads)

    @kernel(n_threads, AT_ONCE)
    def train(images: Any, labels: Any, order: Any, steps: Any, rates: Any, mu: Any, scale: Any, layers: Any,
              weights: Any, velocities: Any, gradients: Any, values: Any, deltas: Any, costs: Any, ends: Any,
              means: Any) -> None:  # fmt: skip
        scratch = cuda.shared.array(n_threads, real)
        u, done, is_first = 0, 0, True
        for s in range(len(steps)):
            n, is_last = steps[s, SIZE], steps[s, LAST] == 1
            net = Step(images, order, steps[s, START], scale, layers, weights, values, deltas, velocities, gradients,
                       rates[u], mu, is_first, is_last)  # fmt: skip
            forward(net, n)
            to_deltas(net, labels, n, steps[s, WHOLE], costs, done)
            backward(net, n)
            update(net, n)
            done, is_first = done + n, is_last
            if is_last:
                u += 1
        fill_in_means(costs, ends, means, scratch, 0)

    return train


def answerer_of(real: Any, side: int, hidden: str, output: str) -> Any:
    """The kernel that fills in the outputs, (all, n_outputs), of the images that its steps name; else as `train`."""
    functions = functions_of(hidden, output, real)
    forward = forward_of(real, side, functions)
    _, to_activations = at_outputs_of(real, functions)

    @kernel(side * side, AT_ONCE)
    def answer(images: Any, order: Any, steps: Any, scale: Any, layers: Any, weights: Any, values: Any,
               result: Any) -> None:  # fmt: skip
        done = 0
        for s in range(len(steps)):
            n = steps[s, SIZE]
            net = Step(images, order, steps[s, START], scale, layers, weights, values, values, weights, weights,
                       scale, scale, True, True)  # fmt: skip
            forward(net, n)
            to_activations(net, n, result, done)
            done += n

    return answer
