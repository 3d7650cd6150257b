"""A race as readers see it: its participants, and all records of each."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from bench.records.journal import whole_generations
from bench.records.kinds import Agreement, DrawnCurve, End, LearningCurve, Machine, Race, Run, Trainer, Training
from bench.timing.records import Cold, Failure, Generation, Process, Record, Sample
from bench.timing.worker import NEEDED


@dataclass(frozen=True)
class Checked:
    """One comparison with the reference, which the backend passed."""

    backend: str
    quantity: str
    error: float  # in eps
    allowed: float


@dataclass
class ParticipantResult:
    """Everything about one participant of a race."""

    name: str
    backend: str
    images: int = 0  # of a call; its time is scaled up to all images
    lines_of_code: int = 0
    processes: list[Process] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    trainings: list[Training] = field(default_factory=list)
    curves: list[LearningCurve] = field(default_factory=list)  # of trainings that were repeated for them
    starts: list[Trainer] = field(default_factory=list)
    cold: float | None = None  # seconds of a first call with empty compiler caches
    failure: str | None = None


@dataclass
class RaceResult:
    """One race of a file, with its complete generations."""

    number: int
    purpose: str  # "race", "peers", "compare", "calibrate", "article", "article-grid", "article-relu", ...
    when: str  # ISO 8601
    command: str
    key: dict[str, Any]  # see `bench.records.fingerprint`
    machine: dict[str, Any]
    baseline: str
    data_name: str
    notice: str | None
    participants: dict[str, ParticipantResult] = field(default_factory=dict)
    generations: list[Generation] = field(default_factory=list)
    first: dict[int, str] = field(default_factory=dict)  # by generation: the participant whose process came first
    left_out: dict[str, str] = field(default_factory=dict)  # by participant or backend: why, for a fault
    unsupported: dict[str, str] = field(default_factory=dict)  # by backend: why it does not support what is measured
    load: float | None = None  # of the machine when the last run began
    sweep: str | None = None  # what varies from race to race: "batch", "hidden", "images", "threads"
    reason: str | None = None  # why it ended; None: it was interrupted
    target: float | None = None  # of trainings: share of the test images to reach
    recipe: str = ""  # by which they train
    until: bool = False  # whether trainings end once they reach the target on the test images
    checks: list[Checked] = field(default_factory=list)
    comparison: int | None = None  # of a calibration: generations of one comparison
    about: dict[str, Any] = field(default_factory=dict)  # what is particular to the purpose
    machines: dict[str, dict[str, Any]] = field(default_factory=dict)  # of workers, described, by id

    def scale(self, name: str) -> float:
        """The factor from a participant's times to those of all images."""
        return float(self.key["images"]) / self.participants[name].images

    def rounds(self, prepare: bool = False) -> list[list[dict[str, float]]]:
        """Seconds for all images, by generation and round, of all participants that did not fail.

        prepare: whether the time of preparation in the same process is added to each.
        """
        by_round: dict[int, dict[int, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
        for name, participant in self.participants.items():
            if participant.failure is None:
                prepared = {one.generation: one.prepare.wall for one in participant.processes} if prepare else {}
                for sample in participant.samples:
                    seconds = self.scale(name) * sample.wall + self.scale(name) * prepared.get(sample.generation, 0.0)
                    by_round[sample.generation][sample.round][name] = seconds
        return [[by_round[g][r] for r in sorted(by_round[g])] for g in sorted(by_round)]

    def started(self) -> list[str]:
        """The participant that started first in each generation of `rounds`."""
        measured = [one.samples for one in self.participants.values() if one.failure is None]
        generations = {sample.generation for samples in measured for sample in samples}
        return [self.first[generation] for generation in sorted(generations)]


def races_of(records: Iterable[Record]) -> list[RaceResult]:
    """The races of these records, which `read_records` has checked or a `Journal` holds.

    Where a file was continued, load, agreement, reason and failures that are not final are those of the last run.
    """
    complete = whole_generations(list(records))
    last = {record.race: record.run for record in complete}  # as a later run appends
    races: dict[int, RaceResult] = {}
    for record in complete:
        if isinstance(record, Race):
            about = {one.name: getattr(record, one.name) for one in fields(RaceResult) if hasattr(record, one.name)}
            about |= {"number": record.race, "data_name": record.data}
            about["participants"] = {name: ParticipantResult(name, of) for name, of in record.participants.items()}
            races[record.race] = RaceResult(**about)
        elif record.run == last[record.race] or not of_one_run(record):
            add(races[record.race], record)
    return list(races.values())


def of_one_run(record: Record) -> bool:
    """Whether it says something that a later run of the command finds out anew."""
    return isinstance(record, Run | Agreement | End) or (isinstance(record, Failure) and not record.final)


def add(race: RaceResult, record: Record) -> None:
    """Add one record to its race."""
    of = race.participants
    match record:
        case Run():
            race.load = record.load
        case Agreement():
            add_agreement(race, record)
        case Generation():
            race.generations.append(record)
        case End():
            race.reason = record.reason
        case Machine(id=name):
            race.machines[name] = record.machine
        case Process(participant=name):
            of[name].images, of[name].lines_of_code = record.images, record.lines_of_code
            of[name].processes.append(record)
            race.first.setdefault(record.generation, name)
        case Sample(participant=name):
            of[name].samples.append(record)
        case Cold(participant=name):
            of[name].cold = record.first.wall
        case Failure(participant=name):
            of[name].failure = race.left_out[name] = f"{name}: {record.reason}"
        case Trainer(participant=name):
            of[name].starts.append(record)
        case Training(participant=name, setting=setting, seed=seed):  # the last counts: one cut short is done again
            kept = [one for one in of[name].trainings if (one.setting, one.seed) != (setting, seed)]
            of[name].trainings = [*kept, record]
        case DrawnCurve(participant=name):
            of[name].curves.append(record.curve)


def add_agreement(race: RaceResult, record: Agreement) -> None:
    """Add one comparison with the reference. What a backend does not support counts only where it is measured."""
    side = f"{record.side}: " if record.side else ""
    backend = side + record.backend
    if record.failure is not None:
        race.left_out.setdefault(backend, side + record.failure)
    elif record.unsupported is not None:
        if record.quantity == NEEDED.get(race.key["measure"], race.key["measure"]):
            race.unsupported.setdefault(backend, record.unsupported)
    elif record.allowed:
        race.checks.append(Checked(backend, record.quantity, record.error or 0.0, record.allowed))
