"""Sequence numbers of packets that come over TCP."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from ingest.rtp.numbers import NONSENSE, STEPS, Numbers


class Track:
    """Packets with numbers of which none repeats the one before it; which of them were the next one."""

    def __init__(self, *, udp: bool = False) -> None:
        self.numbers = Numbers(udp=udp)
        self.expected = -1
        self.received = 0

    def come(self, sequences: Iterable[int], others: Iterable[int] = (), *, repeated: bool = False) -> list[bool]:
        known = []
        for sequence in sequences:
            taken = sequence == self.expected
            self.received += taken
            known.append(
                taken or self.numbers.is_next(sequence, self.expected, self.received, set(others), repeated=repeated)
            )
            if not repeated:
                self.expected = sequence + 1 & 0xFFFF
        return known


@pytest.mark.parametrize("sequences", [[7] * 60, [n // 9 for n in range(90)], list(range(90, 0, -1)), [5, 40_000] * 40])
def test_numbers_that_count_nothing_are_not_looked_at_after_a_while(sequences: list[int]) -> None:
    track = Track()
    known = track.come(sequences)
    assert track.numbers.mean_nothing
    assert all(known[-20:])


def test_packets_that_come_twice_are_no_nonsense() -> None:
    track = Track()
    track.come([1])
    assert track.come([1] * 60, repeated=True) == [False] * 60
    assert not track.numbers.mean_nothing


def test_packets_that_a_camera_leaves_out_are_missing() -> None:
    track = Track()
    sequences = [n for n in range(600) if n % 7 not in (2, 3)]
    assert not any(known for known, n in zip(track.come(sequences), sequences, strict=True) if n % 7 == 4)
    assert not track.numbers.mean_nothing


@pytest.mark.parametrize("udp", [True, False])
@pytest.mark.parametrize("step", [2, 160, 256])
def test_numbers_that_go_in_equal_steps_count_nothing(step: int, udp: bool) -> None:
    track = Track(udp=udp)
    known = track.come([n * step & 0xFFFF for n in range(3 * STEPS)])
    assert all(known[2 * STEPS :])


@pytest.mark.parametrize("udp", [True, False])
@pytest.mark.parametrize("size", [200, 256, 1 << 15])
def test_a_counter_of_less_than_16_bits_is_known_by_its_second_round(size: int, udp: bool) -> None:
    track = Track(udp=udp)
    known = track.come([n % size for n in range(3 * size)])
    assert not known[size]
    assert known[2 * size]
    assert not track.numbers.mean_nothing


@pytest.mark.parametrize("sequences", [[7] * 60, list(range(90, 0, -1)), [5, 40_000] * 40])
def test_over_udp_numbers_of_which_none_follows_another_count_nothing(sequences: list[int]) -> None:
    track = Track(udp=True)
    assert all(track.come(sequences)[-20:])


def test_over_udp_numbers_count_from_a_new_beginning_on() -> None:
    track = Track(udp=True)
    track.come(range(50_000, 50_100))
    order, expected = track.numbers, track.expected
    assert not any(order.is_next(n, expected, track.received, (), repeated=False) for n in range(60))
    assert not order.mean_nothing


def test_over_udp_no_other_track_says_which_number_is_next() -> None:
    track = Track(udp=True)
    track.come([10])
    assert track.come([14], others=[14]) == [False]


def test_a_new_beginning_now_and_then_is_no_nonsense() -> None:
    track = Track()
    for _ in range(2 * NONSENSE):
        track.come(range(50_000, 50_004))
        track.come(range(100, 104))
    assert not track.numbers.mean_nothing


def test_packets_of_all_tracks_that_are_counted_together() -> None:
    track = Track()
    track.come([10])
    assert track.come([14], others=[14]) == [True]
    assert track.come([20], others=[14]) == [False]


def test_one_jump_back_twice_without_a_round_between_is_no_short_counter() -> None:
    track = Track()
    track.come(range(60, 101))
    assert track.come([50, 51, 99, 100, 50]) == [False, True, False, True, False]
