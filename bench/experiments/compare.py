"""What `compare` measures: the backends of two git revisions, timed interleaved; and the races of two results files."""

from dataclasses import replace
from pathlib import Path

import msgspec.structs
from rich.console import Console

import impls
from bench import UserError
from bench.analysis.compare import raced_in
from bench.experiments import revisions
from bench.experiments.agree import posed
from bench.experiments.race import RaceSetup, agreeing
from bench.records import fingerprint
from bench.records.files import read
from bench.records.kinds import Race
from bench.records.races import RaceResult
from bench.timing.process import ChildFailed
from bench.timing.session import Session, stored
from bench.timing.worker import FLOOR

ROUNDS = 6  # of a generation: even, so that neither is first more often


def in_both(before: revisions.Side, after: revisions.Side, wanted: list[str] | None = None) -> list[str]:
    """The backends that can run in both, on their own device, or those of them that are wanted.

    Raises UserError if there are none, or one that is wanted is missing.
    """
    try:
        old, new = revisions.backends_of(before), revisions.backends_of(after)
    except ChildFailed as failure:
        raise UserError(f"the backends of {before.name} or {after.name} cannot be listed: {failure}") from None
    names = [name for name in new if name in old]
    if not names:
        raise UserError(f"{before.name} and {after.name}: expected a backend that both have, found none")
    for name in wanted or []:
        if name not in names:
            raise UserError(f"backend {name!r}: expected one that can run in both, which are {', '.join(names)}")
    return wanted or [name for name in names if not impls.parted(name)[1]]


def comparison_headers(
    setting: RaceSetup, names: list[str], sides: dict[str, revisions.Side], generations: int
) -> list[Race]:
    """The header of each backend's race. Its length is in the key: it must not be extended once results are known."""
    sources = {side: fingerprint.source_in(where.source) for side, where in sides.items()}
    participants = [dict.fromkeys(sides, name) for name in names]
    headers = [setting.header(i, "compare", both, sources=sources) for i, both in enumerate(participants)]
    return [msgspec.structs.replace(header, key=header.key | {"generations": generations}) for header in headers]


def begin_races(
    console: Console, races: dict[str, Session], setting: RaceSetup, sides: dict[str, revisions.Side], folder: Path
) -> list[Session]:
    """Give tasks to the races of the backends that agree on both sides; return these. folder: for the images."""
    cases, images = [posed(setting.case, setting.digits)], stored(setting.digits, folder / "digits")
    agreed = [agreeing(console, [races], cases, setting, where.source, side)[0] for side, where in sides.items()]
    both = [name for name in races if all(name in of_side for of_side in agreed)]
    for name in both:
        task = setting.task(name, images)
        races[name].tasks |= {side: replace(task, source=where.source) for side, where in sides.items()}
    return [races[name] for name in both]


def races_in(console: Console, path: Path) -> list[RaceResult]:
    """The races of a file. Raises UserError where there are none with a floor."""
    results = read(path)
    if results.cut:
        console.print(f"{path} ends in the middle of a record; the whole ones are used", soft_wrap=True)
    races = [race for race in results.races if FLOOR in raced_in(race)]
    if not races:
        raise UserError(f"{path}: expected a race with the floor in it, found none; `python -m bench race` makes one")
    return races
