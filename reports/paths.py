"""Paths in results are shortened to the names of files: a report may be published.

Results files are written without them, by `bench.records.paths`; others may have written these.
"""

from dataclasses import replace

import msgspec

from bench.records.files import ResultSet
from bench.records.paths import shortened, shortened_command
from bench.records.races import RaceResult


def without_paths(results: ResultSet) -> ResultSet:
    """The same results, with names of files for paths in all that a report shows besides its tables' numbers."""
    inspection = results.inspection
    if inspection is not None:
        inspection = msgspec.structs.replace(
            inspection, command=shortened_command(inspection.command), source=shortened(inspection.source)
        )
    return replace(
        results,
        machine=shortened(results.machine),
        notice=shortened(results.notice),
        disagreements=shortened(results.disagreements),
        unavailable=shortened(results.unavailable),
        races=[race_without_paths(race) for race in results.races],
        inspection=inspection,
    )


def race_without_paths(race: RaceResult) -> RaceResult:
    """The same race, with names of files for paths; its key, which is no text to show, stays as it is."""
    return replace(
        race,
        command=shortened_command(race.command),
        machine=shortened(race.machine),
        notice=shortened(race.notice),
        left_out=shortened(race.left_out),
        unsupported=shortened(race.unsupported),
        reason=shortened(race.reason),
    )
