#!/usr/bin/env bash
# Under threadpool_limits(1), threadpoolctl reports one thread of OpenMP while a parallel loop of numba runs on two.
#
# Versions: threadpoolctl 3.8.0, numba 0.68.1, llvmlite 0.50.0, NumPy 2.4.6, GNU libgomp of the system. Linux.
#
# Behaviour: numba asks for its own number of threads in each parallel region, so neither OpenMP's setting, which
# threadpoolctl changes and reads back, nor OMP_NUM_THREADS=1 limits it. Reading the number back proves nothing.
#
# Expected: with numba's layer "omp", OpenMP's limit holds, or the report does not name that runtime.
# (The issues of threadpoolctl and numba were searched for this; none was found.)
#
# Way out: NUMBA_NUM_THREADS=1 in the environment, or numba.set_num_threads(1).
#
# Output seen:
#     threadpoolctl: 1 thread of OpenMP; the loop ran in 2 threads; with numba.set_num_threads(1): 1
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check threadpoolctl==3.8.0 numba==0.68.1 llvmlite==0.50.0 numpy==2.4.6

cat >"$folder/limited.py" <<'PYTHON'
import ctypes

import numba
import numpy as np
import threadpoolctl

thread = ctypes.CFUNCTYPE(ctypes.c_size_t)(("pthread_self", ctypes.CDLL(None)))


@numba.njit(parallel=True)
def threads(n):
    """The system's name of the thread that ran each iteration."""
    of = np.empty(n, np.uint64)
    for i in numba.prange(n):
        of[i] = thread()
    return of


def used():
    return len(set(threads(1000).tolist()))


used()  # compiles, and loads OpenMP
assert numba.threading_layer() == "omp", numba.threading_layer()
with threadpoolctl.threadpool_limits(1):
    reported = {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "openmp"}
    ran = used()
numba.set_num_threads(1)
alone = used()
print(
    f"threadpoolctl: {max(reported)} thread of OpenMP; the loop ran in {ran} threads; "
    f"with numba.set_num_threads(1): {alone}"
)
assert (reported, ran, alone) == ({1}, 2, 1), "the behaviour has changed"
PYTHON
OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=2 NUMBA_THREADING_LAYER=omp "$folder/venv/bin/python" "$folder/limited.py"
