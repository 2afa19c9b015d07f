"""NAL units in packets of any size and structure, from cameras that do it right and from those that do not."""

from __future__ import annotations

import pytest

from common.media import MAX_PAYLOAD
from ingest.payload.nal_units import MAX_UNIT_BYTES
from rigs.video import TICKS, Packet, aggregate, encode, fragment, kind, packetise, units_of
from tests.fakes.h264 import AUD, PARAMETER_SETS, SLICES, SPROP, UNITS, WANTED, Stream


@pytest.mark.parametrize("read", [1, 2, 3, 1_000])
@pytest.mark.parametrize("size", [60, 500, 1_160, 1_200, 1_400, 10_000, 65_000])
def test_packet_and_read_sizes(size: int, read: int) -> None:
    assert Stream().feed(packetise(UNITS, size=size), read=read).units() == WANTED


def test_pieces_of_a_large_nal_unit_are_of_equal_size_and_leave_at_once() -> None:
    unit = [*PARAMETER_SETS, b"\x65\x88" + bytes(range(1, 251)) * 40]
    packets = packetise([unit])
    stream = Stream()
    for number, packet in enumerate(packets):
        stream.feed([packet])
        sent = sum(batch.size for batch in stream.batches)
        received = sum(len(packet.payload) for packet in packets[: number + 1])
        assert sent > received - MAX_PAYLOAD - 20  # never more than one packet behind
    payloads = [payload for batch in stream.batches for payload in batch.payloads]
    assert kind(payloads[0]) == 24
    assert {len(payload) for payload in payloads[1:-1]} == {MAX_PAYLOAD}
    assert len(payloads[-1]) <= MAX_PAYLOAD
    assert stream.units() == [unit]


@pytest.mark.parametrize(
    "size", [*range(MAX_PAYLOAD - 3, MAX_PAYLOAD + 5), *range(2 * MAX_PAYLOAD - 6, 2 * MAX_PAYLOAD + 5)]
)
@pytest.mark.parametrize("pieces", [1, 500])
def test_sizes_about_the_limit(size: int, pieces: int) -> None:
    unit = [*PARAMETER_SETS, b"\x65\x88" + b"a" * (size - 2)]
    assert Stream().feed(packetise([unit], size=10_000 // pieces)).units() == [unit]


def test_an_aggregate_with_empty_entries() -> None:
    unit = UNITS[0]
    payload = aggregate([unit[0], b"", b"", unit[1]])
    stream = Stream().feed([Packet(payload, 0, False), *packetise([unit[2:]])])
    assert stream.units() == [list(unit)]


@pytest.mark.parametrize("code", [b"\0\0\1", b"\0\0\0\1"])
def test_start_code_before_every_nal_unit(code: bytes) -> None:
    units = [[code + nal for nal in unit] for unit in UNITS]
    packets = [Packet(nal, number * TICKS, nal is unit[-1]) for number, unit in enumerate(units) for nal in unit]
    assert Stream().feed(packets).units() == WANTED


@pytest.mark.parametrize("code", [b"\0\0\1", b"\0\0\0\1"])
@pytest.mark.parametrize("size", [5, 100, 1_000, 1_163, 1_400, 20_000])
def test_whole_access_unit_as_one_nal_unit_with_start_codes(code: bytes, size: int) -> None:
    # The first NAL unit's header is that of the fragments; the others follow behind start codes.
    glued = [[code.join([AUD, *unit])] for unit in UNITS]
    assert Stream().feed(packetise(glued, size=size)).units() == WANTED
    if size > 100:
        slices = encode(20, options="slices=4")
        glued = [[code.join(unit)] for unit in slices]
        assert Stream().feed(packetise(glued, size=size)).units() == [list(unit) for unit in slices]


@pytest.mark.parametrize("at", range(1_140, 1_180))
def test_start_code_anywhere_about_a_cut(at: int) -> None:
    first, second = b"\x65\x88" + b"a" * at, b"\x65\x04" + b"b" * 2_000
    glued = b"\0\0\1".join([*PARAMETER_SETS, first, second])
    for size in (7, 1_163, 1_400):
        assert Stream().feed(packetise([[glued]], size=size)).units() == [[*PARAMETER_SETS, first, second]]


def test_fragment_that_starts_with_a_start_code() -> None:
    packets = []
    for number, unit in enumerate(UNITS):
        stream = b"".join(b"\0\0\0\1" + nal for nal in unit)
        pieces = fragment(b"\x7c" + stream, 1_400)
        packets += [Packet(piece, number * TICKS, piece is pieces[-1]) for piece in pieces]
    assert Stream().feed(packets).units() == WANTED


def test_fragment_with_start_and_end_both_set() -> None:
    packets = [
        Packet(bytes((nal[0] & 0xE0 | 28, 0xC0 | nal[0] & 0x1F)) + nal[1:], number * TICKS, nal is unit[-1])
        for number, unit in enumerate(UNITS)
        for nal in unit
    ]
    assert Stream().feed(packets).units() == WANTED


@pytest.mark.parametrize("slices", [1, 4])
def test_fragments_without_an_end(slices: int) -> None:
    units = encode(20, options=f"slices={slices}")
    packets = []
    for packet in packetise(units, size=600):
        payload = packet.payload
        if kind(payload) == 28:
            payload = bytes((payload[0], payload[1] & 0xBF)) + payload[2:]
        packets.append(Packet(payload, packet.timestamp, packet.marker))
    stream = Stream().feed([*packets, Packet(AUD, 30 * TICKS, True)])
    assert stream.units() == [list(unit) for unit in units]


def test_aggregates_and_zero_padding() -> None:
    packets = []
    for number, unit in enumerate(UNITS):
        timestamp = number * TICKS
        if len(unit) > 1:
            packets.append(Packet(aggregate([AUD, *unit[:2]]) + bytes(number % 5), timestamp, False))
        packets += [Packet(payload, timestamp, payload[1] & 0x40 > 0) for payload in fragment(unit[-1], 1_400)]
    assert Stream().feed(packets).units() == WANTED


def test_whole_unit_in_an_aggregate() -> None:
    packets = [Packet(aggregate(unit) + b"\0\0\0", n * TICKS, True) for n, unit in enumerate(UNITS)]
    assert Stream().feed(packets).units() == WANTED


@pytest.mark.parametrize(
    "payload", [b"\x18", b"\x18\0", b"\x18\xff\xff\x65", b"\x18\0\x05\x65\x88", b"\x18" + bytes(50)]
)
def test_broken_aggregates_do_no_harm(payload: bytes) -> None:
    stream = Stream(SPROP).feed([Packet(payload, 0, True), *packetise(UNITS, start=1)])
    assert stream.units() == WANTED


def test_zero_padding_behind_nal_units() -> None:
    padded = [[nal + bytes(len(nal) % 7) for nal in unit] for unit in UNITS]
    assert Stream().feed(packetise(padded)).units() == WANTED


@pytest.mark.parametrize("packet_kind", [25, 26, 27, 29, 30, 31])
def test_interleaved_mode_is_dropped_and_counted(packet_kind: int) -> None:
    packets = [Packet(bytes((packet_kind,)) + b"abcdef", 0, True)] * 3
    stream = Stream().feed([*packets, *packetise(UNITS, start=1)])
    assert stream.units() == WANTED
    assert stream.track.dropped == 3


@pytest.mark.parametrize(
    ("payload", "dropped"),
    [
        (b"\x7c", 1),
        (b"\x7c\x85", 0),
        (b"\x7c\x05middle", 1),
        (b"\x00", 0),
        (b"\x00\x00\x01", 0),
        (b"\x65", 0),
        (b"\x01", 0),
    ],
)
def test_short_and_stray_packets_do_no_harm(payload: bytes, dropped: int) -> None:
    packets = packetise(UNITS, start=TICKS)
    stream = Stream(SPROP).feed([Packet(payload, 0, True)])
    assert stream.track.dropped == dropped
    stream.feed([*packets[:3], Packet(payload, packets[3].timestamp, False), *packets[3:]])
    assert len(stream.units()) == 30


def test_pictures_that_are_all_too_large_are_said_to_be_that() -> None:
    stream, sets = Stream(), aggregate(PARAMETER_SETS)
    large = fragment(b"\x65\x88" + b"a" * (MAX_UNIT_BYTES + 100_000), 60_000)
    for number in range(2):
        at = number * 25 * TICKS
        stream.feed([Packet(sets, at, False), *(Packet(piece, at, piece is large[-1]) for piece in large)])
        stream.feed(packetise([[SLICES[1][0]]], start=at + TICKS))
        assert ("larger than 4 MB" in stream.track.hindrance) is stream.track.unseen is (number == 1)
    stream.feed(packetise(UNITS, start=60 * TICKS))
    assert (stream.track.hindrance, stream.track.unseen) == ("", False)


def test_nal_unit_without_end_is_bounded() -> None:
    pieces = fragment(b"\x65\x88" + b"a" * (MAX_UNIT_BYTES + 100_000), 60_000)
    stream = Stream().feed([Packet(nal, 0, False) for nal in PARAMETER_SETS])
    stream.feed(Packet(piece, 0, False) for piece in pieces)
    assert sum(batch.size for batch in stream.batches) < MAX_UNIT_BYTES + 70_000
    assert stream.track.dropped > 0
    before = len(stream.batches)
    stream.feed(packetise(UNITS, start=TICKS))
    assert units_of(stream.batches[before:]) == WANTED
