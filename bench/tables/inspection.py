"""A trained network: which digit it takes for which."""

from bench.records.files import ResultSet
from bench.tables.table import Section, Table, printable, share

INSPECTION_FIGURES = ["first-images", "confusion", "mistakes", "first-layer"]
INSPECTION_EXPLANATION = (
    "A row is the label, a column the digit that the network predicts: the one with the largest output. All are test "
    "images, on which it was not trained."
)


def inspection_sections(results: ResultSet) -> list[Section]:
    """The section of a trained network, with the confusion matrix as a table."""
    inspection = results.inspection
    assert inspection is not None
    images = sum(map(sum, inspection.confusion))
    lines = [
        f"{printable(inspection.source)}: {inspection.network}; {share(inspection.correct)} of {images:,} test images "
        f"correct, {results.data_name}.",
        f"Started {results.when} by {inspection.command}",
    ]
    rows = [[str(label), *map(str, row)] for label, row in enumerate(inspection.confusion)]
    table = Table("Confusion matrix", ("digit", *map(str, range(len(rows)))), rows)
    return [Section("A trained network", lines, [table], INSPECTION_EXPLANATION, INSPECTION_FIGURES)]


def inspection_setting(results: ResultSet) -> str:
    """Data, network and origin, in a line, for the figures."""
    assert results.inspection is not None
    return f"{results.data_name} · {results.inspection.network} · {results.inspection.source}"
