"""bench/gpu.sh, with a `python` that only writes down what it is asked for."""

import os
import subprocess
from pathlib import Path

import pytest

import bench

FAKE = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in *" $FAILING "*|*" $FAILING") exit "$CODE" ;; esac
"""


@pytest.mark.parametrize(("failing", "code"), [("none", 0), ("impls", 2), ("agree", 1), ("race", 1)])
def test_every_step_is_run_and_any_that_fails_counts(failing: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "python").write_text(FAKE)
    (tmp_path / "python").chmod(0o755)
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls"), "FAILING": failing}
    command = [str(bench.ROOT / "bench" / "gpu.sh"), "--output", "a file"]
    done = subprocess.run(command, env=variables | {"CODE": str(code)}, check=False)
    assert done.returncode == code
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split(" --")[0] for call in calls] == ["-m impls", "-m bench agree", "-m bench race"]
    assert calls[-1].endswith("--output a file")
