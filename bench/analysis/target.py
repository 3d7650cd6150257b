"""Has a recipe reached a target? The rule, from the accuracies of its seeds alone."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

LEAST_SEEDS = 10
CONFIDENCE = 0.99  # one-sided


class Reached(NamedTuple):
    """One recipe and one target, by several seeds; accuracies are shares of the test images."""

    target: float
    seeds: int
    diverged: int  # of them: the cost was not finite at the end; their accuracies count as they are
    mean: float
    lower: float  # 99 % lower bound of the mean over all possible seeds; -inf for a single seed
    best: float
    above: float  # share of the seeds that reached the target

    @property
    def counts(self) -> bool:
        """Whether the target is reached: by the lower bound of the mean, of enough seeds."""
        return self.seeds >= LEAST_SEEDS and self.lower >= self.target


def reached(accuracies: Sequence[float], costs: Sequence[float | None], target: float) -> Reached:
    """Student's lower bound of the mean (one-sided, 99 %). Raises ValueError without any accuracy."""
    n = len(accuracies)
    if not n:
        raise ValueError("expected the accuracy of at least one seed, found none")
    mean = float(np.mean(accuracies))
    lower = -math.inf
    if n > 1:
        lower = mean - float(stats.t.isf(1 - CONFIDENCE, n - 1) * np.std(accuracies, ddof=1) / math.sqrt(n))
    return Reached(
        target=target,
        seeds=n,
        diverged=sum(cost is None or not math.isfinite(cost) for cost in costs),
        mean=mean,
        lower=lower,
        best=max(accuracies),
        above=sum(accuracy >= target for accuracy in accuracies) / n,
    )
