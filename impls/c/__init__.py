"""Peer, `c`: the batch loops in plain C, called through cffi; a whole plan in one call.

What does Python itself cost? network.c has no Python in it. Its products are loops over vectors of columns that the
compiler keeps in registers (GCC's and Clang's vector types), and OpenMP shares them among the threads, which meet three
times for each block of 128 images. It is compiled at the first call, by the C compiler of the machine for its
processor, and kept. Cost: a compiler, and a second to compile.

Here is what goes over to C: arrays whose rows are filled up to whole vectors.
"""

import functools
import hashlib
import os
import subprocess
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import cffi
import numpy as np

from impls.contract import Array, DType, Layer, Network, Parameters, Plan, Quantity, State

NAME: Final = "c"
SUMMARY: Final = "plain C through cffi, compiled at the first call by the machine's compiler; all cores, by OpenMP"
DTYPES: Final = ("float32", "float64")
BATCH_SIZE: Final = 128

CODES: Final = {"sigmoid": 0, "relu": 1, "tanh": 2, "softmax": 3}
SOURCE: Final = Path(__file__).with_name("network.c")
COMPILER: Final = os.environ.get("CC", "cc")
# Of the flags only -march=native lets results differ, as a * b + c may be one instruction, which rounds once.
# -mtune=generic, as for AMD's processors GCC 12 otherwise reads a vector of weights anew for each of its products.
FLAGS: Final = (
    "-std=gnu11", "-O3", "-march=native", "-mtune=generic", "-fno-math-errno", "-fno-trapping-math", "-fopenmp",
    "-shared", "-fPIC",
)  # fmt: skip
REALS: Final = {"float32": "float", "float64": "double"}
# How long GNU OpenMP's waiting threads spin before they sleep, in loops of about 50 ns; read when it is loaded. By
# default they spin for milliseconds, in the way of any other process that needs the core.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")

DECLARATIONS: Final = """
extern long lanes, group, block;
struct layer {
    long inputs, units, width, stride;
    REAL *weights, *velocity, *gradient, *transposed, *a, *delta;
};
struct network { long layers, hidden, output; struct layer *layer; };
void train(const struct network *network, const REAL *images, long stride, const int64_t *labels, const int64_t *order,
           long updates, const int64_t *starts, const int64_t *stops, const REAL *rates, REAL momentum, REAL *costs);
void outputs(const struct network *network, const REAL *images, long stride, long n, REAL *result);
"""


class Prepared(NamedTuple):
    """Scaled images in the dtype, (n, n_inputs + 1, rounded up), with a 1 after the last pixel, then 0; labels (n,)."""

    images: Array
    labels: Array | None


# --- compiled on first use --------------------------------------------------------------------------------------------


def unsupported(quantity: Quantity, network: Network, dtype: DType, /) -> str | None:
    """Everything where network.c cannot be compiled, or what was compiled not be loaded; otherwise nothing."""
    return why_not_compiled(dtype)


@functools.cache
def why_not_compiled(dtype: str) -> str | None:
    """Why there is no library for this dtype, in one line; None where there is."""
    try:
        library(dtype)
    except subprocess.CalledProcessError as error:
        said = " ".join((error.stderr or "nothing said").split())
        return f"{COMPILER} cannot compile {SOURCE.name}: {said}; name GCC or Clang with OpenMP in CC"
    except OSError as error:
        said = " ".join(str(error).split())
        return f"{SOURCE.name} cannot be compiled and loaded: {said}; see CC and DIGITBENCH_CACHE_DIR"
    return None


@functools.cache
def library(dtype: str) -> tuple[Any, Any]:
    """The interface and the functions of network.c for this dtype, compiled if they have not been.

    Raises CalledProcessError where the compiler fails, OSError where nothing can be written, run or loaded.
    """
    interface = cffi.FFI()
    interface.cdef(DECLARATIONS.replace("REAL", REALS[dtype]))
    key = hashlib.sha256(f"{FLAGS} {target()} {SOURCE.read_text()}".encode()).hexdigest()[:24]
    file = folder() / f"network-{dtype}-{key}.so"
    checksum = file.with_suffix(".sha256")
    if not (file.is_file() and checksum.is_file() and checksum.read_text() == checksum_of(file)):
        compile_to(file, dtype)
        checksum.write_text(checksum_of(file))
    return interface, interface.dlopen(str(file))


def folder() -> Path:
    """Where compiled libraries are kept: where DIGITBENCH_CACHE_DIR says, or beside the source, as Python keeps its."""
    named = os.environ.get("DIGITBENCH_CACHE_DIR")
    found = Path(named) if named else SOURCE.parent / "__pycache__"
    found.mkdir(parents=True, exist_ok=True)
    return found.resolve()


def called(*arguments: str) -> str:
    """What the compiler prints. Raises CalledProcessError where it fails, OSError where there is none."""
    return subprocess.run([COMPILER, *arguments], capture_output=True, text=True, check=True, input="").stdout


@functools.cache
def target() -> str:
    """The compiler's version and the instructions that it may use here, in its own words: its predefined macros."""
    return called(*FLAGS, "-dM", "-E", "-xc", "-")


def compile_to(file: Path, dtype: str) -> None:
    """Compile network.c to this file, which is complete as soon as it is there."""
    with tempfile.TemporaryDirectory(dir=file.parent) as private:
        made = Path(private, file.name)
        called(*FLAGS, f"-DREAL={REALS[dtype]}", str(SOURCE), "-o", str(made), "-lm")
        made.replace(file)


def checksum_of(file: Path) -> str:
    """SHA-256 of a file: what a crash or a full disk cut short is not loaded, as that would end the process."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


# --- what goes over to C ----------------------------------------------------------------------------------------------


class Arrays(NamedTuple):
    """The arrays of one layer that network.c reads and writes; it says what they hold."""

    weights: Array
    velocity: Array
    gradient: Array
    transposed: Array
    a: Array
    delta: Array


def rounded(n: int, multiple: int) -> int:
    """The least multiple that is not below n."""
    return -(-n // multiple) * multiple


def zeros(rows: int, columns: int, dtype: np.dtype[Any]) -> Array:
    """Zeros that begin at a cache line, so that no vector of a row lies in two."""
    size = rows * columns * dtype.itemsize
    memory = np.zeros(size + 64, np.uint8)
    first = -memory.ctypes.data % 64
    return memory[first : first + size].view(dtype).reshape(rows, columns)


def prepare(network: Network, images: Array, labels: Array | None, dtype: DType, /) -> Prepared:
    """The images scaled, as rows that end with a 1 for the biases; labels copied."""
    n, n_inputs = images.shape
    scaled = zeros(n, rounded(n_inputs + 1, 4), np.dtype(dtype))
    np.multiply(images, network.pixel_scale, out=scaled[:, :n_inputs], dtype=dtype, casting="unsafe")
    scaled[:, n_inputs] = 1
    return Prepared(scaled, None if labels is None else labels.copy())


def matrix_of(layer: Layer, rows: int, width: int) -> Array:
    """Weights with the biases as another row, filled up with zeros to (rows, width)."""
    weights, biases = layer
    matrix = zeros(rows, width, weights.dtype)
    matrix[: len(weights), : len(biases)] = weights
    matrix[len(weights), : len(biases)] = biases
    return matrix


def layer_of(matrix: Array, like: Layer) -> Layer:
    """Weights and biases in a matrix made by `matrix_of`, copied."""
    n_inputs, n_units = like.weights.shape
    return Layer(matrix[:n_inputs, :n_units].copy(), matrix[n_inputs, :n_units].copy())


def arrays_of(state: State, compiled: Any) -> list[Arrays]:
    """The arrays of all layers, with these parameters and velocities."""
    arrays = []
    width_before = 0
    for layer, velocity in zip(*state, strict=True):
        (n_inputs, n_units), dtype = layer.weights.shape, layer.weights.dtype
        rows, width = rounded(n_inputs + 1, compiled.group), rounded(n_units, compiled.lanes)
        transposed = zeros(n_units, width_before, dtype)
        if width_before:
            transposed[:, :n_inputs] = layer.weights.T
        arrays.append(
            Arrays(
                matrix_of(layer, rows, width),
                matrix_of(velocity, rows, width),
                zeros(rows, width, dtype),
                transposed,
                zeros(compiled.block, rounded(n_units + 1, max(compiled.lanes, compiled.group)), dtype),
                zeros(compiled.block, width, dtype),
            )
        )
        width_before = width
    return arrays


def struct_of(network: Network, arrays: list[Arrays], interface: Any) -> tuple[Any, Any]:
    """`struct network`, with pointers into these arrays; and its layers, which have to live as long."""
    layers = interface.new("struct layer[]", len(arrays))
    for layer, of_layer, sizes in zip(layers, arrays, pairwise(network.sizes), strict=True):
        layer.inputs, layer.units = sizes
        layer.width, layer.stride = of_layer.delta.shape[1], of_layer.a.shape[1]
        for name, array in of_layer._asdict().items():
            setattr(layer, name, pointer(interface, array))
    codes = CODES[network.hidden], CODES[network.output]
    return interface.new("struct network *", (len(arrays), *codes, layers)), layers


def pointer(interface: Any, array: Array | None) -> Any:
    """Where the numbers of a contiguous array begin; NULL for None."""
    if array is None:
        return interface.NULL
    kind = {"f": REALS.get(array.dtype.name, ""), "i": "int64_t"}[array.dtype.kind]
    return interface.cast(f"{kind} *", array.ctypes.data)


# --- the contract -----------------------------------------------------------------------------------------------------


def outputs(network: Network, parameters: Parameters, prepared: Prepared, /) -> Array:
    """The last activations, (n, n_outputs)."""
    images = prepared.images
    interface, compiled = library(images.dtype.name)
    arrays = arrays_of(State(parameters, parameters), compiled)
    struct, _layers = struct_of(network, arrays, interface)
    result = np.empty((len(images), network.sizes[-1]), images.dtype)
    n, stride = images.shape
    compiled.outputs(struct, pointer(interface, images), stride, n, pointer(interface, result))
    return result


def gradients(network: Network, parameters: Parameters, prepared: Prepared, /) -> tuple[float, Parameters]:
    """Mean cost of all prepared images, and its gradient: the velocity after one update, which was zero before."""
    zero = tuple(Layer(np.zeros_like(weights), np.zeros_like(biases)) for weights, biases in parameters)
    plan = Plan(np.array([0]), np.array([len(prepared.images)]), None, np.array([0.0]), 0.5)
    state, costs = train(network, State(parameters, zero), prepared, plan)
    return float(costs[0]), state.velocities


def train(network: Network, state: State, prepared: Prepared, plan: Plan, /) -> tuple[State, Array]:
    """The state after the plan's updates, and the cost before each."""
    images, labels = prepared
    interface, compiled = library(images.dtype.name)
    arrays = arrays_of(state, compiled)
    struct, _layers = struct_of(network, arrays, interface)
    rates = plan.learning_rates.astype(images.dtype)
    costs = np.zeros_like(rates)
    given = (pointer(interface, array) for array in (labels, plan.order, plan.starts, plan.stops, rates, costs))
    of_labels, order, starts, stops, of_rates, of_costs = given
    compiled.train(
        struct, pointer(interface, images), images.shape[1], of_labels, order,
        len(rates), starts, stops, of_rates, plan.momentum, of_costs,
    )  # fmt: skip
    parameters = tuple(layer_of(one.weights, like) for one, like in zip(arrays, state.parameters, strict=True))
    velocities = tuple(layer_of(one.velocity, like) for one, like in zip(arrays, state.velocities, strict=True))
    return State(parameters, velocities), costs
