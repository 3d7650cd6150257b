#!/bin/sh
# The table of a GPU that reports/reference/NOTES.md says is missing: first whether the backends agree there, in both
# dtypes, then the milliseconds of an epoch of 60,000 images in batches of 32, 128 and 1,000. Run it in the repository's
# root, in its environment, on a machine with a GPU by NVIDIA and what impls/README.md asks for under "On a GPU".
# Meant for under five minutes with 16 cores. Options are passed on to the race: `bench/gpu.sh --output FILE`.
# All steps run, also after one that fails; the exit code is then the largest of theirs.
set -u
worst=0
step() {
    "$@" || { code=$?; [ "$code" -le "$worst" ] || worst=$code; }
}
step python -m impls
step python -m bench agree --backend cuda,torch:cuda,torch_manual:cuda,jax:cuda --time-limit 100
step python -m bench race --backend cuda,torch:cuda,torch_manual:cuda,jax:cuda,numba_sparse --baseline numba_sparse \
    --sweep batch=32,128,1000 --images 60000 --rounds 2 --budget 120 "$@"
exit "$worst"
