import pytest

from egress.path.pace import BURST, LOCAL_BURST, LOCAL_RATE, LOCAL_ROUND_TRIP, LOSSY_FOR, MIN_RATE, WINDOW, Meter, Pace


def local() -> Pace:
    pace = Pace()
    pace.measured(LOCAL_ROUND_TRIP / 2)
    return pace


def test_a_path_is_thin_until_it_is_known() -> None:
    assert Pace().thin(now=0.0)
    assert not local().thin(now=0.0)


def test_the_shortest_round_trip_counts() -> None:
    pace = local()
    pace.measured(10.0)
    assert not pace.thin(now=0.0)


def test_loss_makes_a_path_thin_for_a_while() -> None:
    pace = local()
    pace.lost(0.001, now=10.0)
    assert not pace.thin(now=10.0)
    pace.lost(0.05, now=10.0)
    assert pace.thin(now=10.0)
    assert not pace.thin(now=10.0 + LOSSY_FOR)


@pytest.mark.parametrize(
    ("pace", "camera_rate", "burst", "rate"),
    [
        (local(), 500_000, LOCAL_BURST, LOCAL_RATE),
        (Pace(), 500_000, BURST, 1_000_000),
        (Pace(), 0, BURST, MIN_RATE),
    ],
)
def test_what_may_be_sent_never_exceeds_burst_plus_rate(pace: Pace, camera_rate: int, burst: int, rate: int) -> None:
    sent = 0
    for step in range(400):
        now = step * 0.005
        budget = pace.budget(camera_rate, now)
        assert budget <= burst
        sent += budget
        pace.spend(budget)
        assert sent <= burst + rate * now + 1
    assert sent > 0.9 * (burst + rate * 400 * 0.005)


def test_the_meter_finds_the_rate_and_the_bursts() -> None:
    meter = Meter()
    for frame in range(300):  # 10 s of 10,000 bytes a frame, and 100,000 every second
        keyframe = frame % 30 == 0
        meter.add(100_000 if keyframe else 10_000, frame / 30)
        assert (meter.burst > BURST) or not keyframe
    assert meter.rate == pytest.approx(390_000, rel=0.05)
    assert meter.burst < BURST


def test_a_lossy_paths_receiver_keeps_pictures_for_as_long_as_a_keyframe_and_its_repair_take() -> None:
    meter, pace = Meter(), Pace()
    for frame in range(600):
        meter.add(250_000 if frame % 30 == 0 else 10_000, frame / 30)
    assert meter.largest == pytest.approx(250_000, rel=0.01)
    pace.measured(0.04)
    assert pace.playout_delay(meter, now=5.0) == 0
    pace.lost(0.05, now=5.0)
    assert pace.playout_delay(meter, now=5.0) == pytest.approx(0.3), "231 ms at 1.08 MB/s; and 60 ms, in steps of 50"
    assert pace.playout_delay(meter, now=5.0 + LOSSY_FOR) == 0


@pytest.mark.parametrize(("size", "delay"), [(1_000, 0.15), (10_000_000, 0.5)])
def test_a_playout_delay_is_neither_too_short_to_repair_a_loss_nor_too_long_to_be_live(size: int, delay: float) -> None:
    meter, pace = Meter(), Pace()
    meter.add(size, 0.0)
    pace.measured(0.01)
    pace.lost(0.05, now=0.0)
    assert pace.playout_delay(meter, now=0.0) == pytest.approx(delay)


def test_the_meter_forgets_a_burst_that_has_not_come_again() -> None:
    meter = Meter()
    for frame in range(400):
        meter.add(100_000 if frame == 0 else 10_000, frame / 30)
        assert (meter.largest > 90_000) is (frame / 30 < 2 * WINDOW), frame


def test_the_meter_has_a_guess_from_the_start() -> None:
    meter = Meter()
    meter.add(100_000, 5.0)
    assert 100_000 <= meter.rate <= 400_000
