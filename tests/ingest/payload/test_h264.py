"""H.264 payloads from cameras that do it right, and from those that do not."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.media import MAX_PAYLOAD, Batch, Kind
from ingest.payload import nal_format, nal_units
from ingest.payload.h264 import H264, NO_IDR_AFTER_NS
from ingest.payload.nal_units import MAX_UNIT_BYTES
from ingest.payload.output import GATHER_NS, Output
from rigs.video import TICKS, Packet, aggregate, decode, encode, fragment, kind, packetise, units_of
from tests.fakes.clocks import ArrivalClock

UNITS = encode()
SLICES = [[nal for nal in unit if kind(nal) in (1, 5)] for unit in UNITS]
PARAMETER_SETS = list(UNITS[0][:2])
SPROP = ",".join(base64.b64encode(nal).decode() for nal in PARAMETER_SETS)
WANTED = [[*(PARAMETER_SETS if kind(nals[0]) == 5 else []), *nals] for nals in SLICES]
ARRIVAL_NS = 1_700_000_000_000_000_000
AUD, SEI = b"\x09\xf0", b"\x06\x05\x03abc\x80"
RECOVERY_POINT = b"\x06\x06\x01\xc4\x80"


class Stream:
    """A track under test: packets in, batches out."""

    def __init__(self, sprop: str = "", **parameters: str) -> None:
        self.output = Output(Kind.VIDEO, "H264", ArrivalClock(), epoch=7)
        self.track = H264({"sprop-parameter-sets": sprop, **parameters}, self.output)
        self.batches: list[Batch] = []
        self.arrival_ns = ARRIVAL_NS

    def feed(self, packets: Iterable[Packet], *, read: int = 1, flush: bool = True) -> Stream:
        """Give it packets, ``read`` at a time, and flush what is left."""
        for number, packet in enumerate(packets, 1):
            if packet.payload:
                start, data = 12, bytes(12) + packet.payload + b"beyond"
                end = start + len(packet.payload)
                self.track.receive(data, start, end, packet.timestamp, packet.marker, self.arrival_ns)
            if number % read == 0:
                self.flush()
        return self.flush() if flush else self

    def flush(self) -> Stream:
        self.batches += self.output.take(self.arrival_ns + GATHER_NS)
        return self

    def units(self) -> list[list[bytes]]:
        """What was published; every rule of a batch is checked on the way."""
        sequence = 0
        timestamps: list[int] = []
        for batch in self.batches:
            assert batch.sequence == sequence
            sequence += len(batch.payloads)
            assert (batch.kind, batch.codec, batch.epoch) == ("video", "H264", 7)
            assert all(0 < len(payload) <= MAX_PAYLOAD for payload in batch.payloads)
            assert batch.capture_ns <= batch.arrival_ns
            if batch.keyframe:
                first = batch.payloads[0]
                assert kind(first) == 7 or (kind(first) == 24 and kind(first[3:]) == 7)
            if not timestamps or timestamps[-1] != batch.timestamp:
                assert not timestamps or batch.timestamp > timestamps[-1]
                timestamps.append(batch.timestamp)
        if self.batches:
            assert self.batches[0].keyframe
        return units_of(self.batches)


def test_as_it_should_be() -> None:
    stream = Stream().feed(packetise(UNITS))
    assert stream.units() == [list(unit) for unit in UNITS] == WANTED
    assert (stream.track.frames, stream.track.keyframes, stream.track.dropped) == (30, 3, 0)
    assert [batch.keyframe for batch in stream.batches].count(True) == 3
    assert decode(nal for unit in stream.units() for nal in unit) == 30
    assert [batch.timestamp for batch in stream.batches if batch.unit_end] == [n * TICKS for n in range(30)]


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


# Where parameter sets come from.


def test_parameter_sets_only_in_the_session_description() -> None:
    assert Stream(SPROP).feed(packetise(SLICES)).units() == WANTED


def test_without_parameter_sets_nothing_is_published_until_they_come() -> None:
    stream = Stream().feed(packetise(SLICES[:10]))
    assert stream.units() == []
    assert stream.track.dropped > 10
    assert stream.feed(packetise(UNITS[10:], start=10 * TICKS)).units() == WANTED[10:]


@pytest.mark.parametrize(
    "sprop",
    [
        "",
        ",",
        "!!!!",
        "AAAA",
        "Z00=",
        "A",
        SPROP.split(",")[0],
        base64.b64encode(b"\0\0\0\1" + PARAMETER_SETS[0][:5]).decode(),
        base64.b64encode(b"\x68").decode(),
    ],
)
def test_bogus_sets_in_the_session_description_are_ignored(sprop: str) -> None:
    assert Stream(sprop).feed(packetise(UNITS)).units() == WANTED


def test_start_codes_in_the_session_description() -> None:
    glued = base64.b64encode(b"".join(b"\0\0\0\1" + nal for nal in PARAMETER_SETS)).decode()
    assert Stream(glued).feed(packetise(SLICES)).units() == WANTED
    apart = ",".join(base64.b64encode(b"\0\0\0\1" + nal).decode().rstrip("=") for nal in PARAMETER_SETS)
    assert Stream(apart).feed(packetise(SLICES)).units() == WANTED


def test_sets_in_the_stream_win() -> None:
    other = encode(1, width=640, height=480)[0]
    sprop = ",".join(base64.b64encode(nal).decode() for nal in other[:2])
    stream = Stream(sprop)
    assert stream.track.sps is not None
    assert stream.track.sps.width == 640
    assert stream.feed(packetise(UNITS)).units() == WANTED
    assert stream.track.sps.width == 320


def test_sets_that_came_once_stand_before_every_keyframe() -> None:
    once = [UNITS[0], *SLICES[1:]]
    assert Stream().feed(packetise(once)).units() == WANTED


def test_sets_go_nowhere_but_before_keyframes() -> None:
    everywhere = [[*PARAMETER_SETS, *nals] for nals in SLICES]
    assert Stream().feed(packetise(everywhere)).units() == WANTED


def test_resolution_changes_in_the_stream() -> None:
    larger = encode(20, width=640, height=480)
    stream = Stream(SPROP).feed(packetise([*UNITS, *larger]))
    assert stream.units() == [*WANTED, *map(list, larger)]
    assert stream.track.sps is not None
    assert (stream.track.sps.width, stream.track.sps.height) == (640, 480)
    assert decode(nal for unit in stream.units() for nal in unit) == 50


def test_of_several_parameter_sets_those_go_out_that_the_keyframe_refers_to() -> None:
    other = encode(1, options="sps-id=1")[0]
    unit = [*PARAMETER_SETS, *other[:2], SLICES[0][0]]
    assert Stream().feed(packetise([unit])).units() == [[unit[0], unit[1], unit[4]]]
    unit = [*other[:2], *PARAMETER_SETS, other[2]]
    assert Stream().feed(packetise([unit])).units() == [[unit[0], unit[1], unit[4]]]


@pytest.mark.parametrize("size", [3, 4, 5, 1_400])
def test_ids_that_grow_with_each_keyframe(size: int) -> None:
    """OpenH264 can take the next id for each keyframe; 31 is the last of a sequence parameter set."""
    units = [list(encode(1, options=f"sps-id={number % 32}")[0]) for number in range(40)]
    stream = Stream().feed(packetise(units, size=size))
    assert stream.units() == units
    assert stream.track.keyframes == 40
    assert decode([nal for unit in stream.units() for nal in unit]) == 40


def test_picture_parameter_sets_are_bounded() -> None:
    def ue(value: int) -> str:
        return f"{value + 1:b}".rjust(2 * (value + 1).bit_length() - 1, "0")

    sets = [b"\x68" + int((ue(n) + "1" + "1" * 40)[:40], 2).to_bytes(5) for n in range(100)]
    stream = Stream().feed(packetise([[PARAMETER_SETS[0], *sets, SLICES[0][0]]]))
    assert len(stream.units()[0]) == 1 + 16 + 1


def test_an_empty_fragment_ends_its_nal_unit_and_its_marker_the_picture() -> None:
    packets = []
    for packet in packetise(UNITS):
        if packet.payload[0] & 0x1F == 28 and packet.payload[1] & 0x40:
            open_ = bytes((packet.payload[0], packet.payload[1] & ~0x40)) + packet.payload[2:]
            packets += [replace(packet, payload=open_, marker=False), replace(packet, payload=packet.payload[:2])]
        else:
            packets.append(packet)
    stream = Stream()
    for packet in packets:
        stream.feed([packet])
        if packet.marker:
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


def test_an_aggregate_with_empty_entries() -> None:
    unit = UNITS[0]
    payload = aggregate([unit[0], b"", b"", unit[1]])
    stream = Stream().feed([Packet(payload, 0, False), *packetise([unit[2:]])])
    assert stream.units() == [list(unit)]


# What is not H.264, and what cannot be started with.


def h265(kind: int, size: int) -> list[bytes]:
    """A NAL unit of H.265 (RFC 7798 4.4.1, 4.4.3), whole or in fragments."""
    nal = bytes((kind << 1, 1)) + bytes(n * 7 % 251 + 1 for n in range(size))
    if size < 1_400:
        return [nal]
    cuts = range(2, len(nal), 1_380)
    return [
        bytes((49 << 1, 1, 0x80 * (at == 2) | 0x40 * (at + 1_380 >= len(nal)) | kind)) + nal[at : at + 1_380]
        for at in cuts
    ]


@pytest.mark.parametrize("size", [300, 4_000])
def test_h265_that_comes_as_h264_is_named_and_nothing_of_it_is_published(size: int) -> None:
    stream = Stream(SPROP)
    for number in range(30):
        payloads = h265(1, size) if number % 10 else [*h265(32, 24), *h265(33, 40), *h265(34, 8), *h265(19, size)]
        stream.feed(Packet(payload, number * TICKS, payload is payloads[-1]) for payload in payloads)
    assert stream.batches == []
    assert "H.265" in stream.track.track.problem
    assert "set this stream of the camera to H.264" in stream.track.track.problem
    packets = packetise(UNITS, start=100 * TICKS)
    assert stream.feed(packets).units()[1:] == [list(unit) for unit in UNITS[1:]]
    assert stream.track.track.problem == ""


def test_intra_refresh_is_named_soon_after_the_beginning() -> None:
    stream, said = Stream(), []
    for number in range(80):
        begins = [*PARAMETER_SETS, RECOVERY_POINT] if number % 10 == 0 else []
        stream.feed(packetise([[*begins, *SLICES[1]]], start=number * TICKS))
        stream.arrival_ns += 40_000_000
        said.append(stream.track.hindrance)
    assert said[10] == "waiting for its first keyframe"
    assert "switch intra refresh off" in said[70]
    assert stream.batches == []


def test_no_keyframe_for_long_says_what_to_set() -> None:
    stream = Stream(SPROP)
    for number in range(150):
        stream.feed(packetise([SLICES[1]], start=number * TICKS))
        stream.arrival_ns += 40_000_000
    assert "set a keyframe interval" in stream.track.hindrance
    stream.feed(packetise(UNITS, start=200 * TICKS))
    assert stream.track.hindrance == ""
    stream.track.lost()
    assert stream.track.hindrance == ""
    for number in range(150):
        stream.feed(packetise([SLICES[1]], start=(300 + number) * TICKS))
        stream.arrival_ns += 40_000_000
    assert "set a keyframe interval" in stream.track.hindrance


# What else stands before a picture.


def test_delimiters_and_filler_are_taken_out() -> None:
    filler = b"\x0c" + b"\xff" * 3_000 + b"\x80"
    padded = [[AUD, *unit, filler, b"\x0a"] for unit in UNITS]
    stream = Stream().feed(packetise(padded))
    assert stream.units() == WANTED
    assert stream.track.dropped == 0


def test_unusable_nal_units_are_taken_out() -> None:
    strange = [bytes((header,)) + b"abc" for header in (0x01 | 0x60, 2, 3, 4, 13, 14, 15, 19, 20, 22, 30, 31)][1:]
    assert Stream().feed(packetise([[*strange, *unit] for unit in UNITS])).units() == WANTED


def test_sei_goes_with_its_picture() -> None:
    stream = Stream().feed(packetise([SEI, *unit] for unit in UNITS))
    assert stream.units() == [[*(PARAMETER_SETS if kind(nals[0]) == 5 else []), SEI, *nals] for nals in SLICES]


def test_large_sei() -> None:
    sei = b"\x06\x05\xff\xff\xff" + b"a" * 3_000 + b"\x80"
    stream = Stream().feed(packetise([[sei, *UNITS[0]], UNITS[1]]))
    assert stream.units() == [[*PARAMETER_SETS, sei, *SLICES[0]], WANTED[1]]


def test_endless_sei_is_bounded() -> None:
    stream = Stream()
    stream.feed([Packet(SEI, 0, False)] * 100)
    assert len(stream.track._held) <= nal_format.MAX_HELD
    stream.feed([Packet(b"\x06" + b"a" * 5_000, 0, False)] * 20)
    assert sum(map(len, stream.track._held)) <= nal_units.MAX_HELD_BYTES
    pieces = fragment(b"\x06" + b"a" * 200_000, 1_400)
    stream.feed(Packet(piece, 0, False) for piece in pieces[:-1])
    assert len(stream.track._rest) <= nal_units.MAX_HELD_BYTES
    assert stream.track.dropped > 3
    assert stream.feed(packetise(UNITS, start=90_000)).units() == WANTED


def test_sei_of_a_picture_that_is_not_published_is_not_either() -> None:
    stream = Stream(SPROP).feed(packetise([[SEI, *SLICES[1]], SLICES[0]]))
    assert stream.units() == [WANTED[0]]
    stream.feed([Packet(SEI, 5 * TICKS, False)])
    stream.track.lost()
    assert stream.feed(packetise([SLICES[0]], start=6 * TICKS)).units() == [WANTED[0], WANTED[0]]


# What cameras get wrong.


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


def test_field_pairs() -> None:
    sets = list(encode(1, options="tff=1", profile="main")[0][:2])
    fields = [b"\x65\x88" + b"a" * 3_000, b"\x61\x9a" + b"b" * 2_000]
    assert Stream().feed(packetise([[*sets, *fields], [fields[1], fields[1]]])).units() == [
        [*sets, *fields],
        [fields[1], fields[1]],
    ]


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


def test_nal_unit_without_end_is_bounded() -> None:
    pieces = fragment(b"\x65\x88" + b"a" * (MAX_UNIT_BYTES + 100_000), 60_000)
    stream = Stream().feed([Packet(nal, 0, False) for nal in PARAMETER_SETS])
    stream.feed(Packet(piece, 0, False) for piece in pieces)
    assert sum(batch.size for batch in stream.batches) < MAX_UNIT_BYTES + 70_000
    assert stream.track.dropped > 0
    before = len(stream.batches)
    stream.feed(packetise(UNITS, start=TICKS))
    assert units_of(stream.batches[before:]) == WANTED


# Loss.


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


# Streams that browsers have trouble with.


def test_profile_comes_from_the_session_description_and_is_corrected_by_the_stream() -> None:
    stream = Stream(**{"profile-level-id": "42E01F"})
    assert stream.track.track.profile == "42e01f"
    stream.feed(packetise(UNITS))
    assert stream.track.track.profile == PARAMETER_SETS[0][1:4].hex()
    assert stream.track.track.playable
    assert Stream(SPROP, **{"profile-level-id": "nonsense"}).track.track.profile == PARAMETER_SETS[0][1:4].hex()


@pytest.mark.parametrize(
    ("profile", "pixels", "named"),
    [("high10", "yuv420p10le", "High 10"), ("high422", "yuv422p", "4:2:2"), ("high444", "yuv444p", "4:4:4")],
)
def test_profiles_that_no_browser_decodes(profile: str, pixels: str, named: str) -> None:
    units = encode(12, profile=profile, pixels=pixels)
    stream = Stream().feed(packetise(units))
    assert stream.units() == []
    assert named in stream.track.track.problem
    stream.feed(packetise(UNITS, start=30 * TICKS))
    assert stream.track.track.playable
    assert stream.units() == WANTED
    stream.feed(packetise(units, start=60 * TICKS))
    assert named in stream.track.track.problem
    assert stream.units() == WANTED


def test_b_frames_are_named() -> None:
    units = encode(20, options="bframes=2:b-adapt=0", profile="main")
    stream = Stream().feed(packetise(units))
    assert "B-frames" in stream.track.track.warning
    assert stream.track.track.playable
    assert len(stream.units()) == 20


def test_plain_streams_have_no_warning() -> None:
    assert Stream().feed(packetise(UNITS)).track.track.warning == ""


def test_interlaced_is_named() -> None:
    units = encode(20, options="tff=1", profile="main")
    stream = Stream().feed(packetise(units))
    assert "interlaced" in stream.track.track.warning
    assert stream.units() == [list(unit) for unit in units]


def no_idr(units: Iterable[Iterable[bytes]]) -> list[list[bytes]]:
    """The stream of a camera that sends recovery points in place of IDR pictures (header only: it does not decode)."""
    changed = []
    for unit in units:
        nals = list(unit)
        if kind(nals[-1]) == 5:
            nals[-1:] = [RECOVERY_POINT, b"\x61" + nals[-1][1:]]
        changed.append(nals)
    return changed


def test_recovery_points_do_when_no_idr_comes() -> None:
    units = no_idr(UNITS)
    stream = Stream().feed(packetise(units))
    assert stream.units() == []
    stream.arrival_ns += NO_IDR_AFTER_NS
    stream.feed(packetise(units, start=40 * TICKS))
    assert len(stream.units()) == 30
    assert [batch.timestamp // TICKS for batch in stream.batches if batch.keyframe] == [40, 50, 60]
    assert "IDR" in stream.track.track.warning


def test_a_recovery_point_before_a_predicted_picture_does_not_do() -> None:
    units = [nals if kind(nals[0]) == 1 else [b"\x41\x9a" + nals[0][1:]] for nals in SLICES]
    stream = Stream(SPROP)
    for start in (0, 40):
        stream.feed(packetise(([RECOVERY_POINT, *unit] for unit in units), start=start * TICKS))
        stream.arrival_ns += NO_IDR_AFTER_NS
    assert stream.units() == []


def test_recovery_points_do_after_a_single_idr() -> None:
    stream = Stream().feed(packetise([*UNITS[:10], *no_idr(UNITS)]))
    assert stream.track.keyframes == 1
    stream.arrival_ns += NO_IDR_AFTER_NS
    stream.feed(packetise(no_idr(UNITS), start=40 * TICKS))
    assert len(stream.units()) == 70
    assert [batch.timestamp // TICKS for batch in stream.batches if batch.keyframe] == [0, 40, 50, 60]
    assert "IDR" in stream.track.track.warning


def test_an_idr_ends_that() -> None:
    stream = Stream().feed(packetise(no_idr(UNITS)))
    stream.arrival_ns += NO_IDR_AFTER_NS
    stream.feed(packetise([*no_idr(UNITS), *UNITS, *no_idr(UNITS)], start=40 * TICKS))
    assert [batch.timestamp // TICKS for batch in stream.batches if batch.keyframe] == [40, 50, 60, 70, 80, 90]
    assert stream.track.track.warning == ""


# Anything at all.


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=60), st.integers(0, 3), st.booleans()), max_size=40))
def test_any_packets(packets: list[tuple[bytes, int, bool]]) -> None:
    stream = Stream(SPROP)
    timestamp = 0
    for payload, step, marker in packets:
        timestamp += step
        stream.feed([Packet(payload, timestamp, marker)])
    for batch in stream.batches:
        assert all(len(payload) <= MAX_PAYLOAD for payload in batch.payloads)


@given(st.data())
def test_any_change_to_a_real_stream_ends_in_a_clean_keyframe(data: st.DataObject) -> None:
    packets = packetise(UNITS[:10], size=400)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(packets) - 1))
        payload = bytearray(packets[at].payload)
        payload[data.draw(st.integers(0, len(payload) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        packets[at] = Packet(bytes(payload), packets[at].timestamp, data.draw(st.booleans()))
    stream = Stream().feed(packets)
    stream.track.lost()
    before = len(stream.flush().batches)
    stream.feed(packetise(UNITS, start=20 * TICKS))
    slices = [[nal for nal in unit if kind(nal) in (1, 5)] for unit in units_of(stream.batches[before:])]
    assert slices == SLICES
