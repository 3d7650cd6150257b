"""A trained network on disk: NumPy's .npz, with the network's description as JSON. Nothing in it is executed."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np

from bench import UserError
from data import archives, npz
from impls.contract import ContractError, Layer, Network, Parameters, check_parameters
from untrusted import brief, open_plain, reason_of
from whole_files import written_whole

FORMAT = "digitbench network 1"
MOST_TEXT = 2**16  # bytes of a text in it
# What reading a file of another form raises, besides ContractError; TypeError and OverflowError: its description.
DAMAGED = (*archives.DAMAGED, TypeError, OverflowError)


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


def load_network(path: Path) -> SavedNetwork:
    """Read what `save_network` wrote; a file without the checksum of its digits is as good.

    Raises UserError for a file that is absent or not of this form, and for parameters that do not fit their network or
    are not finite.
    """
    try:
        with open_plain(path) as file, archives.open_archive(file) as archive:
            saved = content_of(archive)
        check_parameters(saved.network, saved.parameters)
    except ContractError as error:
        raise UserError(f"{path}: {brief(error, 200)}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({reason_of(error)}); `--save` of `train` writes it") from None
    except DAMAGED as error:
        found = reason_of(error)
        raise UserError(f"{path}: expected a {FORMAT} file, found: {found}; `--save` of `train` writes one") from None
    return saved


def content_of(archive: ZipFile) -> SavedNetwork:
    """Return what an archive holds; parameters are not compared with the network. Raises one of DAMAGED."""
    form = text_in(archive, "format")
    if form != FORMAT:
        raise ValueError(f"format is {form}")
    data_sha256 = text_in(archive, "data_sha256") if "data_sha256.npy" in archive.namelist() else None
    if data_sha256 is not None and not re.fullmatch("[0-9a-f]{64}", data_sha256):
        raise ValueError(f"data_sha256 is {data_sha256!r}")
    description = json.loads(text_in(archive, "network"))
    network = Network(**{**description, "sizes": tuple(description["sizes"])})
    parameters = tuple(
        Layer(*(np.array(npz.member(archive, f"{part}_{number}"), order="C") for part in ("weights", "biases")))
        for number in range(1, len(network.sizes))
    )
    return SavedNetwork(network, parameters, data_sha256)


def text_in(archive: ZipFile, name: str) -> str:
    """Return an array as text. Raises ValueError for one that is too long, and what `npz.member` raises."""
    array = npz.member(archive, name)
    if array.nbytes > MOST_TEXT:
        raise ValueError(f"{name} has {array.nbytes:,} bytes, expected at most {MOST_TEXT:,}")
    if array.dtype.kind != "U":
        return str(array)
    # NumPy would make text of what are no characters.
    return array.astype(array.dtype.newbyteorder("<")).tobytes().decode("utf-32-le").rstrip("\0")
