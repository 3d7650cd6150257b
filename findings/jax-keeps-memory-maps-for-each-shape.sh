#!/usr/bin/env bash
# JAX on a CPU keeps the program of each shape in two memory maps, of which Linux lets a process have 65,530 by default.
#
# Versions: jax and jaxlib 0.10.2, NumPy 2.4.6.
#
# Behaviour: a compiled function that is called with arrays of 200 shapes leaves some 370 memory maps behind, more than one
# a shape and as many as three; they stay while the function lives, and jax.clear_caches() gives all back. A long run of
# tests that compiled for tens of thousands of shapes in one process ended in XLA's compiler, by a segmentation fault
# instead of an error; with a call of clear_caches whenever there were 20,000 maps it reached its end.
#
# Expected: programs that share larger maps, an older program dropped for a new one, or an exception at the limit.
#
# Way out: jax.clear_caches() now and then where a process compiles for thousands of shapes, or several processes.
#
# Output seen:
#     200 shapes: 1.85 memory maps each; after clear_caches 0.01
set -euo pipefail

[ -e /proc/self/maps ] || { echo 'cannot be shown here: this system does not list memory maps in /proc'; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6

cat >"$folder/shapes.py" <<'PYTHON'
import sys

import jax
import jax.numpy as jnp
import numpy as np


def maps():
    with open("/proc/self/maps") as file:
        return sum(1 for _ in file)


compiled = jax.jit(lambda x: jnp.sum(jnp.tanh(x @ x.T)))
compiled(np.ones((3, 4)))
before = maps()
for n in range(200):
    compiled(np.ones((n + 4, 4)))
each = (maps() - before) / 200
jax.clear_caches()
left = (maps() - before) / 200
print(f"200 shapes: {each:.2f} memory maps each; after clear_caches {left:.2f}")
if not 1 < each < 3 or left > 0.2:
    sys.exit("the behaviour has changed")
PYTHON
JAX_PLATFORMS=cpu "$folder/venv/bin/python" "$folder/shapes.py"
