"""The commands of `python -m bench`, in groups, in the order in which they are usually needed."""

import argparse
import logging
from importlib import import_module
from itertools import chain

import data
import impls
from bench import UserError
from bench.commands import pipeline
from bench.commands.options import THREADS, Group
from command_line import Parser
from impls import interpreters
from impls.contract import ContractError

# What each command does; its module has the same name.
GROUPS = {
    "measure": {
        "race": "Time backends against each other, with intervals",
        "compare": "Compare two git revisions or results files; exit 1 on a slowdown",
        "accuracy": "Time training to a common accuracy, over seeds",
        "merge": "Join trainings of several machines in one file",
    },
    "write": {"new": "Write a backend of your own to start from, in a file that --backend takes"},
    "check": {
        "agree": "Check every backend against the reference; exit 1 on a disagreement",
        "calibrate": "Measure how often the verdicts of `compare` are wrong on this machine",
    },
    "train": {
        "train": "Train once, printed as the article's program printed it",
        "predict": "Say which digit a picture of yours shows",
        "inspect": "Record what a saved network answers on the test images, for the report",
        "tune": "Search for recipes on held-out training images",
    },
}
STUDIES = {
    "article": "Repeat the article's experiments, its figures compared with ours",
    "grid": "Find which other settings reproduce the article's figures",
    "relu": "Find why ReLU lost, by changing one factor at a time",
    "waterfall": "Go from the article's method to the fastest, step by step",
    "batches": "Measure whether mini-batches pay, by the epoch and by the time to an accuracy",
    "peers": "Compare one backend with other libraries under four conditions",
    "ranks": "Share a training among MPI processes, by images or by hidden units",
    "dialects": "Find in which libraries equal settings train differently",
}
BAD_INPUT = (
    data.DataError, ContractError, impls.UnknownBackend, impls.BackendUnavailable, interpreters.BadInterpreter,
)  # fmt: skip
IN_ARTICLE = ("article", "grid", "relu")  # three studies in one module


def make_parser() -> Parser:
    """Return the parser of the command line. Without a command, the pipeline runs."""
    parser = Parser(
        prog="python -m bench",
        usage="python -m bench [--threads N] [COMMAND ...]",
        description="Without a command: get the data, check that the backends agree, answer the article's questions by "
        "short measurements, draw the report.",
        epilog=listed(GROUPS | {"study": {"study": f"Answer a question: {', '.join(STUDIES)}"}}),
    )
    parser.set_defaults(run=pipeline.run, threads=None)
    THREADS.add_by(parser.add_argument)
    commands = parser.add_subparsers(metavar="COMMAND", help=argparse.SUPPRESS, prog="python -m bench")
    for name in chain(*GROUPS.values()):
        fill(commands.add_parser(name), name)
    study = commands.add_parser(
        "study",
        usage="python -m bench study NAME [options]",
        description="Fixed experiments that answer the article's questions.",
        epilog=listed({"studies": STUDIES}),
    )
    studies = study.add_subparsers(metavar="NAME", required=True, help=argparse.SUPPRESS, prog="python -m bench study")
    for name in STUDIES:
        fill(studies.add_parser(name), name)
    return parser


def listed(groups: dict[str, dict[str, str]]) -> str:
    """Return the commands by group, one line each with its summary, and the meaning of exit codes."""
    lines: list[str] = []
    for name, summaries in groups.items():
        lines += [f"{name}:", *(f"  {command:11}{summary}" for command, summary in summaries.items()), ""]
    lines += [
        "`python -m bench COMMAND --help` explains a command. Exit codes: 0; 1: it found something (a slowdown, a",
        "disagreement, a backend that failed); 2: it could not run (usage, bad input, something missing).",
    ]
    return "\n".join(lines)


def fill(parser: argparse.ArgumentParser, command: str) -> None:
    """Add what the module of a command defines: its docstring, its `OPTIONS`, and `run`, which does the work."""
    module = import_module(f"bench.commands.{'article' if command in IN_ARTICLE else command}")
    parser.description = module.__doc__
    parser.set_defaults(run=module.run, command=command)
    for option in module.OPTIONS[command] if command in IN_ARTICLE else module.OPTIONS:
        if isinstance(option, Group):
            group = parser.add_argument_group(option.title)
            for one in option.options:
                one.add_by(group.add_argument)
        else:
            option.add_by(parser.add_argument)


def run(arguments: list[str]) -> int:
    """Run the command of these arguments and return its exit code. Raises UserError for what a user can correct."""
    parsed = make_parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    data.logger.setLevel(logging.INFO)
    try:
        with interpreters.used(getattr(parsed, "python", None) or ()):
            code: int = parsed.run(parsed)
    except BAD_INPUT as error:
        raise UserError(str(error)) from None
    return code
