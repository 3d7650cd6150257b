"""A trained network on disk: NumPy's .npz, with the network's description as JSON. Nothing in it is executed."""

import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from lzma import LZMAError
from pathlib import Path
from typing import BinaryIO, NamedTuple
from zipfile import BadZipFile, is_zipfile

import numpy as np

from bench import UserError
from impls.contract import ContractError, Layer, Network, Parameters, check_parameters

FORMAT = "digitbench network 1"
# What reading a file of another form raises, besides ContractError.
DAMAGED = (ValueError, KeyError, TypeError, EOFError, RuntimeError, OverflowError, BadZipFile, zlib.error, LZMAError)


class SavedNetwork(NamedTuple):
    """What a file holds."""

    network: Network
    parameters: Parameters
    data_sha256: str | None = None
    """The checksum of the digits on which it was trained last, `data.Dataset.sha256`; None where it is not known."""

    def remarks(self, path: Path, sha256: str, these: str) -> list[str]:
        """A line where it was trained on other digits than those with this checksum; none where that is not known.

        path: of the file. these: what the other digits are, in words.
        """
        if self.data_sha256 is None or self.data_sha256 == sha256:
            return []
        return [f"{path}: was trained on other digits (SHA-256 {self.data_sha256[:12]}...) than {these}"]


def save_network(path: Path, network: Network, parameters: Parameters, data_sha256: str | None = None) -> None:
    """Write network and parameters; the file appears under its name only when it is complete.

    data_sha256: the checksum of the digits on which it was trained, if they are known. Raises UserError if the file
    cannot be written.
    """
    arrays = {"format": np.array(FORMAT), "network": np.array(json.dumps(asdict(network)))}
    if data_sha256 is not None:
        arrays["data_sha256"] = np.array(data_sha256)
    for number, layer in enumerate(parameters, start=1):
        arrays[f"weights_{number}"], arrays[f"biases_{number}"] = layer
    with written_whole(path) as file:
        np.savez(file, allow_pickle=False, **arrays)


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which gets its name only when it is complete; what is no file, as a pipe, is written to at once.

    What a killed process left of it is overwritten. Raises UserError if it cannot be written.
    """
    whole = path if path.exists() and not path.is_file() else path.with_name(f"{path.name}.part")
    try:
        with whole.open("wb") as file:
            yield file
        if whole != path:
            whole.replace(path)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{path}: cannot be written ({reason}); make room, or choose another place") from None
    finally:
        if whole != path:
            whole.unlink(missing_ok=True)


def load_network(path: Path) -> SavedNetwork:
    """Read what `save_network` wrote; a file without the checksum of its digits is as good.

    Raises UserError for a file that is absent or not of this form, and for parameters that do not fit their network or
    are not finite.
    """
    try:
        if path.is_file() and not is_zipfile(path):
            raise BadZipFile("another kind of file")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            if str(content["format"]) != FORMAT:
                raise ValueError(f"format is {content['format']}")
            data_sha256 = str(content["data_sha256"]) if "data_sha256" in content else None
            if data_sha256 is not None and not re.fullmatch("[0-9a-f]{64}", data_sha256):
                raise ValueError(f"data_sha256 is {data_sha256!r}")
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
    return SavedNetwork(network, parameters, data_sha256)
