"""Sizes of packets that reach a viewer: a path with a small MTU beside one that loses all alike."""

from __future__ import annotations

import random

import pytest

from egress.path.sizes import EVIDENCE, SPAN, STEP, Sizes

SMALL, LARGE = 300, 1_100  # bytes


def told(sizes: Sizes, packets: list[int], lost: set[int], every: int = 10) -> None:
    """Have a receiver ask for what it lost, each ten packets."""
    for first in range(0, len(packets), every):
        asked = {number for number in range(first, first + every) if number in lost}
        sizes.learn(asked, lambda number: packets[number] if number < len(packets) else None)


@pytest.mark.parametrize("mtu", [576, 1_000])
def test_a_path_that_loses_what_is_large_has_a_bound(mtu: int) -> None:
    chance, sizes = random.Random(1), Sizes()
    packets = [chance.randrange(40, 1_161) for _ in range(2_000)]
    told(sizes, packets, {number for number, size in enumerate(packets) if size > mtu})
    assert abs(sizes.bound - mtu) <= STEP


def test_a_path_that_loses_a_third_of_all_has_none() -> None:
    chance, sizes = random.Random(2), Sizes()
    packets = [chance.choice((SMALL, LARGE)) for _ in range(2_000)]
    told(sizes, packets, {number for number in range(2_000) if chance.random() < 0.3})
    assert sizes.bound == 0


def test_nothing_follows_from_a_few_packets_or_from_none_that_is_small() -> None:
    few, large = Sizes(), Sizes()
    told(few, [SMALL, LARGE] * (EVIDENCE - 1), set(range(1, 2 * EVIDENCE, 2)))
    assert few.bound == 0
    told(large, [LARGE] * 1_000, set(range(0, 1_000, 2)))
    assert large.bound == 0
    assert Sizes().bound == 0


def test_a_packet_counts_once_and_of_a_long_silence_the_newest_do() -> None:
    sizes, looked = Sizes(), []

    def size_of(number: int) -> int:
        looked.append(number)
        return LARGE

    sizes.learn({5, 8}, size_of)
    sizes.learn({5, 8, 9}, size_of)
    sizes.learn({5}, size_of)
    sizes.learn(set(), size_of)
    assert looked == [5, 6, 7, 8, 9]
    sizes.learn({10, 10_000}, size_of)
    assert len(looked) == 5 + SPAN + 1
