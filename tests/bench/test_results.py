from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.measure import KERNEL_ROLE, Measured, Usage
from bench.results import Check, Result, Run
from rigs.load.report import Spread, ViewerCounts, Window


def run(server: str, viewers: int, cpu: float, *, packets: int = 1_000_000) -> Run:
    roles = {
        "egress": Usage(cpu * 0.5, cpu * 0.25, 200_000_000, 1),
        "broker": Usage(cpu * 0.25, 0.0, 50_000_000, 1),
        "camera": Usage(9.0, 9.0, 1, 1),
        KERNEL_ROLE: Usage(0.0, 1.0, 0, 2),
    }
    each = [
        ViewerCounts(n, state="connected", packets=packets // viewers, bytes=packets * 1000 // viewers)
        for n in range(viewers)
    ]
    window = Window(10.0, each, delay_ms=Spread(1, 1.0, 1.0, 1.0, 2.0, 2.0), load_user=1.0)
    idle = {"egress": 100_000_000, "broker": 50_000_000}
    return Run(server, "1.0", f"{viewers} viewers", 1, viewers, Measured(10.0, roles, 5.0), window, idle)


def test_what_follows_from_a_run() -> None:
    measured = run("ours", 100, 4.0)
    assert measured.packets == 1_000_000
    assert measured.microseconds() == pytest.approx(4.0)
    assert measured.microseconds("egress") == pytest.approx(3.0)
    assert measured.cores == pytest.approx(0.4)
    assert measured.megabits == pytest.approx(800)
    assert measured.memory_a_viewer() == pytest.approx(1_000_000)
    assert measured.load_microseconds == pytest.approx(1.0)


def test_results_are_written(tmp_path: Path) -> None:
    result = Result("scaling", "python -m bench run scaling", "2026-01-02T03:04:05Z")
    result.runs += [run("ours", 10, 0.4), run("ours", 100, 4.0), run("Peer", 100, 20.0)]
    result.checks += [Check("cheap", 4.0, 4.8, "µs"), Check("ratio", 5.0, 6.0, "x", at_least=True)]
    result.skipped.append("Other: not here")
    page = result.write(tmp_path)
    text = page.read_text()
    assert "| Peer | 100 viewers | 100 | 20.00 |" in text
    assert "| cheap | ≤ 4.8 µs | 4 µs | yes |" in text
    assert "| ratio | ≥ 6 x | 5 x | **no** |" in text
    assert "Other: not here" in text
    written = json.loads(page.with_suffix(".json").read_text())
    assert written["runs"][2]["cpu_us_a_packet"] == 20.0
    assert [check["reached"] for check in written["checks"]] == [True, False]


def test_the_ratio_is_that_of_cpu_for_the_same_viewers() -> None:
    result = Result("fanout", "", "2026-01-02T03:04:05Z")
    # Half the packets, twice as large, for the same cost: a packet is dearer, a viewer is not.
    result.runs += [run("ours", 100, 4.0), run("Peer", 100, 4.0, packets=500_000)]
    rows = [line for line in result.to_markdown().splitlines() if line.startswith("| Peer")]
    assert rows[0].endswith("| 1.0 |")
    assert "| 8.00 |" in rows[0]
