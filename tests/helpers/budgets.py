"""A budget that ends after a number of generations, where a test is about what was measured and not about how long."""

from collections.abc import Callable
from typing import Any

from bench.experiments.generations import Budget


def ending_after(generations: int) -> Callable[..., str | None]:
    """A stand-in for `Budget.spent` that ends after so many whole generations, however long they take."""

    def spent(self: Budget, _: float, done: int, *__: Any) -> str | None:
        return f"the budget of {self.seconds:g} s is spent" if done >= generations else None

    return spent
