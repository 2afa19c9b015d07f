"""A camera that means harm, in a process of its own: ``python -m rigs.hostile_camera KIND`` prints its URL.

It answers like any other until PLAY, and then sends as fast as the connection takes it:

* ``keyframes``: nothing but keyframes of 50 kB;
* ``start-codes``: packets of 65 kB that hold nothing but start codes;
* ``drip``: a header that never ends, each byte by itself.
"""

from __future__ import annotations

import itertools
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SPS = bytes.fromhex("6764000dacb202a10f111180880000030008000003019078a15240")
PPS = bytes.fromhex("68ebc3cb22c0")
SDP = b"v=0\r\ns=x\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:v\r\n"


@contextmanager
def hostile_camera(kind: str) -> Iterator[str]:
    """Its URL, while it runs."""
    with subprocess.Popen(
        (sys.executable, "-m", "rigs.hostile_camera", kind),
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def _frame(number: int, timestamp: int, payload: bytes, *, marker: bool) -> bytes:
    header = struct.pack("!BBHII", 0x80, 96 | marker << 7, number & 0xFFFF, timestamp & 0xFFFFFFFF, 7)
    return b"$\0" + (len(header) + len(payload)).to_bytes(2) + header + payload


def _sets() -> bytes:
    return b"\x78" + b"".join(len(nal).to_bytes(2) + nal for nal in (SPS, PPS))


def _keyframes() -> Iterator[bytes]:
    for number in itertools.count():
        picture = b"\x65\x88" + bytes((number % 250 + 1,)) * 50_000
        yield _frame(2 * number, 3_600 * number, _sets(), marker=False) + _frame(
            2 * number + 1, 3_600 * number, picture, marker=True
        )


def _start_codes() -> Iterator[bytes]:
    yield _frame(0, 0, _sets(), marker=False)
    for number in itertools.count(1):
        yield _frame(number, 3_600 * number, b"\x65\x88" + b"\0\0\1\x65\x88" * 13_000, marker=True)


def _drip() -> Iterator[bytes]:
    yield from (bytes((byte,)) for byte in b"RTSP/1.0 200 OK\r\nX: ")
    yield from itertools.repeat(b" ")


KINDS = {"keyframes": _keyframes, "start-codes": _start_codes, "drip": _drip}


def _answer(request: bytes) -> bytes:
    method = request.split(b" ", 1)[0]
    sequence = next((line for line in request.split(b"\r\n") if line.lower().startswith(b"cseq")), b"CSeq: 1")
    head = b"RTSP/1.0 200 OK\r\n" + sequence + b"\r\n"
    match method:
        case b"DESCRIBE":
            return head + b"Content-Length: %d\r\n\r\n" % len(SDP) + SDP
        case b"SETUP":
            return head + b"Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n"
    return head + b"Session: 1\r\n\r\n"


def _serve(connection: socket.socket, kind: str) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = b""
    with connection, suppress(OSError):
        while b"PLAY " not in data or b"\r\n\r\n" not in data:
            *requests, data = data.split(b"\r\n\r\n")
            for request in requests:
                connection.sendall(_answer(request))
            more = connection.recv(65_536)
            if not more:
                return
            data += more
        connection.sendall(_answer(data))
        for piece in KINDS[kind]():
            connection.sendall(piece)


def main(kind: str) -> None:
    """Serve until killed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(f"rtsp://127.0.0.1:{server.getsockname()[1]}/live", flush=True)
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_serve, args=(connection, kind), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1])
