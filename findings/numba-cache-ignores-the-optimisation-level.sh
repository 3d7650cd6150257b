#!/usr/bin/env bash
# numba loads machine code that was compiled without optimisation into a process that asks for optimised code.
#
# Versions: numba 0.68.1, llvmlite 0.50.0, NumPy 2.4.6.
#
# Behaviour: with cache=True, the key of a compiled function on disk holds its signature, the processor and the bytecode,
# but not NUMBA_OPT, the level of optimisation. So one run with NUMBA_OPT=0, for a debugger say, leaves code that every
# later run loads, and the other way round. A benchmark then times unoptimised loops, without a word.
#
# Expected: code compiled at another level is not used, as it is not for another processor.
#
# Way out: a folder of its own in NUMBA_CACHE_DIR for each value of NUMBA_OPT.
#
# Output seen (the times are those of one machine, their ratio is what is checked):
#     NUMBA_OPT=0: compiled, 14.4 ms
#     default: loaded from disk, 15.0 ms
#     default, with an empty cache: compiled, 0.1 ms
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numba==0.68.1 llvmlite==0.50.0 numpy==2.4.6

cat >"$folder/doubled.py" <<'PYTHON'
import time

import numba
import numpy as np


@numba.njit(cache=True)
def doubled(x, y):
    for i in range(x.size):
        y[i] = 2 * x[i]


x = np.ones(1_000_000, np.float32)
y = np.empty_like(x)
seconds = []
for _ in range(30):
    begin = time.perf_counter()
    doubled(x, y)
    seconds.append(time.perf_counter() - begin)
assert (y == 2).all()
print("loaded from disk," if doubled.stats.cache_hits else "compiled,", f"{1e3 * min(seconds):.1f} ms")
PYTHON

run() { (cd "$folder" && NUMBA_CACHE_DIR="$folder/$1" "$folder/venv/bin/python" doubled.py); }
unoptimised=$(NUMBA_OPT=0 run shared)
default=$(run shared)
fresh=$(run empty)
printf 'NUMBA_OPT=0: %s\ndefault: %s\ndefault, with an empty cache: %s\n' "$unoptimised" "$default" "$fresh"
awk -v first="$unoptimised" -v second="$default" -v third="$fresh" 'BEGIN {
    split(first, a, ", "); split(second, b, ", "); split(third, c, ", ")
    same = a[1] == "compiled" && b[1] == "loaded from disk" && c[1] == "compiled" && b[2] > 3 * c[2]
    if (!same) print "the behaviour has changed"
    exit !same
}'
