"""Redundancy and correction among media: what is of use goes on as if it were not there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ProtocolError
from ingest import sdp
from ingest.payload.redundant import CORRECTION, HEADER, media_of
from ingest.payload.registry import choose
from ingest.rtp.stream import CameraStream
from rigs.rtp import rtp, rtp_all
from rigs.video import packetise, units_of
from tests.fakes.reception import NOW, UNITS, WANTED

H264, REDUNDANT, ULPFEC, RTX = 96, 97, 98, 99
DESCRIPTION = sdp.parse(
    b"m=video 0 RTP/AVP 97 98 99 96\na=rtpmap:96 H264/90000\na=rtpmap:97 red/90000\n"
    b"a=rtpmap:98 ulpfec/90000\na=rtpmap:99 rtx/90000\na=fmtp:97 96/96\na=fmtp:99 apt=96\n"
)
[SECTION] = DESCRIPTION.media


def red(packet: bytes, *earlier: bytes, carried: int = H264, payload_type: int = REDUNDANT) -> bytes:
    """The packet wrapped (RFC 2198 3), with ``earlier`` media before its own, each of them 100 ticks older."""
    headers = b"".join(
        bytes((0x80 | H264,)) + ((number * 100) << 10 | len(block)).to_bytes(3)
        for number, block in zip(range(len(earlier), 0, -1), earlier, strict=True)
    )
    wrapped = headers + bytes((carried,)) + b"".join(earlier) + packet[HEADER:]
    return packet[:1] + bytes((packet[1] & 0x80 | payload_type,)) + packet[2:HEADER] + wrapped


def shown(packets: list[bytes], *, udp: bool) -> tuple[list[list[bytes]], CameraStream]:
    """The NAL units that are published."""
    choices, _ = choose(DESCRIPTION)
    stream, batches = CameraStream(choices, udp=udp, epoch=1), []
    for packet in packets:
        stream.receivers[0].receive(packet, NOW)
        batches += stream.take(NOW + 10**9)
    return units_of(batches), stream


@pytest.mark.parametrize("udp", [True, False])
def test_media_inside_of_redundancy_plays(udp: bool) -> None:
    plain = rtp_all(packetise(UNITS))
    wrapped = [red(each, b"earlier", b"later") if number % 3 else red(each) for number, each in enumerate(plain)]
    units, stream = shown(wrapped, udp=udp)
    assert units == WANTED
    assert (stream.receivers[0].track.codec, stream.receivers[0].stats.dropped, stream.epoch) == ("H264", 0, 1)


@pytest.mark.parametrize("udp", [True, False])
@pytest.mark.parametrize("wrapped", [True, False])
def test_correction_that_is_numbered_with_the_media_is_no_loss(udp: bool, wrapped: bool) -> None:
    packets, number = [], 0
    for each in rtp_all(packetise(UNITS)):
        stamp = int.from_bytes(each[4:8])
        packets.append(each[:2] + number.to_bytes(2) + each[4:])
        number += 1
        if number % 4 == 3 or each[1] & 0x80:
            correction = rtp(b"\0correction", number, stamp, payload_type=ULPFEC, marker=True)
            packets.append(red(correction, carried=ULPFEC) if wrapped else correction)
            number += 1
    units, stream = shown(packets, udp=udp)
    assert units == WANTED
    assert (stream.receivers[0].stats.lost, stream.receivers[0].stats.dropped) == (0, 0)


def test_correction_of_another_source_or_numbered_by_itself_is_passed_over() -> None:
    packets = []
    for number, each in enumerate(rtp_all(packetise(UNITS))):
        packets += [
            each,
            rtp(b"\0\0again", 7_000 + number, 5, payload_type=RTX, ssrc=0x9999),
            rtp(b"correction", 9_000 + number, 5, payload_type=ULPFEC, ssrc=0x8888),
        ]
    units, stream = shown(packets, udp=True)
    assert units == WANTED
    assert (stream.receivers[0].stats.lost, stream.receivers[0].stats.dropped) == (0, 0)


def test_a_packet_is_unwrapped_with_its_sources_extension_and_padding() -> None:
    head = b"\xb1\xe1\x00\x08\x00\x00\x07\x80\xde\xad\xbe\xef\x00\x00\x00\x2a\xbe\xde\x00\x01\x10\x55\x00\x00"
    assert media_of(head + b"\x60\x65media\x01", SECTION, H264) == head[:1] + b"\xe0" + head[2:] + b"\x65media\x01"
    assert media_of(b"\x80\x60" + head[2:12] + b"media", SECTION, H264) is None


@pytest.mark.parametrize(
    "payload", [b"", b"\xe0", b"\xe0\0\0\x05", b"\xe0\0\0\x05\x60abcd", b"\xe0\0\0\0" * 400, b"\x61\x60abc"]
)
def test_what_is_shorter_than_it_says_or_wrapped_twice_is_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolError, match="a packet of RED"):
        media_of(rtp(payload, 1, 1, payload_type=REDUNDANT), SECTION, H264)
    units, stream = shown([rtp(payload, 1, 1, payload_type=REDUNDANT)] * 3, udp=True)
    assert (units, stream.receivers[0].stats.dropped) == ([], 3)


@given(st.binary(max_size=60), st.sampled_from([REDUNDANT, ULPFEC, RTX, H264]))
def test_any_packet_is_media_nothing_or_refused(rest: bytes, payload_type: int) -> None:
    packet = rtp(b"", 1, 1, payload_type=payload_type)[:2] + rest.ljust(10, b"\0")
    try:
        media = media_of(packet, SECTION, H264)
    except ProtocolError:
        return
    assert media is None or len(media) <= len(packet)


def test_a_codec_that_is_not_played_is_named_and_not_its_redundancy() -> None:
    assert {"ULPFEC", "RTX"} <= CORRECTION
    text = b"m=audio 0 RTP/AVP 0\nm=video 0 RTP/AVP 97 98\na=rtpmap:97 red/90000\na=rtpmap:98 H266/90000\n"
    _, [other] = choose(sdp.parse(text))
    assert other.problem.startswith("H.266 ")
