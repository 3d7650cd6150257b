#!/usr/bin/env bash
# Keras 3 on PyTorch computes a Dense layer of float64 in float32 and returns that, though floatx and policy say float64.
#
# Versions: Keras 3.15.1, PyTorch 2.13.0 (CPU), NumPy 2.4.6.
#
# Behaviour: keras.backend.result_type("float64", "float64") is "float32", whatever keras.config.floatx() says, and on
# PyTorch matmul computes in that type. Activations keep float64 (https://github.com/keras-team/keras/issues/23704), so
# that a network may return float64 with an error of some 1e-7. On JAX matmul asks jax.numpy for the type and is exact.
#
# Expected: float64, or a refusal of the policy.
#
# Way out: torch.matmul instead of keras.ops.matmul and Dense, where more than float32 is needed.
#
# Output seen:
#     result_type of two float64: float32
#     a Dense layer of float64 on torch: returns float32, off by less than 1e-06
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 torch==2.13.0 numpy==2.4.6

cat >"$folder/product.py" <<'PYTHON'
import math

import keras
import numpy as np
import torch

keras.config.set_floatx("float64")
keras.config.set_dtype_policy("float64")
inputs, weights = np.random.default_rng(0).random((2, 64, 64))
dense = keras.layers.Dense(64, use_bias=False)
dense.build((None, 64))
dense.set_weights([weights])
found = dense(torch.tensor(inputs)).detach()
error = float(np.max(np.abs(found.numpy() / (inputs @ weights) - 1)))
result = keras.backend.result_type("float64", "float64")
print(f"result_type of two float64: {result}")
name = str(found.dtype).removeprefix("torch.")
print(f"a Dense layer of float64 on torch: returns {name}, off by less than 1e{math.ceil(math.log10(error)):03d}")
assert (result, name) == ("float32", "float32"), "the behaviour has changed"
assert 1e-9 < error < 1e-6, "the behaviour has changed"
PYTHON
KERAS_BACKEND=torch KERAS_HOME="$folder" "$folder/venv/bin/python" "$folder/product.py"
