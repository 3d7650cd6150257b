"""A race as a results file tells of it: who ran, every measurement, what stands beside the time."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bench.records.fields import count, mapping, text, times
from bench.records.journal import Record, whole_generations
from bench.records.trainings import DrawnCurve, Trainer, Training
from bench.timing.worker import NEEDED
from bench.workloads.curves import LearningCurve


@dataclass(frozen=True)
class Process:
    """A process of an entrant of a race; seconds are wall, sizes are bytes, None where the system does not say."""

    generation: int
    prepare: float
    first: float  # the first call, with compiled code from disk if there is any
    threads: dict[str, int]  # in force, by pool
    process_peak: int | None
    call_peak: int | None
    gemm: float | None  # FLOP a second that a large product reached then; of the floor's processes
    bandwidth: float | None  # bytes a second, read and written


@dataclass(frozen=True)
class Sample:
    """One measurement in a race: seconds of a call on the entrant's images."""

    generation: int
    round: int
    wall: float
    user: float
    system: float


@dataclass(frozen=True)
class Checked:
    """One comparison with the reference that was passed."""

    backend: str
    quantity: str
    error: float  # in eps
    allowed: float


@dataclass
class ParticipantResult:
    """Everything about one entrant of a race."""

    name: str
    backend: str
    images: int = 0  # that were worked on; the others of the race are scaled up from these
    summary: str = ""
    lines_of_code: int = 0
    default_batch: bool = False
    processes: list[Process] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    trainings: list[Training] = field(default_factory=list)
    curves: list[LearningCurve] = field(default_factory=list)  # of trainings that were repeated for them
    starts: list[Trainer] = field(default_factory=list)
    cold: float | None = None  # seconds of the first call where nothing was compiled before
    failure: str | None = None


@dataclass
class RaceResult:
    """One race of a file, as far as it got: its whole generations."""

    number: int
    purpose: str  # "race", "peers", "compare", "calibrate", "article", "article-grid", "article-relu", ...
    when: str  # ISO 8601
    command: str
    key: dict[str, Any]  # see `bench.description`
    machine: dict[str, Any]
    baseline: str
    data_name: str
    notice: str | None
    participants: dict[str, ParticipantResult] = field(default_factory=dict)
    generations: list[dict[str, Any]] = field(default_factory=list)  # seconds, stolen, load_before, load_after
    first: dict[int, str] = field(default_factory=dict)  # by generation: who started first, of those that lived to tell
    errors: dict[str, float] = field(default_factory=dict)  # worst disagreement in eps, by backend
    left_out: dict[str, str] = field(default_factory=dict)  # by entrant or backend: why, for a fault
    unsupported: dict[str, str] = field(default_factory=dict)  # by backend: why it does not do this
    load: float | None = None  # of the machine when it began, or last went on
    sweep: str | None = None  # what it is one value of: "batch", "hidden", "images", "threads"
    reason: str | None = None  # why it ended; None: it was left before
    target: float | None = None  # of trainings: share of the test images that is to be reached
    recipe: str = ""  # by which they train
    until: bool = False  # whether they go on until they reach the target on the test images
    checks: list[Checked] = field(default_factory=list)
    comparison: int | None = None  # of a calibration: generations of one comparison
    about: dict[str, Any] = field(default_factory=dict)  # what is particular to its purpose

    def scale(self, name: str) -> float:
        """What an entrant's times are multiplied with to speak of all images."""
        return float(self.key["images"]) / self.participants[name].images

    def rounds(self) -> list[list[dict[str, float]]]:
        """Seconds for all images, by generation and round, of all who did not fail: what `bench.statistics` takes."""
        found: dict[int, dict[int, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
        for name, participant in self.participants.items():
            if participant.failure is None:
                for sample in participant.samples:
                    found[sample.generation][sample.round][name] = self.scale(name) * sample.wall
        return [[found[g][r] for r in sorted(found[g])] for g in sorted(found)]

    def started(self) -> list[str]:
        """Who started first in each generation of `rounds`; "" where a file does not tell."""
        participants = [participant for participant in self.participants.values() if participant.failure is None]
        found = {sample.generation for participant in participants for sample in participant.samples}
        return [self.first.get(generation, "") for generation in sorted(found)]


OF_A_RUN = ("run", "agreement", "end")  # kinds of which the last run counts, where a race went on


def races_of(records: Iterable[Record]) -> list[RaceResult]:
    """The races that these records tell of. Raises KeyError, TypeError or ValueError for what is none."""
    whole_ones = whole_generations(list(records))
    last = {entry["race"]: 0 for entry in whole_ones}
    for entry in whole_ones:
        last[entry["race"]] = max(last[entry["race"]], count(entry.get("run", 0), least=0))
    races: dict[int, RaceResult] = {}
    for entry in whole_ones:
        if entry["kind"] == "race":
            races[count(entry["race"], least=0)] = header_of(entry)
        elif entry["kind"] not in OF_A_RUN or entry.get("run", 0) == last[entry["race"]]:
            add(races[entry["race"]], entry)
    return list(races.values())


def header_of(entry: Record) -> RaceResult:
    """A race of which nothing but the header is known yet."""
    key = mapping(entry["key"])
    count(key["images"])
    sizes = [count(size) for size in key["sizes"]]
    if len(sizes) < 2 or key["dtype"] not in ("float32", "float64"):
        raise ValueError(f"sizes {sizes} and dtype {key['dtype']!r} are no network's")
    for part in ("measure", "network", "plan", "dtype"):
        text(key[part])
    for part in ("batch", "threads"):
        whole(key[part])
    return RaceResult(
        number=entry["race"],
        purpose=text(entry["purpose"]),
        when=text(entry["when"]),
        command=text(entry["command"]),
        key=key,
        machine=mapping(entry["machine"]),
        baseline=text(entry["baseline"]),
        data_name=text(entry["data"]),
        notice=None if entry["notice"] is None else text(entry["notice"]),
        participants={
            text(name): ParticipantResult(name, text(backend))
            for name, backend in mapping(entry["participants"]).items()
        },
        comparison=whole(entry.get("comparison")),
        sweep=None if entry.get("sweep") is None else text(entry["sweep"]),
        about=mapping(entry.get("about", {})),
        target=finite(entry.get("target")),
        recipe=text(entry.get("recipe") or ""),
        until=bool(entry.get("until")),
    )


def whole(value: Any, least: int = 1) -> int | None:
    """A whole number, or None where it stands for all, or for what the system does not say."""
    return None if value is None else count(value, least)


def finite(value: Any) -> float | None:
    """A number, or None for what the system does not say. Raises ValueError."""
    if value is not None and not math.isfinite(float(value)):
        raise ValueError(f"expected a finite number, found {value!r}")
    return None if value is None else float(value)


def add(race: RaceResult, entry: Record) -> None:
    """Put one record where it belongs. Kinds that are not known are passed over."""
    kind = entry["kind"]
    if kind == "run":
        race.load = finite(entry["load"])
    elif kind == "agreement":
        add_agreement(race, entry)
    elif kind == "generation":
        (seconds,) = times([entry["seconds"]])
        noise = {part: finite(entry.get(part)) for part in ("stolen", "load_before", "load_after")}
        race.generations.append(entry | {"seconds": seconds} | noise)
    elif kind == "end":
        race.reason = text(entry["reason"])
    elif kind in ("trainer", "training", "curve"):
        add_training(race.participants[entry["participant"]], entry)
    elif kind in ("process", "sample", "cold", "failure"):
        participant = race.participants[entry["participant"]]
        if kind == "process":
            add_process(race, participant, entry)
        elif kind == "sample":
            wall, user, system = times([entry["wall"], entry["user"], entry["system"]])
            if wall <= 0:
                raise ValueError("samples of wall time must be positive")
            if not participant.processes:
                raise ValueError(f"a sample of {participant.name} comes before its process")
            participant.samples.append(Sample(entry["generation"], count(entry["round"], 0), wall, user, system))
        elif kind == "cold":
            (participant.cold,) = times([entry["first"]["wall"]])
        else:
            participant.failure = race.left_out[participant.name] = f"{participant.name}: {text(entry['reason'])}"


def add_agreement(race: RaceResult, entry: Record) -> None:
    """One comparison of a backend with the reference. What it denies counts only where it is measured."""
    backend = text(entry["backend"])
    if entry.get("side") is not None:
        backend = f"{text(entry['side'])}: {backend}"
    if entry["failure"] is not None:
        side = f"{text(entry['side'])}: " if entry.get("side") is not None else ""
        race.left_out.setdefault(backend, side + text(entry["failure"]))
    elif entry["unsupported"] is not None:
        if entry["quantity"] == NEEDED.get(race.key["measure"], race.key["measure"]):
            race.unsupported.setdefault(backend, text(entry["unsupported"]))
    else:
        race.errors[backend] = max(race.errors.get(backend, 0.0), float(entry["error"]))
        allowed = finite(entry.get("allowed"))
        if allowed:
            race.checks.append(Checked(backend, text(entry["quantity"]), float(entry["error"]), allowed))


def add_training(participant: ParticipantResult, entry: Record) -> None:
    """What trainings keep: how a process began, a training, or the curve of one that was repeated for it."""
    if entry["kind"] == "trainer":
        participant.starts.append(msgspec.convert(entry, Trainer))
    elif entry["kind"] == "training":  # one that was cut short and trained again has the later record
        training = msgspec.convert(entry, Training)
        before, same = participant.trainings, (training.setting, training.seed)
        participant.trainings = [one for one in before if (one.setting, one.seed) != same] + [training]
    else:
        participant.curves.append(msgspec.convert(entry, DrawnCurve).curve)


def add_process(race: RaceResult, participant: ParticipantResult, entry: Record) -> None:
    """What one process told of itself."""
    participant.images = count(entry["images"])
    if "summary" in entry:  # the floor has none
        participant.summary = text(entry["summary"])
        participant.lines_of_code = count(entry["lines_of_code"], least=0)
        participant.default_batch = entry["batch_size"] == race.key["batch"]
    rates = entry.get("rates") or {}
    race.first.setdefault(count(entry["generation"], least=0), participant.name)
    participant.processes.append(
        Process(
            generation=count(entry["generation"], least=0),
            prepare=times([entry["prepare"]["wall"]])[0],
            first=times([entry["first"]["wall"]])[0],
            threads={text(pool): count(n) for pool, n in mapping(entry["threads"]).items()},
            process_peak=whole(entry["process_peak"], least=0),
            call_peak=whole(entry["call_peak"], least=0),
            gemm=finite(rates.get("gemm")),
            bandwidth=finite(rates.get("bandwidth")),
        )
    )
