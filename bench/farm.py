"""Many simulated cameras in one cheap process: for load on ingest, where real camera software would be the load itself.

An RTSP server (RFC 2326) with one stream at each of ``/0``, ``/1``, …, over TCP interleaved or UDP. All loop the same
clip, each from another place in it and at another moment within the frame interval, as cameras on a wall do; packets
are cut once, and sending a frame is patching its headers and one write.

``python -m bench.farm CLIP FPS CAMERAS`` writes its port to standard output and serves until standard input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.load.rtcp import NTP_EPOCH
from rigs.clip import access_units, is_keyframe, nal_units

MTU = 1400  # bytes of an RTP packet, as cameras send them
CLOCK = 90_000
REPORT_INTERVAL = 5.0  # seconds between sender reports
MAX_BACKLOG = 4 << 20  # bytes that wait for one client; one that reads slower is hung up on
_PATCH = struct.Struct("!HII")  # sequence number, timestamp, SSRC: bytes 2 to 12 of the header


@dataclass(frozen=True, slots=True)
class Frame:
    """An access unit as interleaved RTP packets (RFC 2326 10.12) whose changing fields are zero."""

    data: bytes
    offsets: tuple[int, ...]  # of each RTP packet in ``data``
    ends: tuple[int, ...]


@dataclass(eq=False, slots=True)
class Session:
    """One client's PLAY."""

    writer: asyncio.StreamWriter
    channel: int = 0
    udp: socket.socket | None = None


@dataclass(slots=True)
class Stream:
    """One camera."""

    frames: list[Frame]
    at: int  # index of the next frame
    ssrc: int = field(default_factory=lambda: random.getrandbits(32))
    sequence: int = field(default_factory=lambda: random.getrandbits(16))
    timestamp: int = field(default_factory=lambda: random.getrandbits(32))
    packets: int = 0
    octets: int = 0
    report_at: float = 0.0
    sessions: set[Session] = field(default_factory=set)

    def send(self, ticks: int, now: float) -> None:
        """Send the next frame to everybody."""
        frame = self.frames[self.at]
        self.at = (self.at + 1) % len(self.frames)
        self.timestamp = (self.timestamp + ticks) & 0xFFFFFFFF
        if not self.sessions:
            return
        data = bytearray(frame.data)
        for offset in frame.offsets:
            _PATCH.pack_into(data, offset + 2, self.sequence, self.timestamp, self.ssrc)
            self.sequence = (self.sequence + 1) & 0xFFFF
        self.packets += len(frame.offsets)
        self.octets += len(frame.data) - 16 * len(frame.offsets)
        report = b""
        if now >= self.report_at:
            self.report_at, report = now + REPORT_INTERVAL, self._report()
        for session in tuple(self.sessions):
            self._deliver(session, data, frame, report)

    def _deliver(self, session: Session, data: bytearray, frame: Frame, report: bytes) -> None:
        if session.udp is not None:
            view = memoryview(data)
            with contextlib.suppress(BlockingIOError, ConnectionError):
                for start, end in zip(frame.offsets, frame.ends, strict=True):
                    session.udp.send(view[start:end])
            return
        if session.writer.transport.get_write_buffer_size() > MAX_BACKLOG:
            self.sessions.discard(session)
            session.writer.transport.abort()
            return
        if session.channel:
            for offset in frame.offsets:
                data[offset - 3] = session.channel
        if report:
            session.writer.write(struct.pack("!BBH", 0x24, session.channel + 1, len(report)) + report)
        session.writer.write(bytes(data))

    def _report(self) -> bytes:
        """A sender report (RFC 3550 6.4.1)."""
        ntp = int((time.time() + NTP_EPOCH) * (1 << 32))
        octets = self.octets & 0xFFFFFFFF
        return struct.pack("!BBHIQIII", 0x80, 200, 6, self.ssrc, ntp, self.timestamp, self.packets & 0xFFFFFFFF, octets)


def cut(clip: Path) -> tuple[list[Frame], str]:
    """The clip's frames and its ``fmtp`` parameters (RFC 6184 8.1)."""
    frames, fmtp = [], ""
    for unit in access_units(clip):
        nals = [nal for nal in nal_units(unit) if nal[0] & 0x1F != 9]
        if is_keyframe(unit) and not fmtp:
            sps = next(nal for nal in nals if nal[0] & 0x1F == 7)
            pps = next(nal for nal in nals if nal[0] & 0x1F == 8)
            sets = ",".join(b64encode(nal).decode() for nal in (sps, pps))
            fmtp = f"packetization-mode=1;profile-level-id={sps[1:4].hex()};sprop-parameter-sets={sets}"
        payloads = [part for nal in nals for part in _fragments(nal, MTU - 12)]
        data, offsets, ends = b"", [], []
        for number, payload in enumerate(payloads, 1):
            marker = 0x80 if number == len(payloads) else 0
            data += struct.pack("!BBH", 0x24, 0, len(payload) + 12)
            offsets.append(len(data))
            data += struct.pack("!BB10x", 0x80, 96 | marker) + payload
            ends.append(len(data))
        frames.append(Frame(data, tuple(offsets), tuple(ends)))
    return frames, fmtp


def _fragments(nal: bytes, limit: int) -> Iterator[bytes]:
    """RFC 6184 5.6, 5.8."""
    if len(nal) <= limit:
        yield nal
        return
    for at in range(1, len(nal), limit - 2):
        flags = (0x80 if at == 1 else 0) | (0x40 if at + limit - 2 >= len(nal) else 0)
        yield bytes([nal[0] & 0xE0 | 28, nal[0] & 0x1F | flags]) + nal[at : at + limit - 2]


class Farm:
    """The server."""

    def __init__(self, clip: Path, fps: int, cameras: int) -> None:
        frames, self._fmtp = cut(clip)
        self._fps = fps
        self._streams = [Stream(frames, index * len(frames) // cameras) for index in range(cameras)]

    async def serve(self, host: str, port: int) -> asyncio.Server:
        """Listen; the caller runs ``play``."""
        return await asyncio.start_server(self._client, host, port)

    async def play(self) -> None:
        """Send frames for ever, the streams spread over the frame interval."""
        start, turn, turns = time.monotonic(), 0, len(self._streams) * self._fps
        while True:
            now = time.monotonic()
            while turn <= (now - start) * turns:
                self._streams[turn % len(self._streams)].send(CLOCK // self._fps, now)
                turn += 1
            await asyncio.sleep(max(0.001, start + turn / turns - time.monotonic()))

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(writer)
        try:
            while True:
                if (first := await reader.readexactly(1)) == b"$":  # the client's RTCP
                    await reader.readexactly(int.from_bytes((await reader.readexactly(3))[1:], "big"))
                    continue
                head = first + await reader.readuntil(b"\r\n\r\n")
                if not self._request(head.decode("latin-1"), session):
                    break
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            pass
        finally:
            for stream in self._streams:
                stream.sessions.discard(session)
            if session.udp is not None:
                session.udp.close()
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _request(self, head: str, session: Session) -> bool:
        """Answer one request; ``False`` ends the connection."""
        lines = head.split("\r\n")
        method, url, _version = lines[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        extra, body = ["Session: 1;timeout=60"], ""
        stream = self._stream(url)
        if method == "OPTIONS":
            extra = ["Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"]
        elif stream is None:
            return self._answer(session, "404 Not Found", headers, [], "")
        elif method == "DESCRIBE":
            base = url.rstrip("/")
            session_lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=farm", "t=0 0"]
            media_lines = ["m=video 0 RTP/AVP 96", f"a=rtpmap:96 H264/{CLOCK}", f"a=fmtp:96 {self._fmtp}"]
            body = "\r\n".join([*session_lines, "c=IN IP4 0.0.0.0", *media_lines, "a=control:track", ""])
            extra = ["Content-Type: application/sdp", f"Content-Base: {base}/"]
        elif method == "SETUP":
            extra.append(f"Transport: {self._transport(headers.get('transport', ''), session)}")
        elif method == "PLAY":
            extra.append(f"RTP-Info: url={url};seq={stream.sequence};rtptime={stream.timestamp}")
            self._answer(session, "200 OK", headers, extra, "")
            stream.report_at = 0.0  # at once, so that a client knows the capture time from the start
            stream.sessions.add(session)
            return True
        return self._answer(session, "200 OK", headers, extra, body) and method != "TEARDOWN"

    def _answer(self, session: Session, status: str, headers: dict[str, str], extra: list[str], body: str) -> bool:
        lines = [f"RTSP/1.0 {status}", f"CSeq: {headers.get('cseq', '0')}", *extra]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        session.writer.write("\r\n".join([*lines, "", body]).encode())
        return True

    def _stream(self, url: str) -> Stream | None:
        parts = url.split("/")  # rtsp: "" host number [track]
        number = parts[3] if len(parts) > 3 else ""
        return self._streams[int(number)] if number.isdigit() and int(number) < len(self._streams) else None

    def _transport(self, wanted: str, session: Session) -> str:
        options = dict(part.partition("=")[::2] for part in wanted.split(";"))
        if "interleaved" in options:
            session.channel = int(options["interleaved"].split("-")[0])
            return f"RTP/AVP/TCP;unicast;interleaved={session.channel}-{session.channel + 1}"
        peer, local = session.writer.get_extra_info("peername"), session.writer.get_extra_info("sockname")
        session.udp = socket.socket(socket.AF_INET6 if ":" in peer[0] else socket.AF_INET, socket.SOCK_DGRAM)
        session.udp.setblocking(False)
        session.udp.bind((local[0], 0))
        client = options["client_port"]
        session.udp.connect((peer[0], int(client.split("-")[0])))
        server = session.udp.getsockname()[1]
        return f"RTP/AVP;unicast;client_port={client};server_port={server}-{server + 1}"


async def main(clip: Path, fps: int, cameras: int) -> None:
    """Serve until standard input ends."""
    farm = Farm(clip, fps, cameras)
    server = await farm.serve("127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    playing = asyncio.create_task(farm.play())
    await asyncio.to_thread(sys.stdin.read)
    playing.cancel()
    server.close()


@contextmanager
def running(clip: Path, fps: int, cameras: int) -> Iterator[tuple[list[str], int]]:
    """Run a farm in a process of its own; yields the cameras' URLs and its process id."""
    command = [sys.executable, "-m", "bench.farm", str(clip), str(fps), str(cameras)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        if not port:
            raise RuntimeError("the camera farm did not start")
        yield [f"rtsp://127.0.0.1:{port}/{number}" for number in range(cameras)], process.pid
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        runner = asyncio.run
    else:
        runner = uvloop.run
    runner(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
