"""A trained network -> a section and figures: what it says to images, what it mistakes, what its weights look like."""

from typing import TYPE_CHECKING

from bench.records.files import ResultSet
from bench.records.inspection import Inspection
from bench.tables.table import Section, Sheet, printable, share

if TYPE_CHECKING:
    pass

INSPECTION_FIGURES = ["first-images", "confusion", "mistakes", "first-layer"]
WHAT_IT_IS = (
    "A row is the digit that is there, a column the digit that the network says: the one with the largest output. All "
    "are test images, which it was not trained on."
)


def inspection_sections(results: ResultSet) -> list[Section]:
    """One, with the confusion matrix as a table."""
    found = results.inspection
    assert found is not None
    lines = [
        f"{printable(found.source)}: {found.network}; {share(found.correct)} of {images_shown(found):,} test images "
        f"correct, {results.data_name}.",
        f"Begun {results.when} by {found.command}",
    ]
    rows = [[str(label), *map(str, row)] for label, row in enumerate(found.confusion)]
    sheet = Sheet("Which digit is taken for which", ("digit", *map(str, range(len(rows)))), rows, [])
    return [Section("A trained network", lines, [sheet], WHAT_IT_IS, INSPECTION_FIGURES)]


def images_shown(found: Inspection) -> int:
    """How many it was shown."""
    return sum(map(sum, found.confusion))


def inspection_setting(results: ResultSet) -> str:
    """What every figure says below."""
    assert results.inspection is not None
    return f"{results.data_name} · {results.inspection.network} · {results.inspection.source}"
