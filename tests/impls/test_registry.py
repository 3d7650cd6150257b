"""The registry: names and their order, reasons for what is unavailable; listing imports no heavy library."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bench
import impls
from impls import BackendUnavailable, Entry, UnknownBackend
from impls.__main__ import main

ROOT = bench.ROOT
LADDER = ("naive", "vectorized", "minibatch", "numba", "numba_dense", "numba_sparse")
PEERS = (
    "graph",
    "autograd",
    "c",
    "array_api",
    "scipy_sparse",
    "sklearn",
    "torch",
    "torch_compile",
    "torch_manual",
    "jax",
    "optax",
    "keras:torch",
    "keras:jax",
    "mpi_images",
    "mpi_units",
    "cuda",
)
LIBRARIES = (
    "sklearn",
    "torch",
    "jax",
    "optax",
    "keras",
    "numba_cuda",
    "cffi",
    "array_api_compat",
    "autograd",
    "mpi4py",
)  # of the peers that are optional


def run_python(*arguments: str) -> str:
    """Return what a Python with these arguments prints, run in the root of the repository."""
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder from which Python imports; its modules are removed from sys.modules afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


# --- names -------------------------------------------------------------------------------------------------


def test_ladder_order() -> None:
    assert impls.names()[: len(LADDER + PEERS)] == (*LADDER, *PEERS)
    assert impls.available()[: len(LADDER)] == LADDER
    assert impls.REFERENCE == "naive"


@pytest.mark.parametrize("name", [*LADDER, "graph", "scipy_sparse"])
def test_a_backend_has_the_name_under_which_it_is_listed(name: str) -> None:
    backend = impls.load(name)
    assert name == backend.NAME
    assert backend.DTYPES == ("float32", "float64")
    assert backend.SUMMARY
    assert "\n" not in backend.SUMMARY
    assert (None if name in ("naive", "vectorized") else 128) == backend.BATCH_SIZE


@pytest.mark.parametrize(
    ("typed", "meant"), [("vectorised", "vectorized"), ("numbs", "numba"), ("mini-batch", "minibatch")]
)
def test_the_nearest_name(typed: str, meant: str) -> None:
    for look_up in (impls.entry, impls.load, impls.unavailable_reason):
        with pytest.raises(UnknownBackend, match=f"'{typed}' is unknown: did you mean '{meant}'") as caught:
            look_up(typed)
        assert "naive, vectorized, minibatch, numba" in str(caught.value)


def test_nothing_is_near() -> None:
    with pytest.raises(UnknownBackend, match=r"^backend 'qqq' is unknown: There are: naive, "):
        impls.load("qqq")


# --- missing and broken libraries --------------------------------------------------------------------------


def test_a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Entry("impls.no_such_file", requires=("numpy", "no_such_library", "nor_this_one"), extra="accelerator")
    monkeypatch.setitem(impls.BUILTIN, "absent", entry)
    reason = impls.unavailable_reason("absent")
    assert reason is not None
    assert "needs no_such_library, nor_this_one, not installed" in reason
    assert "pip install" in reason
    assert "'.[accelerator]'" in reason
    assert impls.names()[: len(LADDER + PEERS) + 1] == (*LADDER, *PEERS, "absent")
    assert "absent" not in impls.available()
    with pytest.raises(BackendUnavailable, match="backend 'absent' needs no_such_library, nor_this_one"):
        impls.load("absent")


@pytest.mark.parametrize("error", ["RuntimeError", "ImportError", "OSError", "SystemExit", "MemoryError"])
def test_a_library_that_is_broken_makes_a_backend_unavailable(
    error: str, modules: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (modules / "broken_library.py").write_text(f"raise {error}('its shared library\\nis of another version')\n")
    (modules / "backend_on_broken_library.py").write_text("import broken_library\n")
    entry = Entry("backend_on_broken_library", requires=("broken_library",))
    monkeypatch.setitem(impls.BUILTIN, "broken", entry)
    assert impls.unavailable_reason("broken") is None
    reason = f"cannot be imported: {error}: its shared library is of another version"
    with pytest.raises(BackendUnavailable) as caught:
        impls.load("broken")
    assert str(caught.value) == f"backend 'broken' {reason}"
    monkeypatch.setattr(impls, "names", lambda: ("broken", "naive"))
    assert main([]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert listed[0] == f"broken        unavailable: {reason}"
    assert listed[1].startswith("naive         one image at a time")


def test_without_a_folder_for_compiled_code_the_remedy_is_said(
    modules: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a read-only checkout without a home, where numba finds no place for its cache."""
    caching = pytest.importorskip("numba.core.caching")
    (modules / "compiled_backend.py").write_text(COMPILED)
    monkeypatch.setitem(impls.BUILTIN, "compiled", Entry("compiled_backend", requires=("numba",)))
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    monkeypatch.setattr(impls, "names", lambda: ("compiled",))
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert listed.startswith(
        "compiled      unavailable: cannot be imported: RuntimeError: cannot cache function 'double'"
    )
    assert "NUMBA_CACHE_DIR" in listed


COMPILED = """
import numba

@numba.njit(cache=True)
def double(x):
    return 2 * x
"""


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(len(path.read_bytes())))


def zeroed_inside(path: Path) -> None:
    content = path.read_bytes()
    third = len(content) // 3
    path.write_bytes(content[:third] + bytes(third) + content[2 * third :])


@pytest.mark.parametrize("damaged", [emptied, cut, zeroed, zeroed_inside, Path.unlink])
@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
def test_what_is_damaged_in_the_cache_of_numba_is_compiled_anew(
    suffix: str, damaged: Callable[[Path], None], modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    (modules / "compiled_backend.py").write_text(COMPILED)
    monkeypatch.setitem(impls.BUILTIN, "compiled", Entry("compiled_backend", requires=("numba",)))

    def hits() -> int:
        """Call the function of a module that is imported anew; return how often it was read from the disk."""
        sys.modules.pop("compiled_backend", None)
        double: Any = vars(impls.load("compiled"))["double"]
        assert double(21) == 42
        return sum(double.stats.cache_hits.values())

    assert [hits(), hits()] == [0, 1]
    (file,) = (modules / "__pycache__").glob(f"*.{suffix}")
    damaged(file)
    assert [hits(), hits()] == [0, 1]


def test_code_compiled_under_other_settings_is_not_loaded(modules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    (modules / "compiled_backend.py").write_text(COMPILED)
    monkeypatch.setitem(impls.BUILTIN, "compiled", Entry("compiled_backend", requires=("numba",)))
    hits = []
    for level in ("0", None, "0", None):
        monkeypatch.setenv("NUMBA_OPT", level) if level else monkeypatch.delenv("NUMBA_OPT")
        sys.modules.pop("compiled_backend", None)
        double: Any = vars(impls.load("compiled"))["double"]
        assert double(21) == 42
        hits.append(sum(double.stats.cache_hits.values()))
    assert hits == [0, 0, 1, 1]


@pytest.mark.parametrize("name", ["numba", "numba_dense", "numba_sparse"])
def test_without_compilation_there_are_no_compiled_backends(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert "unset that variable" in str(impls.unavailable_reason(name))
    assert name not in impls.available()
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
    assert impls.unavailable_reason(name) is None


def test_a_module_that_is_no_backend_is_listed_as_an_error(
    modules: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (modules / "half_a_backend.py").write_text("from impls.vectorized import *\ndel SUMMARY, train\n")
    monkeypatch.setitem(impls.BUILTIN, "half", Entry("half_a_backend"))
    monkeypatch.setattr(impls, "names", lambda: ("half",))
    assert main([]) == 0
    assert capsys.readouterr().out == "half          error: is no backend: missing SUMMARY, train\n"


# --- backends of other packages ----------------------------------------------------------------------------


@pytest.fixture
def other_package(modules: Path) -> Path:
    """A package, as if installed, with three backends; one of them has the name of a built-in one."""
    metadata = modules / "other_backends-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: other-backends\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[digitbench.backends]\n"
        "zeta = other_backends_zeta\n"
        "alpha = other_backends_alpha\n"
        "naive = other_backends_naive\n"
    )
    for name in ("zeta", "alpha", "naive"):
        (modules / f"other_backends_{name}.py").write_text(f"NAME = {name!r}\nOF_ANOTHER_PACKAGE = True\n")
    return modules


@pytest.mark.usefixtures("other_package")
def test_others_come_after_ours() -> None:
    assert impls.names() == (*LADDER, *PEERS, "alpha", "naive (other_backends_naive)", "zeta")
    assert impls.unavailable_reason("zeta") is None
    loaded = impls.load("zeta")
    assert loaded.NAME == "zeta"
    assert hasattr(loaded, "OF_ANOTHER_PACKAGE")


@pytest.mark.usefixtures("other_package")
def test_other_packages_cannot_replace_a_built_in_backend() -> None:
    assert impls.entry("naive").module == "impls.naive"
    assert not hasattr(impls.load("naive"), "OF_ANOTHER_PACKAGE")


@pytest.mark.usefixtures("other_package")
def test_a_name_that_is_taken_is_an_error_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """That names both; and all other backends are listed and available as ever."""
    taken = "naive (other_backends_naive)"
    reason = "has the name of the built-in backend impls.naive, expected one of its own; rename its entry point"
    assert impls.unavailable_reason(taken) == reason
    assert {"naive", "alpha", "zeta"} <= set(impls.available())
    assert taken not in impls.available()
    with pytest.raises(BackendUnavailable) as caught:
        impls.load(taken)
    assert str(caught.value) == f"backend {taken!r} {reason}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(impls, "names", lambda: (taken,))
        assert main([]) == 0
    assert capsys.readouterr().out == f"{taken} error: {reason}\n"


def test_two_packages_with_a_backend_of_one_name(other_package: Path) -> None:
    """The first by module has it; the other one is an error."""
    (other_package / "more_backends-1.0.dist-info").mkdir()
    (other_package / "more_backends-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: more-backends\nVersion: 1.0\n"
    )
    (other_package / "more_backends-1.0.dist-info" / "entry_points.txt").write_text(
        "[digitbench.backends]\nzeta = more_backends_zeta\n"
    )
    assert impls.entry("zeta").module == "more_backends_zeta"
    assert "name of the backend more_backends_zeta," in str(impls.unavailable_reason("zeta (other_backends_zeta)"))


@pytest.mark.usefixtures("other_package")
def test_others_are_suggested_too() -> None:
    with pytest.raises(UnknownBackend, match="did you mean 'alpha'"):
        impls.load("alpah")


def test_listing_other_backends_imports_nothing(other_package: Path) -> None:
    impls.available()
    assert not {"other_backends_alpha", "other_backends_zeta", "other_backends_naive"} & sys.modules.keys()


# --- imports and the command -------------------------------------------------------------------------------


@pytest.mark.parametrize("room", ["data", "impls", "bench", "reports"])
def test_importing_a_package_imports_no_heavy_library(room: str) -> None:
    heavy = (
        "numba",
        "matplotlib",
        "scipy",
        "PIL",
        "urllib3",
        "requests",
        "jinja2",
        "torch",
        "jax",
        "keras",
        "sklearn",
        "cffi",
        "autograd",
        "optax",
    )
    code = f"import sys, {room}; print([name for name in {heavy} if name in sys.modules])"
    assert run_python("-c", code) == "[]\n"


def test_listing_the_backends_imports_none() -> None:
    code = "import sys, impls; impls.available(); print([m for m in sys.modules if m.startswith(('impls.', 'numba'))])"
    assert run_python("-c", code) == "['impls.devices', 'impls.files', 'impls.interpreters', 'impls.ranks']\n"


def test_the_command_lists_all(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Those of the base installation with what each is; a peer that is absent, with how to install it."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in LIBRARIES else find_spec(name))
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [*LADDER, *PEERS]
    for name, line in zip((*LADDER, *PEERS), lines, strict=True):
        if impls.entry(name).extra:
            assert f"not installed; `pip install -c constraints.txt '.[{impls.entry(name).extra}]'` brings it" in line
            continue
        assert "float32, float64" in line
        assert "by default" in line
    assert lines[0].endswith("full batch")
    assert lines[3].endswith("batches of 128")


@pytest.mark.parametrize("argument", ["--colour", "naive"])
def test_the_command_takes_no_options(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([argument])
    assert caught.value.code == 2
    assert capsys.readouterr() == (
        "",
        f"error: unrecognized arguments: {argument}; see `python -m impls --help`\n",
    )


def test_an_interrupt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(impls, "load", interrupted)
    assert main([]) == 130
    assert capsys.readouterr() == ("", "interrupted\n")


def test_a_reader_that_stops_early() -> None:
    command = [sys.executable, "-m", "impls"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 2
