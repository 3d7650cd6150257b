"""Saved networks: damaged arrays and descriptions in whole archives, and damaged archives."""

import functools
import io
import json
import tempfile
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from bench import UserError
from bench.training.saved import load_network, save_network
from impls.contract import Network
from impls.initialisation import initial_parameters
from tests.torture.mutants import Choices, as_json, damaged_json
from tests.torture.targets.npz import archived, damaged_archive

NAME = "networks"
NETWORK = Network((6, 4, 3), "tanh", "softmax", "cross_entropy", pixel_scale=0.25)


@functools.cache
def members() -> dict[str, bytes]:
    """The files of a network as `train --save` writes it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.npz")
        save_network(path, NETWORK, initial_parameters(NETWORK, "he_normal", 0, "float32"), "0" * 64)
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}


def make(choices: Choices) -> bytes:
    """A damaged network."""
    files = members()
    if choices.below(3):
        return damaged_archive(files, choices)
    description = json.loads(json.dumps(asdict(NETWORK)))
    text = as_json(damaged_json(description, choices)).decode()
    np.save(stream := io.BytesIO(), np.array(text))
    return archived(files | {"network.npy": stream.getvalue()})


def read(path: Path) -> str | None:
    """Load it."""
    try:
        load_network(path)
    except UserError as error:
        return str(error)
    return None
