from __future__ import annotations

from types import SimpleNamespace

import pytest

from egress.media.meter import Meter
from egress.path.quality import LOCAL_RATE, LOCAL_ROUND_TRIP, LOSS, LOSSY_FOR, PathQuality


def local() -> PathQuality:
    quality = PathQuality()
    quality.measured(LOCAL_ROUND_TRIP / 2)
    return quality


def test_a_path_is_thin_until_it_is_known() -> None:
    assert PathQuality().thin(now=0.0)
    assert not local().thin(now=0.0)


def test_the_shortest_round_trip_counts() -> None:
    quality = local()
    quality.measured(10.0)
    assert not quality.thin(now=0.0)


def test_loss_makes_a_path_thin_for_a_while() -> None:
    quality = local()
    quality.lost(0.001, now=10.0)
    assert not quality.thin(now=10.0)
    quality.lost(0.05, now=10.0)
    assert quality.thin(now=10.0)
    assert quality.lossy(now=10.0)
    assert not quality.thin(now=10.0 + LOSSY_FOR)
    assert not quality.lossy(now=10.0 + LOSSY_FOR)


def test_a_lossy_paths_receiver_keeps_pictures_for_as_long_as_a_keyframe_and_its_repair_take() -> None:
    meter, quality = Meter(), PathQuality()
    for frame in range(600):
        meter.add(250_000 if frame % 30 == 0 else 10_000, frame / 30)
    assert meter.largest == pytest.approx(250_000, rel=0.01)
    quality.measured(0.04)
    assert quality.playout_delay(meter.rate, meter.largest, now=5.0) == 0
    quality.lost(0.05, now=5.0)
    assert quality.playout_delay(meter.rate, meter.largest, now=5.0) == pytest.approx(0.3), (
        "231 ms at 1.08 MB/s; and 60 ms, in steps of 50"
    )
    assert quality.playout_delay(meter.rate, meter.largest, now=5.0 + LOSSY_FOR) == 0


@pytest.mark.parametrize(("size", "delay"), [(1_000, 0.15), (10_000_000, 0.5)])
def test_a_playout_delay_is_neither_too_short_to_repair_a_loss_nor_too_long_to_be_live(size: int, delay: float) -> None:
    meter, quality = Meter(), PathQuality()
    meter.add(size, 0.0)
    quality.measured(0.01)
    quality.lost(0.05, now=0.0)
    assert quality.playout_delay(meter.rate, meter.largest, now=0.0) == pytest.approx(delay)


def test_a_path_by_tcp_is_never_thin() -> None:
    quality = PathQuality()
    quality.measured(0.3)
    quality.lost(0.5, now=0.0)
    assert quality.thin(now=0.0)
    quality.reliable = True
    assert not quality.thin(now=0.0)
    assert not quality.lossy(now=0.0)
    assert quality.playout_delay(500_000, 200_000, now=0.0) == 0.0
    quality.reliable = False
    assert quality.thin(now=0.0)


def test_the_least_loss_that_counts_makes_a_path_lossy() -> None:
    quality = local()
    quality.lost(LOSS, now=10.0)
    assert quality.lossy(now=10.0)


def test_a_path_that_carries_much_and_loses_some_is_sent_no_more_than_a_local_one() -> None:
    quality = local()
    quality.lost(0.05, now=0.0)
    quality.capacity = SimpleNamespace(estimate=4 * LOCAL_RATE)  # type: ignore[assignment]
    assert quality.rate(500_000, now=0.0) == LOCAL_RATE
