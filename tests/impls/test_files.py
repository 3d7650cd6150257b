"""Backends in files of the user's own: their names, what is refused, what a module of one is."""

import json
import os
import shutil
from pathlib import Path

import pytest

import impls
from impls import UnknownBackend, devices, files
from tests.helpers.own_backends import TEMPLATE


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is known, and none is afterwards."""
    monkeypatch.setenv(files.VARIABLE, "{}")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A right backend called my-network."""
    return Path(shutil.copy(TEMPLATE, tmp_path / "my-network.py"))


def test_a_file_is_a_backend_called_by_its_name(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    assert impls.named("my-network.py") == impls.named(str(file)) == "my-network"
    assert impls.names()[-1] == "my-network"
    assert impls.unavailable_reason("my-network") is None
    backend = impls.find("my-network")
    assert backend.NAME == "my-network"
    assert backend is impls.load("my-network")


def test_what_is_no_path_is_left_as_it_is() -> None:
    for name in ("naive", "torch:cuda", "impls.template", "no such backend"):
        assert impls.named(name) == name
    assert files.known() == {}


def test_a_link_has_the_name_of_the_link(file: Path) -> None:
    link = file.with_name("linked.py")
    link.symlink_to(file)
    assert impls.named(str(link)) == "linked"


def test_on_a_device_the_file_is_a_module_of_its_own(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "why_unusable", lambda *_: None)
    file.write_text(f"{file.read_text()}\nDEVICES, DEVICE = ('cpu', 'cuda'), 'cpu'\n")
    name = impls.named(f"{file}:cuda")
    assert name == "my-network:cuda"
    there, here = impls.find(name), impls.find("my-network")
    assert (vars(there)["DEVICE"], vars(here)["DEVICE"]) == ("cuda", "cpu")
    assert (there.NAME, here.NAME) == ("my-network:cuda", "my-network")


def test_a_file_that_changes_meanwhile_is_not_imported(file: Path) -> None:
    name = impls.named(str(file))
    before = impls.find(name)
    file.write_text(file.read_text().replace("a whole batch", "the whole batch"))
    with pytest.raises(UnknownBackend, match=r"^my-network.py cannot be imported: .* changed since the command began"):
        impls.find(name)
    assert impls.named(str(file)) == name  # by the next command
    assert impls.find(name).SUMMARY != before.SUMMARY


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("absent.py", r"absent.py: expected a file, found none; `python -m bench new FILE` writes one"),
        ("", r": expected a Python file, found a folder; for a package give its dotted path"),
        ("a folder.py", r"a folder.py: expected a Python file, found a folder"),
        ("my network.py", r"expected a name of letters, digits, _ and -, .*; rename the file"),
        ("my[red].py", r"expected a name of letters"),
        (".py", r"expected the name of a Python file"),
        ("notes.txt", r"notes.txt: expected the name of a Python file, such as my_network.py"),
        ("vectorized.py", r"vectorized is the name of another backend; rename the file, or give --backend vectorized"),
        ("other/my-network.py", r"my-network.py is a backend called my-network as well; rename one of the files"),
    ],
)
def test_a_path_that_cannot_be_a_backend(path: str, message: str, file: Path) -> None:
    impls.named(str(file))
    (file.parent / "a folder.py").mkdir()
    (file.parent / "other").mkdir()
    for name in ("my network.py", "my[red].py", ".py", "notes.txt", "vectorized.py", "other/my-network.py"):
        shutil.copy(TEMPLATE, file.parent / name)
    with pytest.raises(UnknownBackend, match=message) as caught:
        impls.named(f"{file.parent}{os.sep}{path}")
    assert "\n" not in str(caught.value)
    assert list(json.loads(os.environ[files.VARIABLE])) == ["my-network"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("NAME = 'half'\ndef prepare(): pass\n", r"^bad.py is no backend: .*; missing SUMMARY, DTYPES, .*, train$"),
        ("def train(:\n", r"^bad.py cannot be imported: SyntaxError: .*\(bad.py, line 1\)$"),
        ("import no_such_library\n", r"No module named 'no_such_library'; install it in this environment$"),
        ("raise SystemExit(3)\n", r"^bad.py cannot be imported: SystemExit: 3$"),
    ],
)
def test_a_file_that_is_no_backend(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(UnknownBackend, match=message):
        impls.find(impls.named(str(tmp_path / "bad.py")))
