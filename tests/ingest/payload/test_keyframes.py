"""After a loss nothing until the next keyframe, and why a picture does not begin."""

from __future__ import annotations

import pytest

from ingest.payload.h264 import NO_IDR_AFTER_NS
from ingest.payload.keyframes import NEVER_NS
from rigs.video import TICKS, encode, kind, packetise, units_of
from tests.fakes.h264 import SLICES, SPROP, UNITS, WANTED, Stream


def test_intra_refresh_is_published_from_a_recovery_point_on_and_said_to_need_conversion() -> None:
    units = encode(80, options="intra-refresh=1:keyint=10:min-keyint=10", profile="main")
    stream, said = Stream(), []
    for number, unit in enumerate(units[5:]):
        stream.feed(packetise([list(unit)], start=number * TICKS))
        stream.arrival_ns += 40_000_000
        said.append((stream.track.hindrance, stream.track.track.convert))
    assert said[10] == ("waiting for its first keyframe", "")
    assert said[70][0] == ""
    assert "intra refresh" in said[70][1]
    assert stream.track.track.warning == ""
    assert [batch.timestamp // TICKS for batch in stream.batches if batch.keyframe] == [65]
    assert [kind(nal) for nal in stream.units()[0]] == [7, 8, 6, 1]


def test_after_a_loss_the_next_recovery_point_does_where_that_is_all_that_comes() -> None:
    units = encode(100, options="intra-refresh=1:keyint=10:min-keyint=10", profile="main")[1:]
    stream = Stream()
    for number, unit in enumerate(units):
        if number == 82:
            stream.track.lost()
        stream.feed(packetise([list(unit)], start=number * TICKS))
        stream.arrival_ns += 40_000_000
    assert [batch.timestamp // TICKS for batch in stream.batches if batch.keyframe] == [69, 79, 89]


def test_one_idr_in_a_minute_changes_nothing_about_intra_refresh_and_two_in_a_row_end_it() -> None:
    refreshed = encode(70, options="intra-refresh=1:keyint=10:min-keyint=10", profile="main")
    stream = Stream().feed(packetise(map(list, refreshed)))
    assert stream.track.track.convert == ""
    stream.arrival_ns += NO_IDR_AFTER_NS
    stream.feed(packetise(map(list, refreshed[1:]), start=100 * TICKS))
    assert "intra refresh" in stream.track.track.convert
    stream.arrival_ns += NO_IDR_AFTER_NS
    stream.feed(packetise(map(list, refreshed[:1]), start=200 * TICKS))
    assert "intra refresh" in stream.track.track.convert
    stream.feed(packetise(map(list, refreshed[:1]), start=210 * TICKS))
    assert stream.track.track.convert == ""


def test_no_keyframe_for_long_says_what_to_set() -> None:
    stream = Stream(SPROP)
    for number in range(150):
        stream.feed(packetise([SLICES[1]], start=number * TICKS))
        stream.arrival_ns += 40_000_000
    assert "set a keyframe interval" in stream.track.hindrance
    assert not stream.track.unseen
    stream.arrival_ns += NEVER_NS
    stream.feed(packetise([SLICES[1]], start=190 * TICKS))
    assert stream.track.unseen
    stream.feed(packetise(UNITS, start=200 * TICKS))
    assert not stream.track.unseen
    assert stream.track.hindrance == ""
    stream.track.lost()
    assert stream.track.hindrance == ""
    for number in range(150):
        stream.feed(packetise([SLICES[1]], start=(300 + number) * TICKS))
        stream.arrival_ns += 40_000_000
    assert "set a keyframe interval" in stream.track.hindrance


@pytest.mark.parametrize("read", [1, 1_000])
@pytest.mark.parametrize("unit", [10, 13])
def test_after_a_loss_nothing_until_the_next_keyframe(unit: int, read: int) -> None:
    packets = packetise(UNITS, size=600)
    at = next(i for i, packet in enumerate(packets) if packet.timestamp == unit * TICKS) + (5 if unit == 10 else 2)
    stream = Stream().feed(packets[:at], read=read, flush=False)
    stream.track.lost()
    stream.feed(packets[at + 1 :], read=read)
    ended = [batch.timestamp for batch in stream.batches if batch.unit_end]
    assert ended == [n * TICKS for n in (*range(unit), *range(20, 30))]
    damaged = [batch for batch in stream.batches if batch.timestamp == unit * TICKS]
    assert bool(damaged) == (read == 1)  # what has not left yet never does
    assert stream.track.dropped >= (20 - unit) * 4
    sequence = 0
    for batch in stream.batches:
        assert batch.sequence == sequence
        sequence += len(batch.payloads)
    after = [batch for batch in stream.batches if batch.timestamp >= 20 * TICKS]
    assert after[0].keyframe
    assert units_of(after) == WANTED[20:]


def test_loss_within_a_keyframe_does_not_restart_in_its_second_slice() -> None:
    sliced = encode(20, options="slices=4")
    packets = packetise(sliced)
    stream = Stream().feed(packets[:3])
    stream.track.lost()
    stream.feed(packets[4:])
    assert [batch.timestamp for batch in stream.batches if batch.keyframe] == [0, 10 * TICKS]
    assert {batch.timestamp // TICKS for batch in stream.batches} == {0, *range(10, 20)}


def test_loss_before_anything_was_published() -> None:
    stream = Stream()
    stream.track.lost()
    assert stream.feed(packetise(UNITS)).units() == WANTED


def test_starts_with_a_keyframe() -> None:
    stream = Stream().feed(packetise(UNITS)[7:])
    assert stream.units() == WANTED[10:]
