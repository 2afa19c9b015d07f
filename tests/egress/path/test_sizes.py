"""The largest datagram that arrives: a path with a small MTU beside those that lose all alike, or large ones more."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from egress.path.sizes import AGAIN, BARE, FULL, SIZES, STEP, TRIES, Sizes
from rigs.path import Path

Passes = Callable[[int, float], bool]
SMALL, LARGE = 300, 1_188  # bytes


def search(sizes: Sizes, passes: Passes, rounds: int = 3 * TRIES, start: float = 0.0) -> None:
    """Ask as many times, once a second."""
    for second in range(rounds):
        now = start + second
        if not (wanted := sizes.wanted(now)):
            continue
        bare = passes(BARE, now)
        missed = []
        for size in wanted:
            if passes(size, now):
                sizes.arrived(size, now)
            else:
                missed.append(size)
        if bare:
            sizes.missed(missed, now)


@pytest.mark.parametrize("mtu", [300, 576, 972, 1_199])
def test_a_path_that_loses_what_is_large_has_a_bound(mtu: int) -> None:
    sizes = Sizes()
    search(sizes, lambda size, _: size <= mtu, rounds=TRIES)
    assert abs(mtu - sizes.bound) < STEP


def test_it_is_asked_for_the_largest_alone_as_long_as_that_may_do() -> None:
    sizes = Sizes()
    assert sizes.wanted(0.0) == (FULL,)
    sizes.arrived(FULL, 0.1)
    assert sizes.wanted(1.0) == ()
    assert sizes.wanted(0.1 + AGAIN) == (FULL,)
    sizes.missed([FULL], 11.0)
    assert sizes.wanted(12.0) == SIZES
    assert sizes.bound == 0


def test_what_is_found_is_asked_for_again_seldom_and_revised() -> None:
    sizes = Sizes()
    search(sizes, lambda size, _: size <= 800, rounds=TRIES + 1)
    assert sizes.bound == 800
    assert sizes.wanted(TRIES + 2.0) == ()
    search(sizes, lambda _size, _: True, rounds=1, start=TRIES + AGAIN)
    assert sizes.bound == 0


def test_a_path_that_becomes_small_is_found_out() -> None:
    sizes = Sizes()
    search(sizes, lambda _size, _: True)
    search(sizes, lambda size, _: size <= 500, start=100.0)
    assert 0 <= 500 - sizes.bound < STEP


@pytest.mark.parametrize("loss", [0.1, 0.3, 0.5])
def test_a_path_that_loses_all_alike_has_none(loss: float) -> None:
    for seed in range(50):
        path, sizes = Path(loss=loss, seed=seed), Sizes()
        search(sizes, lambda size, now, path=path: path.carry(max(size, 100), now) is not None, rounds=100)
        assert sizes.bound == 0


def test_a_path_that_does_not_answer_at_all_has_none() -> None:
    sizes = Sizes()
    search(sizes, lambda _size, _now: False, rounds=100)
    assert sizes.bound == 0


def test_a_thin_line_that_is_overrun_has_none() -> None:
    """Its queue is full of video, and has room for what is small more often than for what is large."""
    for seed in range(20):
        path, sizes, chance = Path(rate=1_000_000, queue=8_000), Sizes(), random.Random(seed)
        for second in range(60):
            newest = 0
            for packet in range(200):
                now = second + packet / 200
                size = chance.choice((SMALL, LARGE, LARGE))
                if path.carry(size, now) is not None:
                    newest = size
                if packet % 100 == 99:
                    search(sizes, lambda size, at, path=path: path.carry(max(size, 100), at) is not None, 1, now)
            sizes.arrived(newest, second + 1.0)  # as the receiver's report has it
        assert sizes.bound == 0
