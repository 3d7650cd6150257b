#!/usr/bin/env bash
# torch.set_flush_denormal(True) flushes part of a large tensor: that which the calling thread computes.
#
# Versions: PyTorch 2.13.0 (CPU), NumPy 2.4.6. Two cores or more, x86.
#
# Behaviour: the call sets a flag of the processor, which each thread has for itself. Where the threads of PyTorch's pool
# exist already, theirs stays as it was: with two threads exactly half of a product of 2,000,000 elements comes out 0, the
# rest stays denormal. NumPy, called in the same thread, flushes as well.
#
# Expected: all elements are treated alike, as the documentation describes a mode of the CPU and names no thread. (The
# issues of PyTorch were searched for this; none was found.)
#
# Way out: call it before the first operation that is shared out, so that the pool's threads are started with the flag;
# but then switching it off reaches the calling thread alone.
#
# Output seen:
#     flushed to zero: 1000000 of 2000000 equal products by PyTorch; by NumPy: True
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6

cat >"$folder/flush.py" <<'PYTHON'
import numpy as np
import torch

torch.set_num_threads(2)
x = torch.full((2_000_000,), 1e-30)
assert (x * 1e-10 != 0).all(), "denormals are flushed by default"  # and the pool's threads have been started
assert torch.set_flush_denormal(True), "this processor cannot flush denormals"
product = x * 1e-10
by_numpy = np.float32(1e-30) * np.ones(4, np.float32) * np.float32(1e-10)
torch.set_flush_denormal(False)  # otherwise the comparison would take denormals for 0
flushed = int((product == 0).sum())
print(f"flushed to zero: {flushed} of {len(x)} equal products by PyTorch; by NumPy: {not by_numpy.any()}")
assert flushed == len(x) // 2 and not by_numpy.any(), "the behaviour has changed"
PYTHON
"$folder/venv/bin/python" "$folder/flush.py"
