"""reports/: no path, user or host of the machine that measured is in any file of a report."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.records.files import read
from bench.records.kinds import SCHEMA
from reports.__main__ import main
from reports.paths import without_paths
from tests.helpers.benchmark_files import SMALL
from tests.helpers.benchmark_files import written as benchmarks_written
from tests.helpers.race_files import MACHINE, WHEN, race_records, written


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


OF_JANE = "no file /home/jane/x.so"
SAID = {"asked": OF_JANE, "not_asked": OF_JANE, "failure": OF_JANE}


@pytest.mark.parametrize(
    "records",
    [
        [
            *race_records(
                generations=1, data=OF_JANE, notice=OF_JANE, recipe=OF_JANE, machine=MACHINE | {"settings": [OF_JANE]},
                about={"name": OF_JANE, "backend": "swift", "changes": {"a": [OF_JANE, OF_JANE]}},
            ),
            {"kind": "machine", "race": 0, "id": "m1", "machine": {"environment": {"LD_PRELOAD": OF_JANE}}},
            {"kind": "end", "race": 0, "reason": OF_JANE},
        ],
        [
            {
                "kind": "dialects", "schema": SCHEMA, "when": WHEN, "command": OF_JANE, "machine": MACHINE,
                "data": OF_JANE, "notice": OF_JANE, "libraries": {"torch": OF_JANE}, "absent": {"jax": OF_JANE},
                "heard": [
                    {"library": "torch", "question": "x", "said": SAID, "remedied": SAID, "advice": OF_JANE},
                ],
            }
        ],
    ],
    ids=["race", "dialects"],
)  # fmt: skip
def test_no_text_of_results_is_left_with_a_path(records: list[dict[str, Any]], tmp_path: Path) -> None:
    results = read(written(tmp_path, "results.json", records))
    shown = repr(replace(without_paths(results), path=Path("results.json")))
    assert "no file x.so" in shown
    assert "jane" not in shown
