"""A WHEP server that nobody here wrote: aiortc's peer connection behind a few lines of HTTP.

It is a full ICE agent, takes the active DTLS role and encodes each viewer's picture anew: nothing like the product,
which is its worth. For a handful of viewers on one machine.
"""

from __future__ import annotations

import asyncio
import fractions
import re
from types import TracebackType
from typing import Self

import av
from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack

FPS = 15
CLOCK = 90_000


class MovingBars(MediaStreamTrack):
    """Diagonal bars that move: 320x240, never two equal frames, never blank."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._start = asyncio.get_running_loop().time()

    async def recv(self) -> av.VideoFrame:
        due = self._start + self._count / FPS
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        frame = av.VideoFrame(320, 240, "yuv420p")
        row = bytes((x * 4 + self._count * 8) % 256 for x in range(frame.planes[0].line_size + 240))
        frame.planes[0].update(b"".join(row[y : y + frame.planes[0].line_size] for y in range(240)))
        for plane in frame.planes[1:]:
            plane.update(bytes([128]) * plane.buffer_size)
        frame.pts, frame.time_base = self._count * CLOCK // FPS, fractions.Fraction(1, CLOCK)
        self._count += 1
        return frame


class WhepServer:
    """An async context manager; ``url`` is where offers go."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.url = ""
        self._address = address
        self.left = 0  # sessions that were ended by DELETE
        self._sessions: dict[str, RTCPeerConnection] = {}

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/whep", self._offer)
        app.router.add_delete("/whep/{session}", self._delete)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._address, 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/whep"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        for session in list(self._sessions):
            await self._sessions.pop(session).close()
        await self._runner.cleanup()

    async def loss_reports(self) -> list[int]:
        """Packets lost according to the last report of each viewer that has sent one."""
        senders = [sender for connection in self._sessions.values() for sender in connection.getSenders()]
        reports = [await sender.getStats() for sender in senders]
        return [
            entry.packetsLost for report in reports for entry in report.values() if entry.type == "remote-inbound-rtp"
        ]

    async def _offer(self, request: web.Request) -> web.Response:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        session = str(id(connection))
        self._sessions[session] = connection
        connection.addTrack(MovingBars())
        wanted = [codec for codec in RTCRtpSender.getCapabilities("video").codecs if codec.name in ("H264", "rtx")]
        connection.getTransceivers()[0].setCodecPreferences(wanted)
        # Chromium's candidates are mDNS names, which aioice would look up; its checks tell us its addresses anyway.
        offer = re.sub(r"a=(candidate:.*|end-of-candidates)\r\n", "", await request.text())
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        return web.Response(
            status=201,
            text=connection.localDescription.sdp,
            content_type="application/sdp",
            headers={"Location": f"/whep/{session}"},
        )

    async def _delete(self, request: web.Request) -> web.Response:
        connection = self._sessions.pop(request.match_info["session"], None)
        if connection is None:
            raise web.HTTPNotFound
        self.left += 1
        await connection.close()
        return web.Response()
