"""Which results a report shows: the newest of each kind, and all calibrations; all of one machine."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from bench import UserError
from bench.analysis.race import GROWING
from bench.records.files import ResultSet, read
from bench.records.races import RaceResult
from bench.tables import benchmarks
from bench.tables.peers import CONDITIONS
from bench.tables.table import printable
from reports.paths import without_paths
from untrusted import brief, kind_of

SWEEPS = tuple(f"sweep of {what}" for what in sorted(GROWING))
# What tables of the article's studies need of `about`; `bench.records.particulars` has checked the types.
OF_ARTICLE = {
    "article": {
        "name",
        "backend",
        "method",
        "figures",
        "labels",
        "shows",
        "setting",
        "said",
        "seconds",
        "check",
        "epochs",
    },
    "article-grid": {"name", "backend", "figures", "labels", "screens"},
    "article-relu": {"name", "backend", "changes", "setting", "epochs"},
}
BY_BACKEND = (
    "accuracy",
    "race",
    "peers",
    "ranks",
    *SWEEPS,
)  # whose participants are backends, with ratios to a baseline
# In the order of the report.
KINDS = (
    "accuracy", "waterfall", "batches", "benchmarks", "race", "peers", "ranks", "compare", *SWEEPS, "calibrate",
    *OF_ARTICLE, "network", "dialects",
)  # fmt: skip
NEEDED: dict[str, Callable[[RaceResult], bool]] = {  # of each race, for the tables of its kind
    "accuracy": lambda race: race.target is not None,
    "waterfall": lambda race: len(race.participants) == 1 and bool(race.target),
    "batches": lambda race: (
        len(race.participants) == 1 and bool(race.target and race.key["batch"] and race.key.get("learning_rate"))
    ),
    "peers": lambda race: race.about.get("way") in CONDITIONS and bool(race.key["batch"]),
    **dict.fromkeys(OF_ARTICLE, lambda race: OF_ARTICLE.get(race.purpose, set()) <= set(race.about)),
    "ranks": lambda race: "bytes" in race.about and bool(race.key["batch"]),
}
HOW_TO_MAKE = "`make bench` or `python -m bench` makes results"


@dataclass(frozen=True)
class Chosen:
    """What a report shows, by kind in the order of KINDS; of each kind the newest is the last."""

    of_kind: dict[str, list[ResultSet]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # on the choice, a line each
    everything: list[ResultSet] = field(default_factory=list)  # that was read, of which this is a choice

    @property
    def files(self) -> list[ResultSet]:
        """All results that are shown."""
        return [results for several in self.of_kind.values() for results in several]

    def newest(self, kind: str) -> ResultSet | None:
        """The newest results of a kind."""
        return self.of_kind[kind][-1] if self.of_kind.get(kind) else None

    def races(self, kind: str) -> list[RaceResult]:
        """The races in the newest results of a kind; of calibrations, in all."""
        several = self.of_kind.get(kind, [])
        return [race for results in (several if kind == "calibrate" else several[-1:]) for race in results.races]

    @property
    def notices(self) -> list[str]:
        """The notices, which are shown with all results, each once; with its files, where it is not of all."""
        lines = []
        for notice in dict.fromkeys(results.notice for results in self.files if results.notice):
            names = [results.path.name for results in self.files if results.notice == notice]
            lines.append(notice if len(names) == len(self.files) else f"{', '.join(names)}: {notice}")
        return lines

    @property
    def names(self) -> list[str]:
        """All names in the figures: the backends of the benchmarks, in their order, then others of races."""
        first = self.newest("benchmarks")
        files = [results for kind in (*BY_BACKEND, "calibrate") for results in self.of_kind.get(kind, [])]
        others = [name for results in files for race in results.races for name in race.participants]
        return list(dict.fromkeys([*(benchmarks.ladder(first) if first else []), *others]))


def choose(paths: Sequence[Path]) -> Chosen:
    """Choose what is shown of these files, and of the files in these folders.

    Files in a folder that are no results are named on stderr and passed over. Raises UserError for a named file that is
    no results file, and where there is nothing to show.
    """
    everything = read_all(paths)
    asked_for = {path.resolve() for path in paths if kind_of(path) != "folder"}
    newest = everything[-1]
    notes: list[str] = []

    def keep(several: list[ResultSet], kept: list[ResultSet], why: str, *, by_name: bool = False) -> list[ResultSet]:
        """The kept ones; the others get a note, with `by_name` only those that were asked for by name."""
        others = [one for one in several if not any(one is other for other in kept)]
        if names := [one.path.name for one in others if not by_name or one.path.resolve() in asked_for]:
            notes.append(f"Not shown, as {why}: {', '.join(names)}")
        return kept

    of_machine = [one for one in everything if machine_of(one) == machine_of(newest)]
    keep(everything, of_machine, f"of another machine than {newest.path.name}, the newest")
    unknown = "of no kind that is shown: what python -m bench writes, but for tune"
    known = keep(of_machine, [one for one in of_machine if is_shown(one)], unknown, by_name=True)
    usable = [one for one in known if not one.races or any(race.generations for race in one.races)]
    keep(known, usable, "without a whole generation of processes")
    of_kind: dict[str, list[ResultSet]] = {}
    for kind in KINDS:
        several = [one for one in usable if one.kind == kind]
        if kind == "calibrate" and several:
            alike = [one for one in several if one.races[0].key == several[-1].races[0].key]
            several = keep(several, alike, "of another case or code than the newest calibration")
        elif kind == "race":
            several = [one for one in several if one is several[-1] or one.path.resolve() in asked_for]
        else:
            several = keep(several, several[-1:], "older than another of its kind", by_name=True)
        if several:
            of_kind[kind] = several
    if not of_kind:
        raise UserError(f"{'; '.join(notes) or paths[0]}; nothing is left to show; {HOW_TO_MAKE}")
    chosen = Chosen(of_kind, notes, everything)
    cut = [results.path.name for results in chosen.files if results.cut]
    notes.extend(f"{name} ends in the middle of a record; all before it is shown" for name in cut)
    return chosen


def read_all(paths: Sequence[Path]) -> list[ResultSet]:
    """All results in these files and folders, the newest last. Raises UserError where there are none."""
    for path in paths:
        if kind_of(path) is None:
            raise UserError(f"{path}: expected a results file or a folder of them, found nothing; {HOW_TO_MAKE}")
    folders = [path for path in paths if kind_of(path) == "folder"]
    named = {path.resolve(): read(path) for path in paths if path not in folders}
    in_folders = {results.path.resolve(): results for folder in folders for results in within(folder)}
    if not in_folders | named:
        raise UserError(f"{', '.join(map(str, paths))}: expected results (*.json, *.jsonl), found none; {HOW_TO_MAKE}")
    files = map(without_paths, (in_folders | named).values())
    return sorted(files, key=lambda results: (moment(results), results.path))


def is_shown(results: ResultSet) -> bool:
    """Whether it is of a kind that is shown, with all that its tables need."""
    if results.kind in SWEEPS and len({race.sweep for race in results.races}) > 1:
        return False
    if results.kind == "article-relu" and len(results.races) > 1:  # one experiment
        return False
    needed = NEEDED.get(results.kind)
    return results.kind in KINDS and (not needed or all(map(needed, results.races)))


def with_baseline(chosen: Chosen, baseline: str) -> Chosen:
    """The same results, with all ratios of races and of times to an accuracy to this participant, where it took part.

    Raises UserError where it took part in none.
    """
    files = [results for kind in BY_BACKEND for results in chosen.of_kind.get(kind, [])]
    participants = dict.fromkeys(name for one in files for race in one.races for name in race.participants)
    if baseline not in participants:
        known = brief(", ".join(participants), 300) or "none"
        raise UserError(f"--baseline {baseline}: expected a participant of a race among these results, found {known}")
    of_kind, others = {}, []
    for kind, several in chosen.of_kind.items():
        of_kind[kind] = [*several]
        for i, results in enumerate(several if kind in BY_BACKEND else ()):
            if all(baseline in race.participants for race in results.races):
                races = [replace(race, baseline=baseline) for race in results.races]
                of_kind[kind][i] = replace(results, races=races)
            else:
                others.append(results.path.name)
    why = f"With the baseline of the measurement, as {baseline} did not run in all of it: {', '.join(others)}"
    return replace(chosen, of_kind=of_kind, notes=[*chosen.notes, why] if others else chosen.notes)


def within(folder: Path) -> Iterator[ResultSet]:
    """All results of a folder; other files are named on stderr."""
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
        problem = f"expected a time in ISO 8601, found {brief(repr(results.when))}; run the benchmark again"
        raise UserError(f"{results.path}: {problem}") from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def machine_of(results: ResultSet) -> tuple[str, str]:
    """What identifies a machine: the random id, and the processor where there was no place to keep an id."""
    return str(results.machine.get("id")), str(results.machine.get("cpu"))
