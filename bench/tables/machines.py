"""The machines whose workers trained, with their times, which are not compared."""

from collections.abc import Sequence

from bench.analysis.machines import OfMachine, of_machines
from bench.records.races import RaceResult
from bench.tables import table as text
from bench.tables.table import Columns, Table, table_of


def machines_tables(races: Sequence[RaceResult]) -> list[Table]:
    """A table of the machines whose workers trained; none where the trainings ran one at a time on one machine."""
    rows = of_machines(races)
    columns: Columns[OfMachine] = {
        "machine": lambda row: row.machine,
        "processor": lambda row: str(row.described.get("cpu", "unknown")),
        "trained": lambda row: row.participant,
        "trainings": lambda row: str(row.trainings),
        "time of\na training": lambda row: text.duration(row.seconds),
    }
    notes = [
        "Accuracies of all machines are taken together. Times are those of the machine with most trainings. They are "
        "not compared: other workers may have trained beside, and two machines are not equally fast. For ratios leave "
        "out --workers",
    ]
    return [table_of("Machines of the workers", rows, columns, notes)] if rows else []
