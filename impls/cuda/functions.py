"""Device functions that both ways of training use: those of the network, and the means of the costs."""

from typing import Any, NamedTuple

from numba import cuda

from impls.cuda.device import at, device_function, gpu


class Functions(NamedTuple):
    """The functions of a network. What `scale` returns for an image's outputs, the others take as `of_all`."""

    activation: Any  # (z) -> a, of a hidden unit
    derivative: Any  # (a) -> da/dz, of a hidden unit
    scale: Any  # (z, first, n) -> what an output needs to know of all n, which begin there
    output: Any  # (z, of_all) -> a
    delta: Any  # (z, of_all, is_label) -> d(cost of an image)/dz
    cost: Any  # (z, of_all, is_label) -> what this output adds to the cost of an image


def activation_of(name: str, real: Any) -> tuple[Any, Any]:
    """An activation and its derivative, from its value. NaN remains NaN; the derivative of ReLU at 0 is 0."""
    zero, one = real(0), real(1)

    @device_function
    def sigmoid(z: Any) -> Any:
        return one / (one + real(gpu.exp(-z)))

    @device_function
    def of_sigmoid(a: Any) -> Any:
        return a * (one - a)

    @device_function
    def tangent(z: Any) -> Any:
        return real(gpu.tanh(z))

    @device_function
    def of_tangent(a: Any) -> Any:
        return one - a * a

    @device_function
    def relu(z: Any) -> Any:
        return zero if z <= zero else z

    @device_function
    def of_relu(a: Any) -> Any:
        return one if a > zero else zero

    return {"sigmoid": (sigmoid, of_sigmoid), "tanh": (tangent, of_tangent), "relu": (relu, of_relu)}[name]


def softmax_of(real: Any) -> tuple[Any, Any, Any, Any]:
    """Softmax with cross entropy, shifted by the largest z, so that no exponential overflows."""

    @device_function
    def scale(z: Any, first: int, n: int) -> Any:
        """The largest z, and the sum of the exponentials of all."""
        largest = z[at(first)]
        for k in range(first + 1, first + n):
            if z[at(k)] > largest:
                largest = z[at(k)]
        total = real(0)
        for k in range(first, first + n):
            total += real(gpu.exp(z[at(k)] - largest))
        return largest, total

    @device_function
    def output(z: Any, of_all: Any) -> Any:
        return real(gpu.exp(z - of_all[0])) / of_all[1]

    @device_function
    def delta(z: Any, of_all: Any, is_label: bool) -> Any:
        return output(z, of_all) - real(is_label)

    @device_function
    def cost(z: Any, of_all: Any, is_label: bool) -> Any:
        return real(gpu.log(of_all[1])) - (z - of_all[0]) if is_label else real(0)

    return scale, output, delta, cost


def quadratic_of(name: str, real: Any) -> tuple[Any, Any, Any, Any]:
    """An activation of the outputs with the quadratic cost."""
    activation, derivative = activation_of(name, real)

    @device_function
    def scale(z: Any, first: int, n: int) -> Any:
        return real(0), real(0)

    @device_function
    def output(z: Any, of_all: Any) -> Any:
        return activation(z)

    @device_function
    def delta(z: Any, of_all: Any, is_label: bool) -> Any:
        a = activation(z)
        return (a - real(is_label)) * derivative(a)

    @device_function
    def cost(z: Any, of_all: Any, is_label: bool) -> Any:
        difference = activation(z) - real(is_label)
        return difference * difference * real(0.5)

    return scale, output, delta, cost


def functions_of(hidden: str, output: str, real: Any) -> Functions:
    """The functions of a network with this hidden activation and this output, for np.float32 or np.float64."""
    of_outputs = softmax_of(real) if output == "softmax" else quadratic_of(output, real)
    return Functions(*activation_of(hidden, real), *of_outputs)


def means_of(real: Any, n_threads: int) -> Any:
    """The device function that fills in the mean cost of every update, each summed by one block in a fixed order."""
    width = min(16, n_threads)

    @device_function
    def means(costs: Any, ends: Any, result: Any, scratch: Any, first: int) -> None:
        """costs: of all images of the plan. ends[u] to ends[u + 1]: those of update u. scratch: shared memory."""
        t = cuda.threadIdx.x
        for u in range(cuda.blockIdx.x, len(result), cuda.gridDim.x):
            total = real(0)
            for i in range(ends[u] + t, ends[u + 1], n_threads):
                total += costs[i]
            scratch[first + t] = total
            cuda.syncthreads()
            if t < width:
                for i in range(t + width, n_threads, width):
                    scratch[first + t] += scratch[first + i]
            cuda.syncthreads()
            if t == 0:
                total = real(0)
                for i in range(width):
                    total += scratch[first + i]
                result[u] = total / real(ends[u + 1] - ends[u])
            cuda.syncthreads()

    return means
