"""`python -m bench predict MODEL PICTURE`: which digit does a picture of your own show?"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np

import impls
from bench import UserError
from bench.commands import options
from bench.training.saved import load_network
from command_line import Option
from data import mnist
from data.digits import Digits
from data.drawing import drawing
from data.picture import read_picture
from data.preparation import as_mnist
from impls.contract import check_images, dtype_of

OPTIONS = (
    options.MODEL,
    Option("picture PICTURE", "Read this picture: BMP, GIF, JPEG or PNG, of at most 25 million pixels", Path),
    Option("--show", "Draw the 28 x 28 pixels that the network gets", without="only its answer"),
    options.one_backend("Compute the outputs with this backend", "vectorized"),
    options.THREADS,
)


def run(arguments: argparse.Namespace) -> int:
    """Print the predicted digit, its confidence, how the picture was prepared, and all outputs; return 0.

    Raises UserError for outputs that are not finite, and what the parts raise.
    """
    backend = impls.find(arguments.backend)
    saved = load_network(arguments.model)
    network, parameters = saved.network, saved.parameters
    picture = read_picture(arguments.picture)
    in_form = as_mnist(picture.grey, arguments.picture)
    image = in_form.image.reshape(1, -1)
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
    which = "the first of several; " if picture.first_of_several else ""
    print(f"Prepared: {which}{in_form.done}")
    if arguments.show:
        drawn = Digits(image, np.array([answer]))
        print(drawing(drawn, shutil.get_terminal_size().columns, sys.stdout.encoding))
    for digit in np.argsort(-output, kind="stable"):
        print(f"  {digit}  {output[digit]:.4f}")
    return 0
