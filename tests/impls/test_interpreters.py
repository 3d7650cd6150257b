"""Other interpreters for single backends: which are taken, what is wrong with others, and what counts as available."""

import shlex
import sys
from pathlib import Path

import pytest

import impls
from impls import interpreters
from impls.interpreters import BadInterpreter, Choice, used
from tests.helpers.other_pythons import other_python, script

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="other interpreters are scripts of the shell")
ISOLATED = f'exec {shlex.quote(sys.executable)} -S -I "$@"'  # without the libraries that are installed
PROGRAMS = {
    "prints": ("echo hello", "found a program that does not answer -V like one"),
    "old": ("echo Python 3.10.14", "expected Python 3.11 or newer, found Python 3.10"),
    "fails": ("[ $1 = -V ] && echo Python 3.12.1 && exit; echo no such thing; exit 3", "found no such thing"),
    "mute": ("[ $1 = -V ] && echo Python 3.12.1", "found nothing"),
    "bare": (ISOLATED, "lacks 'numpy>=2' 'msgspec' 'threadpoolctl>=3'; `"),
}


def refused(*choices: Choice) -> str:
    """Why these are refused, in one line; afterwards no backend has another interpreter."""
    with pytest.raises(BadInterpreter) as error, used(choices):
        pass
    assert "\n" not in str(error.value)
    assert interpreters.names() == ()
    return str(error.value)


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_no_interpreter_that_can_run_a_backend_is_refused(name: str, tmp_path: Path) -> None:
    program, message = PROGRAMS[name]
    path = script(tmp_path / name, program)
    assert refused(Choice("naive", str(path))).startswith(f"--python naive={path}: ")
    assert message in refused(Choice("naive", str(path)))


def test_a_path_without_a_program_a_folder_and_a_silent_program_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "expected a Python, found no program" in refused(Choice("naive", str(tmp_path / "python")))
    assert "expected a Python, found a folder" in refused(Choice("naive", str(tmp_path)))
    monkeypatch.setattr(interpreters, "SECONDS", 0.01)
    waits = script(tmp_path / "waits", "exec tail -f /dev/null")
    assert "gave no answer within 0.01 s" in refused(Choice("naive", str(waits)))


def test_one_backend_has_one_interpreter(tmp_path: Path) -> None:
    twice = [Choice("naive", str(tmp_path / one)) for one in ("one", "two")]
    assert refused(*twice) == "--python: naive is given twice, expected once"


def test_the_other_interpreter_says_whether_a_backend_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = impls.BUILTIN["minibatch"]._replace(requires=("no_such_library",), extra="peers")
    monkeypatch.setitem(impls.BUILTIN, "minibatch", here)
    with pytest.raises(impls.BackendUnavailable, match="needs no_such_library"):
        impls.check("minibatch")
    other = other_python(tmp_path, NUMBA_DISABLE_JIT="1")
    with used([Choice("minibatch", str(other))]):
        impls.check("minibatch")
        assert "minibatch" in impls.available()
        interpreters.check_all_take_part(["naive", "minibatch"])
        with pytest.raises(
            BadInterpreter, match=r"--python minibatch=...: expected one of the backends that take part, naive$"
        ):
            interpreters.check_all_take_part(["naive"])
    assert impls.unavailable_reason("minibatch")
    assert "in that interpreter backend 'numba' needs numba to compile, which" in refused(Choice("numba", str(other)))
    assert "in that interpreter backend 'nmba' is unknown" in refused(Choice("nmba", str(other)))
