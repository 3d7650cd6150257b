"""Before against after: two revisions that raced against each other, or the races of two files."""

from collections.abc import Iterable, Sequence

from bench import UserError
from bench.analysis import statistics
from bench.records.journal import differences
from bench.records.races import RaceResult
from bench.timing.worker import FLOOR

# Where two files differ in these, their times cannot be compared.
ONE_MACHINE = ("id", "cpu", "cores", "quota", "topology", "environment")
BEFORE, AFTER = "before", "after"


def changes(races: Sequence[RaceResult]) -> dict[str, statistics.Ratio | None]:
    """How many times as long each backend takes as before, in the order of the races; None: it did not run in both."""
    error = statistics.error_of_each(len(races))
    ratios = {}
    for race in races:
        before = race.participants.get(race.baseline)
        after = next((name for name in race.participants if name != race.baseline), "")
        ratio = statistics.ratio(race.rounds(), after, race.baseline, error, race.started())
        ratios[before.backend if before else race.baseline] = ratio
    return ratios


def verdict(ratio: statistics.Ratio | None, margin: float = statistics.MARGIN) -> str:
    """The verdict on a ratio of after to before, in words."""
    if ratio is None:
        return "not measured on both sides"
    if ratio.interval is None:
        return "unknown, of a single generation"
    if statistics.is_slowdown(ratio, margin):
        return "slower"
    return "faster" if ratio.interval.high < 1 else "no slowdown found"


def any_slower(ratios: Iterable[tuple[str, statistics.Ratio | None]], margin: float) -> bool:
    """Whether one of these is a slowdown. Raises UserError for a ratio without an interval."""
    known = [(what, ratio) for what, ratio in ratios if ratio]
    for what, ratio in known:
        if ratio.interval is None:
            raise UserError(f"{what}: expected two generations or more in each, found one, which gives no interval")
    return any(statistics.is_slowdown(ratio, margin) for _, ratio in known)


def of_files(
    there: Sequence[RaceResult], here: Sequence[RaceResult], wanted: Sequence[str] | None = None
) -> list[tuple[str, statistics.Ratio]]:
    """Return the change of each backend raced in both on the same case, or of those wanted, after its name and case.

    Raises UserError for files that cannot be compared.
    """
    different = differences(yardstick(there[0]), yardstick(here[0]))
    if different:
        raise UserError(f"the files are not of one machine and one floor: {'; '.join(different)}; race both again")
    pairs = [(old, new) for old in there for new in here if case_of(old) == case_of(new)]
    if not pairs:
        parts = differences(case_of(there[0]), case_of(here[0]))
        raise UserError(f"the files: expected the same case in both: {'; '.join(parts)}; race it again")
    compared = [
        (old, new, name)
        for old, new in pairs
        for name in raced_in(old)
        if name != FLOOR and name in raced_in(new) and (not wanted or name in wanted)
    ]
    missing = set(wanted or ()) - {name for *_, name in compared}
    if missing or not compared:
        names = ", ".join(sorted(missing)) or "a backend"
        raise UserError(f"the files: expected {names} in both, found none; race again")
    error = statistics.error_of_each(len(compared), may_stop_early=True)
    ratios = [
        (f"{name}, {new.key['plan']}", statistics.change(old.rounds(), new.rounds(), name, FLOOR, error))
        for old, new, name in compared
    ]
    return [(what, ratio) for what, ratio in ratios if ratio is not None]


def yardstick(race: RaceResult) -> dict[str, object]:
    """Return what the floor's time depends on besides the case; in files that can be compared it is the same."""
    known = race.key["machine"]
    return {
        "machine": {part: known.get(part) for part in ONE_MACHINE},
        "numpy": known.get("libraries", {}).get("numpy"),
        "blas": known.get("blas"),
        "measuring code": race.key.get("measuring"),
    }


def raced_in(race: RaceResult) -> list[str]:
    """The names of the participants that were measured, the floor included."""
    measured = statistics.backends(race.rounds())
    return [name for name in race.participants if name in measured]


def case_of(race: RaceResult) -> dict[str, object]:
    """Return the case, which has to be the same in both files; sources and libraries may differ."""
    return {part: value for part, value in race.key.items() if part not in ("backends", "measuring", "machine")}
