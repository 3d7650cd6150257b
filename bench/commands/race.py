"""`python -m bench race`: backends timed against each other, interleaved, each in a process of its own.

Every round holds one measurement of each backend, close in time; a ratio compares measurements of the same round, and
its interval is taken across generations: sets of fresh processes, one for each backend. The race stops when all ratios
are known to --precision, or when the --budget has no room for another generation, and says which. Where it is short,
generations have fewer rounds, so that there are three. A sweep prints the times of each value as they come in. With the
--output of a race, interrupted or out of budget, it continues where that ended.
"""

import argparse
from functools import partial

from rich.console import Console

import data
import impls
from bench import UserError
from bench.analysis.race import GROWING, size_of
from bench.commands import measuring, options
from bench.experiments.race import BASELINE, enough_of_race, header_of_race
from bench.tables.race import sections_of_races
from command_line import Option, number, whole_number

SWEPT = ("batch", "hidden", "images", "threads")


def sweep(text: str) -> tuple[str, list[int | None]]:
    """Read what grows in a sweep, and its values, like "batch=32,128,all"; None is the full batch."""
    name, _, values = text.partition("=")
    if name not in SWEPT or not values:
        raise argparse.ArgumentTypeError(f"{text!r}: expected {'=…, '.join(SWEPT)}=…, such as batch=32,128,1000")
    one = whole_number(1)
    points = [None if name == "batch" and value == "all" else one(value) for value in values.split(",")]
    if len(set(points)) < max(2, len(points)):
        raise argparse.ArgumentTypeError(f"{text!r}: expected at least two values, each once")
    return name, points


def sweep_points(arguments: argparse.Namespace) -> list[argparse.Namespace]:
    """Return the options for each value of the sweep; unchanged where there is no sweep.

    Raises UserError where what is swept has a value of its own as well.
    """
    if arguments.sweep is None:
        return [arguments]
    name, values = arguments.sweep
    if name in {"batch", "images"} & arguments.given or (name == "threads" and arguments.threads):
        raise UserError(f"--{name} with --sweep {name}: expected one of them, as the sweep has its values; drop one")
    if name == "hidden":  # the units of all hidden layers
        first, *hidden, last = arguments.network
        if not hidden:
            raise UserError("--sweep hidden: expected a network with a hidden layer; give one with --network")
        name, values = "network", [(first, *[value] * len(hidden), last) for value in values]
    return [argparse.Namespace(**vars(arguments) | {name: value}) for value in values]


OPTIONS = (
    options.backends("Race these backends"),
    options.DEVICE,
    options.BASELINE._replace(default=BASELINE),
    measuring.BUDGET._replace(default=75),
    Option("--precision X", "Stop once every ratio's 95 %% interval is within this fraction", number(0.0001), 0.03),
    Option("--sweep WHAT=A,B", f"Repeat the race at each value of one of {', '.join(SWEPT)}", sweep,
           without="one race"),
    Option("--cold", "Time the first call with empty compiler caches as well", without="with compiled code from disk"),
    *measuring.race_options(rounds=None),
)  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Check, race and print a table; return 1 if a backend failed or disagreed, else 0.

    Raises UserError for options that do not combine, UnknownBackend or BackendUnavailable for a name.
    """
    console = Console(highlight=False)
    options.move_to_device(arguments)
    dataset = data.load(arguments.data)
    settings = measuring.race_setups(sweep_points(arguments), dataset)
    names = list(dict.fromkeys([*(arguments.backend or impls.available()), arguments.baseline]))
    options.check_participants(names)
    swept, _ = arguments.sweep or (None, [])
    headers = [
        header_of_race(setting, number, arguments.baseline, names, sweep=swept)
        for number, setting in enumerate(settings)
    ]
    sizes = [size_of(header.key, swept) for header in headers] if swept else []
    if len(set(sizes)) < len(sizes):  # such as all images and their number
        raise UserError(f"--sweep: expected values that differ, found {', '.join(map(str, sizes))}; leave one out")
    if swept:
        labels = [f"{GROWING[swept]}: {size:,}" for size in sizes]
        settings = [setting._replace(label=label) for setting, label in zip(settings, labels, strict=True)]
    enough = partial(enough_of_race, arguments)
    return measuring.race_and_print(console, arguments, settings, names, headers, sections_of_races, enough)
