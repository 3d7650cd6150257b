"""`python -m bench predict MODEL PICTURE`: which digit does a picture of your own show?"""

import argparse
from pathlib import Path

import numpy as np

import impls
from bench import UserError
from bench.commands import options
from bench.training.saved import load_network
from command_line import Option
from data import mnist
from data.picture import as_mnist, read_grey
from impls.contract import check_images, dtype_of

OPTIONS = (
    options.MODEL,
    Option("picture PICTURE", "Read this picture: PNG, JPEG, ...", Path),
    Option("--backend NAME", "Compute the outputs with this backend", str, "vectorized"),
    options.THREADS,
)


def run(arguments: argparse.Namespace) -> int:
    """Print the predicted digit, its confidence and all outputs; return 0. Raises UserError as the parts do."""
    backend = impls.load(arguments.backend)
    saved = load_network(arguments.model)
    network, parameters = saved.network, saved.parameters
    image = as_mnist(read_grey(arguments.picture), arguments.picture).reshape(1, -1)
    check_images(network, image, None)
    prepared = backend.prepare(network, image, None, dtype_of(parameters))
    with np.errstate(over="ignore", invalid="ignore"):  # checked in the outputs instead
        output = backend.outputs(network, parameters, prepared)[0]
    wrong = output[~np.isfinite(output)]
    if wrong.size:
        raise UserError(
            f"{arguments.model}: expected finite outputs for {arguments.picture}, found {wrong[0]}; "
            "its parameters are too large: train it again with a lower learning rate"
        )
    for line in saved.remarks(arguments.model, mnist.SHA256, "MNIST, in whose form the picture is brought"):
        print(line)
    answer = int(output.argmax())
    print(f"{arguments.picture}: a {answer}, with confidence {output[answer]:.3f}")
    for digit in np.argsort(-output, kind="stable"):
        print(f"  {digit}  {output[digit]:.4f}")
    return 0
