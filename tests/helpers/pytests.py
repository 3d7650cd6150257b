"""Several runs of pytest in one process of their own, one after the other, as starting it takes longer than most."""

import contextlib
import io
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest

import bench

VARIABLE = re.compile(r"[A-Z_]+=")


class Done(NamedTuple):
    """What a run left behind."""

    returncode: int
    stdout: str
    stderr: str


def run_all(runs: Mapping[str, Sequence[str]], *folders: Path, **variables: str) -> dict[str, Done]:
    """What pytest answers to the arguments of each run, from the root, with `folders` on the path and `variables` set.

    Arguments may begin with further variables, as in `DIGITBENCH_DATA=folder`. Modules that a run has imported are
    there in the next.
    """
    environment = os.environ | variables | {"PYTHONPATH": os.pathsep.join(map(str, folders))}
    command = [sys.executable, "-m", "tests.helpers.pytests", json.dumps({name: [*runs[name]] for name in runs})]
    done = subprocess.run(command, cwd=bench.ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: Done(*answer) for name, answer in json.loads(done.stdout).items()}


def main(runs: dict[str, list[str]]) -> None:
    done = {}
    for name, words in runs.items():
        variables = dict(word.split("=", 1) for word in itertools.takewhile(VARIABLE.match, words))
        arguments = ["-q", "-p", "no:cacheprovider", "--color=no", *words[len(variables) :]]
        with (
            contextlib.redirect_stdout(io.StringIO()) as out,
            contextlib.redirect_stderr(io.StringIO()) as err,
            mock.patch.dict(os.environ, variables),
        ):
            code = pytest.main(arguments)
        done[name] = Done(int(code), out.getvalue(), err.getvalue())
    sys.stdout.write(json.dumps(done))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
