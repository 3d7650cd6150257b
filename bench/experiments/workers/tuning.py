"""A search for recipes on workers: hand out what it lacks, keep what comes back."""

from collections.abc import Iterator

from rich.console import Console

from bench.analysis.tune import FEWEST, hopeless, in_turn
from bench.experiments.tune import Search
from bench.experiments.workers.executors import Workers
from bench.experiments.workers.handing_out import Count, hand_out
from bench.experiments.workers.task import Answer, TuneTask, encoded, origin_of
from data import Dataset


class Tuning:
    """The trainings of a search, handed out to workers. A recipe is given up for its accuracy, never for its time."""

    def __init__(self, search: Search, backend: str, dataset: Dataset, n_threads: int, source: str) -> None:
        self.search, self.backend, self.n_threads, self.source = search, backend, n_threads, source
        self.origin = origin_of(dataset, {backend: backend})
        self.count = Count()
        self.left: dict[str, int] = {}  # trainings, by recipe; 0: it is complete or hopeless
        for recipe in search.recipes:
            trained = search.trained[str(recipe)]
            self.count.done += sum(seed in trained for seed in range(search.seeds))
            self.count_left(str(recipe))

    def count_left(self, recipe: str) -> None:
        """Count what is left to train by a recipe, given in words, and in all."""
        trained, target = self.search.trained[recipe], self.search.target
        missing = sum(seed not in trained for seed in range(self.search.seeds))
        self.left[recipe] = 0 if hopeless(in_turn(trained, target), target) else missing
        self.count.everything = self.count.done + sum(self.left.values())

    def tasks(self) -> Iterator[str | None]:
        """Yield the first seeds of all recipes, then, when these are trained, the others of those with hope."""
        first = min(FEWEST, self.search.seeds)
        yield from self.lacking(range(first))
        while self.search.target is not None and self.count.waiting:
            yield None
        yield from self.lacking(range(first, self.search.seeds))

    def lacking(self, seeds: range) -> Iterator[str]:
        """Yield the tasks that are still wanted when their turn comes, one seed after the other."""
        for seed in seeds:
            for recipe in self.search.recipes:
                if self.left[str(recipe)] and seed not in self.search.trained[str(recipe)]:
                    yield encoded(
                        TuneTask(
                            backend=self.backend, recipe=recipe, seed=seed, n_threads=self.n_threads,
                            origin=self.origin, source=self.source,
                        )
                    )  # fmt: skip

    def keep(self, answer: Answer) -> None:
        """Keep a training."""
        if answer.tried is not None:
            self.search.keep(answer.tried)
            self.count.done += 1
            self.count_left(answer.tried.recipe)


def search_on_workers(
    console: Console, search: Search, backend: str, dataset: Dataset, n_threads: int, found: Workers, source: str
) -> int:
    """Train what a search lacks on these workers; return how many tasks were lost, which the same command repeats.

    source: the value of --data. Raises UserError where a worker refuses.
    """
    return hand_out(console, Tuning(search, backend, dataset, n_threads, source), found)
