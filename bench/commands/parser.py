"""The commands of `python -m bench`, in groups, in the order in which they are usually needed."""

import argparse
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import data
import impls
from bench import UserError
from bench.commands import (
    accuracy,
    agree,
    article,
    batches,
    calibrate,
    compare,
    inspect,
    options,
    peers,
    pipeline,
    predict,
    race,
    train,
    tune,
    waterfall,
)
from command_line import Parser
from impls.contract import ContractError


class Command(NamedTuple):
    """One command of the command line."""

    name: str
    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    about: str | None  # shown by its --help


GROUPS = {
    "measure": (
        Command(
            "race", "Time backends against each other, with intervals", race.add_arguments, race.run, race.__doc__
        ),
        Command(
            "compare", "Compare two git revisions or results files; exit 1 on a slowdown",
            compare.add_arguments, compare.run, compare.__doc__,
        ),
        Command(
            "accuracy", "Time training to a common accuracy, over seeds",
            accuracy.add_arguments, accuracy.run, accuracy.__doc__,
        ),
    ),
    "check": (
        Command(
            "agree", "Check every backend against the reference; exit 1 on a disagreement",
            agree.add_arguments, agree.run, agree.__doc__,
        ),
        Command(
            "calibrate", "Measure how often the verdicts of `compare` are wrong on this machine",
            calibrate.add_arguments, calibrate.run, calibrate.__doc__,
        ),
    ),
    "train": (
        Command(
            "train", "Train once, printed as the article's program printed it",
            train.add_arguments, train.run, train.__doc__,
        ),
        Command(
            "predict", "Say which digit a picture of yours shows", predict.add_arguments, predict.run, predict.__doc__
        ),
        Command(
            "inspect", "Record what a saved network answers on the test images, for the report",
            inspect.add_arguments, inspect.run, inspect.__doc__,
        ),
        Command(
            "tune", "Search for recipes on held-out training images", tune.add_arguments, tune.run, tune.__doc__
        ),
    ),
}  # fmt: skip
STUDIES = (
    Command(
        "article", "Repeat the article's experiments, its figures compared with ours",
        article.add_arguments, article.run, article.__doc__,
    ),
    Command(
        "grid", "Find which other settings reproduce the article's figures",
        article.add_grid_arguments, article.run, article.__doc__,
    ),
    Command(
        "relu", "Find why ReLU lost, by changing one factor at a time",
        article.add_relu_arguments, article.run, article.__doc__,
    ),
    Command(
        "waterfall", "Go from the article's method to the fastest, step by step",
        waterfall.add_arguments, waterfall.run, waterfall.__doc__,
    ),
    Command(
        "batches", "Measure whether mini-batches pay, by the epoch and by the time to an accuracy",
        batches.add_arguments, batches.run, batches.__doc__,
    ),
    Command(
        "peers", "Compare one backend with other libraries under four conditions",
        peers.add_arguments, peers.run, peers.__doc__,
    ),
)  # fmt: skip
ABOUT_STUDIES = "Fixed experiments that answer the article's questions."


def make_parser() -> Parser:
    """Return the parser of the command line. Without a command, the pipeline runs."""
    studies = Command("study", f"Answer a question: {', '.join(s.name for s in STUDIES)}", add_studies, no_study, None)
    groups = {**GROUPS, "study": (studies,)}
    parser = Parser(
        prog="python -m bench",
        description="Without a command: get the data, check that the backends agree, run the benchmarks, draw the "
        "report.",
        epilog=listed(groups),
    )
    parser.set_defaults(run=pipeline.run, threads=None)
    options.add_threads(parser)
    parser.usage = "python -m bench [--threads N] [COMMAND ...]"
    commands: Any = parser.add_subparsers(metavar="COMMAND", help=argparse.SUPPRESS, prog="python -m bench")
    for command in (command for group in groups.values() for command in group):
        add(commands, command)
    return parser


def listed(groups: dict[str, tuple[Command, ...]]) -> str:
    """Return the commands by group, one line each, and the meaning of exit codes."""
    lines: list[str] = []
    for name, group in groups.items():
        lines += [f"{name}:", *(f"  {command.name:11}{command.summary}" for command in group), ""]
    return "\n".join(
        [
            *lines,
            "`python -m bench COMMAND --help` explains a command. Exit codes: 0; 1: it found something (a slowdown, a",
            "disagreement, a backend that failed); 2: it could not run (usage, bad input, something missing).",
        ]
    )


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", command: Command) -> None:
    """Add one command."""
    about = command.about or command.summary
    parser = commands.add_parser(command.name, help=argparse.SUPPRESS, description=about)
    parser.set_defaults(run=command.run)
    command.add_arguments(parser)


def add_studies(parser: argparse.ArgumentParser) -> None:
    """Add the studies, as commands of `study`."""
    parser.description = ABOUT_STUDIES
    parser.epilog = listed({"studies": STUDIES})
    parser.usage = "python -m bench study NAME [options]"
    studies = parser.add_subparsers(metavar="NAME", required=True, help=argparse.SUPPRESS, prog="python -m bench study")
    for study in STUDIES:
        add(studies, study)


def no_study(_: argparse.Namespace) -> int:
    """Never called, because argparse requires the name of a study."""
    raise AssertionError("a study has a name")


def run(arguments: list[str]) -> int:
    """Run the command of these arguments and return its exit code. Raises UserError for what a user can correct."""
    parsed = make_parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    data.logger.setLevel(logging.INFO)
    try:
        code: int = parsed.run(parsed)
    except (data.DataError, ContractError, impls.UnknownBackend, impls.BackendUnavailable) as error:
        raise UserError(str(error)) from None
    return code
