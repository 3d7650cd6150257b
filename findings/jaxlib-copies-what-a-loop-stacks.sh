#!/usr/bin/env bash
# In jaxlib 0.11.1, a lax.scan that stacks one number a step copies all of them at every step, on a CPU.
#
# Versions: jaxlib 0.11.1 beside 0.11.2, NumPy 2.4.6. They need Python 3.12 or newer: PYTHON=python3.12 selects one.
#
# Behaviour: the time of such a loop grows with the square of its steps: four times the steps take some sixteen times the
# time or more, as the array also leaves the caches. jaxlib 0.11.0 and 0.11.2 write each number in its place.
#
# Expected: the time grows with the steps, as before and after. https://github.com/jax-ml/jax/issues/40101
#
# Way out: another release; or two loops, the inner one over a block of some hundred steps, the outer one over blocks.
#
# Output seen, of one machine (checked is the ratio of the two releases at 60,000 steps, which has to be above 50):
#     jaxlib 0.11.1: 15,000 steps 81.5 ms, 60,000 steps 2327.2 ms
#     jaxlib 0.11.2: 15,000 steps 0.1 ms, 60,000 steps 0.5 ms
set -euo pipefail

"${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 12))' ||
    { echo 'cannot be shown here: jaxlib 0.11.1 needs Python 3.12 or newer; give PYTHON=python3.12'; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cat >"$folder/scan.py" <<'PYTHON'
import time

import jax
import jax.numpy as jnp
import jaxlib


def milliseconds(n):
    """Of a loop of n steps, the fastest of three."""
    x = jnp.linspace(0, 1, n)
    loop = jax.jit(lambda x: jax.lax.scan(lambda total, x: (0.999 * total + x, total), 0.0, x))
    jax.block_until_ready(loop(x))
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        jax.block_until_ready(loop(x))
        times.append(1e3 * (time.perf_counter() - begin))
    return min(times)


few, many = milliseconds(15_000), milliseconds(60_000)
print(f"jaxlib {jaxlib.__version__}: 15,000 steps {few:.1f} ms, 60,000 steps {many:.1f} ms")
PYTHON

for version in 0.11.1 0.11.2; do
    "${PYTHON:-python3}" -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check \
        "jax==$version" "jaxlib==$version" numpy==2.4.6
    JAX_PLATFORMS=cpu "$folder/$version/bin/python" "$folder/scan.py"
done | tee "$folder/seen"
awk '{ms[NR] = $(NF - 1)} END {
    if (ms[1] < 50 * ms[2]) print "the behaviour has changed"
    exit ms[1] < 50 * ms[2]
}' "$folder/seen"
