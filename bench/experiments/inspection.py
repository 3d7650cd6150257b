"""What a network answers on the test images, and the network itself, kept for the report.

The record is in `bench.records.inspection` and `bench.records.quantised`.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

import impls
from bench.records.inspection import inspection, write
from bench.records.kinds import opening
from bench.records.quantised import DIGITS, QuantisedNetwork, SampleDigits, Stage, quantise, restored, unfit
from bench.training.loop import accuracy, prepare, train_epochs
from bench.workloads.cases import MINI_BATCHES
from bench.workloads.recipes import with_outputs
from data import Dataset, Digits
from impls.contract import Array, Network, Parameters, dtype_of

BACKEND = "vectorized"  # computes the outputs; all backends agree
INSPECTED = "minibatch"  # trains the network of the report; it needs NumPy alone
OF_EACH = 4  # test images of each digit that the page offers, the first


def keep(path: Path, network: Network, stages: Mapping[int | None, Parameters], dataset: Dataset, source: str) -> float:
    """Write what the network answers on the test images; return the share that is right.

    stages: its parameters by the epochs of training (None: not known), the last of which is the network. The others are
    kept for the page, so that one can see it learn. source: what trained it. Raises UserError where that cannot be
    drawn, or the file not be written.
    """
    *_, parameters = stages.values()
    test = dataset.test
    outputs = outputs_of(network, parameters, test)
    about = opening(dataset) | {"network": str(network), "source": source}
    content = inspection(test.images, test.labels, outputs, parameters, **about)
    kept = unfit(network.sizes) or quantised(network, stages, test)
    write(path, msgspec.structs.replace(content, quantised=kept))
    return accuracy(outputs, test.labels)


def outputs_of(network: Network, parameters: Parameters, digits: Digits) -> Array:
    """Return the outputs for these images, (n, n_outputs)."""
    backend = impls.load(BACKEND)
    split = prepare(backend, network, digits, dtype_of(parameters))
    with np.errstate(over="ignore", invalid="ignore"):
        return backend.outputs(network, parameters, split.prepared)


def quantised(network: Network, stages: Mapping[int | None, Parameters], test: Digits) -> QuantisedNetwork:
    """Return the network at each stage, small enough for a page, and what making it small costs on the test images."""
    kept = []
    for epochs, parameters in stages.items():
        small = quantise(parameters)
        both = parameters, restored(small, network, dtype_of(parameters))
        kept.append(Stage(epochs, small, *(accuracy(outputs_of(network, one, test), test.labels) for one in both)))
    some = np.concatenate([np.flatnonzero(test.labels == digit)[:OF_EACH] for digit in range(DIGITS)])
    return QuantisedNetwork(
        sizes=list(network.sizes),
        hidden=network.hidden,
        output=network.output,
        pixel_scale=network.pixel_scale,
        stages=kept,
        digits=SampleDigits(test.images[some].tobytes(), test.labels[some].tolist()),
    )


def inspect_one(digits: Dataset, path: Path) -> None:
    """Train a network as the benchmarks do, and keep what it answers on the test images, for the report's pictures.

    The page also has it as it was before the training and after one epoch.
    """
    case, backend = with_outputs(MINI_BATCHES, digits.classes), impls.load(INSPECTED)
    split = prepare(backend, case.network, digits.train, case.dtype)
    training = train_epochs(backend, case.network, case.parameters(), split, case.plans(len(split.labels)))
    stages: dict[int | None, Parameters] = {
        epoch.number: epoch.state.parameters for epoch in training if epoch.number in (0, 1, case.epochs)
    }
    source = f"{INSPECTED}, {case.epochs} epochs of {case.name} of {case.batch}"
    keep(path, case.network, stages, digits, source)
