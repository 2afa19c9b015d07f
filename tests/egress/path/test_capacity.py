import pytest

from egress.path.capacity import FRESH, MIN_TRAIN, RESOLUTION, TRAINS_KEPT, Capacity


def arrivals(first: int, count: int, spacing: float) -> dict[int, float]:
    return {first + n: 5.0 + n * spacing for n in range(count)}


def test_a_trains_spread_is_the_narrowest_links_rate() -> None:
    capacity = Capacity()
    assert capacity.estimate is None
    capacity.add([(100, 150)], arrivals(100, 50, 0.001), size=1_250, now=0.0)
    assert capacity.estimate == pytest.approx(1_250_000)  # 10 Mb/s


def test_lost_packets_count_for_nothing() -> None:
    capacity = Capacity()
    times = arrivals(0, 10, 0.001)
    for index in (1, 2, 3, 4):
        del times[index]
    capacity.add([(0, 10)], times, size=1_000, now=0.0)
    assert capacity.estimate == pytest.approx(5 * 1_000 / 0.009)


def test_short_trains_and_foreign_packets_tell_nothing() -> None:
    capacity = Capacity()
    capacity.add([(0, MIN_TRAIN - 1), (50, 60)], arrivals(0, 20, 0.001), size=1_000, now=0.0)
    assert capacity.estimate is None


def test_a_spread_below_the_resolution_is_a_fast_path() -> None:
    capacity = Capacity()
    capacity.add([(0, 10)], arrivals(0, 10, 0.0), size=1_000, now=0.0)
    assert capacity.estimate == 9 * 1_000 / RESOLUTION


def test_single_trains_do_not_move_the_estimate() -> None:
    capacity = Capacity()
    for _ in range(10):
        capacity.add([(0, 10)], arrivals(0, 10, 0.001), size=1_000, now=0.0)
    capacity.add([(0, 10)], arrivals(0, 10, 0.1), size=1_000, now=0.0)
    assert capacity.estimate == pytest.approx(1_000_000)
    for _ in range(TRAINS_KEPT):
        capacity.add([(0, 10)], arrivals(0, 10, 0.002), size=1_000, now=0.0)
    assert capacity.estimate == pytest.approx(500_000), "a path that changed is seen"


def test_the_newest_trains_tell_of_a_path_that_has_become_another_and_old_ones_nothing() -> None:
    capacity = Capacity()
    for second in range(10):
        capacity.add([(0, 10)], arrivals(0, 10, 0.001), size=1_000, now=second)
    for second in range(10, 12):
        capacity.add([(0, 10)], arrivals(0, 10, 0.01), size=1_000, now=second)
    assert capacity.newest(12.0) == pytest.approx(100_000)
    assert capacity.estimate == pytest.approx(1_000_000)
    assert capacity.newest(11.0 + FRESH) is None
