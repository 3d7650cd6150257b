"""reports/: no path, user or host of the machine that measured is in any file of a report."""

import json
from dataclasses import replace
from pathlib import Path

from reports.__main__ import main
from tests.helpers.benchmark_files import SMALL
from tests.helpers.benchmark_files import written as benchmarks_written
from tests.helpers.race_files import MACHINE, race_records, written


def test_a_report_names_no_path_user_or_host(tmp_path: Path) -> None:
    folder = tmp_path / "of-jane"
    machine = MACHINE | {"environment": {"LD_PRELOAD": "/home/jane/lib.so", "XLA_FLAGS": "--dump=/home/jane/dump"}}
    several = [
        race_records(
            machine=machine,
            command="python -m bench race --output /home/jane/r.jsonl",
            when=f"2026-02-0{day}T04:05:06+00:00",
        )
        for day in (1, 2)
    ]
    for records in several:
        records.append({"kind": "failure", "race": 0, "participant": "twin", "reason": "no file /home/jane/twin.so"})
    for day, records in enumerate(several):
        written(folder, f"race-{day}.jsonl", records)
    lost = {"gpu": "'/home/jane doe/libcuda.so' is missing on \\\\janes-laptop\\share"}
    benchmarks_written(folder, "b.json", replace(SMALL, machine=machine, unavailable=lost))
    document = json.loads((folder / "b.json").read_text())
    document["machine_info"] = {"node": "janes-laptop"}  # as pytest-benchmark writes it
    (folder / "b.json").write_text(json.dumps(document))
    assert main(["--results", str(folder), "--out", str(tmp_path / "out")]) == 0
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert {"index.html", "history.html", "history.csv", "summary.md", "ratios.svg"} <= files.keys()
    assert [name for name, content in files.items() if b"jane" in content.lower()] == []
    assert [name for name, content in files.items() if str(tmp_path).encode() in content] == []
    page = files["index.html"].decode()
    assert "race --output r.jsonl" in page
    assert "LD_PRELOAD lib.so" in page
    assert "no file twin.so" in page
    assert '<a href="history.html">' in page
    assert '<a href="index.html">' in files["history.html"].decode()
