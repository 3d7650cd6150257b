#!/usr/bin/env bash
# After numba's first parallel loop under OMP_PROC_BIND=true, the process and all its later children have one core.
#
# Versions: numba 0.68.1, llvmlite 0.50.0, NumPy 2.4.6, GNU libgomp of the system. Linux, two cores or more.
#
# Behaviour: numba's OpenMP layer starts its threads inside GNU's OpenMP runtime, which binds each thread to a place and
# the calling thread to the first one. The binding stays when the loop is over. What the program starts afterwards from
# that thread, other libraries' threads and child processes, inherits the one core: os.sched_getaffinity(0) has shrunk.
#
# Expected: the caller's cores are given back at the end of the parallel region, or at least children have all of them.
#
# Way out: remove OMP_PROC_BIND, OMP_PLACES and GOMP_CPU_AFFINITY before the first import, or keep the cores from the
# start of the program and set them again with os.sched_setaffinity before starting anything.
#
# Output seen, on two cores:
#     before: all cores; after the loop: 1; a child process: 1
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numba==0.68.1 llvmlite==0.50.0 numpy==2.4.6

cat >"$folder/bound.py" <<'PYTHON'
import os
import subprocess
import sys

import numba
import numpy as np


@numba.njit(parallel=True)
def doubled(x):
    y = np.empty_like(x)
    for i in numba.prange(len(x)):
        y[i] = 2 * x[i]
    return y


before = len(os.sched_getaffinity(0))
assert before > 1, "needs two cores"
assert (doubled(np.ones(100)) == 2).all()
assert numba.threading_layer() == "omp", numba.threading_layer()
after = len(os.sched_getaffinity(0))
ask = "import os; print(len(os.sched_getaffinity(0)))"
child = int(subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout)
print(f"before: {'all' if before == os.cpu_count() else before} cores; after the loop: {after}; a child process: {child}")
assert (after, child) == (1, 1), "the behaviour has changed"
PYTHON
NUMBA_THREADING_LAYER=omp OMP_PROC_BIND=true "$folder/venv/bin/python" "$folder/bound.py"
