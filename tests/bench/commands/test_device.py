"""Races with a backend on a GPU, where the driver is pretended: options, records, tables, and a GPU that is lost."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
import data
import impls
from bench.__main__ import main
from bench.commands import options
from bench.commands.parser import make_parser
from bench.records import environment
from bench.records.kinds import opening
from bench.timing import device, threads
from data import Digits, mnist
from impls import devices
from tests.helpers.command import refused

MODULE = """
from impls.vectorized import *
from impls.vectorized import gradients, outputs, prepare, train, unsupported

DEVICES = ("cpu", "cuda")
DEVICE = "cpu"
PRECISION = {"cuda": "full"}
"""
RACE = ["race", "--precision", "1000", "--rounds", "3", "--images", "20", "--batch", "10", "--network", "784-5-10"]
RACE += ["--baseline", "minibatch"]
SMI = "#!/bin/sh\necho 'A GPU, 1.2.3, 80 MiB, 700.00 W, 1980 MHz, Enabled, Disabled'\n"
NO_GPU = "needs a GPU, and this is a test"


class Driver:
    """NVIDIA's driver: how often was waited, and whether its GPU is lost from some time on."""

    def __init__(self, lost_after: int | None = None) -> None:
        self.waited, self.lost_after = 0, lost_after

    def cuCtxPushCurrent_v2(self, context: Any) -> int:
        return 0

    cuCtxPopCurrent_v2 = cuCtxPushCurrent_v2

    def cuCtxSynchronize(self) -> int:
        self.waited += 1
        return 999 if self.lost_after is not None and self.waited > self.lost_after else 0

    def cuGetErrorString(self, error: int, text: Any) -> int:
        text._obj.value = b"unspecified launch failure"
        return 0


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    """The driver of the tests' GPU."""
    pretended = Driver()
    monkeypatch.setattr(device, "first_gpu", lambda: (pretended, None))
    monkeypatch.setattr(devices, "why_no_gpu", lambda: None)
    monkeypatch.setattr(device, "RAMP", 0.0)
    return pretended


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rng = np.random.default_rng(0)
    digits = Digits(rng.integers(0, 256, (80, 784)).astype(np.uint8), rng.integers(0, 10, 80))
    mnist.write_folder(tmp_path / "digits", digits, digits)
    monkeypatch.setenv("DIGITBENCH_DATA", str(tmp_path / "digits"))
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(threads, "cores", lambda: 1)
    (tmp_path / "backend_of_a_gpu.py").write_text(MODULE)
    (tmp_path / "nvidia-smi").write_text(SMI)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(impls.BUILTIN, "pretended", impls.Entry("backend_of_a_gpu", devices=("cpu", "cuda")))
    return tmp_path


def run(folder: Path, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and the records that were written."""
    path = folder / "race.jsonl"
    path.unlink(missing_ok=True)
    code = main([*RACE, *arguments, "--output", str(path)])
    return code, [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.usefixtures("without_processes", "without_rates")
def test_a_race_on_both_and_a_gpu_that_is_lost(
    folder: Path, driver: Driver, capsys: pytest.CaptureFixture[str]
) -> None:
    driver.lost_after = 5  # two preparations, a first and a warm call, a measurement
    code, records = run(folder, "--device", "cuda", "--backend", "minibatch,pretended")
    out = " ".join(capsys.readouterr().out.split())
    assert set(records[0]["participants"]) == {"minibatch", "pretended:cuda", "floor"}
    gpu = {"name": "A GPU", "driver": "1.2.3", "memory": "80 MiB"}
    assert records[0]["key"]["machine"]["gpu"]["gpus"][0].items() >= gpu.items()
    of = [(one["participant"], one["device"], one["precision"]) for one in records if one["kind"] == "process"]
    assert set(of) == {("pretended:cuda", "cuda", "full"), ("minibatch", None, None), ("floor", None, None)}
    assert "with A GPU (80 MiB, driver 1.2.3) by python -m bench" in out
    assert "pretended:cuda: on cuda, products of float32 in full; GEMM, CPU and memory are of the CPU." in out
    failures = [one for one in records if one["kind"] == "failure"]
    assert [(one["participant"], one["generation"]) for one in failures] == [("pretended:cuda", 0)]
    assert "RuntimeError: the GPU failed: unspecified launch failure" in failures[0]["reason"]
    assert "left out: pretended:cuda: RuntimeError: the GPU failed" in out
    last = max(one["generation"] for one in records if one["kind"] == "generation")
    measured = {one["participant"] for one in records if one["kind"] == "sample" and one["generation"] == last}
    assert last > 0
    assert measured == {"minibatch", "floor"}  # the race goes on with the others
    assert code == 1
    assert driver.waited == 6


def test_without_a_backend_on_a_gpu_none_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "gpu", lambda: "described")
    assert "gpu" not in opening(data.load(), ["minibatch", "pretended", "floor"])["machine"]
    assert opening(data.load(), ["minibatch", "pretended:cuda"])["machine"]["gpu"] == "described"


def test_what_nvidia_smi_does_not_say_is_unknown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "nvidia-smi").write_text("#!/bin/sh\necho 'No devices were found'; exit 6\n")
    monkeypatch.setitem(threads.GIVEN, "CUDA_VISIBLE_DEVICES", "0")
    found = environment.gpu()
    assert found["gpus"] == "unknown"
    assert found["environment"]["CUDA_VISIBLE_DEVICES"] == "0"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("agree --device cuda --backend pretended", f"--device cuda: backend 'pretended:cuda' {NO_GPU}"),
        ("race --device cuda --backend pretended,minibatch", f"--device cuda: backend 'pretended:cuda' {NO_GPU}"),
        ("race --backend pretended:cuda", f"backend 'pretended:cuda' {NO_GPU}"),
        ("agree --device cuda --backend minibatch", "--device cuda: expected a backend that can run there, which are "),
        ("agree --device cuda --backend nubma", "backend 'nubma' is unknown: did you mean 'numba'"),
    ],
)
def test_no_gpu(
    arguments: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(devices, "why_no_gpu", lambda: NO_GPU)
    assert message in refused(capsys, lambda: main(arguments.split()))


def test_one_that_cannot_run_there_is_left_out_of_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(devices, "why_no_gpu", lambda: None)
    monkeypatch.setattr(devices, "REASONS", {"scipy": lambda: "needs another scipy"})
    monkeypatch.setattr(impls, "available", lambda: ("naive", "pretended", "scipy_sparse"))
    entry = impls.BUILTIN["scipy_sparse"]._replace(devices=("cpu", "cuda"))
    monkeypatch.setitem(impls.BUILTIN, "scipy_sparse", entry)
    arguments = make_parser().parse_args(["race", "--device", "cuda", "--baseline", "naive"])
    options.move_to_device(arguments)
    assert arguments.backend == ["naive", "pretended:cuda"]
    assert arguments.baseline == "naive"
    assert capsys.readouterr().err == "backend 'scipy_sparse:cuda' needs another scipy; it is left out\n"
