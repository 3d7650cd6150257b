"""A command in this process."""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import pytest


def with_usual(usual: Sequence[object], own: Iterable[object]) -> list[str]:
    """A test's own options after the usual ones, a name and a value each, of which it gives or sweeps some itself."""
    words = [str(word) for word in own]
    swept = [f"--{value.partition('=')[0]}" for name, value in pairwise(words) if name == "--sweep"]
    pairs = [(str(name), str(value)) for name, value in zip(usual[::2], usual[1::2], strict=True)]
    return [word for pair in pairs if pair[0] not in {*words, *swept} for word in pair] + words


def refused(capsys: pytest.CaptureFixture[str], call: Callable[[], object]) -> str:
    """The line on stderr of a command that could not do its work; asserts that it is one, and that the code is 2."""
    capsys.readouterr()
    try:
        code: object = call()
    except SystemExit as exit_:  # argparse's way
        code = exit_.code
    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith("error: ")
    assert error.endswith("\n")
    assert error.count("\n") == 1
    return error
