"""`python -m bench portrait MODEL`: what a saved network says to the test images, kept for the report.

The first ten images with the outputs for them, how often each digit is taken for which, the mistakes of which it was
surest, and the weights of its first layer.
"""

import argparse
import sys
from datetime import datetime
from pathlib import Path

import numpy as np

import data
import impls
from bench import UserError, campaign, machine, model, options
from bench.portrait import portrait, write
from bench.quality import share_correct
from data import Dataset
from impls.contract import Network, Parameters, check_images, dtype_of

BACKEND = "vectorized"  # whose outputs they are; all agree


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="a file that `train --save` wrote")
    parser.add_argument(
        "--results",
        type=options.output_file,
        metavar="FILE",
        help="JSON (default: a new one in bench/results)",
    )
    options.add_data(parser)


def run(arguments: argparse.Namespace) -> int:
    """Look at the test images, write the file, say how many are right. Raises UserError for a model that misfits."""
    network, parameters = model.load(arguments.model)
    dataset = data.load(arguments.data)
    check_images(network, dataset.test.images[:1], dataset.test.labels[:1])
    if network.sizes[-1] <= int(dataset.test.labels.max()):
        raise UserError(f"{arguments.model}: has {network.sizes[-1]} outputs, expected one for each digit")
    path = campaign.results_file(arguments.results, "network")
    correct = keep(path, network, parameters, dataset, arguments.model.name)
    print(f"{correct:.2%} of {len(dataset.test.labels):,} test images correct")
    print(f"For the report: {path}")
    return 0


def keep(path: Path, network: Network, parameters: Parameters, dataset: Dataset, source: str) -> float:
    """Write what the network says to the test images; returns the share that is right.

    source: what trained it. Raises UserError where that cannot be drawn, or the file not be written.
    """
    test = dataset.test
    backend = impls.load(BACKEND)
    prepared = backend.prepare(network, test.images, test.labels, dtype_of(parameters))
    with np.errstate(over="ignore", invalid="ignore"):  # told by what comes of it
        outputs = backend.outputs(network, parameters, prepared)
    header = {
        "when": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": " ".join(["python -m bench", *sys.argv[1:]]),
        "machine": machine.describe(),
        "data": dataset.name,
        "notice": dataset.notice,
        "network": str(network),
        "source": source,
    }
    write(path, header, portrait(test.images, test.labels, outputs, parameters))
    return share_correct(outputs, test.labels)
