"""A command in this process."""

from collections.abc import Callable

import pytest


def refused(capsys: pytest.CaptureFixture[str], call: Callable[[], int]) -> str:
    """The line on stderr of a command that could not do its work; asserts that it is one, and that the code is 2."""
    capsys.readouterr()
    try:
        code: int | str | None = call()
    except SystemExit as exit_:  # argparse's way
        code = exit_.code
    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith("error: ")
    assert error.endswith("\n")
    assert error.count("\n") == 1
    return error
