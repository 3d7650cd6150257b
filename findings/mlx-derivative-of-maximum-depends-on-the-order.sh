#!/usr/bin/env bash
# The derivative of ReLU at 0, written as a maximum in MLX, is 1 or 0 by the order of the two arguments.
#
# Versions: MLX 0.32.4 with its back end for CPUs, Linux.
#
# Behaviour: where both arguments are equal, mx.maximum passes the whole gradient to the second. So the derivative of
# maximum(x, 0) at 0 is 0, that of maximum(0, x) is 1. A unit is at exactly 0 where all its inputs are and biases begin
# at 0.
#
# Expected: a symmetric function has one derivative: 1/2 each, as in JAX and PyTorch, or as mx.nn.relu, in both orders.
# (The issues of MLX were searched for this; none was found. JAX's value is discussed in
# https://github.com/jax-ml/jax/issues/37821.)
#
# Way out: mlx.nn.relu, or mx.where(x > 0, x, 0).
#
# Output seen:
#     derivative at 0: maximum(x, 0) 0.0, maximum(0, x) 1.0, nn.relu 0.0
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'mlx[cpu]==0.32.4'

cat >"$folder/derivative.py" <<'PYTHON'
import mlx.core as mx
import mlx.nn as nn

zero = mx.array(0.0)
first, second, relu = (
    mx.grad(f)(zero).item() for f in (lambda x: mx.maximum(x, 0), lambda x: mx.maximum(0, x), nn.relu)
)
print(f"derivative at 0: maximum(x, 0) {first}, maximum(0, x) {second}, nn.relu {relu}")
assert (first, second) == (0, 1), "the behaviour has changed"
PYTHON
"$folder/venv/bin/python" "$folder/derivative.py"
