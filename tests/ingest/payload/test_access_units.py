"""Pictures end where they should, whatever a camera does with markers and timestamps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from common.media import Kind
from common.payload.output import Output
from ingest.payload.access_units import ENDLESS, AccessUnits
from rigs.video import TICKS, Packet, encode, fragment, kind, packetise
from tests.fakes.clocks import ArrivalClock
from tests.fakes.h264 import ARRIVAL_NS, AUD, PARAMETER_SETS, SEI, SLICES, UNITS, WANTED, Stream


def test_batches_end_with_the_read_and_with_the_unit() -> None:
    stream = Stream().feed(packetise(UNITS), read=3)
    for before, after in zip(stream.batches, stream.batches[1:], strict=False):
        assert before.unit_end == (before.timestamp != after.timestamp)
    assert all(len(batch.payloads) <= 5 for batch in stream.batches)


def test_arrival_is_that_of_the_first_packet_of_the_batch() -> None:
    stream = Stream()
    for number, packet in enumerate(packetise(UNITS[:1])):
        stream.arrival_ns = ARRIVAL_NS + number
        stream.feed([packet], read=2)
    assert stream.batches[0].arrival_ns < stream.batches[-1].arrival_ns == ARRIVAL_NS + 8
    assert len({batch.capture_ns for batch in stream.batches}) == 1


@pytest.mark.parametrize("before", [False, True])
def test_an_empty_fragment_ends_its_nal_unit_and_the_marker_on_it_or_before_it_the_picture(before: bool) -> None:
    packets: list[Packet] = []
    for packet in packetise(UNITS):
        if packet.payload[0] & 0x1F == 28 and packet.payload[1] & 0x40:
            open_ = bytes((packet.payload[0], packet.payload[1] & ~0x40)) + packet.payload[2:]
            packets.append(replace(packet, payload=open_, marker=before and packet.marker))
            packet = replace(packet, payload=packet.payload[:2], marker=packet.marker and not before)
        packets.append(packet)
    stream = Stream()
    for packet, after in zip(packets, [*packets[1:], None], strict=True):
        stream.feed([packet])
        if after is None or after.timestamp != packet.timestamp:
            assert stream.batches[-1].unit_end
            assert stream.track.frames == packet.timestamp // TICKS + 1
    assert stream.units() == [list(unit) for unit in UNITS]
    assert stream.track.dropped == 0


def test_a_last_fragment_without_its_end_bit_is_believed_by_its_marker_after_a_few() -> None:
    stream = Stream()
    for packet in packetise(UNITS):
        if packet.payload[0] & 0x1F == 28:
            packet = replace(packet, payload=bytes((packet.payload[0], packet.payload[1] & ~0x40)) + packet.payload[2:])
        stream.feed([packet])
        if packet.marker and packet.timestamp > 10 * TICKS:
            assert stream.track.frames == packet.timestamp // TICKS + 1
    assert stream.units() == [list(unit) for unit in UNITS]


def test_a_marker_in_the_middle_of_a_nal_unit_ends_nothing() -> None:
    packets = packetise(UNITS)
    marked = [replace(packet, marker=packet.marker or packet.payload[0] & 0x1F == 28) for packet in packets]
    assert Stream().feed(marked).units() == [list(unit) for unit in UNITS]


def test_a_marker_without_a_payload_ends_the_picture() -> None:
    stream = Stream().feed(replace(packet, marker=False) for packet in packetise(UNITS[:1]))
    assert stream.track.frames == 0
    for _ in range(2):
        stream.track.mark()
        assert stream.feed([]).units() == [list(UNITS[0])]


def without_markers(packets: Sequence[Packet]) -> list[Packet]:
    return [Packet(packet.payload, packet.timestamp, False) for packet in packets]


@pytest.mark.parametrize("read", [1, 1_000])
def test_markers_missing(read: int) -> None:
    packets = without_markers(packetise(UNITS))
    stream = Stream().feed([*packets, Packet(AUD, 30 * TICKS, False)], read=read)
    assert stream.units() == WANTED
    assert stream.track.frames == 30


def test_markers_missing_and_timestamps_repeated() -> None:
    packets = [Packet(packet.payload, 0, False) for packet in packetise(UNITS)]
    assert Stream().feed([*packets, Packet(AUD, 1, False)]).units() == WANTED


def test_markers_on_parameter_sets_and_sei() -> None:
    packets = [
        Packet(packet.payload, packet.timestamp, packet.marker or kind(packet.payload) in (6, 7, 8))
        for packet in packetise([SEI, *unit] for unit in UNITS)
    ]
    stream = Stream().feed(packets)
    assert [unit[-1] for unit in stream.units()] == [nals[0] for nals in SLICES]
    assert stream.track.frames == 30


def test_parameter_sets_with_a_timestamp_of_their_own() -> None:
    packets = [
        Packet(packet.payload, packet.timestamp - (kind(packet.payload) in (7, 8)), packet.marker)
        for packet in packetise(UNITS)
    ]
    assert Stream().feed(packets).units() == WANTED


def test_markers_on_every_slice() -> None:
    sliced = encode(20, options="slices=4")
    packets = []
    for packet in packetise(sliced):
        last = kind(packet.payload) in (1, 5) or (kind(packet.payload) == 28 and packet.payload[1] & 0x40)
        packets.append(Packet(packet.payload, packet.timestamp, bool(last)))
    stream = Stream().feed([*packets, Packet(AUD, 20 * TICKS, False)])
    assert [nal for unit in stream.units() for nal in unit] == [nal for unit in sliced for nal in unit]
    assert len({batch.timestamp for batch in stream.batches}) == 20
    assert [list(unit) for unit in sliced][1:] == stream.units()[-19:]


def test_marker_on_every_packet() -> None:
    packets = [Packet(packet.payload, packet.timestamp, True) for packet in packetise(UNITS)]
    assert Stream().feed(packets).units() == WANTED


def test_markers_on_parameter_sets_are_not_those_of_slices() -> None:
    stream = Stream()
    sliced = encode(20, options="slices=4")
    stream.feed(Packet(nal, 0, True) for nal in sliced[0][:2])
    stream.track.lost()
    stream.feed(Packet(piece, 0, False) for piece in fragment(sliced[0][3], 1_400))
    assert stream.feed(packetise(sliced[10:], start=TICKS)).units() == [list(unit) for unit in sliced[10:]]


def test_marker_on_what_is_taken_out() -> None:
    packets = []
    for packet in packetise(UNITS):
        packets.append(Packet(packet.payload, packet.timestamp, False))
        if packet.marker:
            packets.append(Packet(b"\x0c\xff\x80", packet.timestamp, True))
    assert Stream().feed(packets).units() == WANTED


def test_timestamps_repeated() -> None:
    stream = Stream().feed(Packet(packet.payload, 0, packet.marker) for packet in packetise(UNITS))
    assert stream.units() == WANTED


# The marks of cameras that lie, one by one.


def begun(timestamp: int, units: AccessUnits | None = None) -> AccessUnits:
    """Access units of which one has begun, and is published."""
    units = units or AccessUnits(Output(Kind.VIDEO, "H264", ArrivalClock(), epoch=7), b"end")
    units.turn_to(timestamp)
    assert units.begin(True, False, True)
    units.publish(ARRIVAL_NS, 0)
    return units


def test_a_marker_within_a_nal_unit_is_believed_when_nothing_followed_it_a_few_times() -> None:
    units = begun(0)
    for number in range(1, ENDLESS + 1):
        assert not units.marked_within()
        begun(number, units)
    assert units.marked_within()


def test_a_fragment_behind_such_a_marker_begins_the_count_anew() -> None:
    units = begun(0)
    for number in range(1, ENDLESS + 1):
        assert not units.marked_within()
        begun(number, units)
    assert not begun(10, units).marked_open
    units.continued()
    assert not units.marked_within()


def test_a_stray_fragment_begins_the_count_anew_only_behind_the_unit_that_the_marker_ended() -> None:
    units = begun(0)
    for number in range(1, ENDLESS + 1):
        assert not units.marked_within()
        begun(number, units)
    units.continued_after_end()  # behind nothing that a marker ended
    assert units.marked_within()
    units.end()
    units.continued_after_end()
    begun(20, units)
    assert not units.marked_within()


def test_a_marker_in_the_middle_of_a_nal_unit_without_an_end_ends_nothing() -> None:
    unit = [*PARAMETER_SETS, b"\x65\x88" + bytes(range(1, 251)) * 40]
    packets = []
    for packet in packetise([unit] * 6):
        payload, middle = packet.payload, packet.payload == packetise([unit])[5].payload
        if kind(payload) == 28:
            payload = bytes((payload[0], payload[1] & ~0x40)) + payload[2:]
        packets.append(Packet(payload, packet.timestamp, middle))
    assert sum(packet.marker for packet in packets) == 6
    assert Stream().feed([*packets, Packet(AUD, 30 * TICKS, False)]).units() == [unit] * 6
