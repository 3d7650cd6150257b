"""The article's numbers beside those of this machine, in one small table."""

from bench.analysis.accuracy import method_results, times_to_accuracy
from bench.analysis.article import effects, experiment_results
from bench.analysis.race import times_of
from bench.tables.article import ARTICLE
from bench.tables.table import NONE, Table, duration, number, plural, share
from reports.brief import LOOP, VECTORIZED, from_to, library, most_reached
from reports.selection import Chosen

IMAGES = 60_000  # of a round of the article: all training images once
Ours = tuple[str, str] | None  # a number, and what is different about it


def beside(chosen: Chosen) -> Table | None:
    """The table; None where nothing of it was measured. What the article says is in `bench/workloads/article.py`."""
    loop, vectorized, best = ARTICLE["naive"], ARTICLE["80-sigmoid"], ARTICLE["128-sigmoid"]
    with_sigmoid, with_relu = (ARTICLE[name].figures[0].text for name in ("80-sigmoid", "80-relu"))
    assert loop.seconds
    assert vectorized.seconds
    a_round = vectorized.seconds / vectorized.setting.epochs
    rows: tuple[tuple[str, str, Ours], ...] = (
        ("One round, Python loop over the images", f"{number(loop.seconds)} s", epoch(chosen, LOOP, "naive")),
        ("One round, vectorised NumPy", f"{a_round:.2g} s", epoch(chosen, VECTORIZED, "80-sigmoid")),
        ("Its best network, sigmoid, 100 rounds", f"{best.figures[0].text} %", accuracy(chosen)),
        ("ReLU instead of sigmoid", f"{with_relu} % (sigmoid {with_sigmoid} %)", activation(chosen)),
        ("Mini-batches", f"“{ARTICLE['80-mini-batches'].said}”", batches(chosen)),
    )
    table = [[what, said, *(ours or (NONE, "not measured"))] for what, said, ours in rows]
    if all(row[2] == NONE for row in table):
        return None
    notes = [
        f"A round is one pass over the {IMAGES:,} training images. The article's times are of another machine, so that "
        f"they give no ratio to ours; its {number(loop.seconds)} s include checks of accuracy. "
        "python -m bench study article repeats its experiments in its own settings"
    ]
    heads = ("what", "the article", "here", "what is different here")
    return Table("The article's numbers and ours", heads, table, notes, len(heads))


def epoch(chosen: Chosen, name: str, experiment: str) -> Ours:
    """The seconds of a round of a backend: in the article's setting, or else from a race, scaled to all images."""
    for row in experiment_results(chosen.races("article")):
        epochs = int(row.about["epochs"])
        if row.name == experiment and row.method_times and epochs:
            return duration(row.method_times.wall / epochs), "its network and setting"
    race = next(iter(chosen.races("race")), None)
    if race is None or race.key["measure"] != "epoch" or name not in times_of(race):
        return None
    seconds = times_of(race)[name] * IMAGES / race.key["images"]
    images = race.participants[name].images
    units = "-".join(map(str, race.key["sizes"]))
    scaled = f", scaled from {images:,} images" if images < IMAGES else ""
    return duration(seconds), f"a network of {units}, {race.key['plan']}{scaled}"


def accuracy(chosen: Chosen) -> Ours:
    """What its best network reaches: in the article's setting, or else by a recipe to the same accuracy."""
    for row in experiment_results(chosen.races("article")):
        values = [value for figure in row.figures if figure.what == "accuracy" for value in figure.values]
        if row.name == "128-sigmoid" and values:
            return from_to(values), f"its setting, {plural(row.seeds, 'seed')}"
    race = most_reached(chosen.races("accuracy"))
    if race is None:
        return None
    first = times_to_accuracy(race)[0]
    how = f"recipe {race.recipe}: {first.epochs:.3g} rounds, which take {library(first.name)} {duration(first.seconds)}"
    return share(first.reached.mean), how


def activation(chosen: Chosen) -> Ours:
    """ReLU and sigmoid in the article's ReLU network."""
    races = chosen.races("article-relu")
    rows = effects(races[0]) if races else []
    sigmoid = next((row for row in rows[1:] if (row.factor, row.to) == ("hidden", "sigmoid")), None)
    if sigmoid is None:
        return None
    seeds = plural(len(rows[0].accuracies), "seed")
    return (
        f"{from_to(rows[0].accuracies)} (sigmoid {from_to(sigmoid.accuracies)})",
        f"nothing else is changed, {seeds}; the article's sigmoid network had another rate and other pixels",
    )


def batches(chosen: Chosen) -> Ours:
    """The best batch size against the largest, by the time to an accuracy."""
    rows = sorted(method_results(chosen.races("batches")), key=lambda row: int(row.case["batch"]))
    reached = [row for row in rows if row.counts]
    if len(rows) < 2 or not reached:
        return None
    best = min(reached, key=lambda row: row.seconds)
    last = f"{duration(rows[-1].seconds)} in batches of {rows[-1].case['batch']:,}"
    words = f"{share(best.target)} after {duration(best.seconds)} in batches of {best.case['batch']:,}"
    return words if best is rows[-1] else f"{words}, {last}", "plain SGD, each size at its own rate, from scaled pixels"
