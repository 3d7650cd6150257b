#!/usr/bin/env bash
# numba optimises a function that a prange loop calls in four modules, one after the other.
#
# Versions: numba 0.68.1, llvmlite 0.50.0, NumPy 2.4.6.
#
# Behaviour: numba links the machine-independent code of a callee into each module that uses it, and LLVM optimises each
# module as a whole. A plain @njit caller makes one such module beside the callee's own. A caller with parallel=True and
# a prange makes four: the body of the loop, two wrappers of it, and the caller itself. The first call therefore takes a
# multiple of the time where most of the code is in functions that the loop calls, as in a training.
#
# Expected: the body is optimised once, and the wrappers call it.
#
# Way out: @njit(nogil=True) without parallel=True, called by threads of a pool of Python's, which compiles once.
#
# Output seen:
#     plain: 1 module beside the callee's own holds the callee's code
#     prange: 4 modules beside the callee's own hold the callee's code
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numba==0.68.1 llvmlite==0.50.0 numpy==2.4.6

cat >"$folder/count.py" <<'PYTHON'
import numba
import numpy as np
from numba.core.codegen import CPUCodeLibrary

optimised = []
optimise = CPUCodeLibrary._optimize_final_module


def counted(library):
    """Note each module in which the sine, which is in the callee and nowhere else, is called."""
    if "@llvm.sin" in str(library._final_module) or "@sin(" in str(library._final_module):
        optimised.append(library.name)
    return optimise(library)


CPUCodeLibrary._optimize_final_module = counted


def modules_with(parallel):
    """How many modules LLVM optimises that hold the callee's code."""
    optimised.clear()

    @numba.njit
    def callee(x):
        total = 0.0
        for i in range(x.size):
            total += np.sin(x[i])
        return total

    @numba.njit(parallel=parallel)
    def caller(x):
        sums = np.empty(len(x))
        for i in numba.prange(len(x)):
            sums[i] = callee(x[i])
        return sums

    x = np.linspace(0, 1, 12).reshape(4, 3)
    assert np.allclose(caller(x), np.sin(x).sum(axis=1))
    return len(optimised) - 1


plain, prange = modules_with(parallel=False), modules_with(parallel=True)
print(f"plain: {plain} module beside the callee's own holds the callee's code")
print(f"prange: {prange} modules beside the callee's own hold the callee's code")
assert (plain, prange) == (1, 4), "the behaviour has changed"
PYTHON
"$folder/venv/bin/python" "$folder/count.py"
