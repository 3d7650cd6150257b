"""The commands of `python -m bench`: what there is, and where each is."""

import argparse
import logging

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
from impls.contract import ContractError


def make_parser() -> argparse.ArgumentParser:
    """The command line. Without a command it is the pipeline."""
    parser = options.Parser(
        prog="python -m bench",
        description="Without a command: data, agreement, a first table, the benchmarks, the report.",
    )
    parser.set_defaults(run=pipeline.run)
    pipeline.add_arguments(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, module, summary in (
        ("agree", agree, "the agreement gate alone: every backend against the reference; exit 1 on a disagreement"),
        ("race", race, "paired, interleaved timing, each backend in a process of its own"),
        ("peers", peers, "one of ours against other libraries, each ratio in four ways"),
        ("accuracy", accuracy, "time to a common accuracy, over seeds"),
        ("article", article, "the article's experiments again, its figures beside ours"),
        ("waterfall", waterfall, "from the article's method to the fastest, by factors of the time to 94.17 %%"),
        ("batches", batches, "do mini-batches pay: by the round, and by the time to a common accuracy"),
        ("compare", compare, "two git revisions, or two results files; exit 1 on a slowdown"),
        ("calibrate", calibrate, "how far the verdicts of `compare` can be trusted on this machine"),
        ("train", train, "one training run, printed as the article prints it"),
        ("tune", tune, "recipes tried on held-out training images"),
        ("inspection", inspect, "what a saved network says to test images, kept for the report"),
        ("predict", predict, "let a saved network say which digit a picture shows"),
    ):
        command = commands.add_parser(name, help=summary, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def run(arguments: list[str]) -> int:
    """Run what the arguments say. Raises UserError for everything a user can put right."""
    parsed = make_parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    data.logger.setLevel(logging.INFO)
    try:
        code: int = parsed.run(parsed)
    except (data.DataError, ContractError, impls.UnknownBackend, impls.BackendUnavailable) as error:
        raise UserError(str(error)) from None
    return code
