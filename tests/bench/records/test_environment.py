"""The description of the machine: every field filled, or "unknown"."""

import os
import re
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

import bench
from bench.records import environment
from bench.timing import system, threads
from bench.timing.clock import noise
from tests.helpers.full_disk import full_disk


def test_every_field_is_filled() -> None:
    found = environment.describe()
    assert all(value for part, value in found.items() if part != "environment")
    assert {
        "cpu",
        "quota",
        "topology",
        "numba",
        "environment",
        "cores",
        "caches",
        "governor",
        "hypervisor",
        "blas",
        "threads",
        "commit",
        "id",
    } <= found.keys()
    assert all(part for blas in found["blas"] for part in blas.values())


def test_where_the_disk_is_full_the_name_of_the_machine_is_made_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    with full_disk(0):
        assert environment.local_id() == "unknown"
    name = environment.local_id()
    assert re.fullmatch("[0-9a-f]{8}", name)
    assert environment.local_id() == name


def test_caches_and_governor_are_read_and_absent_ones_are_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, parts in enumerate([("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "2048K")]):
        index = tmp_path / "cache" / f"index{number}"
        index.mkdir(parents=True)
        for name, text in zip(("level", "type", "size"), parts, strict=True):
            (index / name).write_text(f"{text}\n")
    (tmp_path / "cpufreq").mkdir()
    (tmp_path / "cpufreq" / "scaling_governor").write_text("powersave\n")
    monkeypatch.setattr(environment, "CPU", tmp_path)
    found = environment.describe()
    assert (found["caches"], found["governor"]) == ("L1d 48K, L1i 32K, L2 2048K", "powersave")
    monkeypatch.setattr(environment, "CPU", tmp_path / "absent")
    found = environment.describe()
    assert found["caches"] == found["governor"] == "unknown"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("flags : fpu hypervisor avx", "yes"), ("flags : fpu avx", "no"), ("Features : fp asimd", "unknown")],
)
def test_processor_and_hypervisor(text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text(f"model name\t: one: 2\n{text}\n\nmodel name\t: another\n")
    monkeypatch.setattr(environment, "CPUINFO", tmp_path / "cpuinfo")
    found = environment.describe()
    assert (found["cpu"], found["hypervisor"]) == ("one: 2", expected)
    monkeypatch.setattr(environment, "CPUINFO", tmp_path / "absent")
    assert environment.describe()["hypervisor"] == "unknown"


def test_stolen_time_is_in_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", lambda _: 100)
    (tmp_path / "stat").write_text("cpu  1 2 3 400 5 6 7 250 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
    assert noise(tmp_path / "stat").stolen == 2.5
    assert noise(tmp_path / "absent").stolen is None


@pytest.mark.parametrize(("quota", "expected"), [(1.5, 1.5), (None, "none")])
def test_a_cpu_quota_is_recorded(quota: float | None, expected: float | str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "quota", lambda: quota)
    assert environment.describe()["quota"] == expected


def test_cores_are_recorded_by_physical_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "siblings", lambda core: (core % 4, core % 4 + 4))
    assert environment.topology({0, 1, 4, 5}) == "2 physical cores: 0+4, 1+5"
    assert environment.topology({1, 4, 5}) == "2 physical cores: 1+5, 4"
    assert environment.topology({3}) == "1 physical core: 3"


def test_variables_that_change_a_time_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = {
        "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0",
        "NPROC": "1",
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_OPT": "0",
        "OMP_WAIT_POLICY": "active",
        "OPENBLAS_CORETYPE": "Haswell",
        "XLA_FLAGS": "--xla_cpu_enable_fast_math=true",
    }
    others = {"HOME": "/somewhere", "NUMBA_CACHE_DIR": "/tmp", "OMP_NUM_THREADS": "1", "PYTHONPATH": "/somewhere"}
    monkeypatch.setattr(threads, "GIVEN", counted | others)
    assert environment.settings() == environment.describe()["environment"] == counted


def test_the_target_of_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "GIVEN", {})
    own = environment.numba_target()
    codegen = pytest.importorskip("numba.core.registry").cpu_target.target_context.codegen()
    assert codegen.magic_tuple()[1] in (own["cpu"], os.environ.get("NUMBA_CPU_NAME"))
    monkeypatch.setattr(threads, "GIVEN", {"NUMBA_CPU_NAME": "generic"})
    generic = environment.numba_target()
    assert generic["cpu"] == "generic"
    assert generic["features"] != own["features"]
    monkeypatch.setattr(threads, "GIVEN", {"NUMBA_CPU_FEATURES": "+sse2"})
    assert environment.numba_target() == {"cpu": own["cpu"], "features": environment.numba_target()["features"]}
    assert environment.numba_target()["features"] not in (own["features"], generic["features"])


def test_a_load_that_cannot_be_read_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising() -> NoReturn:
        raise OSError("no load here")

    monkeypatch.setattr(os, "getloadavg", raising, raising=False)
    assert noise().load is None
    monkeypatch.delattr(os, "getloadavg")
    assert noise().load is None


# --- the commit --------------------------------------------------------------------------------------------


def repository(folder: Path) -> str:
    """A git repository with one commit, whose short name is returned."""
    folder.mkdir()
    who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    for arguments in (["init", "--quiet"], [*who, "commit", "--quiet", "--allow-empty", "--message=first"]):
        subprocess.run(["git", "-C", str(folder), *arguments], env=environment.outside_git(), check=True)
    return environment.commit(folder)


def test_the_commit_is_that_of_the_checkout_alone(tmp_path: Path) -> None:
    commit = repository(tmp_path / "ours")
    assert len(commit) == 12
    (tmp_path / "ours" / "inside").mkdir()  # such as a download unpacked in somebody else's repository
    assert environment.commit(tmp_path / "ours" / "inside") == "unknown"
    assert environment.commit(tmp_path) == "unknown"


def test_a_hook_of_another_repository_does_not_change_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, _ = repository(tmp_path / "ours"), repository(tmp_path / "theirs")
    (tmp_path / "theirs" / "file").write_text("not committed")
    environment.commit.cache_clear()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "theirs" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "theirs"))
    assert environment.commit(tmp_path / "ours") == commit
    assert environment.commit(bench.ROOT) != commit
