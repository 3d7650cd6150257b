"""`python -m bench inspect MODEL`: record what a saved network answers on the test images, for the report.

It keeps the first ten images with the outputs for them, the confusion matrix, the mistakes with the largest outputs,
and the weights of the first layer. Where the network has 784 inputs and 10 outputs, and its weights take at most
225,000 bytes at 8 bits each, it is kept itself, with forty test digits: on the report's page one can draw for it.
"""

import argparse

import data
from bench import UserError
from bench.commands import options
from bench.experiments.inspection import keep
from bench.records.journal import results_file
from bench.training.saved import load_network
from command_line import Option, output_file
from impls.contract import check_images

OPTIONS = (
    options.MODEL,
    Option("--output FILE", "Write the record for the report to this file", output_file,
           without="a new file in bench/results"),
    options.DATA,
    options.THREADS,
)  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Write the file and print the test accuracy; return 0. Raises UserError for a network of another shape."""
    saved = load_network(arguments.model)
    network, parameters = saved.network, saved.parameters
    dataset = data.load(arguments.data)
    check_images(network, dataset.test.images[:1], dataset.test.labels[:1])
    if network.sizes[-1] <= int(dataset.test.labels.max()):
        raise UserError(
            f"{arguments.model}: has {network.sizes[-1]} outputs, expected {dataset.classes}, one for each class"
        )
    for line in saved.remarks(arguments.model, dataset.sha256, f"these, {dataset.name}"):
        print(line)
    path = results_file(arguments.output, "network")
    correct = keep(path, network, {None: parameters}, dataset, arguments.model.name)
    print(f"{correct:.2%} of {len(dataset.test.labels):,} test images correct")
    print(f"For the report: {path}")
    return 0
