"""The budget of one camera."""

from __future__ import annotations

from ingest.budget import (
    BURST,
    FORGIVEN,
    LEAST_BURST,
    LEAST_WAIT,
    LOOK_BYTES,
    MAX_BATCHES,
    MAX_BUSY,
    MAX_PACKETS,
    PATIENCE,
    Budget,
)

RATE = 100 * 10**6 // 8  # bytes a second of the budgets here


def budget() -> Budget:
    return Budget(100, now=0.0, cpu=0.0)


def play(
    each: Budget, seconds: float, *, size: int = 0, packets: int = 0, batches: int = 0, busy: float = 0.0
) -> float:
    """A camera that sends so much a second, as fast as it is read. Returns the seconds for which it was not read."""
    now = cpu = waited = 0.0
    while now < seconds:
        cpu += busy / 100
        each.spend(size // 100, packets // 100, batches // 100, int(busy / 100 * 1e9))
        wait = each.wait(now, cpu)
        waited += wait
        now += 0.01 + wait
    return waited


def test_a_camera_within_its_budget_is_never_slowed() -> None:
    assert play(budget(), 60, size=RATE - 5_000, packets=3_000, batches=150, busy=0.05) == 0


def test_what_a_camera_may_send_at_once() -> None:
    for size, slowed in ((int(RATE * BURST), False), (int(RATE * BURST) + 1, True)):
        each = budget()
        each.spend(size, 1_000, 100, 0)
        assert bool(each.wait(0.0, 0.0)) == slowed


def test_a_keyframe_may_come_at_once_however_low_the_bitrate() -> None:
    each = Budget(1, now=0.0, cpu=0.0)
    each.spend(LEAST_BURST, 3_000, 1, 0)
    assert each.wait(0.0, 0.0) == 0
    each.spend(1_000, 1, 1, 0)
    assert each.wait(0.0, 0.0) > 0


def test_a_low_bitrate_is_looked_at_more_often() -> None:
    assert Budget(1, now=0.0, cpu=0.0).look_bytes < Budget(10, now=0.0, cpu=0.0).look_bytes < LOOK_BYTES
    assert Budget(200, now=0.0, cpu=0.0).look_bytes == LOOK_BYTES


def test_no_honest_camera_is_slowed() -> None:
    megabyte = 10**6
    for bursts, size, packets, batches in (
        (1, 3 * megabyte, 2_200, 1),  # 4K: a keyframe, all at once …
        (10, 750_000, 550, 6),  # … in 60 Mbit/s
        (1, 12 * megabyte, 9_000, 4),  # a keyframe that comes for 100 ms at 1 Gbit/s
        (100, 4_000, 20, 1),  # 2,000 tiny packets of G.711 a second, which become 50 or 100
    ):
        each = Budget(200, now=0.0, cpu=0.0)
        for burst in range(30 * bursts):
            each.spend(size, packets, batches, packets * 30_000)  # of a processor that is five times slower
            assert each.wait(burst / bursts, burst / bursts) == 0


def test_a_camera_over_its_budget_gets_what_the_budget_allows() -> None:
    waited = play(budget(), 9, size=3 * RATE)
    assert 5.0 < waited < 6.5  # of 9 seconds: two thirds, less the burst


def test_each_kind_of_work_is_limited() -> None:
    assert play(budget(), 9, packets=3 * MAX_PACKETS) > 4
    assert play(budget(), 9, batches=3 * MAX_BATCHES) > 4
    assert play(budget(), 9, busy=3 * MAX_BUSY) > 4


def test_time_that_others_took_on_the_processor_is_not_the_cameras() -> None:
    each = budget()
    each.spend(1, 1, 1, int(5e9))  # five seconds went by, in which this process had 0.1 of the processor
    assert each.wait(5.0, cpu=0.1) == 0


def test_a_wait_is_never_too_short_to_matter() -> None:
    each = budget()
    each.spend(int(RATE * BURST) + 10, 0, 0, 0)
    assert each.wait(0.0, 0.0) == LEAST_WAIT


def test_a_camera_that_stays_over_its_budget_is_complained_about() -> None:
    each = budget()
    now, said = 0.0, ""
    while not said and now < 100:
        each.spend(2 * RATE, 0, 0, 0)
        wait = each.wait(now, 0.0)
        said = each.complaint(now)
        now += wait
    assert "more than the 100 Mbit/s that limits.camera_bitrate allows" in said
    assert PATIENCE <= now < 2 * PATIENCE


def test_a_burst_now_and_then_is_forgiven() -> None:
    each = budget()
    for burst in range(20):
        now = burst * (4 * BURST + FORGIVEN)
        assert not each.wait(now, 0.0)  # as it is asked four times a second
        each.spend(int(2.5 * RATE), 0, 0, 0)
        assert each.wait(now, 0.0)
        assert not each.complaint(now)


def test_a_clock_that_goes_back_harms_nothing() -> None:
    each = budget()
    each.spend(10, 1, 1, -int(5e9))
    assert each.wait(1.0, 0.5) == 0
    assert each.wait(0.5, 0.4) == 0
