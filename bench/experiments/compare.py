"""What `compare` measures: the backends of two git revisions, timed interleaved; and the races of two results files."""

from pathlib import Path

import msgspec.structs
from rich.console import Console

from bench import UserError
from bench.analysis.compare import raced_in
from bench.experiments import revisions
from bench.experiments.race import RaceSetup, expected_of, race_header, verdict_on
from bench.records import fingerprint
from bench.records.files import read
from bench.records.kinds import Race
from bench.records.races import RaceResult
from bench.timing.process import ChildFailed
from bench.timing.session import Session
from bench.timing.worker import FLOOR

ROUNDS = 6  # of a generation: even, so that neither is first more often


def in_both(before: revisions.Side, after: revisions.Side, wanted: list[str] | None = None) -> list[str]:
    """The backends that can run in both, or those of them that are wanted.

    Raises UserError if there are none, or one that is wanted is missing.
    """
    try:
        there, here = revisions.backends_of(before), revisions.backends_of(after)
    except ChildFailed as failure:
        raise UserError(f"the backends of {before.name} or {after.name} cannot be listed: {failure}") from None
    names = [name for name in here if name in there]
    if not names:
        raise UserError(f"{before.name} and {after.name}: expected a backend that both have, found none")
    for name in wanted or []:
        if name not in names:
            raise UserError(f"backend {name!r}: expected one that can run in both, which are {', '.join(names)}")
    return wanted or names


def comparison_header(
    setting: RaceSetup, number: int, name: str, sides: dict[str, revisions.Side], generations: int
) -> Race:
    """The header of the race of one backend. Its length belongs to its key: one may not extend it after a look."""
    sources = {side: fingerprint.source_in(where.source) for side, where in sides.items()}
    known = race_header(setting, number, "compare", dict.fromkeys(sides, name), sources=sources)
    return msgspec.structs.replace(known, key=known.key | {"generations": generations})


def agrees_on_both_sides(
    console: Console, race: Session, name: str, setting: RaceSetup, sides: dict[str, revisions.Side]
) -> bool:
    """Whether the backend agrees with the reference as it was and as it is."""
    expected = expected_of(setting)
    verdicts = [verdict_on(console, race, name, setting, expected, where.source, side) for side, where in sides.items()]
    return verdicts == ["agrees", "agrees"]


def races_in(console: Console, path: Path) -> list[RaceResult]:
    """The races of a file. Raises UserError where there are none with a floor."""
    found = read(path)
    if found.cut:
        console.print(f"{path} ends in the middle of a record; the whole ones are used", soft_wrap=True)
    races = [race for race in found.races if FLOOR in raced_in(race, floor=True)]
    if not races:
        raise UserError(f"{path}: expected a race with the floor in it, found none; `python -m bench race` makes one")
    return races
