"""Moments at which looks come together."""

from __future__ import annotations

import asyncio

import pytest

from common.moments import moment, waited


@pytest.mark.parametrize(
    ("now", "interval", "due"),
    [
        (7.0, 1.0, 8.0),
        (7.3, 1.0, 8.0),
        (7.89, 1.0, 8.0),
        (7.9995, 1.0, 9.0),  # a timer was early: this moment's look has just been
        (8.001, 1.0, 9.0),
        (7.3, 0.25, 7.5),
        (7.5, 0.5, 8.0),
    ],
)
def test_looks_of_all_processes_come_at_the_same_moments(now: float, interval: float, due: float) -> None:
    assert moment(now, interval) == due


def test_a_moment_of_a_longer_interval_is_one_of_the_shorter_ones_too() -> None:
    assert {moment(now, 1.0) for now in (3.1, 3.5, 3.8)} == {moment(3.8, 0.25)}


def test_two_looks_lie_a_tenth_of_their_interval_apart_at_least_and_little_more_than_one_at_most() -> None:
    gaps = [moment(now / 1_000, 0.25) - now / 1_000 for now in range(5_000)]
    assert min(gaps) >= 0.0249
    assert max(gaps) <= 0.2751


async def test_what_is_waited_for_ends_the_wait_and_else_the_moment_does() -> None:
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert not await waited(0.01, event)
    assert loop.time() - began < 60
    event.set()
    async with asyncio.timeout(60):
        assert await waited(1e9, event)
