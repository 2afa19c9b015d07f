from __future__ import annotations

import pytest

from common.control import TrackStats
from common.media import Kind
from ingest.payload.registry import choose
from ingest.rtp.garbled import JUNK, SHORT, Garbled, holds_another
from ingest.rtp.stream import CameraStream
from ingest.rtsp.message import InterleavedFrame
from ingest.rtsp.parser import Parser
from ingest.sdp import parse
from rigs.rtp import rtp

SECTION = parse(b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n")


def looked(*looks: tuple[int, int, int]) -> bool:
    """After looks with so many bytes of packets, bytes of no use, and packets lost so far."""
    garbled = Garbled()
    for used, unused, lost in looks:
        garbled.look([TrackStats(Kind.VIDEO, bytes=used, lost=lost)], unused)
    assert garbled.problem in ("", JUNK)
    return garbled.problem == JUNK


@pytest.mark.parametrize(
    ("looks", "garbled"),
    [
        ([(0, 0, 0)], False),
        ([(1_000, 0, 9)], False),  # the network's
        ([(1_000, 900, 0)], False),  # bytes that fill frames up
        ([(1_000, 60, 1)], True),
        ([(1_000, 50, 1)], False),
        ([(1_000, 900, 9), (2_000, 900, 9)], False),  # it is over
        ([(1_000, 0, 0), (2_000, 900, 9)], True),
    ],
)
def test_it_takes_both_bytes_of_no_use_and_a_loss(looks: list[tuple[int, int, int]], garbled: bool) -> None:
    assert looked(*looks) is garbled


def problem(said: int, *, of: int = 900, count: int = 200, lost: int = 0) -> str:
    """The problem found where each frame of ``of`` bytes says that it has ``said``, and one of ``lost`` is lost."""
    stream, parser = CameraStream(choose(SECTION)[0], udp=False, epoch=1), Parser()
    parser.channels = frozenset((0, 1))
    for number in range(count):
        if lost and number % lost == 0:
            continue
        frame = bytes(InterleavedFrame(0, rtp(b"\x41" + bytes(of - 13), number, 3_600 * number)))
        for message in parser.feed(frame[:2] + said.to_bytes(2) + frame[4:]):
            assert isinstance(message, InterleavedFrame)
            stream.receivers[0].receive(message.payload, number)
    stream.review(parser.junk)
    return stream.garbled.problem


@pytest.mark.parametrize("said", [65_535, 60_000, 1_804, 1_000, 2_708, 930])
def test_frames_that_are_always_shorter_than_they_say_are_named(said: int) -> None:
    """Hardly anything is left between packets where a frame swallows many."""
    assert problem(said) == SHORT


def test_frames_whose_length_counts_their_own_head_leave_bytes_of_no_use() -> None:
    assert problem(904) == JUNK


def test_frames_that_are_as_long_as_they_say_are_not_meant_though_many_are_lost() -> None:
    assert problem(900) == problem(900, lost=3) == ""


def test_packets_that_are_full_of_their_source_s_number_are_no_others() -> None:
    packet = rtp(b"$\0\0\0" + (0x1234).to_bytes(4) * 10_000, 1, 0, ssrc=0x1234)
    assert not holds_another(packet)
