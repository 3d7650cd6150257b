"""The description of the machine: every field filled, or "unknown"."""

from pathlib import Path

import pytest

from bench.records import environment
from bench.timing.clock import noise


def test_every_field_is_filled() -> None:
    found = environment.describe()
    assert all(found.values())
    assert {"cpu", "cores", "caches", "governor", "hypervisor", "blas", "threads", "commit", "id"} <= found.keys()
    assert all(part for blas in found["blas"] for part in blas.values())


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
