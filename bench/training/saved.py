"""A trained network on disk: NumPy's .npz, with the network's description as JSON. Nothing in it is executed."""

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from lzma import LZMAError
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile, is_zipfile

import numpy as np

from bench import UserError
from impls.contract import ContractError, Layer, Network, Parameters, check_parameters

FORMAT = "digitbench network 1"
# What reading a file of another form raises, besides ContractError.
DAMAGED = (ValueError, KeyError, TypeError, EOFError, RuntimeError, OverflowError, BadZipFile, zlib.error, LZMAError)


def save_network(path: Path, network: Network, parameters: Parameters) -> None:
    """Write network and parameters; the file appears under its name only when it is complete.

    Raises UserError if the file cannot be written.
    """
    arrays = {"format": np.array(FORMAT), "network": np.array(json.dumps(asdict(network)))}
    for number, layer in enumerate(parameters, start=1):
        arrays[f"weights_{number}"], arrays[f"biases_{number}"] = layer
    with written_whole(path) as file:
        np.savez(file, allow_pickle=False, **arrays)


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which gets its name only when it is complete. Raises UserError if it cannot be written."""
    partial = path.with_name(f"{path.name}.part")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); choose another place") from None
    finally:
        partial.unlink(missing_ok=True)


def load_network(path: Path) -> tuple[Network, Parameters]:
    """Read what `save_network` wrote.

    Raises UserError for a file that is absent or not of this form, and for parameters that do not fit their network or
    are not finite.
    """
    try:
        if path.is_file() and not is_zipfile(path):
            raise BadZipFile("another kind of file")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            if str(content["format"]) != FORMAT:
                raise ValueError(f"format is {content['format']}")
            description = json.loads(str(content["network"]))
            network = Network(**{**description, "sizes": tuple(description["sizes"])})
            parameters = tuple(
                Layer(content[f"weights_{number}"], content[f"biases_{number}"])
                for number in range(1, len(network.sizes))
            )
        check_parameters(network, parameters)
    except ContractError as error:
        raise UserError(f"{path}: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); `--save` of `train` writes it") from None
    except DAMAGED as error:
        raise UserError(f"{path}: expected a {FORMAT} file, found: {error}; `--save` of `train` writes one") from None
    return network, parameters
