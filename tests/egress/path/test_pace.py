import pytest

from egress.path.pace import BURST, LOCAL_BURST, Pace
from egress.path.quality import LOCAL_RATE, LOCAL_ROUND_TRIP, MIN_RATE, PathQuality


@pytest.mark.parametrize(
    ("round_trip", "camera_rate", "burst", "rate"),
    [
        (LOCAL_ROUND_TRIP / 2, 500_000, LOCAL_BURST, LOCAL_RATE),
        (2 * LOCAL_ROUND_TRIP, 500_000, BURST, 1_000_000),
        (2 * LOCAL_ROUND_TRIP, 0, BURST, MIN_RATE),
    ],
)
def test_what_may_be_sent_never_exceeds_burst_plus_rate(
    round_trip: float, camera_rate: int, burst: int, rate: int
) -> None:
    quality, sent = PathQuality(), 0
    quality.measured(round_trip)
    pace = Pace(quality)
    for step in range(400):
        now = step * 0.005
        budget = pace.budget(camera_rate, now)
        assert budget <= burst
        sent += budget
        pace.spend(budget)
        assert sent <= burst + rate * now + 1
    assert sent > 0.9 * (burst + rate * 400 * 0.005)


def test_release_gives_back_what_was_held_and_takes_nothing() -> None:
    quality = PathQuality()
    quality.measured(LOCAL_ROUND_TRIP / 2)
    pace = Pace(quality)
    assert pace.budget(500_000, 0.0) == LOCAL_BURST
    pace.release()
    assert pace.budget(500_000, 0.0) == LOCAL_BURST
    pace.hold(10_000, 0.0)
    assert pace.budget(500_000, 0.0) == -10_000
    pace.release()
    assert pace.budget(500_000, 0.0) == 0
