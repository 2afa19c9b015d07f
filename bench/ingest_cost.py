"""What ingest costs: CPU microseconds a packet of one ingest process, with simulated cameras in another one.

    python -m bench.ingest_cost --cameras 100 --bitrate 2000000 --seconds 10 --transport tcp

Three processes: the cameras, the ingest worker that is measured, and this one, which is its broker and reads all that
it publishes. CPU time is the worker's own, of all its threads; the wall clock plays no part. One JSON line results.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import zmq

from common.bus import Channel, Endpoints, open_socket
from common.cameras import CameraSpec, CameraState, Transport
from common.config import BrokerConfig, Config
from common.control import Assign, Report, decode_for_broker, encode
from common.process import run
from ingest import worker
from ingest.rtsp.message import Headers, InterleavedFrame, Parser, Request, Response
from ingest.rtsp.transport import TransportSpec

ROOT = Path(__file__).resolve().parent.parent
NODE = "measured"
FPS = 25
GOP = 2 * FPS  # frames
TICKS = 90_000 // FPS
PAYLOAD = 1_400  # bytes, as most cameras send
KEYFRAME_WEIGHT = 6  # times the size of another frame
PARAMETER_SETS = [
    bytes.fromhex("6764000dacb202a10f111180880000030008000003019078a15240"),
    bytes.fromhex("68ebc3cb22c0"),
]
SDP = b"v=0\r\ns=x\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:v\r\n"


# The cameras.


def group_of_pictures(bitrate: int) -> list[list[bytes]]:
    """RTP packets, without their numbers, of each frame of a group."""
    average = bitrate / 8 / FPS
    small = average * GOP / (GOP - 1 + KEYFRAME_WEIGHT)
    noise = random.Random(1)
    frames = []
    for number in range(GOP):
        header = b"\x65\x88" if number == 0 else b"\x41\x9a"
        size = int(small * (KEYFRAME_WEIGHT if number == 0 else noise.uniform(0.8, 1.2)))
        nal = header + noise.randbytes(size).replace(b"\0", b"\1")
        payloads = [*PARAMETER_SETS] if number == 0 else []
        if len(nal) <= PAYLOAD:
            payloads.append(nal)
        else:
            pieces = [nal[at : at + PAYLOAD - 2] for at in range(1, len(nal), PAYLOAD - 2)]
            for index, piece in enumerate(pieces):
                bits = (index == 0) << 7 | (index == len(pieces) - 1) << 6
                payloads.append(bytes((nal[0] & 0xE0 | 28, bits | nal[0] & 0x1F)) + piece)
        marker = [0x60] * (len(payloads) - 1) + [0xE0]
        frames.append([b"\x80" + bytes((second,)) + payload for second, payload in zip(marker, payloads, strict=True)])
    return frames


@dataclass
class SimulatedCamera(asyncio.Protocol):
    """One connection: answers whatever is asked, and plays from then on."""

    frames: list[list[bytes]]
    parser: Parser = field(default_factory=Parser)
    spec: TransportSpec | None = None
    sequence: int = 0
    number: int = 0
    timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.udp: socket.socket | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.udp is not None:
            self.udp.close()

    def data_received(self, data: bytes) -> None:
        for message in self.parser.feed(data):
            if isinstance(message, Request):
                self._answer(message)

    def _answer(self, request: Request) -> None:
        headers = [("CSeq", request.headers.get("CSeq") or ""), ("Session", "1")]
        body = b""
        if request.method == "DESCRIBE":
            body = SDP
        elif request.method == "SETUP":
            self.spec = TransportSpec.parse(request.headers.get("Transport") or "")
            headers.append(("Transport", str(self._open_port(self.spec))))
        self.transport.write(bytes(Response(200, "OK", Headers(headers), body)))
        if request.method == "PLAY":
            loop = asyncio.get_running_loop()
            self.number = random.randrange(GOP)
            self.due = loop.time() + random.random() / FPS
            self.timer = loop.call_at(self.due, self._send)

    def _open_port(self, spec: TransportSpec) -> TransportSpec:
        if not spec.client_port:
            return spec
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.udp.bind(("127.0.0.1", 0))
        self.udp.connect((self.transport.get_extra_info("peername")[0], spec.client_port[0]))
        return replace(spec, server_port=(self.udp.getsockname()[1], 9))

    def _send(self) -> None:
        timestamp, packets = self.number * TICKS, []
        for packet in self.frames[self.number % GOP]:
            numbers = struct.pack("!HII", self.sequence & 0xFFFF, timestamp & 0xFFFFFFFF, 7)
            packets.append(packet[:2] + numbers + packet[2:])
            self.sequence += 1
        self.number += 1
        if self.udp is not None:
            for packet in packets:
                with suppress(OSError):
                    self.udp.send(packet)
        elif not self.transport.is_closing():
            self.transport.write(b"".join(bytes(InterleavedFrame(0, packet)) for packet in packets))
        self.due += 1 / FPS
        self.timer = asyncio.get_running_loop().call_at(self.due, self._send)


async def simulate(bitrate: int, stop: asyncio.Event) -> None:
    """Serve cameras on a free port, which is printed, until stopped."""
    frames = group_of_pictures(bitrate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SimulatedCamera(frames), "127.0.0.1", 0, backlog=1_000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stop.wait()
    server.close()


# The measurement.


class Broker:
    """Assigns the cameras, counts what is published, and remembers reports."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoints: Endpoints) -> None:
        self.report: Report | None = None
        self.reported = asyncio.Event()
        self.batches = self.bytes = 0
        router, media = open_socket(context, zmq.ROUTER), open_socket(context, zmq.XSUB)
        router.bind(endpoints.control)
        media.bind(endpoints.media_in)
        self.control = Channel(router, self._receive, multipart=True)
        self.media = Channel(media, self._receive_media)
        self.media.send(b"\x01")

    def _receive(self, frames: list[bytes]) -> None:
        message = decode_for_broker(frames[1])
        if isinstance(message, Report):
            self.report = message
            self.reported.set()

    def _receive_media(self, frame: bytes) -> None:
        self.batches += 1
        self.bytes += len(frame)

    async def next_report(self) -> Report:
        """Wait for the worker's next word."""
        self.reported.clear()
        async with asyncio.timeout(30):
            await self.reported.wait()
        assert self.report is not None
        return self.report


async def measure(options: argparse.Namespace, address: str, port: int, pid: int) -> dict[str, Any]:
    """Have everything play, then compare the worker's CPU time at two of its reports."""
    process = psutil.Process(pid)
    with zmq.Context() as context:
        broker = Broker(context, Endpoints.parse(address))
        await broker.next_report()
        for number in range(options.cameras):
            url = f"rtsp://127.0.0.1:{port}/{number}"
            spec = CameraSpec(f"camera-{number}", url, Transport(options.transport), revision=1)
            broker.control.send(NODE.encode(), encode(Assign(spec)))
        deadline = time.monotonic() + 30 + options.cameras
        while sum(s.state is CameraState.PLAYING for s in (await broker.next_report()).served) < options.cameras:
            if time.monotonic() > deadline:
                raise SystemExit("not all cameras play")
        await asyncio.sleep(2)
        first, before, batches = await broker.next_report(), process.cpu_times(), broker.batches
        start = time.monotonic()
        await asyncio.sleep(options.seconds)
        last, after = await broker.next_report(), process.cpu_times()
        wall, batches = time.monotonic() - start, broker.batches - batches
        memory = process.memory_info().rss
        broker.control.close()
        broker.media.close()
    packets = count(last, "packets") - count(first, "packets")
    user, system = after.user - before.user, after.system - before.system
    return {
        "cameras": options.cameras,
        "transport": options.transport,
        "mbit_per_camera": options.bitrate / 1e6,
        "packets_per_second": round(packets / wall),
        "batches_per_second": round(batches / wall),
        "us_per_packet": round(1e6 * (user + system) / packets, 2),
        "us_user": round(1e6 * user / packets, 2),
        "us_system": round(1e6 * system / packets, 2),
        "share_of_core": round((user + system) / wall, 3),
        "lost": count(last, "lost"),
        "dropped": count(last, "dropped") - count(first, "dropped"),
        "resident_mb": round(memory / 1e6, 1),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }


def count(report: Report, name: str) -> int:
    """Sum of a counter over all tracks."""
    return sum(getattr(stats, name) for stream in report.served for stats in stream.stats)


@contextmanager
def child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """This script again, in another role."""
    command = [sys.executable, "-m", "bench.ingest_cost", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def main() -> None:
    """Parse the options and play the role they say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=100)
    parser.add_argument("--bitrate", type=int, default=2_000_000, help="bit/s of each camera")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to measure")
    parser.add_argument("--transport", choices=["tcp", "udp"], default="tcp")
    parser.add_argument("--role", choices=["measure", "cameras", "worker"], default="measure", help=argparse.SUPPRESS)
    parser.add_argument("--address", default="", help=argparse.SUPPRESS)
    parser.add_argument("--profile-hint", action="store_true", help="print the worker's pid, for py-spy")
    options = parser.parse_args()
    if options.role == "cameras":
        sys.exit(run(lambda stop: simulate(options.bitrate, stop)))
    if options.role == "worker":
        config = Config(broker=BrokerConfig(address=options.address))
        sys.exit(run(lambda stop: worker.run(config, NODE, stop)))
    with (
        tempfile.TemporaryDirectory() as directory,
        child("--role", "cameras", "--bitrate", str(options.bitrate)) as cameras,
        child("--role", "worker", "--address", f"ipc://{directory}") as measured,
    ):
        assert cameras.stdout is not None
        if options.profile_hint:
            print(f"py-spy record --pid {measured.pid} (of {os.getpid()})", file=sys.stderr)
        port = int(cameras.stdout.readline())
        print(json.dumps(asyncio.run(measure(options, f"ipc://{directory}", port, measured.pid))))


if __name__ == "__main__":
    main()
