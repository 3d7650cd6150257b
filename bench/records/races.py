"""A race as readers see it: its participants, every measurement, what else is known of it."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bench.records.journal import whole_generations
from bench.records.kinds import Agreement, End, Race, Run
from bench.records.trainings import DrawnCurve, LearningCurve, Trainer, Training
from bench.timing.records import Cold, Failure, Generation, Process, Record, Sample
from bench.timing.worker import FLOOR, NEEDED


@dataclass(frozen=True)
class Checked:
    """One comparison with the reference that was passed."""

    backend: str
    quantity: str
    error: float  # in eps
    allowed: float


@dataclass
class ParticipantResult:
    """Everything about one participant of a race."""

    name: str
    backend: str
    images: int = 0  # that a call is given; times of all images are scaled up from these
    summary: str = ""
    lines_of_code: int = 0
    default_batch: bool = False
    processes: list[Process] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    trainings: list[Training] = field(default_factory=list)
    curves: list[LearningCurve] = field(default_factory=list)  # of trainings that were repeated for them
    starts: list[Trainer] = field(default_factory=list)
    cold: float | None = None  # seconds of a first call with nothing compiled
    failure: str | None = None


@dataclass
class RaceResult:
    """One race of a file, as far as it got: its whole generations."""

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
    errors: dict[str, float] = field(default_factory=dict)  # worst disagreement in eps, by backend
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

    def scale(self, name: str) -> float:
        """The factor from a participant's times to those of all images."""
        return float(self.key["images"]) / self.participants[name].images

    def rounds(self, prepare: bool = False) -> list[list[dict[str, float]]]:
        """Seconds for all images, by generation and round, of all that did not fail: for `bench.analysis`.

        prepare: whether the preparation in the same process is added to each.
        """
        found: dict[int, dict[int, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
        for name, participant in self.participants.items():
            if participant.failure is None:
                prepared = {one.generation: one.prepare.wall for one in participant.processes} if prepare else {}
                for sample in participant.samples:
                    seconds = self.scale(name) * sample.wall + self.scale(name) * prepared.get(sample.generation, 0.0)
                    found[sample.generation][sample.round][name] = seconds
        return [[found[g][r] for r in sorted(found[g])] for g in sorted(found)]

    def started(self) -> list[str]:
        """The participant that started first in each generation of `rounds`."""
        participants = [participant for participant in self.participants.values() if participant.failure is None]
        found = {sample.generation for participant in participants for sample in participant.samples}
        return [self.first[generation] for generation in sorted(found)]


OF_A_RUN = (Run, Agreement, End)  # of these the last run counts, where a file was continued


def races_of(records: Iterable[Record]) -> list[RaceResult]:
    """The races of these records, which `read_records` has checked or a `Journal` holds."""
    whole_ones = whole_generations(list(records))
    last: dict[int, int] = {}
    for record in whole_ones:
        last[record.race] = max(last.get(record.race, 0), record.run)
    races: dict[int, RaceResult] = {}
    for record in whole_ones:
        if isinstance(record, Race):
            races[record.race] = race_of(record)
        elif not isinstance(record, OF_A_RUN) or record.run == last[record.race]:
            add(races[record.race], record)
    return list(races.values())


AS_IN_HEADER = ("purpose", "when", "command", "key", "machine", "baseline", "notice", "sweep", "target", "recipe")


def race_of(header: Race) -> RaceResult:
    """A race of which only the header is known yet."""
    return RaceResult(
        number=header.race,
        data_name=header.data,
        participants={name: ParticipantResult(name, backend) for name, backend in header.participants.items()},
        until=header.until,
        comparison=header.comparison,
        about=header.about,
        **{part: getattr(header, part) for part in AS_IN_HEADER},
    )


def add(race: RaceResult, record: Record) -> None:
    """Put one record where it belongs."""
    match record:
        case Run():
            race.load = record.load
        case Agreement():
            add_agreement(race, record)
        case Generation():
            race.generations.append(record)
        case End():
            race.reason = record.reason
        case Process():
            add_process(race, record)
        case Sample():
            race.participants[record.participant].samples.append(record)
        case Cold():
            race.participants[record.participant].cold = record.first.wall
        case Failure(participant=name):
            race.participants[name].failure = race.left_out[name] = f"{name}: {record.reason}"
        case Trainer():
            race.participants[record.participant].starts.append(record)
        case Training():  # one that was cut short and trained again has the later record
            before = race.participants[record.participant].trainings
            before[:] = [one for one in before if (one.setting, one.seed) != (record.setting, record.seed)] + [record]
        case DrawnCurve():
            race.participants[record.participant].curves.append(record.curve)


def add_agreement(race: RaceResult, record: Agreement) -> None:
    """One comparison of a backend with the reference. What it does not support counts only where it is measured."""
    side = f"{record.side}: " if record.side else ""
    backend = side + record.backend
    if record.failure is not None:
        race.left_out.setdefault(backend, side + record.failure)
    elif record.unsupported is not None:
        if record.quantity == NEEDED.get(race.key["measure"], race.key["measure"]):
            race.unsupported.setdefault(backend, record.unsupported)
    else:
        error = record.error or 0.0
        race.errors[backend] = max(race.errors.get(backend, 0.0), error)
        if record.allowed:
            race.checks.append(Checked(backend, record.quantity, error, record.allowed))


def add_process(race: RaceResult, record: Process) -> None:
    """A process, and what is known of its participant by it."""
    participant = race.participants[record.participant]
    participant.images = record.images
    participant.summary, participant.lines_of_code = record.summary, record.lines_of_code
    participant.default_batch = record.backend != FLOOR and record.batch_size == race.key["batch"]
    participant.processes.append(record)
    race.first.setdefault(record.generation, record.participant)
