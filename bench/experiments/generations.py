"""Generation after generation (sets of fresh processes, one for each participant), until there is a reason to end."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from bench.records.journal import Journal
from bench.timing.interleave import run_generation
from bench.timing.records import Generation, Sample
from bench.timing.session import Session

LEAST_GENERATIONS = 3  # that a budget is shared out to, as intervals are across generations
MARGIN = 1.2  # of a budget that is advised, over what was measured


class Budget(NamedTuple):
    """The seconds that may be measured, those of an earlier run included."""

    seconds: float
    generations: int = LEAST_GENERATIONS  # that it is shared out to, and should be enough for

    def spent(self, measured: float, done: int, coming: Sequence[Session], running: Sequence[Session]) -> str | None:
        """Why to end after so many seconds, or None. done: whole generations; coming: the races that are to follow.

        How long these take is known from their last generations, or else from those of other races.
        """
        longest = max(race.shortest for race in running)
        if measured + sum(race.shortest or longest for race in coming) <= self.seconds:
            return None
        over = "is spent" if measured >= self.seconds else "has no room for another generation"
        why = f"the budget of {self.seconds:g} s {over}"
        needed = MARGIN * self.generations * sum(race.shortest or longest for race in running)
        if done < self.generations and needed > self.seconds:
            why += f"; {self.generations} generations take about --budget {10 * math.ceil(needed / 10)}"
        return why

    def share(self, measured: float, done: int, coming: int, running: int) -> float:
        """The seconds of a race's next generation, of as many as are still to come.

        done: whole generations; coming, running: how many races are to follow in this one, and in each.
        """
        return (self.seconds - measured) / (coming + running * max(0, self.generations - done - 1))


def run_generations(
    console: Console,
    races: Sequence[Session],
    journal: Journal,
    enough: Callable[[int], str | None],
    budget: Budget | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> str:
    """Run generation after generation, the races in turn, until there is a reason to end; return the reason.

    enough: gives a reason or None; it is called after each generation of all races that continue, with their number.
    told: is called after each generation of a race, with its number. A race with fewer than two participants left ends.
    Generations of an earlier run count if all took part that are left: one that failed then is measured as the others.
    """
    ran: Counter[int] = Counter()
    columns = (TimeElapsedColumn(), TextColumn("{task.description}"))
    # No refreshing during measurements: it would cost a per cent of a core.
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        shown = progress.add_task("")
        while True:
            running = [race for race in races if len(race.remaining()) > 1]
            if not running:
                return "fewer than two participants are left"
            whole = {race.number: with_all(race, journal) for race in races}
            done, behind = those_behind(running, whole)
            reason, share = (enough(done) if done and len(behind) == len(running) else None), math.inf
            if budget:
                measured = sum(one.seconds for of_race in whole.values() for one in of_race)
                # A generation is begun if there is time for all races; of the first there are as many as there is time.
                reason = reason or budget.spent(measured, done, behind if done else behind[:1], running)
                share = budget.share(measured, done, len(behind), len(running))
            if reason:
                return reason
            race = behind[0]
            of = f", race {race.number + 1}" if len(races) > 1 else ""
            progress.update(shown, description=f"generation {done + 1}{of}", refresh=True)
            run_generation(race, journal.next_generation + ran[race.number], share)
            ran[race.number] += 1
            told(race.number)


def with_all(race: Session, journal: Journal) -> list[Generation]:
    """The generations of a race in which each participant that is left was measured in every round."""
    samples = Counter((one.generation, one.participant) for one in journal.of(Sample, race.number))
    rounds: dict[int, int] = {}
    for (generation, _), n in samples.items():
        rounds[generation] = max(n, rounds.get(generation, 0))
    return [
        one
        for one in journal.of(Generation, race.number)
        if all(samples[one.generation, name] == rounds.get(one.generation, 0) for name in race.remaining())
    ]


def those_behind(
    races: Sequence[Session], generations: Mapping[int, Sequence[Generation]]
) -> tuple[int, list[Session]]:
    """The least number of generations that any of these races has, and the races that have no more.

    generations: those that count, by the race's number.
    """
    done = min(len(generations[race.number]) for race in races)
    return done, [race for race in races if len(generations[race.number]) == done]
