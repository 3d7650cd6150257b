"""Results files of trainings on several machines as one file: the same work, but for the machine."""

from collections.abc import Sequence
from pathlib import Path

from msgspec import structs

from bench import UserError
from bench.records.journal import DECODER, ENCODER, SAME, differences, read_records, whole_generations
from bench.records.kinds import DrawnCurve, Machine, Race, Run, Trainer, Training
from bench.timing.records import Record


def merged(paths: Sequence[Path]) -> tuple[list[Record], list[str]]:
    """Join the complete generations of these files; return the records of a new file, and a line on each file.

    The races are those of the first file, and so is their machine. A training of another file keeps that one's. A
    generation that several files have is taken from the first of them. Raises UserError for fewer than two files, and
    for files that do not fit.
    """
    if len(paths) < 2:
        raise UserError(f"{len(paths)} file: expected two or more to join")
    files = [whole_generations(read_records(path)[0]) for path in paths]
    headers = [[one for one in records if isinstance(one, Race)] for records in files]
    for path, races in zip(paths, headers, strict=True):
        check_fits(paths[0], headers[0], path, races)
    records: list[Record] = list(files[0])
    have = generations(records)
    lines = [f"{paths[0].name}: {told(files[0])}"]
    for path, races, there in zip(paths[1:], headers[1:], files[1:], strict=True):
        new = [one for one in there if (one.race, getattr(one, "generation", None)) not in have]
        added = on_machine(races, new)
        lines.append(f"{path.name}: {told(added)}, {len(generations(there) & have)} seeds that were there already")
        records += added
        have |= generations(new)
    records.sort(key=lambda one: not isinstance(one, Race))  # a file begins with its headers
    return records, lines


def check_fits(first: Path, expected: Sequence[Race], path: Path, races: Sequence[Race]) -> None:
    """Raise UserError unless these are trainings, and the same as those of the first file but for the machine."""
    wrong = [one for one in races if one.key["measure"] != "training"]
    if wrong:
        raise UserError(
            f"{path}: is of {wrong[0].purpose}, whose times are ratios on one machine and are not joined; show such "
            f"files side by side with python -m reports --results {first},{path}"
        )
    different = [] if len(races) == len(expected) else [f"{len(expected)} races there, {len(races)} here"]
    for old, new in zip(expected, races, strict=False):
        for part in SAME:
            there, here = ({part: getattr(DECODER.decode(ENCODER.encode(one)), part)} for one in (old, new))
            for one in (there, here) if part == "key" else ():
                del one[part]["machine"]
            different += differences(there, here)
    if different:
        raise UserError(f"{path}: does not fit {first}: {'; '.join(different)}; join files of the same command")


def generations(records: Sequence[Record]) -> set[tuple[int, object]]:
    """The generations of which there is a training."""
    return {(one.race, one.generation) for one in records if isinstance(one, Training)}


def on_machine(races: Sequence[Race], records: Sequence[Record]) -> list[Record]:
    """The records of another file, with their machine; without what a file has once."""
    own = {race.race: str(race.machine["id"]) for race in races}
    added: list[Record] = [Machine(race=race.race, run=0, id=own[race.race], machine=race.machine) for race in races]
    for one in records:
        if isinstance(one, Trainer | Training):
            added.append(structs.replace(one, machine=one.machine or own[one.race]))
        elif not isinstance(one, Race | Run | DrawnCurve):
            added.append(one)
    return added


def told(records: Sequence[Record]) -> str:
    """How many trainings these are."""
    return f"{sum(isinstance(one, Training) for one in records)} trainings"
