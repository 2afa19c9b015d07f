"""Packets that a track does not expect: when they are strays, and when they are what the camera sends now."""

from __future__ import annotations

import pytest

from ingest.rtp.strays import ADOPT_FIRST, ADOPT_LATER, AROUND, LOYAL_NS, MAX_HELD, KnownSource, OtherType

OLD, NEW, THIRD = 1, 2, 3


def packet(number: int) -> tuple[bytes, int]:
    return bytes([number]), number * 1_000


def source() -> KnownSource:
    made = KnownSource()
    made.ssrc = OLD
    return made


def test_two_packets_in_a_row_make_a_new_source_and_the_first_of_them_is_not_lost() -> None:
    sources = source()
    assert sources.take_over(NEW, 9, packet(1)) is None
    assert sources.ssrc == OLD
    assert sources.take_over(NEW, 9, packet(2)) == [packet(1)]
    assert sources.ssrc == NEW


def test_what_comes_between_two_packets_shows_that_they_are_strays() -> None:
    sources = source()
    assert sources.take_over(NEW, 9, packet(1)) is None
    assert sources.take_over(NEW, 10, packet(2)) is None  # one of the old source came meanwhile
    assert sources.take_over(THIRD, 10, packet(3)) is None
    assert sources.take_over(NEW, 10, packet(4)) is None
    assert sources.ssrc == OLD


def test_the_source_before_does_not_come_back() -> None:
    sources = source()
    for number in (1, 2):
        sources.take_over(NEW, 9, packet(number))
    assert [sources.take_over(OLD, 9, packet(number)) for number in (3, 4, 5)] == [None] * 3
    assert sources.ssrc == NEW


def numbered(sequence: int, arrival_ns: int = 0) -> tuple[bytes, int]:
    return b"\x80\x60" + sequence.to_bytes(2), arrival_ns


@pytest.mark.parametrize(("ssrc", "sequence"), [(NEW, None), (None, 500), (NEW, 7)])
def test_the_announced_source_is_taken_at_once_and_kept_while_it_comes(ssrc: int | None, sequence: int | None) -> None:
    sources = KnownSource()
    assert sources.begins(OLD, 40_000, -1)
    sources.announce(ssrc, sequence)
    assert sources.take_over(NEW, 3, numbered(500 + AROUND - 1)) == []
    assert sources.ssrc == NEW
    assert [sources.take_over(THIRD, 9, numbered(number, number)) for number in range(70)] == [None] * 70
    held = [numbered(number, number) for number in range(70)]
    assert sources.take_over(THIRD, 9, numbered(70, LOYAL_NS)) == held, "none of the announced one comes"
    assert sources.ssrc == THIRD


def test_no_more_is_held_of_one_that_may_take_over_than_a_camera_sends_in_that_time() -> None:
    sources = KnownSource()
    sources.announce(OLD, 7)
    assert sources.begins(OLD, 7, -1)
    count = MAX_HELD + 5
    assert [sources.take_over(NEW, 3, numbered(number, number)) for number in range(count)] == [None] * count
    taken = sources.take_over(NEW, 3, numbered(count, LOYAL_NS))
    assert taken == [numbered(number, number) for number in range(MAX_HELD, count)], "without a gap to the next"


def test_what_is_held_is_forgotten_when_the_announced_source_comes_again() -> None:
    sources = KnownSource()
    sources.announce(OLD, 7)
    assert sources.begins(OLD, 7, -1)
    for packets in (3, 4, 5):
        assert [sources.take_over(NEW, packets, numbered(n, n)) for n in range(packets)] == [None] * packets
    assert sources.take_over(NEW, 5, numbered(9, LOYAL_NS)) == [numbered(n, n) for n in range(5)]


def test_what_is_announced_and_does_not_come_changes_nothing() -> None:
    sources = KnownSource()
    assert sources.begins(OLD, 40_000, -1)
    sources.announce(THIRD, 9)
    assert [sources.take_over(NEW, 3, numbered(number)) for number in (500, 501)] == [None, [numbered(500)]]


def test_a_camera_that_begins_anew_later_loses_nothing_though_it_announced_its_source() -> None:
    sources = KnownSource()
    sources.announce(OLD, 7)
    assert sources.begins(OLD, 7, -1)
    taken = [sources.take_over(NEW, AROUND, numbered(number, number)) for number in (500, 501)]
    assert taken == [None, [numbered(500, 500)]]
    assert sources.take_over(OLD, AROUND + 9, numbered(99)) is None, "one that took its time"
    assert sources.ssrc == NEW


def test_a_camera_that_changes_its_ssrc_as_it_likes_is_not_held_to_what_it_announced() -> None:
    sources = KnownSource()
    sources.announce(None, 7)
    assert sources.begins(OLD, 7, -1)
    assert sources.begins(NEW, 8, 8)
    taken = [sources.take_over(THIRD, 2, numbered(number, number)) for number in (10, 11)]
    assert taken == [None, [numbered(10, 10)]], "the packet between was lost"


def row(other: OtherType, payload_type: int, count: int, *, packets: int, sequence: int = 65_530) -> list[bool]:
    return [
        other.push(payload_type, NEW, sequence + number & 0xFFFF, packets, packet(number % 256))
        for number in range(count)
    ]


def test_before_the_first_packet_of_the_track_few_of_another_type_are_enough() -> None:
    other = OtherType(96)
    assert row(other, 97, ADOPT_FIRST, packets=0) == [False] * (ADOPT_FIRST - 1) + [True]
    assert other.take() == [packet(number) for number in range(ADOPT_FIRST)]


def test_beside_the_track_s_own_it_takes_many_and_only_the_last_are_kept() -> None:
    other = OtherType(96)
    assert row(other, 97, ADOPT_LATER, packets=5) == [False] * (ADOPT_LATER - 1) + [True]
    assert other.take() == [packet(number) for number in range(ADOPT_LATER - ADOPT_FIRST, ADOPT_LATER)]


def test_the_announced_type_is_believed_soon_though_another_one_was_adopted() -> None:
    assert row(OtherType(96), 96, ADOPT_FIRST, packets=5)[-1]


def test_a_row_ends_with_a_gap_another_type_another_source_or_a_packet_of_the_track() -> None:
    other = OtherType(96)
    assert not other.push(97, NEW, 1, 0, packet(1))
    assert not other.push(97, NEW, 3, 0, packet(2))
    assert not other.push(98, NEW, 4, 0, packet(3))
    assert not other.push(98, THIRD, 5, 0, packet(4))
    assert not other.push(98, THIRD, 6, 1, packet(5))
    assert other.push(98, THIRD, 7, 1, packet(6)) is False
    assert other.take() == [packet(5), packet(6)]


def test_what_was_taken_ends_the_row() -> None:
    other = OtherType(96)
    row(other, 97, ADOPT_FIRST, packets=0, sequence=1)
    other.take()
    assert not other.push(97, NEW, 1 + ADOPT_FIRST, 0, packet(9))
