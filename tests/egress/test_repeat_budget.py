"""Repetitions are bounded by what the camera sends, and not by how often they are asked for."""

from __future__ import annotations

import pytest

from egress.repeat_budget import LEAST_RATE, PACKETS_BURST, PACKETS_SHARE, PICTURES_SHARE, RepeatBudget

RATE = 250_000.0  # bytes/s


def sent_again(requests: int, seconds: float, rate: float = RATE) -> int:
    repeats = RepeatBudget()
    return sum(1_000 * repeats.allow_packet(1_000, rate, at * seconds / requests) for at in range(requests))


@pytest.mark.parametrize("rate", [RATE, 10 * RATE])
def test_packets_are_bounded_by_the_cameras_rate(rate: float) -> None:
    most = PACKETS_BURST * rate + 20 * PACKETS_SHARE * rate
    for requests in (50_000, 200_000):
        assert most * 0.95 < sent_again(requests, 20.0, rate) <= most + 1_000


def test_what_an_honest_viewer_loses_is_sent_again() -> None:
    asked = int(0.2 * 20 * RATE / 1_000)
    assert sent_again(2 * asked, 20.0) == 2 * asked * 1_000


def test_an_outage_is_made_up_for_at_once() -> None:
    repeats = RepeatBudget()
    for _ in range(int(1.5 * RATE / 1_000)):
        assert repeats.allow_packet(1_000, RATE, 7.0)


def test_a_camera_whose_rate_is_not_known_has_some() -> None:
    repeats = RepeatBudget()
    allowed = sum(repeats.allow_packet(1_000, 0.0, 1.0) for _ in range(1_000))
    assert allowed == PACKETS_BURST * LEAST_RATE // 1_000


def test_groups_of_pictures_are_bounded_by_the_cameras_rate() -> None:
    repeats, size = RepeatBudget(), int(4 * RATE)
    sent = sum(size * repeats.allow_pictures(size, RATE, tick / 10) for tick in range(1_000))
    assert 0.9 * 100 * PICTURES_SHARE * RATE < sent <= 100 * PICTURES_SHARE * RATE + size


def test_the_first_group_of_pictures_is_sent_however_large_it_is() -> None:
    assert RepeatBudget().allow_pictures(1 << 24, RATE, 0.0)


def test_a_clock_that_goes_back_gives_nothing() -> None:
    repeats = RepeatBudget()
    assert repeats.allow_pictures(1_000, RATE, 100.0)
    assert not repeats.allow_pictures(1_000, RATE, 0.0)
    assert repeats.allow_pictures(1_000, RATE, 101.0)


def test_time_that_goes_back_costs_and_brings_nothing() -> None:
    repeats = RepeatBudget()
    assert repeats.allow_packet(1_000, RATE, 10.0)
    assert repeats.allow_packet(1_000, RATE, 5.0)
    while repeats.allow_packet(1_000, RATE, 10.0):
        pass
    assert not repeats.allow_packet(1_000, RATE, 5.0)
    assert not repeats.allow_packet(1_000, RATE, 10.0)
