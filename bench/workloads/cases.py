"""The cases that are benchmarked: one network, its two plans, and what a round of each means."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.workloads.plans import Order, plans_by_epoch
from impls.contract import Backend, DType, Network, Parameters, Plan
from impls.initialisation import initial_parameters

# The size of AlgoPerf's MNIST workload; plain SGD in file order, so that time goes to the mathematics.
NETWORK = Network((784, 128, 10), "relu", "softmax", "cross_entropy")
INITIALISATION = "he_normal"
DTYPE: DType = "float32"
SEED = 0


@dataclass(frozen=True)
class Case:
    """A network trained on one kind of plan; a round is a pass over all training images."""

    plan_name: str
    batch: int | None  # images per update; None: all
    learning_rate: float  # of 0.05, 0.1, 0.2, 0.5, 1 the best after these rounds on 10,000 held-out training images
    epochs: int  # of the training curve
    network: Network = NETWORK
    dtype: DType = DTYPE
    order: Order = "file"
    momentum: float = 0.0

    def parameters(self) -> Parameters:
        """The parameters every backend starts from."""
        return initial_parameters(self.network, INITIALISATION, SEED, self.dtype)

    def described(self) -> dict[str, Any]:
        """What is trained, for a record."""
        return {
            "network": str(self.network),
            "sizes": list(self.network.sizes),
            "plan": self.plan_name,
            "batch": self.batch,
            "order": self.order,
            "momentum": self.momentum,
            "dtype": self.dtype,
        }

    def plans(self, n_images: int, epochs: int) -> Iterator[Plan]:
        """One plan a round."""
        return plans_by_epoch(
            n_images, self.batch, epochs, self.order, learning_rate=self.learning_rate, momentum=self.momentum
        )


FULL_BATCH = Case("full batch", None, learning_rate=0.2, epochs=20)
MINI_BATCHES = Case("mini-batches", 128, learning_rate=0.5, epochs=5)
CASES = (FULL_BATCH, MINI_BATCHES)
SAME_PLAN = MINI_BATCHES  # the plan on which all backends are compared


def home(backend: Backend) -> Case:
    """The case whose plan this backend is at home with."""
    return next((case for case in CASES if case.batch == backend.BATCH_SIZE), SAME_PLAN)
