"""Which results a report shows: the newest of each kind, and all calibrations; all of one machine."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from bench import UserError
from bench.records.files import ResultSet, read
from bench.tables import benchmarks
from bench.tables.table import printable

BENCHMARKS, RACE, CALIBRATION, ACCURACY = "benchmarks", "race", "calibration", "accuracy"
NETWORK, COMPARISON, SWEEP = "network", "comparison", "sweep of "
OF_PURPOSE = {"race": RACE, "calibrate": CALIBRATION, "compare": COMPARISON, "peers": "peers"}
STEPS = ("waterfall", "batches")
ARTICLE = ("article", "article-grid", "article-relu")
HOW_TO_MAKE = "`make bench` or `python -m bench` makes results"


@dataclass(frozen=True, eq=False)  # each is itself alone, so that what is made of it can be kept
class Chosen:
    """What a report shows, a results file each. None, or empty: there is nothing of that kind."""

    benchmarks: ResultSet | None = None  # of pytest-benchmark
    race: ResultSet | None = None  # of one race
    accuracy: ResultSet | None = None  # of trainings over seeds
    network: ResultSet | None = None  # of a trained network
    comparison: ResultSet | None = None  # of two revisions
    side_by_side: list[ResultSet] = field(default_factory=list)  # races that were asked for by name, where several were
    sweeps: dict[str, ResultSet] = field(default_factory=dict)  # by what was swept: "batch", "hidden", ...
    calibrations: list[ResultSet] = field(default_factory=list)  # of one case and code, oldest first
    notes: list[str] = field(default_factory=list)  # what is to be said of the choice, a line each
    peers: ResultSet | None = None  # of one of ours against other libraries, in several ways
    waterfall: ResultSet | None = None  # of steps from a slow way of training to a fast one
    batches: ResultSet | None = None  # of the same training in batches of several sizes
    article: ResultSet | None = None  # of the article's experiments
    grid: ResultSet | None = None  # of settings that could be its own
    relu: ResultSet | None = None  # of its ReLU network, one factor changed at a time

    @property
    def files(self) -> list[ResultSet]:
        """All that is shown."""
        others = [results for results in self.side_by_side if results is not self.race]
        several = [
            self.accuracy,
            self.waterfall,
            self.batches,
            self.benchmarks,
            self.race,
            *others,
            self.peers,
            self.comparison,
            *self.sweeps.values(),
            *self.calibrations,
            *self.of_article,
            self.network,
        ]
        return [results for results in several if results is not None]

    @property
    def of_article(self) -> list[ResultSet]:
        """All that is about the article."""
        return [results for results in (self.article, self.grid, self.relu) if results is not None]

    @property
    def of_steps(self) -> list[ResultSet]:
        """All trainings whose entrants are ways of training, and not backends."""
        return [results for results in (self.waterfall, self.batches) if results is not None]

    @property
    def notices(self) -> list[str]:
        """What is to be shown with everything, each once; of which files, where it is not of all."""
        of: dict[str, list[str]] = {}
        for results in self.files:
            if results.notice:
                of.setdefault(results.notice, []).append(results.path.name)
        count = len(self.files)
        return [notice if len(names) == count else f"{', '.join(names)}: {notice}" for notice, names in of.items()]

    @property
    def names(self) -> list[str]:
        """Everybody in a figure: the backends of the benchmarks, in their order, then others of races."""
        first = benchmarks.ladder(self.benchmarks) if self.benchmarks else []
        others = [*self.of_steps, *self.of_article, *filter(None, [self.comparison])]
        races = [race for results in without(self.files, others) for race in results.races]
        return list(dict.fromkeys([*first, *(name for race in races for name in race.participants)]))


def choose(paths: Sequence[Path]) -> Chosen:
    """What is to be shown of these files, and of the files in these folders.

    Files in a folder that are no results are named on stderr and passed over. Raises UserError for a file that was
    asked for by name and is none, and where there is nothing to show.
    """
    asked_for = {path.resolve(): read_existing(path) for path in paths if not path.is_dir()}
    there = {results.path.resolve(): results for path in paths if path.is_dir() for results in within(path)}
    found = sorted((there | asked_for).values(), key=lambda results: (moment(results), results.path))
    if not found:
        folders = ", ".join(map(str, paths))
        raise UserError(f"{folders}: expected results (*.json, *.jsonl), found none; {HOW_TO_MAKE}")
    ours = [results for results in found if machine_of(results) == machine_of(found[-1])]
    notes = passed_over(f"of another machine than {found[-1].path.name}, the newest", without(found, ours))
    kinds: dict[str, list[ResultSet]] = {}
    for results in ours:
        kinds.setdefault(kind_of(results), []).append(results)
    unknown = [results for results in kinds.pop("", []) if results.path.resolve() in asked_for]
    notes += passed_over(
        "of no kind that is shown: what python -m bench writes, but for tune",
        unknown,
    )
    notes += passed_over("without a whole generation of processes", kinds.pop("empty", []))
    calibrations = kinds.pop(CALIBRATION, [])
    alike = [results for results in calibrations if results.races[0].key == calibrations[-1].races[0].key]
    notes += passed_over("of another case or code than the newest calibration", without(calibrations, alike))
    newest = {kind: several[-1] for kind, several in kinds.items()}
    by_name = [results for results in ours if results.path.resolve() in asked_for]
    side_by_side = [results for results in ours if results.path.resolve() in asked_for and kind_of(results) == RACE]
    side_by_side += without([newest[RACE]] if side_by_side else [], side_by_side)
    older = [results for results in by_name if kind_of(results) in newest and kind_of(results) != RACE]
    notes += passed_over("older than another of its kind", without(older, newest.values()))
    chosen = Chosen(
        newest.get(BENCHMARKS),
        newest.get(RACE),
        newest.get(ACCURACY),
        newest.get(NETWORK),
        newest.get(COMPARISON),
        side_by_side if len(side_by_side) > 1 else [],
        {kind.removeprefix(SWEEP): results for kind, results in sorted(newest.items()) if kind.startswith(SWEEP)},
        alike,
        notes,
        newest.get("peers"),
        *(newest.get(kind) for kind in (*STEPS, *ARTICLE)),
    )
    if not chosen.files:
        raise UserError(f"{'; '.join(notes) or paths[0]}; nothing is left to show; {HOW_TO_MAKE}")
    cut = [results.path.name for results in chosen.files if results.cut]
    chosen.notes.extend(f"{name} ends in the middle of a record; all before it is shown" for name in cut)
    return chosen


def against(chosen: Chosen, baseline: str) -> Chosen:
    """The same results, with all ratios of races and of times to an accuracy to this entrant, where it took part.

    Raises UserError where it took part in none.
    """
    parts = [chosen.race, *chosen.side_by_side, *chosen.sweeps.values(), chosen.peers, chosen.accuracy]
    several = {id(results): results for results in parts if results}
    participants = dict.fromkeys(
        name for results in several.values() for race in results.races for name in race.participants
    )
    if baseline not in participants:
        known = ", ".join(participants) or "nobody"
        raise UserError(f"--baseline {baseline}: expected one who ran in a race among these results, found {known}")
    changed = {
        number: replace(results, races=[replace(race, baseline=baseline) for race in results.races])
        for number, results in several.items()
        if all(baseline in race.participants for race in results.races)
    }
    left = [results.path.name for number, results in several.items() if number not in changed]
    notes = [f"Against the baseline of before, as {baseline} did not run in all of it: {', '.join(left)}"] * bool(left)

    def now(results: ResultSet | None) -> ResultSet | None:
        return changed.get(id(results), results)

    return replace(
        chosen,
        race=now(chosen.race),
        side_by_side=[changed.get(id(results), results) for results in chosen.side_by_side],
        sweeps={what: changed.get(id(results), results) for what, results in chosen.sweeps.items()},
        peers=now(chosen.peers),
        accuracy=now(chosen.accuracy),
        notes=[*chosen.notes, *notes],
    )


def read_existing(path: Path) -> ResultSet:
    """A file that was asked for by name."""
    if not path.exists():
        raise UserError(f"{path}: expected a results file or a folder of them, found nothing; {HOW_TO_MAKE}")
    return read(path)


def within(folder: Path) -> Iterator[ResultSet]:
    """All results of a folder; files that are none are named on stderr."""
    for path in sorted(folder.glob("*.json*")):
        if path.suffix in (".json", ".jsonl"):
            try:
                results = read(path)
                moment(results)
                yield results
            except UserError as error:
                sys.stderr.write(f"passed over: {printable(str(error))}\n")


def moment(results: ResultSet) -> datetime:
    """When results were measured; without a time zone it is taken as UTC. Raises UserError if it is no time."""
    try:
        when = datetime.fromisoformat(results.when)
    except ValueError:
        raise UserError(
            f"{results.path}: expected a time in ISO 8601, found {results.when!r}; run the benchmark again"
        ) from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def machine_of(results: ResultSet) -> tuple[str, str]:
    """What tells machines apart: the random id, and the processor where there was no place to keep an id."""
    return str(results.machine.get("id")), str(results.machine.get("cpu"))


def kind_of(results: ResultSet) -> str:
    """Which place a file takes; "" for none, "empty" for a race that was left before its first generation ended."""
    from bench.analysis.race import swept

    if results.inspection:
        return NETWORK
    if not results.races:
        return BENCHMARKS
    if not any(race.generations for race in results.races):
        return "empty"
    purpose = results.races[0].purpose
    if purpose == "accuracy":
        return ACCURACY if all(race.target is not None for race in results.races) else ""
    if purpose == "race" and len(results.races) > 1:
        try:
            return SWEEP + swept(results.races)
        except ValueError:
            return ""
    if purpose in STEPS:
        return purpose if all(len(race.participants) == 1 and race.target for race in results.races) else ""
    if purpose in ARTICLE:
        needed = {"name", "backend", "changes" if purpose == "article-relu" else "figures"}
        return purpose if all(needed <= set(race.about) for race in results.races) else ""
    if purpose == "peers" and not all("way" in race.about for race in results.races):
        return ""
    return OF_PURPOSE.get(purpose, "")


def without(several: Iterable[ResultSet], those: Iterable[ResultSet]) -> list[ResultSet]:
    """The others, in their order."""
    left = {id(results) for results in those}
    return [results for results in several if id(results) not in left]


def passed_over(why: str, several: Sequence[ResultSet]) -> list[str]:
    """One line for all of them, or none."""
    return [f"Not shown, as {why}: {', '.join(results.path.name for results in several)}"] if several else []
