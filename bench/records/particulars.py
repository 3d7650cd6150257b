"""What a report reads of the open parts of a header, `machine` and `about`: their types, checked when a file is read.

Both may hold more. A field that is absent is no error here: `reports.selection` asks for what a table needs.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

MOST = 256  # things in a list
DEEPEST = 20  # levels of an open part; more would exhaust what walks through it
Count = Annotated[int, Meta(ge=0, le=2**53)]
Finite = Annotated[float, Meta(ge=-1e300, le=1e300)]


class GPUs(Struct):
    """The field `gpu` of a machine."""

    gpus: list[dict[str, Any]] | str = "unknown"


class Machine(Struct):
    """The fields of a machine's description that are used one by one; the others are shown as they are."""

    quota: Annotated[float, Meta(ge=0, le=1e6)] | str = "none"
    gpu: GPUs | UnsetType = UNSET


class Figure(Struct):
    """A number that the article prints; see `bench.workloads.article.Figure`."""

    what: Literal["accuracy", "cost", "confidence", "largest", "overflow"]
    text: str
    low: Finite
    high: Finite
    epochs: Annotated[list[Count], Meta(min_length=1, max_length=MOST)]
    splits: Annotated[list[Literal["train", "test", "last"]], Meta(min_length=1, max_length=3)]

    def __post_init__(self) -> None:
        if self.what == "accuracy" and "last" in self.splits:
            raise ValueError("Expected an accuracy of the training or the test images, got one of the last images")


class Screen(Struct):
    """What stops trainings of a grid early; see `bench.workloads.article.Screen`."""

    epoch: Count
    split: str
    what: str
    least: Finite
    most: Finite


class Labels(Struct):
    """How often each digit is in each split."""

    train: Annotated[list[Count], Meta(min_length=1, max_length=MOST)]
    test: Annotated[list[Count], Meta(min_length=1, max_length=MOST)]

    def __post_init__(self) -> None:
        if not sum(self.train) or not sum(self.test):
            raise ValueError("Expected labels of at least one image in each split")


class About(Struct):
    """What is particular to a purpose: of `peers` the way, of `ranks` the bytes, of the article's studies the rest."""

    way: str | UnsetType = UNSET
    bytes: dict[str, Count] | UnsetType = UNSET  # that a rank has to tell the others, by participant
    zeros: Annotated[float, Meta(ge=0, le=1)] | UnsetType | None = UNSET
    name: str | UnsetType = UNSET
    backend: str | UnsetType = UNSET
    method: str | UnsetType | None = UNSET
    shows: str | UnsetType = UNSET
    said: str | UnsetType = UNSET
    setting: str | UnsetType = UNSET
    seconds: Finite | UnsetType | None = UNSET
    check: Finite | UnsetType | None = UNSET
    epochs: Count | UnsetType = UNSET
    figures: Annotated[list[Figure], Meta(max_length=MOST)] | UnsetType = UNSET
    labels: Labels | UnsetType = UNSET
    screens: Annotated[list[Screen], Meta(max_length=MOST)] | UnsetType = UNSET
    changes: Annotated[dict[str, tuple[str, str]], Meta(min_length=1, max_length=MOST)] | UnsetType = UNSET


def check_machine(machine: dict[str, Any]) -> None:
    """Raise ValueError for a description that a report cannot show."""
    check_depth(machine, "machine")
    msgspec.convert(machine, Machine)


def check_about(about: dict[str, Any], participants: dict[str, str]) -> None:
    """Raise ValueError unless the particulars are of the types that tables need, of these participants."""
    check_depth(about, "about")
    known = msgspec.convert(about, About)
    for name in (known.backend, known.method or UNSET):  # method "": there is none
        if name is not UNSET and name not in participants:
            raise ValueError(f"Expected a participant as backend and method, got {name!r}")


def check_depth(value: Any, where: str, deepest: int = DEEPEST) -> None:
    """Raise ValueError for a value of JSON that has more than so many levels."""
    if deepest == 0:
        raise ValueError(f"Expected at most {DEEPEST} levels in `{where}`, got more")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        check_depth(inner, where, deepest - 1)
