"""`c`: that it agrees, is compiled once, and says why where it cannot be compiled."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import impls
from bench.agreement.isolated import check_isolated
from bench.timing.source import count_c, lines_of_code
from impls.contract import Network
from tests.suite.conformance import SOME, case_of

NETWORK = Network((12, 7, 4), "relu", "softmax", "cross_entropy")


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, which finds nothing compiled."""
    if reason := impls.unavailable_reason("c"):
        pytest.skip(f"backend c {reason}")
    module: Any = impls.load("c")
    monkeypatch.setenv("DIGITBENCH_CACHE_DIR", str(tmp_path))
    for function in (module.library, module.why_not_compiled, module.target):
        function.cache_clear()
    yield module
    for function in (module.library, module.why_not_compiled, module.target):
        function.cache_clear()


def test_agrees_in_a_process_of_its_own(backend: Any) -> None:
    """Momentum and none, both orders; more than a block of images an update; and no hidden layer, and several."""
    cases = [
        case_of(SOME[2], "float32", (5, 5, 3), momentum=0.9, order="shuffled"),
        case_of(SOME[0], "float64", (300, 5)),
        case_of(Network((5, 4)), "float32", (5, 3)),
        case_of(Network((9, 21, 3, 18, 4), "tanh"), "float64", (7, 130), momentum=0.5),
    ]
    results = check_isolated("c", [(case.problem, case.expected) for case in cases])
    assert [result.failure for result in results if result.failure] == []
    assert len(results) > 4 * len(cases)


def test_compiled_once_and_anew_where_it_is_damaged(
    backend: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[Path] = []
    compile_to = backend.compile_to

    def counted(file: Path, dtype: str) -> None:
        compiled.append(file)
        compile_to(file, dtype)

    monkeypatch.setattr(backend, "compile_to", counted)
    for damaged in (False, False, True, False):
        if damaged:
            cut = compiled[0].read_bytes()[:1000]
            compiled[0].unlink()  # this process has the file in memory
            compiled[0].write_bytes(cut)
        backend.library.cache_clear()
        backend.library("float32")
    assert compiled == [compiled[0]] * 2
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".sha256", ".so"]
    monkeypatch.setattr(backend, "FLAGS", (*backend.FLAGS, "-O1"))
    backend.target.cache_clear()
    backend.library.cache_clear()
    backend.library("float32")
    assert compiled[2] != compiled[0]  # the flags are in its name


def test_without_a_compiler_it_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cffi")
    monkeypatch.setenv("CC", "no-such-compiler")
    reason = "needs a C compiler, and there is no no-such-compiler; install one, or name it in CC"
    assert impls.unavailable_reason("c") == reason


def test_a_compiler_that_fails_makes_all_unsupported(
    backend: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "FLAGS", (*backend.FLAGS, "-fno-such-flag"))
    reason = backend.unsupported("train", NETWORK, "float32")
    assert "cannot compile network.c" in reason
    assert "-fno-such-flag" in reason
    assert "in CC" in reason
    monkeypatch.setattr(backend, "FLAGS", backend.FLAGS[:-1])
    (tmp_path / "file").touch()
    monkeypatch.setenv("DIGITBENCH_CACHE_DIR", str(tmp_path / "file"))
    backend.why_not_compiled.cache_clear()
    assert "see CC and DIGITBENCH_CACHE_DIR" in backend.unsupported("outputs", NETWORK, "float64")


def test_lines_of_c_count() -> None:
    assert count_c("/* one\ntwo */\n\nint x; /* three */\n  /* four */\nint y;\n") == 2
    if impls.unavailable_reason("c") is None:
        module: Any = impls.load("c")
        assert lines_of_code(module) > 300


def test_importing_it_compiles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := impls.unavailable_reason("c"):
        pytest.skip(f"backend c {reason}")
    monkeypatch.setenv("DIGITBENCH_CACHE_DIR", str(tmp_path))
    subprocess.run([sys.executable, "-c", "import impls; impls.load('c')"], cwd=impls.__path__[0] + "/..", check=True)
    assert list(tmp_path.iterdir()) == []
