"""The same bits again: backends of the base installation, in fresh processes."""

from tests.torture.determinism import SAME, bits_of, same

BACKENDS = ("vectorized", "minibatch", "scipy_sparse", "graph")


def test_fresh_processes_compute_the_same_bits() -> None:
    one, other = (bits_of(BACKENDS, images=300, n_threads=2, dtypes=["float32"]) for _ in range(2))
    assert len(one) == 3 * len(BACKENDS)
    assert same([one, other]) == SAME
    changed = {**one, "graph float32 train": "another checksum"}
    assert same([one, changed]) == "other bits: graph float32 train"
