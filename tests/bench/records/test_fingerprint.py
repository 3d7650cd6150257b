"""The key of a time: whatever it depends on changes it."""

import shutil
from pathlib import Path
from typing import Any

import pytest

import bench
import impls
from bench.records import environment, fingerprint
from bench.workloads.cases import MINI_BATCHES

SHA = "0" * 64


def key_of(**others: Any) -> dict[str, Any]:
    """The key of a measurement that differs from a usual one in these."""
    measured = {"measure": "epoch", **MINI_BATCHES.described(), "images": 60, "threads": 2}
    usual: dict[str, Any] = {"sources": {"naive": "abc"}, "data_sha256": SHA, "machine": environment.describe()}
    usual |= {part: others.pop(part) for part in usual if part in others}
    return fingerprint.key(measured | others, **usual)


@pytest.mark.parametrize(
    "others",
    [
        {"momentum": 0.5},
        {"measure": "outputs"},
        {"images": 61},
        {"threads": 1},
        {"sources": {"naive": "abd"}},
        {"data_sha256": "1" * 64},
        {"machine": environment.describe() | {"blas": [{"name": "another"}]}},
        {"machine": environment.describe() | {"libraries": {"numpy": "another"}}},
        {"machine": environment.describe() | {"id": "another"}},
        {"machine": environment.describe() | {"quota": 1.5}},
        {"machine": environment.describe() | {"topology": "1 physical core: 0+1"}},
        {"machine": environment.describe() | {"numba": {"cpu": "generic"}}},
        {"machine": environment.describe() | {"environment": {"NPROC": "1"}}},
    ],
)
def test_whatever_a_time_depends_on_changes_its_key(others: dict[str, Any]) -> None:
    assert key_of() == key_of()
    assert key_of(**others) != key_of()


def test_what_a_time_does_not_depend_on_leaves_it() -> None:
    assert key_of(machine=environment.describe() | {"commit": "another", "threads": {}}) == key_of()


def test_the_measuring_code_is_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in fingerprint.TRAINING:
        shutil.copytree(bench.ROOT / "bench" / room, tmp_path / "bench" / room)
    of_epoch, of_training = key_of(), key_of(measure="training")
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    assert (key_of(), key_of(measure="training")) == (of_epoch, of_training)
    (tmp_path / "bench" / "training" / "new.py").write_text("changed = True\n")
    assert key_of() == of_epoch  # which trains by no recipe
    assert key_of(measure="training") != of_training
    of_training = key_of(measure="training")
    for room in fingerprint.MEASURING:
        (tmp_path / "bench" / room / "new.py").write_text("changed = True\n")
        assert key_of() != of_epoch
        assert key_of(measure="training") != of_training
        of_epoch, of_training = key_of(), key_of(measure="training")


def test_a_file_that_moves_to_another_folder_changes_the_hash(tmp_path: Path) -> None:
    for room in ("timing", "training"):
        (tmp_path / room).mkdir()
    (tmp_path / "timing" / "worker.py").write_text("first = 1\n")
    (tmp_path / "training" / "worker.py").write_text("second = 2\n")
    before = fingerprint.hash_of(tmp_path, tmp_path.rglob("*.py"))
    (tmp_path / "timing" / "worker.py").write_text("second = 2\n")
    (tmp_path / "training" / "worker.py").write_text("first = 1\n")
    assert fingerprint.hash_of(tmp_path, tmp_path.rglob("*.py")) != before


def test_every_backend_has_a_source_of_its_own() -> None:
    """But for two names of one module, as those of Keras are, where it is installed."""
    names = [name for name in impls.names() if impls.unavailable_reason(name) is None]
    assert len({fingerprint.source_of(name) for name in names}) == len({impls.entry(name).module for name in names})
    assert fingerprint.source_of("naive") == fingerprint.source_of("impls.naive")  # a module, by its path


def test_a_changed_module_or_package_has_another_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "backend_in_a_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("x = 1\n")
    (tmp_path / "backend_in_a_file.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = fingerprint.source_of("backend_in_a_package"), fingerprint.source_of("backend_in_a_file")
    (package / "part.py").write_text("x = 2\n")
    (tmp_path / "backend_in_a_file.py").write_text("x = 2\n")
    after = fingerprint.source_of("backend_in_a_package"), fingerprint.source_of("backend_in_a_file")
    assert before[0] != after[0]
    assert before[1] != after[1]
    (package / "__init__.py").write_text("x = 1\n")
    assert fingerprint.source_of("backend_in_a_package") not in (before[0], after[0])


@pytest.mark.parametrize("name", ["__init__.py", "kernels.py"])
def test_a_change_in_either_file_of_a_backend_changes_its_source(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy_of_numba_sparse"
    shutil.copytree(Path(impls.__file__).parent / "numba_sparse", copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.syspath_prepend(tmp_path)
    before = fingerprint.source_of("numba_sparse")
    assert fingerprint.source_of("copy_of_numba_sparse") == before
    with (copy / name).open("a") as file:
        file.write("# changed\n")
    assert fingerprint.source_of("copy_of_numba_sparse") != before


@pytest.mark.parametrize("name", ["nubma", "not.there", "sys"])
def test_a_backend_without_source_is_named(name: str) -> None:
    with pytest.raises(impls.UnknownBackend, match=name):
        fingerprint.source_of(name)


def test_the_source_of_a_revision_is_all_of_its_backends(tmp_path: Path) -> None:
    (tmp_path / "impls").mkdir()
    (tmp_path / "impls" / "a.py").write_text("x = 1\n")
    before = fingerprint.source_in(tmp_path)
    (tmp_path / "impls" / "b.py").write_text("")
    assert fingerprint.source_in(tmp_path) != before


@pytest.mark.parametrize("room", ["timing", "workloads"])
def test_a_file_that_runs_while_the_clock_does_is_part_of_every_key(
    room: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    before = key_of()
    (tmp_path / "bench" / room).mkdir(parents=True)
    (tmp_path / "bench" / room / "new.py").write_text("changed = True\n")
    assert key_of() != before


def test_the_contract_is_part_of_every_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint.source_of("naive")
    shutil.copy(fingerprint.IMPLS / "contract.py", tmp_path)
    monkeypatch.setattr(fingerprint, "IMPLS", tmp_path)
    assert fingerprint.source_of("naive") == before
    (tmp_path / "contract.py").write_text("changed = True\n")
    assert fingerprint.source_of("naive") != before


def test_where_files_lie_leaves_their_hash(tmp_path: Path) -> None:
    """A backend's own folder and this checkout may lie before or after one another."""
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text("x = 1\n")
        (tmp_path / folder / "contract.py").write_text("y = 2\n")
    hashes = {
        fingerprint.hash_of(tmp_path / "b", [tmp_path / "b" / "mine.py", tmp_path / other / "contract.py"])
        for other in ("a", "b", "c")
    }
    assert len(hashes) == 1


def test_a_file_of_another_name_changes_the_hash(tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text("x = 1\n")
    before = fingerprint.hash_of(tmp_path, tmp_path.rglob("*.py"))
    (tmp_path / "worker.py").rename(tmp_path / "working.py")
    assert fingerprint.hash_of(tmp_path, tmp_path.rglob("*.py")) != before
