"""A viewer that connects as a browser does, and can then send whatever it likes from wherever it likes.

Everything is made by hand from a UDP socket, ``Browser`` (DTLS and SRTP) and aioice's STUN.
"""

from __future__ import annotations

import asyncio
import re
import socket
from types import TracebackType
from typing import Self

import aiohttp
from aioice import stun
from aiortc import rtp
from yarl import URL

from egress.wire.ice import Credentials
from rigs.browser import PASSWORD, UFRAG, Browser
from rigs.ice import answer

PATIENCE = 20.0  # seconds
BUFFER = 8 << 20  # bytes


class Stranger:
    """An async context manager: inside it the viewer is connected. ``received`` counts bytes of media and RTCP."""

    def __init__(self, whep: str, host: str = "127.0.0.1", *, candidates: str = "") -> None:
        self.browser = Browser()
        self.session = self.tag = ""  # its address, and the tag of its ICE session
        self._ufrag, self._password = UFRAG, PASSWORD
        self._candidates = candidates  # lines of the offer
        self.received = 0
        self.ssrcs: set[int] = set()  # of the media that came
        self.largest = 0  # number of the newest packet of the picture
        self._whep = whep
        self._host = host
        self._socket = open_udp(host)
        self._answer = ""
        self._server = ("", 0)

    async def __aenter__(self) -> Self:
        async with aiohttp.ClientSession() as http:
            headers = {"Content-Type": "application/sdp"}
            offer = self.browser.offer() + self._candidates
            async with http.post(self._whep, data=offer, headers=headers) as response:
                self._answer = await response.text()
                assert response.status == 201, self._answer
                self.session = str(response.url.join(URL(response.headers["Location"])))
                self.tag = response.headers["ETag"]
        self.answered(self._answer)
        self._reader = asyncio.create_task(self._read())
        try:
            async with asyncio.timeout(PATIENCE):
                self.check(self._socket)
                await asyncio.sleep(0.05)
                self.browser.start_dtls()
                while not (self.browser.connected and self.received):
                    self._flush()
                    await asyncio.sleep(0.05)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._end()

    def answered(self, sdp: str) -> None:
        """Take the server's answer to an offer: from now on it can be sent to."""
        self._answer = sdp
        self._server = (self._host, int(self._found(r"a=candidate:1 1 udp \d+ \S+ (\d+)")))
        self.video = int(self._found(r"(?s)m=video.*?a=ssrc:(\d+)"))

    def close(self) -> None:
        """Close the socket, of one that never entered."""
        self._socket.close()

    def check(self, source: socket.socket, *, nominate: bool = True) -> int:
        """Send a check with the right password from any socket. Returns its size."""
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self._found('a=ice-ufrag:(.*)')}:{self._ufrag}"
        request.attributes["PRIORITY"] = 1
        if nominate:
            request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(self._found("a=ice-pwd:(.*)").encode())
        self.send(bytes(request), source)
        return len(bytes(request))

    async def restart(self, ufrag: str, password: str, lines: str = "") -> None:
        """Restart ICE by a PATCH with these credentials, and more lines; later checks and answers are by them."""
        body = f"a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n{lines}"
        headers = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*"}
        async with aiohttp.ClientSession() as http, http.patch(self.session, data=body, headers=headers) as response:
            self._answer = await response.text()
            assert response.status == 200, self._answer
        self._ufrag, self._password = ufrag, password

    async def trickle(self, lines: str) -> int:
        """Tell more candidates by a PATCH. Returns the answer's status."""
        body = f"a=ice-ufrag:{self._ufrag}\r\na=ice-pwd:{self._password}\r\nm=video 9 RTP/AVP 0\r\na=mid:0\r\n{lines}"
        headers = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": self.tag}
        async with aiohttp.ClientSession() as http, http.patch(self.session, data=body, headers=headers) as response:
            return response.status

    def answer(self, datagram: bytes, source: socket.socket | None = None) -> None:
        """Answer a check of the server's, if this is one, from any socket."""
        if datagram[:2] == b"\0\1":
            self.send(answer(datagram, Credentials(self._ufrag, self._password.encode())), source)

    def send(self, datagram: bytes, source: socket.socket | None = None) -> None:
        """Send any bytes."""
        (source or self._socket).sendto(datagram, self._server)

    def send_rtcp(self, *packets: bytes | rtp.AnyRtcpPacket) -> None:
        """Send feedback."""
        self.browser.send_rtcp(*packets)  # type: ignore[arg-type]  # it takes what bytes() takes
        self._flush()

    def _found(self, pattern: str) -> str:
        found = re.search(pattern, self._answer.replace("\r", ""))
        assert found is not None, pattern
        return found[1]

    def _flush(self) -> None:
        for datagram in self.browser.take():
            self.send(datagram)

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            data = await loop.sock_recv(self._socket, 2_048)
            if data[0] < 4:
                self.answer(data)
            elif data[0] < 64:
                self.browser.receive(data)
                self._flush()
            else:
                self.received += len(data)
                if data[8:12] == self.video.to_bytes(4, "big") and not 192 <= data[1] < 224:
                    self.largest = int.from_bytes(data[2:4], "big")

    async def _end(self) -> None:
        self._reader.cancel()
        await asyncio.wait((self._reader,))
        self._socket.close()


def open_udp(host: str) -> socket.socket:
    """A socket that an event loop can read from."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    opened.setblocking(False)
    opened.bind((host, 0))
    return opened


def take_all(source: socket.socket) -> list[bytes]:
    """The datagrams that have come to a socket that nobody reads."""
    taken = []
    while True:
        try:
            taken.append(source.recv(2_048))
        except BlockingIOError:
            return taken
