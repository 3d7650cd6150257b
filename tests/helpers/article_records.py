"""Records of the article's trainings, made up."""

from typing import Any

from bench.workloads.article import printed
from tests.helpers.race_files import race_records

LABELS = {"train": [5923, 6742, 47335], "test": [980, 1135, 7885]}
EITHER = ("test", "train")


def seen(accuracy: float, cost: float | None = 0.1, **others: Any) -> dict[str, Any]:
    usual = {"answers": [40, 60, 0], "zeros": 0.25, "dead": 0, "largest": 1.0, "confidence": 0.9}
    return {"accuracy": accuracy, "cost": cost, **usual, **others}


def course(seed: int, *test: float, setting: str = "s", participant: str = "quick", **others: Any) -> dict[str, Any]:
    """Evaluated after each epoch, the accuracy of the training images a hundredth below that of the test images."""
    points = [
        {"epoch": number, "check": {"wall": 0.5}, "test": seen(value), "train": seen(max(value - 0.01, 0.0))}
        for number, value in enumerate(test)
    ]
    times = {"wall": 2.0, "user": 3.0, "system": 1.0}
    where = {"participant": participant, "setting": setting, "seed": seed, "generation": seed}
    done = {"epochs": len(test) - 1, "updates": 5 * (len(test) - 1), "images": 6000 * (len(test) - 1)}
    end = {"accuracy": test[-1], "cost": 0.1, "evaluation": {"wall": 0.1}}
    return where | times | done | end | {"stopped_early": False, "points": points} | others


def figure(what: Any, text: str, *epochs: int, splits: tuple[str, ...] = EITHER) -> dict[str, Any]:
    return printed(what, text, *epochs, splits=splits)._asdict()


def experiment(purpose: str, *courses: dict[str, Any], **about: Any) -> list[dict[str, Any]]:
    """Trainings as `bench article` writes them."""
    settings = {one["setting"]: {"epochs": 1} for one in courses}
    header = race_records({"quick": 1.0}, key={"settings": settings}, purpose=purpose)[0]
    usual = {
        "name": "row",
        "shows": "it learns",
        "said": "",
        "setting": "s",
        "epochs": 10,
        "figures": [],
        "check": None,
    }
    usual |= {"seconds": 9.0, "backend": "quick", "method": "slow", "labels": LABELS, "screens": []}
    header |= {"participants": {"quick": "quick", "slow": "vectorized"}, "about": usual | about}
    records = [header, {"kind": "run", "race": 0, "load": 0.25}]
    numbers = {one["generation"] for one in courses}
    records += [{"kind": "training", "race": 0} | one for one in courses]
    return records + [{"kind": "generation", "race": 0, "generation": one, "seconds": 1.0} for one in numbers]
