"""What is recorded of measurements: frozen types that writers and readers of a results file share, checked by msgspec.

An unknown kind or field, a missing field and a value out of its range are errors; the schema says what a file holds.
"""

from typing import Annotated

from msgspec import Meta, Struct

from bench.timing.clock import Elapsed, Time

Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Size = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Signed = Annotated[float, Meta(ge=-1e100, le=1e100)]
SHORTEST = 1e-100  # seconds; what is shorter, no clock tells from 0, and arithmetic overflows
Positive = Annotated[float, Meta(ge=SHORTEST, le=1e100)]


class Record(Struct, frozen=True, kw_only=True, tag_field="kind", tag=str.lower, forbid_unknown_fields=True):
    """One line of a results file. On disk `kind` names its type."""

    race: Number  # among the races of the file
    run: Number = 0  # of the command: 1 where it continues the file for the first time


class Rates(Struct, frozen=True, forbid_unknown_fields=True):
    """The rates that the machine reached with the threads of the process."""

    gemm: Positive  # FLOP a second, of a product of two large square matrices by NumPy
    bandwidth: Positive  # bytes a second, read and written, of copies in memory


class Process(Record, frozen=True):
    """A process of a participant after its warm-up. Sizes are bytes, None where the system does not say."""

    generation: Number
    participant: str
    backend: str
    images: Size  # of a call; its seconds are scaled up to all images
    repeats: Size  # calls in a sample
    prepare: Elapsed  # the second time
    first: Elapsed  # the first call, with compiled code from disk if there is any
    warm: Elapsed  # the second call
    threads: dict[str, Size]  # in force, by pool
    process_peak: Number | None
    call_peak: Number | None
    anonymous: Number | None = None  # memory in no file, at most in a warm call
    first_prepare: Elapsed | None = None  # in which libraries start threads and import what they put off
    summary: str = ""  # the floor has none
    lines_of_code: Number = 0
    batch_size: Size | None = None  # the backend's default; None: all images
    device: str | None = None  # that the backend computes on; None: the CPU
    precision: str | None = None  # of products of float32 there, where the library has several
    rates: Rates | None = None  # of some of the floor's processes


class Sample(Record, frozen=True):
    """One measurement in a race: seconds of a call on the participant's images."""

    generation: Number
    round: Number
    position: Number  # in the order of this round
    participant: str
    wall: Positive
    user: Time
    system: Time


class Cold(Record, frozen=True):
    """A first call with empty compiler caches."""

    participant: str
    images: Size
    prepare: Elapsed
    first: Elapsed


class Generation(Record, frozen=True):
    """Marks the end of a complete generation; what disturbed it, None where that is not known."""

    generation: Number
    seconds: Time
    stolen: Signed | None = None  # seconds of the cores that other virtual machines had
    load_before: Time | None = None
    load_after: Time | None = None
    others: Signed | None = None  # seconds of the cores that this process may use, in which other processes ran
    cores: Size | None = None  # these cores


class Failure(Record, frozen=True):
    """Why a participant is left out from this record on.

    Unless that is final, a run that continues the file tries it anew, and this record counts no more.
    """

    participant: str
    reason: str
    generation: Number | None = None  # None: it failed outside any
    final: bool = False  # whether it returned a wrong result
