"""What a network answers on the test images, kept for the report, see `bench.records.inspection`."""

from pathlib import Path

import numpy as np

import impls
from bench.records.inspection import inspection, write
from bench.records.kinds import opening
from bench.training.loop import accuracy, prepare, train_epochs
from bench.workloads.cases import MINI_BATCHES
from bench.workloads.recipes import with_outputs
from data import Dataset
from impls.contract import Network, Parameters, dtype_of

BACKEND = "vectorized"  # computes the outputs; all backends agree
INSPECTED = "minibatch"  # trains the network of the report; it needs NumPy alone


def keep(path: Path, network: Network, parameters: Parameters, dataset: Dataset, source: str) -> float:
    """Write what the network answers on the test images; return the share that is right.

    source: what trained it. Raises UserError where that cannot be drawn, or the file not be written.
    """
    backend, test = impls.load(BACKEND), dataset.test
    split = prepare(backend, network, test, dtype_of(parameters))
    with np.errstate(over="ignore", invalid="ignore"):
        outputs = backend.outputs(network, parameters, split.prepared)
    about = opening(dataset) | {"network": str(network), "source": source}
    write(path, inspection(test.images, test.labels, outputs, parameters, **about))
    return accuracy(outputs, test.labels)


def inspect_one(digits: Dataset, path: Path) -> None:
    """Train a network as the benchmarks do, and keep what it answers on the test images, for the report's pictures."""
    case, backend = with_outputs(MINI_BATCHES, digits.classes), impls.load(INSPECTED)
    split = prepare(backend, case.network, digits.train, case.dtype)
    *_, last = train_epochs(backend, case.network, case.parameters(), split, case.plans(len(split.labels)))
    source = f"{INSPECTED}, {case.epochs} epochs of {case.name} of {case.batch}"
    keep(path, case.network, last.state.parameters, digits, source)
