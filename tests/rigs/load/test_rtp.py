from __future__ import annotations

from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensions, HeaderExtensionsMap, RtpPacket
from hypothesis import given
from hypothesis import strategies as st

from rigs.load.rtp import Stream, extensions_of, payload_of, starts_h264_keyframe
from rigs.load.sdp import MID, TRANSPORT_CC


def take(stream: Stream, number: int) -> None:
    """Deals with a packet as the engine does by itself."""
    number &= 0xFFFF
    if number != stream.next:
        stream.disorder(number)
    stream.packets += 1
    if stream.next == number:
        stream.next = (number + 1) & 0xFFFF


def received(numbers: list[int]) -> Stream:
    stream = Stream(1, "video", "h264", 90_000)
    for number in numbers:
        take(stream, number)
    return stream


def test_in_order_over_the_wrap() -> None:
    stream = received(list(range(65_530, 65_545)))
    assert (stream.expected, stream.lost, stream.duplicates) == (15, 0, 0)
    assert stream.highest == 65_544


@given(
    start=st.integers(0, 65_535),
    length=st.integers(10, 300),
    dropped=st.sets(st.integers(1, 9)),
    swapped=st.integers(1, 8),
)
def test_losses_and_swaps_are_counted(start: int, length: int, dropped: set[int], swapped: int) -> None:
    numbers = list(range(start, start + length))
    numbers[swapped], numbers[swapped + 1] = numbers[swapped + 1], numbers[swapped]
    kept = [number for number in numbers if number - start not in dropped]
    stream = received(kept)
    whole = max(kept) - start + 1
    assert stream.expected == whole
    assert stream.lost == whole - len(kept)
    assert stream.duplicates == 0
    assert stream.highest == max(kept)


def test_a_packet_that_came_twice_hides_no_loss() -> None:
    stream = received([1, 2, 2, 2, 4])
    assert (stream.lost, stream.duplicates, stream.packets) == (1, 2, 5)


def test_a_retransmission_makes_up_for_a_loss_once() -> None:
    stream = received([1, 3])
    stream.retransmitted(2)
    stream.retransmitted(2)
    assert (stream.lost, stream.recovered) == (0, 1)


def test_a_source_that_starts_anew_loses_nothing() -> None:
    stream = received([100, 101, 102, 30_000, 30_001])
    assert (stream.restarts, stream.lost, stream.expected) == (1, 0, 5)
    assert stream.highest & 0xFFFF == 30_001


def test_payload_is_what_a_foreign_parser_says() -> None:
    packet = RtpPacket(payload_type=96, sequence_number=7, timestamp=9, ssrc=3, payload=b"payload")
    packet.csrc = [1, 2]
    packet.padding_size = 4
    packet.extensions = HeaderExtensions(mid="0", transport_sequence_number=513)
    known = HeaderExtensionsMap()
    extensions = [RTCRtpHeaderExtensionParameters(id=number, uri=uri) for number, uri in ((1, MID), (3, TRANSPORT_CC))]
    known.configure(RTCRtpParameters(headerExtensions=extensions))
    data = packet.serialize(known)
    assert payload_of(data) == b"payload"
    assert extensions_of(data) == {1: b"0", 3: b"\x02\x01"}


@given(st.binary(max_size=100))
def test_a_damaged_header_extension_ends_the_walk(packet: bytes) -> None:
    assert all(len(value) <= 255 for value in extensions_of(b"\x90" + packet).values())


def test_keyframes_are_seen_in_every_packetisation() -> None:
    assert starts_h264_keyframe(b"\x67\x42")
    assert starts_h264_keyframe(b"\x65\x88")
    assert starts_h264_keyframe(b"\x7c\x85abc")  # FU-A, start, IDR
    assert not starts_h264_keyframe(b"\x7c\x05abc")  # its middle
    assert not starts_h264_keyframe(b"\x7c\x81abc")  # start of another slice
    assert starts_h264_keyframe(b"\x78\x00\x02\x09\xf0\x00\x02\x67\x42")  # STAP-A: delimiter, SPS
    assert not starts_h264_keyframe(b"\x78\x00\x02\x09\xf0\x00\x02\x68\x42")
    assert not starts_h264_keyframe(b"\x41\x9a")
    assert not starts_h264_keyframe(b"")


@given(st.binary(max_size=60))
def test_no_payload_makes_it_fail(payload: bytes) -> None:
    assert starts_h264_keyframe(payload) in (True, False)
