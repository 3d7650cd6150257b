"""Trainings over seeds on workers: hand out what a results file lacks, keep what comes back."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec
from rich.console import Console

from bench.experiments.race import begin_race
from bench.experiments.trainings import MOST_SEEDS, Trainings, finished_by_all, over, seeds_to_draw
from bench.experiments.workers.executors import Workers
from bench.experiments.workers.handing_out import Count, hand_out
from bench.experiments.workers.task import Answer, Origin, SweepTask, encoded, origin_of
from bench.records.journal import Journal
from bench.records.kinds import Machine, Training
from bench.timing.records import Failure, Generation
from bench.timing.session import Session
from data import Dataset


class Sweep:
    """The trainings of a results file, handed out to workers."""

    def __init__(
        self, journal: Journal, several: Sequence[Trainings], dataset: Dataset, n_threads: int, source: str
    ) -> None:
        self.journal, self.several, self.n_threads, self.source = journal, several, n_threads, source
        self.races = [begin_race(journal, number, 1, 0) for number in range(len(several))]
        backends = {name: one.backend for trainings in several for name, one in trainings.participants.items()}
        self.origin: Origin = origin_of(dataset, backends)
        self.finished = {
            (race.number, generation)
            for race, trainings in zip(self.races, several, strict=True)
            for generation in finished_by_all(race, journal, trainings)
        }
        self.stopped = {(one.race, one.generation) for one in journal.of(Training) if one.stopped_early}
        self.machines = {(one.race, one.id) for one in journal.of(Machine)}
        self.count = Count(sum(len(trainings.recipes) * trainings.seeds for trainings in several), len(self.finished))

    def tasks(self) -> Iterator[str | None]:
        """Yield every task that the file lacks; None: none can be begun before another answer has come.

        Of settings that may be stopped early, other seeds than the first are tried only where that one was not.
        """
        for race, trainings in zip(self.races, self.several, strict=True):
            curves = {
                name: seeds_to_draw(self.journal, race.number, name, trainings) for name in trainings.participants
            }
            screened = any(one.evaluations.screens for one in trainings.participants.values())
            for seed in range(trainings.seeds):
                for index, setting in enumerate(trainings.recipes):
                    generation = MOST_SEEDS * index + seed
                    while seed and screened and (race.number, generation - seed) not in self.finished:
                        if over(race, trainings):
                            break
                        yield None
                    if not self.needless(race, trainings, generation, seed):
                        yield self.task(race, trainings, setting, generation, {})
            if any(curves.values()):
                yield self.task(race, trainings, next(iter(trainings.recipes)), None, curves)

    def needless(self, race: Session, trainings: Trainings, generation: int, seed: int) -> bool:
        """Whether a setting with this seed is done, was stopped with its first, or has nobody left to train it."""
        done = (race.number, generation) in self.finished
        return done or (race.number, generation - seed) in self.stopped or over(race, trainings)

    def task(
        self, race: Session, trainings: Trainings, setting: str, generation: int | None, curves: dict[str, list[int]]
    ) -> str:
        """One task, as text."""
        backends = {name: there for name, there in self.origin.backends.items() if name in trainings.participants}
        origin = msgspec.structs.replace(self.origin, backends=backends)
        alone = replace(trainings, recipes={setting: trainings.recipes[setting]}, header={}, key={})
        task = SweepTask(
            race=race.number, run=race.run, generation=generation, setting=setting, trainings=alone,
            failed=list(race.failures), curves=curves, n_threads=self.n_threads, origin=origin, source=self.source,
        )  # fmt: skip
        return encoded(task)

    def keep(self, answer: Answer) -> None:
        """Keep the records of an answer, which are of one race; those of a machine follow its description."""
        if not answer.records:
            return
        race = self.races[answer.records[0].race]
        if (race.number, answer.machine) not in self.machines:
            self.machines.add((race.number, answer.machine))
            self.journal.record(Machine(race=race.number, run=race.run, id=answer.machine, machine=answer.described))
        self.journal.record(*answer.records)
        for one in answer.records:
            if isinstance(one, Generation):
                self.finished.add((one.race, one.generation))
                self.count.done += 1
            elif isinstance(one, Training) and one.stopped_early:
                self.stopped.add((one.race, one.generation))
            elif isinstance(one, Failure):
                race.failures[one.participant] = f"{one.participant}: {one.reason}"
                self.count.failed += 1


def train_on_workers(
    console: Console,
    journal: Journal,
    several: Sequence[Trainings],
    dataset: Dataset,
    n_threads: int,
    found: Workers,
    source: str,
) -> int:
    """Train all that the file lacks on these workers; return how many tasks were lost, which the same command repeats.

    source: the value of --data. Raises UserError where a worker refuses.
    """
    return hand_out(console, Sweep(journal, several, dataset, n_threads, source), found)
