"""reports/: other libraries, steps to one accuracy, and the article's experiments, in tables, figures and answers."""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from test_race_reports import EVIL, race_records, rows_of, written

from bench.peers import WAYS
from reports import figures, peers, sections
from reports.chosen import choose
from reports.page import page

# --- peers -----------------------------------------------------------------------------------------------


def raced_peers(generations: int = 3, torch: str = "torch", zeros: bool = True) -> list[list[dict[str, Any]]]:
    """Races as `bench peers` writes them: the other library takes 4 times as long, 2 times where nothing is zero."""
    found = []
    for number, (batch, way) in enumerate((batch, way) for batch in (32, 128) for way in WAYS):
        seconds = {"numba_sparse": 0.5, torch: 1.0 if way == "no zeros" else 2.0, "floor": 0.25}
        about = {"way": way} | ({"zeros": 0.8} if zeros else {})
        key = {"batch": batch, "plan": f"batches of {batch}, Nesterov 0.9"}
        found.append(
            race_records(
                seconds, number=number, generations=generations, key=key, purpose="peers", about=about, noise=1e-4
            )
        )
    return found


def test_four_ratios_side_by_side(tmp_path: Path) -> None:
    chosen = choose([written(tmp_path, "p.jsonl", *raced_peers())])
    assert chosen.peers is not None
    sheet = peers.table(chosen.peers)
    assert [row[:2] for row in sheet.rows] == [[n, b] for b in ("32", "128") for n in ("torch", "floor")]
    row = rows_of(sheet)["torch"]
    prepared = (2 + 0.03125) / (0.5 + 0.03125)
    assert [float(row[i]) for i in (1, 3, 5, 7)] == pytest.approx([4, prepared, 4, 2], rel=2e-3)
    assert all(" to " in row[i] for i in (2, 4, 6, 8))
    assert "80 % of the pixels are zero" in sections.summary(chosen)
    assert "batches of 32, 128, Nesterov 0.9" in peers.setting(chosen.peers)
    assert "batches of 128, Nesterov 0.9, shuffled" in sections.csv_files(chosen)["samples.csv"]
    (marks,) = {len(line.get_xdata()) for line in peers.ratios(chosen.peers).axes[0].lines} - {2}  # type: ignore[arg-type]
    assert marks == 1


PEERS = {
    "one generation": raced_peers(1),
    "awkward": raced_peers(torch=EVIL),
    "no share": raced_peers(zeros=False),
}


@pytest.mark.parametrize("case", PEERS)
def test_odd_peers_give_a_page(case: str, tmp_path: Path) -> None:
    chosen = choose([written(tmp_path, "p.jsonl", *PEERS[case])])
    assert chosen.peers is not None
    (drawn,) = peers.drawn(chosen.peers)
    html = page(chosen, {drawn.name: (drawn, figures.svg(drawn.figure))})
    ET.fromstring(html)
    assert "Against other libraries, a figure" in html
