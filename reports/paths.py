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
    dialects = results.dialects
    if dialects is not None:
        dialects = msgspec.convert(shortened(msgspec.to_builtins(dialects)), type(dialects))
    return replace(
        results,
        machine=shortened(results.machine),
        data_name=shortened(results.data_name),
        notice=shortened(results.notice),
        disagreements=shortened(results.disagreements),
        unavailable=shortened(results.unavailable),
        races=[race_without_paths(race) for race in results.races],
        inspection=inspection,
        dialects=dialects,
    )


def race_without_paths(race: RaceResult) -> RaceResult:
    """The same race, with names of files for paths; its key, and the names of participants, stay as they are."""
    names = {name: race.about[name] for name in ("backend", "method") if name in race.about}
    return replace(
        race,
        command=shortened_command(race.command),
        machine=shortened(race.machine),
        data_name=shortened(race.data_name),
        notice=shortened(race.notice),
        about=shortened(race.about) | names,
        machines=shortened(race.machines),
        recipe=shortened(race.recipe),
        left_out=shortened(race.left_out),
        unsupported=shortened(race.unsupported),
        reason=shortened(race.reason),
    )
