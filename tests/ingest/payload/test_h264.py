"""H.264 from cameras: parameter sets, what stands before a picture, and where a stream may begin."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.media import MAX_PAYLOAD
from ingest.payload import nal_format, nal_units
from ingest.payload.h264 import NO_IDR_AFTER_NS
from ingest.payload.keyframes import AWAITED, NO_KEYFRAME_NS
from rigs.video import TICKS, Packet, aggregate, decode, encode, fragment, kind, packetise, units_of
from tests.fakes.h264 import AUD, PARAMETER_SETS, RECOVERY_POINT, SEI, SLICES, SPROP, UNITS, WANTED, Stream


def test_as_it_should_be() -> None:
    stream = Stream().feed(packetise(UNITS))
    assert stream.units() == [list(unit) for unit in UNITS] == WANTED
    assert (stream.track.frames, stream.track.keyframes, stream.track.dropped) == (30, 3, 0)
    assert [batch.keyframe for batch in stream.batches].count(True) == 3
    assert decode(nal for unit in stream.units() for nal in unit) == 30
    assert [batch.timestamp for batch in stream.batches if batch.unit_end] == [n * TICKS for n in range(30)]


def stamped_one_by_one(packets: Iterable[Packet]) -> list[Packet]:
    """The packets as a camera sends them that stamps each when it goes."""
    return [replace(packet, timestamp=90 * number) for number, packet in enumerate(packets)]


@pytest.mark.parametrize("size", [60, 1_400])
def test_packets_that_each_have_a_timestamp_are_of_one_picture_until_it_ends(size: int) -> None:
    sliced = encode(options="slices=4")
    stream = Stream().feed(stamped_one_by_one(packetise(sliced, size=size)))
    assert stream.units() == [list(unit) for unit in sliced]


@pytest.mark.parametrize("structure", [25, 26, 27, 29])
def test_parameter_sets_in_packets_that_browsers_cannot_take_are_said_to_be_there(structure: int) -> None:
    """STAP-B, MTAP and FU-B (RFC 6184 5.2) beside ordinary packets: nothing is missing but the right packetization."""
    stream = Stream()
    odd = Packet(bytes((structure,)) + b"\0\1\0\4" + UNITS[0][0], 0, False)
    packets = [odd, *(packet for packet in packetise(UNITS, size=60_000) if kind(packet.payload) not in (7, 8))]
    stream.feed(packets)
    stream.arrival_ns += NO_KEYFRAME_NS
    assert "interleaved (packetization mode 2)" in stream.feed(packets).track.hindrance
    assert stream.track.unseen


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ({8}, "PPS never arrives"),
        ({7}, "SPS never arrives"),
        ({7, 8}, "SPS never arrives"),
        ({5, 7, 8}, "no keyframe has"),
    ],
)
def test_what_is_missing_is_said(missing: set[int], words: str) -> None:
    stream = Stream()
    packets = [packet for packet in packetise(UNITS, size=60_000) if kind(packet.payload) not in missing]
    stream.feed(packets)
    assert stream.track.hindrance == AWAITED
    assert not stream.track.unseen
    stream.arrival_ns += NO_KEYFRAME_NS
    assert words in stream.feed(packets).track.hindrance
    assert stream.track.unseen is (5 not in missing)


@pytest.mark.parametrize(("first", "words"), [(b"\x79\0\1\0\2ab", "mode 1"), (b"\x0e\0\0\0\x20", "cannot be read")])
def test_packets_that_cannot_be_read_are_said_to_be_that(first: bytes, words: str) -> None:
    stream = Stream()
    stream.feed([Packet(first, 0, True)])
    stream.arrival_ns += NO_KEYFRAME_NS
    stream.feed([Packet(first, 90, True)])
    assert words in stream.track.hindrance
    assert stream.track.unseen


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


@cache
def one_with_id(number: int) -> tuple[bytes, ...]:
    return tuple(encode(1, width=64, height=48, options=f"sps-id={number}")[0])


@pytest.mark.parametrize("size", [3, 4, 5, 1_400])
def test_ids_that_grow_with_each_keyframe(size: int) -> None:
    """OpenH264 can take the next id for each keyframe; 31 is the last of a sequence parameter set."""
    units = [[*one_with_id(number % 32)] for number in range(40)]
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


def test_delimiters_and_filler_are_taken_out() -> None:
    filler = b"\x0c" + b"\xff" * 3_000 + b"\x80"
    padded = [[AUD, *unit, filler, b"\x0a"] for unit in UNITS]
    stream = Stream().feed(packetise(padded))
    assert stream.units() == WANTED
    assert stream.track.dropped == 0


@pytest.mark.parametrize("size", [60, 1_400])
def test_of_several_layers_or_views_the_first_goes_out_alone_and_each_picture_with_its_last_packet(size: int) -> None:
    """H.264 annexes F and G: prefix (14), another sequence parameter set (15), slices of another layer or view (20)."""
    subset = b"\x6f" + PARAMETER_SETS[0][1:]
    layered = [
        [nal for each in unit for nal in ([b"\x6e\xc0\x80\x27", each] if kind(each) in (1, 5) else [each])]
        + [b"\x74\xc0\x80\x27" + SLICES[0][0][1:400]]
        for unit in UNITS
    ]
    layered[0][0:0] = [subset]
    stream = Stream()
    for number, unit in enumerate(layered):
        stream.feed(packetise([unit], size=size, start=number * TICKS))
        assert len(stream.units()) == number + 1, "it does not wait for the next picture"
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


def test_field_pairs() -> None:
    sets = list(encode(1, options="tff=1", profile="main")[0][:2])
    fields = [b"\x65\x88" + b"a" * 3_000, b"\x61\x9a" + b"b" * 2_000]
    assert Stream().feed(packetise([[*sets, *fields], [fields[1], fields[1]]])).units() == [
        [*sets, *fields],
        [fields[1], fields[1]],
    ]


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


def test_a_single_recovery_point_before_a_predicted_picture_does_not_do() -> None:
    units = [nals if kind(nals[0]) == 1 else [b"\x41\x9a" + nals[0][1:]] for nals in SLICES]
    stream = Stream(SPROP)
    stream.feed(packetise([[RECOVERY_POINT, *units[0]], *units[1:]]))
    stream.arrival_ns += NO_IDR_AFTER_NS
    stream.feed(packetise(units, start=40 * TICKS))
    assert stream.units() == []
    stream.feed(packetise([[RECOVERY_POINT, *units[0]], *units[1:]], start=80 * TICKS))
    assert len(stream.units()) == 30


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


def test_sequence_parameter_sets_of_one_packet_are_few() -> None:
    stream = Stream().feed([Packet(aggregate(PARAMETER_SETS[:1] * 20), 0, False)])
    assert stream.track.dropped == 0
    stream.feed([Packet(aggregate(PARAMETER_SETS[:1] * 60), TICKS, False)])
    assert stream.track.dropped == 1
