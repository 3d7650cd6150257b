"""The commands of `python -m bench`, in groups, in the order in which they are usually needed."""

import argparse
import logging
from types import ModuleType
from typing import NamedTuple

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
    peers,
    pipeline,
    predict,
    race,
    train,
    tune,
    waterfall,
)
from bench.commands.options import THREADS, Group
from command_line import Option, Parser
from impls.contract import ContractError


class Command(NamedTuple):
    """A command. module: its docstring is the help, `run` does the work, `OPTIONS` are the options but for others."""

    name: str
    summary: str
    module: ModuleType
    options: tuple[Option | Group, ...] = ()


GROUPS = {
    "measure": (
        Command("race", "Time backends against each other, with intervals", race),
        Command("compare", "Compare two git revisions or results files; exit 1 on a slowdown", compare),
        Command("accuracy", "Time training to a common accuracy, over seeds", accuracy),
    ),
    "check": (
        Command("agree", "Check every backend against the reference; exit 1 on a disagreement", agree),
        Command("calibrate", "Measure how often the verdicts of `compare` are wrong on this machine", calibrate),
    ),
    "train": (
        Command("train", "Train once, printed as the article's program printed it", train),
        Command("predict", "Say which digit a picture of yours shows", predict),
        Command("inspect", "Record what a saved network answers on the test images, for the report", inspect),
        Command("tune", "Search for recipes on held-out training images", tune),
    ),
}
STUDIES = (
    Command("article", "Repeat the article's experiments, its figures compared with ours", article),
    Command("grid", "Find which other settings reproduce the article's figures", article, article.GRID_OPTIONS),
    Command("relu", "Find why ReLU lost, by changing one factor at a time", article, article.RELU_OPTIONS),
    Command("waterfall", "Go from the article's method to the fastest, step by step", waterfall),
    Command("batches", "Measure whether mini-batches pay, by the epoch and by the time to an accuracy", batches),
    Command("peers", "Compare one backend with other libraries under four conditions", peers),
)
STUDY = f"Answer a question: {', '.join(study.name for study in STUDIES)}"


def make_parser() -> Parser:
    """Return the parser of the command line. Without a command, the pipeline runs."""
    summaries = {name: {command.name: command.summary for command in group} for name, group in GROUPS.items()}
    parser = Parser(
        prog="python -m bench",
        usage="python -m bench [--threads N] [COMMAND ...]",
        description="Without a command: get the data, check that the backends agree, run the benchmarks, draw the "
        "report.",
        epilog=listed(summaries | {"study": {"study": STUDY}}),
    )
    parser.set_defaults(run=pipeline.run, threads=None)
    THREADS.add_by(parser.add_argument)
    commands = parser.add_subparsers(metavar="COMMAND", help=argparse.SUPPRESS, prog="python -m bench")
    for command in (command for group in GROUPS.values() for command in group):
        fill(commands.add_parser(command.name), command)
    study = commands.add_parser(
        "study",
        usage="python -m bench study NAME [options]",
        description="Fixed experiments that answer the article's questions.",
        epilog=listed({"studies": {study.name: study.summary for study in STUDIES}}),
    )
    studies = study.add_subparsers(metavar="NAME", required=True, help=argparse.SUPPRESS, prog="python -m bench study")
    for command in STUDIES:
        fill(studies.add_parser(command.name), command)
    return parser


def listed(groups: dict[str, dict[str, str]]) -> str:
    """Return the commands by group, one line each with its summary, and the meaning of exit codes."""
    lines: list[str] = []
    for name, summaries in groups.items():
        lines += [f"{name}:", *(f"  {command:11}{summary}" for command, summary in summaries.items()), ""]
    return "\n".join(
        [
            *lines,
            "`python -m bench COMMAND --help` explains a command. Exit codes: 0; 1: it found something (a slowdown, a",
            "disagreement, a backend that failed); 2: it could not run (usage, bad input, something missing).",
        ]
    )


def fill(parser: argparse.ArgumentParser, command: Command) -> None:
    """Add the description and the options of a command to its parser."""
    parser.description = command.module.__doc__
    parser.set_defaults(run=command.module.run, command=command.name)
    for option in command.options or command.module.OPTIONS:
        if isinstance(option, Option):
            option.add_by(parser.add_argument)
        else:
            group = parser.add_argument_group(option.title)
            for one in option.options:
                one.add_by(group.add_argument)


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
