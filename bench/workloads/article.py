"""The article's experiments, as data: its figures, the settings taken for its own, and others that were tried.

The article names its networks, epochs and results, but not how pixels were scaled, how weights were drawn, and how many
updates an epoch had. SETTING is what reproduces its later figures; the grids are the others that were tried.
"""

from decimal import Decimal
from itertools import product
from typing import Any, Literal, NamedTuple, cast

from bench.workloads.recipes import ARTICLE, NETWORK_FACTORS, Recipe, varied

What = Literal["accuracy", "cost", "confidence", "largest", "overflow"]
EVALUATED_AFTER = (0, 1, 2, 3, 5, 10, 20, 50)  # epochs after which a training is evaluated, and its last
TRAIN, EITHER = ("train",), ("test", "train")
# Of which images a figure is. A program that prints the cost of each update prints that of an epoch's last images.
SPLITS: dict[What, tuple[str, ...]] = {"accuracy": EITHER, "cost": ("train", "last"), "confidence": ("test",)}


class Figure(NamedTuple):
    """A number that the article prints, and where in a training it may be found."""

    what: What  # "confidence" is in the first image's own digit; "overflow": see `training.worker`
    text: str
    low: float  # the smallest and the largest value that are printed so
    high: float
    epochs: tuple[int, ...]  # after one of these: the first cost may be from before or after the first epoch
    splits: tuple[str, ...]  # of one of these


def printed(what: What, text: str, *epochs: int, splits: tuple[str, ...] = ()) -> Figure:
    """Return the figure of a printed number, with all values that round to it. Accuracies are in %.

    splits: the images that it may be of; none: those of SPLITS.
    """
    scale = 100 if what == "accuracy" else 1
    number = Decimal(text)
    half = Decimal(1).scaleb(int(number.as_tuple().exponent)) / 2
    low, high = float(number - half) / scale, float(number + half) / scale
    return Figure(what, text, low, high, epochs, splits or SPLITS[what])


def figures(**texts: dict[int | tuple[int, ...], str]) -> tuple[Figure, ...]:
    """Return figures, from each quantity's texts by epoch, or by the epochs after which they may have been printed."""
    return tuple(
        printed(cast(What, what), text, *(epochs if isinstance(epochs, tuple) else (epochs,)))
        for what, by_epoch in texts.items()
        for epochs, text in by_epoch.items()
    )


FIGURES = {
    "chance": (printed("accuracy", "10.08", 0, splits=TRAIN), Figure("largest", "10,000s", 1e4, 1e5, (0,), TRAIN)),
    "naive": (printed("accuracy", "14.21", 1, splits=TRAIN), Figure("overflow", "a warning", 1e-9, 1.0, (0,), TRAIN)),
    "two-layers-of-16": figures(accuracy={0: "9.58", 100: "11.35"}, cost={(0, 1): "1.046", 100: "0.4499"}),
    "80-after-20-epochs": figures(accuracy={0: "9.80", 20: "89.17"}, cost={(0, 1): "0.449", 20: "0.1326"}),
    "80-sigmoid": figures(accuracy={100: "92.86"}, cost={100: "0.0431"}, confidence={100: "0.961"}),
    "80-relu": figures(accuracy={100: "92.46"}, cost={100: "0.0724"}),
    "128-sigmoid": figures(accuracy={100: "94.17"}),
}


class Experiment(NamedTuple):
    """An experiment of the article, with the setting taken for its own."""

    name: str
    shows: str
    setting: Recipe
    figures: tuple[Figure, ...]
    seconds: float | None = None  # that the article's training took, wall
    check: float | None = None  # that its check of accuracy took
    method: str | None = "vectorized"  # the backend that works as its program did, in float64; None: nothing is timed
    said: str = ""  # where the article has words instead of numbers


SETTING = varied(ARTICLE, sizes=(784, 80, 10), epochs=100)
SHORT = varied(SETTING, epochs=20)
WIDER = varied(SETTING, sizes=(784, 128, 10))
MANY_UPDATES = varied(SETTING, updates=600, learning_rate=0.1, epochs=5)
DEEP = varied(SETTING, sizes=(784, 16, 16, 10))
# N(0, 1) and ReLU to the end: the one kind of network here whose outputs are in the ten thousands.
CHANCE = varied(DEEP, hidden="relu", output="relu", initialisation="standard_normal", epochs=0)
# Of the settings that reproduce 14.21 %, one in which a plainly written sigmoid overflows, with N(0, 1), raw pixels.
OVERFLOWING = varied(DEEP, initialisation="standard_normal", epochs=1)
# Raw pixels kill every ReLU output at any rate that learns, so here they are scaled.
RELU = varied(SETTING, hidden="relu", output="relu", pixel_scale=1 / 255, learning_rate=0.1, schedule="linear")

EXPERIMENTS = (
    Experiment("chance", "random weights are right one time in ten", CHANCE, FIGURES["chance"], method=None),
    Experiment("naive", "what a Python loop over the images costs", OVERFLOWING, FIGURES["naive"], 37.9, 6.0, "naive"),
    Experiment(
        "two-layers-of-16", "11.35 % is the score of always answering 1", DEEP, FIGURES["two-layers-of-16"], 111.5
    ),
    Experiment("80-after-20-epochs", "one wider layer learns", SHORT, FIGURES["80-after-20-epochs"], 47.6),
    Experiment("80-sigmoid", "the same, for longer", SETTING, FIGURES["80-sigmoid"], 250.9),
    Experiment("80-relu", "why did it lose? See `study relu`", RELU, FIGURES["80-relu"]),
    Experiment("80-mini-batches", "an epoch costs the same and brings more", MANY_UPDATES, (), said="not much speedup"),
    Experiment("128-sigmoid", "the article's best", WIDER, FIGURES["128-sigmoid"]),
)


class Screen(NamedTuple):
    """Stops the trainings of a grid that are outside this range after this epoch.

    A setting whose first seed is stopped is not tried with other seeds.
    """

    epoch: int
    split: str
    what: What
    least: float
    most: float


class Grid(NamedTuple):
    """Other settings that were tried for an experiment: all combinations of these levels."""

    name: str  # of the experiment
    base: Recipe
    levels: dict[str, tuple[Any, ...]]
    figures: tuple[Figure, ...]
    screens: tuple[Screen, ...] = ()

    def settings(self) -> list[Recipe]:
        """The combinations, those of one network together."""
        names = sorted(self.levels, key=lambda name: name not in NETWORK_FACTORS)
        combined = product(*(self.levels[name] for name in names))
        return [varied(self.base, **dict(zip(names, values, strict=True))) for values in combined]


PIXELS = (1.0, 1 / 255)
PAIRS: dict[str, tuple[Any, ...]] = {"hidden": ("sigmoid", "relu"), "output": ("sigmoid", "relu")}
DRAWN = ("lecun_normal", "glorot_uniform", "standard_normal")
TWO_RATES: dict[str, tuple[Any, ...]] = {"updates": (1, 5), "learning_rate": (0.1, 1.0)}
LEVELS: dict[str, dict[str, tuple[Any, ...]]] = {
    "chance": PAIRS | {"pixel_scale": PIXELS, "initialisation": (*DRAWN, "he_normal")},
    "naive": PAIRS | {"pixel_scale": PIXELS, "initialisation": ("lecun_normal", "standard_normal")} | TWO_RATES,
    "16": {"pixel_scale": PIXELS, "initialisation": DRAWN} | TWO_RATES,
    "80": {"pixel_scale": PIXELS, "initialisation": DRAWN, "updates": (1, 2, 5, 10), "learning_rate": (0.5, 1.0, 2.0)},
    "relu": {"initialisation": ("lecun_normal", "glorot_uniform"), "learning_rate": (0.03, 0.1, 0.3)},
}
SCREENS_OF_16 = (Screen(20, "test", "accuracy", 0.05, 0.25), Screen(100, "train", "cost", 0.43, 0.47))
SCREENS_OF_80 = (
    Screen(20, "test", "accuracy", 0.8717, 0.9117),
    Screen(20, "train", "cost", 0.11, 0.155),
    Screen(100, "test", "accuracy", 0.9186, 0.9386),
    Screen(100, "train", "cost", 0.035, 0.052),
)
GRIDS = (
    Grid("chance", varied(DEEP, epochs=0), LEVELS["chance"], FIGURES["chance"]),
    Grid("naive", varied(DEEP, epochs=1), LEVELS["naive"], FIGURES["naive"]),
    Grid("two-layers-of-16", DEEP, LEVELS["16"], FIGURES["two-layers-of-16"], SCREENS_OF_16),
    Grid("80-sigmoid", SETTING, LEVELS["80"], FIGURES["80-after-20-epochs"] + FIGURES["80-sigmoid"], SCREENS_OF_80),
    Grid("80-relu", RELU, LEVELS["relu"], FIGURES["80-relu"]),
)


_HE = varied(RELU, initialisation="he_normal")
# The ReLU experiment with one factor changed, by the factor and what it is changed to.
RELU_DESIGN = {
    ("none", "as the article: ReLU to the end"): RELU,
    ("initialisation", "N(0, 2/fan_in)"): _HE,
    ("learning rate", "a third"): varied(RELU, learning_rate=0.03),
    ("learning rate", "three times"): varied(RELU, learning_rate=0.3),
    ("learning rate", "constant"): varied(RELU, schedule="constant"),
    ("updates", "60 an epoch"): varied(RELU, updates=60),
    ("output, cost", "sigmoid, quadratic"): varied(RELU, output="sigmoid"),
    ("output, cost", "softmax, cross-entropy"): varied(RELU, output="softmax"),
    ("hidden", "sigmoid"): varied(RELU, hidden="sigmoid"),
    ("several", "softmax, N(0, 2/fan_in), rate 0.5"): varied(_HE, output="softmax", learning_rate=0.5),
}
# What `study relu --factor` calls them.
RELU_FACTORS = {factor.partition(",")[0].replace(" ", "-"): factor for factor, _ in RELU_DESIGN if factor != "none"}
