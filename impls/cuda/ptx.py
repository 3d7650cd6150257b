"""What the kernels need of a GPU beyond numba.cuda's own functions; simulated.py has the same for numba's simulator.

Instructions, where they are written here, are those of NVIDIA's "Parallel Thread Execution ISA".
"""

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import cuda, types
from numba.cuda.extending import intrinsic

exp, log, tanh = math.exp, math.log, math.tanh
# Arrays of a thread's own live in registers only if no call is left.
device_function = cuda.jit(device=True, forceinline=True)


def kernel(n_threads: int, at_once: int = 1) -> Any:
    """Make a kernel whose registers allow so many such blocks on a multiprocessor at once."""
    return cuda.jit(launch_bounds=(n_threads, at_once))


ALIGNED = 16  # bytes, the boundary on which shared memory begins
at = np.uint64  # of a subscript: numba tests each signed one for a negative value
I32, I64 = ir.IntType(32), ir.IntType(64)


@device_function
def quotient(a: Any, n: Any) -> Any:
    """a // n, for numbers from 0 to 2^32: divided in 32 bits, which takes a fraction of the time."""
    return np.int64(np.uint32(a) // np.uint32(n))


def address(context: Any, builder: Any, array_type: Any, array: Any, i: Any) -> Any:
    """Where element i of a vector lies. Nothing is checked, and -1 is not the last."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [i])


def assembly(builder: Any, text: str, constraints: str, result: Any, *operands: Any) -> Any:
    """PTX that is neither left out nor moved across another such or a barrier."""
    signature = ir.FunctionType(result, [operand.type for operand in operands])
    return builder.call(ir.InlineAsm(signature, text, constraints, side_effect=True), operands)


@intrinsic
def four(_context: Any, array: Any, i: Any) -> Any:
    """Four elements from i on, which is a multiple of four: in one load, if they are 32 bits each."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at = address(context, builder, array, *arguments)
        vector = ir.VectorType(context.get_data_type(array.dtype), 4).as_pointer()
        loaded = builder.load(builder.bitcast(at, vector), align=16)
        parts = [builder.extract_element(loaded, ir.Constant(I32, k)) for k in range(4)]
        return context.make_tuple(builder, signature.return_type, parts)

    return types.UniTuple(array.dtype, 4)(array, types.int64), generate


@intrinsic
def pixels_of(_context: Any, word: Any, like: Any) -> Any:
    """The four bytes of a word, the lowest first, as numbers of the type of `like`.

    A byte b in the lowest bits of the float 2^23 makes 2^23 + b, from which 2^23 is subtracted, exactly; of a
    double 2^52. A conversion takes four times as long where the hardware has few units for it (H100: 16 per SM).
    """
    wide = like == types.float64

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        real = context.get_data_type(like)
        offset = ir.Constant(real, 2.0**52 if wide else 2.0**23)
        upper = ir.Constant(I32, 0 if wide else 0x4B000000)
        found = []
        for byte in range(4):
            selector = ir.Constant(I32, 0x7440 | byte)  # of bytes: this one, two of `upper`, its highest
            form = ir.FunctionType(I32, [I32] * 3)
            permute = ir.InlineAsm(form, "prmt.b32 $0, $1, $2, $3;", "=r,r,r,n")
            bits = builder.call(permute, [arguments[0], upper, selector])
            if wide:
                bits = builder.or_(builder.zext(bits, I64), ir.Constant(I64, 0x43300000 << 32))
            found.append(builder.fsub(builder.bitcast(bits, real), offset))
        return context.make_tuple(builder, signature.return_type, found)

    return types.UniTuple(like, 4)(types.uint32, like), generate


@intrinsic
def copy_16_bytes(_context: Any, words: Any, to: Any, source: Any, start: Any) -> Any:
    """Begin to copy four 32-bit words from global to shared memory; both positions are multiples of four."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        inside = address(context, builder, words, *arguments[:2])
        inside = builder.ptrtoint(builder.addrspacecast(inside, ir.IntType(32).as_pointer(3)), I32)
        outside = builder.ptrtoint(address(context, builder, source, *arguments[2:]), I64)
        text = "cp.async.cg.shared.global [$0], [$1], 16;"
        assembly(builder, text, "r,l,~{memory}", ir.VoidType(), inside, outside)
        return context.get_dummy_value()

    return types.void(words, types.int64, source, types.int64), generate


@intrinsic
def wait_for_copies(_context: Any) -> Any:
    """Wait until all copies that this thread has begun are done."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        assembly(builder, "cp.async.wait_all;", "~{memory}", ir.VoidType())
        return context.get_dummy_value()

    return types.void(), generate


@device_function
def give_way() -> None:
    """Let others run while this thread waits for a word: on a GPU they do."""


@intrinsic
def peek(_context: Any, words: Any, i: Any) -> Any:
    """Read a word that another block may be writing."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at = builder.ptrtoint(address(context, builder, words, *arguments), I64)
        return assembly(builder, "ld.relaxed.gpu.global.u64 $0, [$1];", "=l,l,~{memory}", I64, at)

    return types.uint64(words, types.int64), generate


@intrinsic
def poke(_context: Any, words: Any, i: Any, word: Any) -> Any:
    """Write a word that another block may be reading."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at = builder.ptrtoint(address(context, builder, words, *arguments[:2]), I64)
        text = "st.relaxed.gpu.global.u64 [$0], $1;"
        assembly(builder, text, "l,l,~{memory}", ir.VoidType(), at, arguments[2])
        return context.get_dummy_value()

    return types.void(words, types.int64, types.uint64), generate


@intrinsic
def bits_of(_context: Any, value: Any) -> Any:
    """The bits of a number, as an integer of its size."""
    result = types.uint32 if value == types.float32 else types.uint64

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_data_type(result))

    return result(value), generate


@intrinsic
def number_of(_context: Any, bits: Any) -> Any:
    """The number of these bits."""
    result = types.float32 if bits == types.uint32 else types.float64

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_data_type(result))

    return result(bits), generate
