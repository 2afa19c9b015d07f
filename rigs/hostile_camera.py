"""A camera that means harm, in a process of its own: ``python -m rigs.hostile_camera KIND`` prints its URL.

It answers like any other until PLAY, and then sends as fast as the connection takes it:

* ``keyframes``: nothing but keyframes of 50 kB;
* ``start-codes``: packets of 65 kB that hold nothing but start codes;
* ``drip``: a header that never ends, each byte by itself;
* ``headers``: messages whose headers are blanks, folded lines, and as many lines as fit;
* ``rtcp``: nothing but reports on itself;
* ``sdp``: a session description that is as long as one may be, and costly to read, again for each session.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ingest.rtsp.message import InterleavedFrame
from rigs.camera import FakeCamera, FakeTrack
from rigs.process import program
from rigs.rtp import rtp, sender_report
from rigs.video import aggregate

SPS = bytes.fromhex("6764000dacb202a10f111180880000030008000003019078a15240")
PPS = bytes.fromhex("68ebc3cb22c0")
SETS = aggregate((SPS, PPS))


@contextmanager
def hostile_camera(kind: str) -> Iterator[str]:
    """The URL of a hostile camera, while it runs."""
    with program("rigs.hostile_camera", kind) as (url, _pid):
        yield url


def _frame(number: int, timestamp: int, payload: bytes, *, marker: bool) -> bytes:
    return bytes(InterleavedFrame(0, rtp(payload, number, timestamp, marker=marker)))


def _keyframes() -> Iterator[bytes]:
    for number in itertools.count():
        picture = b"\x65\x88" + bytes((number % 250 + 1,)) * 50_000
        yield _frame(2 * number, 3_600 * number, SETS, marker=False)
        yield _frame(2 * number + 1, 3_600 * number, picture, marker=True)


def _start_codes() -> Iterator[bytes]:
    yield _frame(0, 0, SETS, marker=False)
    for number in itertools.count(1):
        yield _frame(number, 3_600 * number, b"\x65\x88" + b"\0\0\1\x65\x88" * 13_000, marker=True)


def _drip() -> Iterator[bytes]:
    yield from (bytes((byte,)) for byte in b"RTSP/1.0 200 OK\r\nX: ")
    yield from itertools.repeat(b" ")


def _headers() -> Iterator[bytes]:
    fillings = (b"X: " + b" " * 15_000, b"X: a" + b"\r\n b" * 4_000, b"a:\r\n" * 3_000, b"Transport: " + b";=" * 7_000)
    for filling in itertools.cycle(fillings):
        yield b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n" + filling + b"\r\n\r\n"


def _rtcp() -> Iterator[bytes]:
    for number in itertools.count():
        yield bytes(InterleavedFrame(1, sender_report(0x1234, number << 32, 3_600 * number) * 50))


def _sdp() -> Iterator[bytes]:
    yield b""


KINDS = {
    "keyframes": _keyframes,
    "start-codes": _start_codes,
    "drip": _drip,
    "headers": _headers,
    "rtcp": _rtcp,
    "sdp": _sdp,
}
COSTLY = "".join(f"a=rtpmap:{96 + n % 32} H264/90000\na=fmtp:{96 + n % 32} a={';' * 40}\n" for n in range(600))


async def main(kind: str) -> None:
    """Serve until killed."""
    track = FakeTrack("m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n", [], control="v")
    track.sdp += COSTLY if kind == "sdp" else ""
    async with FakeCamera([track], transports={"tcp"}, flood=KINDS[kind]) as camera:
        print(camera.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
