"""The command line of `python -m bench`: changed options, values and commands."""

import contextlib
import functools
import io
import shlex
from argparse import ArgumentParser
from pathlib import Path

from tests.torture.mutants import Choices, damaged

NAME = "options"
COMMANDS = (
    "race --backend vectorized,naive --budget 240 --batch 128 --dtype float32",
    "race --sweep batch=32,128,all --images 6000 --threads 2 --cold",
    "compare main --margin 0.05 --generations 3",
    "accuracy --seeds 10 --backend minibatch --device cpu --short-check",
    "train --network 784-80-10 --epochs 20 --learning-rate 0.1 --hidden relu --output-activation softmax",
    "tune --target 97 --epochs 0.5,1 --schedule linear,constant --momentum 0.9",
    "study batches --seeds 3 --momentum 0.5",
    "agree --backend numba:cpu --output file.json",
    "predict model.npz seven.png --show",
    "calibrate --pairs 3 --threads 1",
)


@functools.cache
def parser() -> ArgumentParser:
    """The parser, made once."""
    from bench.commands.parser import make_parser

    return make_parser()


def make(choices: Choices) -> bytes:
    """The words of a command line, a line each."""
    words = shlex.split(choices.of(COMMANDS))
    if choices.below(4) == 0:
        words += shlex.split(choices.of(COMMANDS))[1:]
    which = choices.below(len(words))
    words[which] = damaged(words[which].encode(), choices, [word.encode() for word in words]).decode("latin-1")
    return "\n".join(word.replace("\0", "").replace("\n", " ") for word in words).encode("utf-8")


def read(path: Path) -> str | None:
    """Parse them; the message is what stands on stderr."""
    words = path.read_bytes().decode("utf-8").split("\n")
    with contextlib.redirect_stderr(io.StringIO()) as stderr, contextlib.redirect_stdout(io.StringIO()):
        try:
            parser().parse_args(words)
        except SystemExit as exit_:
            if exit_.code not in (0, 2):
                raise RuntimeError(f"exit code {exit_.code}") from None
    return stderr.getvalue().removesuffix("\n") or None
