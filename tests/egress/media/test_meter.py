from __future__ import annotations

import pytest

from egress.media.meter import WINDOW, Meter
from egress.path.pace import BURST


def test_the_meter_finds_the_rate_and_the_bursts() -> None:
    meter = Meter()
    for frame in range(300):  # 10 s of 10,000 bytes a frame, and 100,000 every second
        keyframe = frame % 30 == 0
        meter.add(100_000 if keyframe else 10_000, frame / 30)
        assert (meter.burst > BURST) or not keyframe
    assert meter.rate == pytest.approx(390_000, rel=0.05)
    assert meter.burst < BURST


def test_the_meter_forgets_a_burst_that_has_not_come_again() -> None:
    meter = Meter()
    for frame in range(400):
        meter.add(100_000 if frame == 0 else 10_000, frame / 30)
        assert (meter.largest > 90_000) is (frame / 30 < 2 * WINDOW), frame


def test_the_meter_has_a_guess_from_the_start() -> None:
    meter = Meter()
    meter.add(100_000, 5.0)
    assert 100_000 <= meter.rate <= 400_000
