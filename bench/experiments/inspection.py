"""What a network answers on the test images, kept for the report.

The outputs for the first ten images, the confusion matrix, the most confident mistakes, and the weights of the first
layer.
"""

from pathlib import Path

import numpy as np

import impls
from bench.records.inspection import inspection, write
from bench.records.kinds import opening
from bench.training.loop import prepare, train_epochs
from bench.training.metrics import accuracy
from bench.workloads.cases import MINI_BATCHES
from data import Dataset
from impls.contract import Network, Parameters, dtype_of

BACKEND = "vectorized"  # that computes the outputs; all agree


def keep(path: Path, network: Network, parameters: Parameters, dataset: Dataset, source: str) -> float:
    """Write what the network answers on the test images; returns the share that is right.

    source: what trained it. Raises UserError where that cannot be drawn, or the file not be written.
    """
    test = dataset.test
    backend = impls.load(BACKEND)
    prepared = backend.prepare(network, test.images, test.labels, dtype_of(parameters))
    with np.errstate(over="ignore", invalid="ignore"):
        outputs = backend.outputs(network, parameters, prepared)
    about = opening(dataset) | {"network": str(network), "source": source}
    write(path, inspection(test.images, test.labels, outputs, parameters, **about))
    return accuracy(outputs, test.labels)


INSPECTED = "minibatch"  # that trains the network of the report; all agree, and this one needs NumPy alone


def inspect_one(digits: Dataset, path: Path) -> None:
    """Train a network as the benchmarks do, and keep what it answers on the test images, for the report's pictures."""
    case, backend = MINI_BATCHES, impls.load(INSPECTED)
    split = prepare(backend, case.network, digits.train, case.dtype)
    plans = case.plans(len(digits.train.labels))
    *_, last = train_epochs(backend, case.network, case.parameters(), split, plans)
    source = f"{INSPECTED}, {case.epochs} epochs of {case.name} of {case.batch}"
    keep(path, case.network, last.state.parameters, digits, source)
