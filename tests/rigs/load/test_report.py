from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rigs.load.report import Spread, ViewerCounts, Window


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_are_in_order_and_among_the_values(values: list[float]) -> None:
    spread = Spread.of(values)
    found = [spread.minimum, spread.median, spread.p90, spread.p99, spread.maximum]
    assert found == sorted(found)
    assert set(found) <= {round(value, 4) for value in values}
    assert spread.count == len(values)


def test_percentiles_by_nearest_rank() -> None:
    spread = Spread.of(range(1, 101))
    assert (spread.minimum, spread.median, spread.p90, spread.p99, spread.maximum) == (1, 50, 90, 99, 100)


def test_no_values() -> None:
    assert Spread.of([]) == Spread()


def test_a_window_holds_what_came_after_its_start() -> None:
    before = ViewerCounts(1, packets=10, lost=1, gap_ms=90.0)
    after = ViewerCounts(1, state="connected", packets=25, lost=1, gap_ms=12.0, connect_ms=40.0)
    counts = after.since(before)
    assert (counts.packets, counts.lost, counts.gap_ms, counts.connect_ms) == (15, 0, 12.0, 40.0)


def test_sums_and_spreads() -> None:
    viewers = [ViewerCounts(n, state="connected", packets=n, connect_ms=float(n)) for n in (1, 2, 3)]
    window = Window(10.0, [*viewers, ViewerCounts(4, state="failed")])
    assert window.connected == 3
    assert window.total("packets") == 6
    assert window.spread("connect_ms").maximum == 3
    written = window.to_json()
    assert written["sum"]["packets"] == 6
    assert written["spread"]["connect_ms"]["median"] == 2
    assert len(written["viewers"]) == 4
    assert "viewers" not in window.to_json(viewers=False)
    assert written["sum"]["connected"] == pytest.approx(3)
