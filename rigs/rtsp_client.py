"""A raw RTSP client: its own RTP parsing and, for tests of a login, its own digest."""

from __future__ import annotations

import asyncio
import hashlib
import re
import struct
from dataclasses import dataclass, field

from ingest.rtsp.auth import Authenticator
from ingest.rtsp.message import Headers, InterleavedFrame, Request, Response
from ingest.rtsp.parser import Parser
from rigs.video import depacketise


@dataclass
class Rtp:
    """One received packet."""

    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes

    @classmethod
    def parse(cls, data: bytes) -> Rtp:
        first, second, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", data)
        assert first == 0x80
        return cls(bool(second & 0x80), second & 0x7F, sequence, timestamp, ssrc, data[12:])


@dataclass
class Client:
    """One connection; ``channels`` collects what comes interleaved."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    parser: Parser = field(default_factory=Parser)
    channels: dict[int, asyncio.Queue[bytes]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)  # of every request
    login: Authenticator | None = None  # answers challenges; without one a 401 is an answer like any other
    number: int = 0
    _responses: asyncio.Queue[Response] = field(default_factory=asyncio.Queue)
    _task: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, address: str) -> Client:
        host, _, port = address.rpartition(":")
        client = cls(*await asyncio.open_connection(host.strip("[]"), int(port)))
        client._task = asyncio.create_task(client._read())
        return client

    async def close(self) -> None:
        self.writer.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _read(self) -> None:
        while data := await self.reader.read(65_536):
            for message in self.parser.feed(data):
                if isinstance(message, InterleavedFrame):
                    self.channel(message.channel).put_nowait(message.payload)
                elif isinstance(message, Response):
                    self._responses.put_nowait(message)

    def channel(self, number: int) -> asyncio.Queue[bytes]:
        return self.channels.setdefault(number, asyncio.Queue())

    async def ask(self, method: str, url: str, **headers: str) -> Response:
        """Send a request and wait for its answer; underscores in names stand for hyphens."""
        response = await self._ask(method, url, headers)
        if response.status == 401 and self.login and self.login.challenged(response.headers.all("WWW-Authenticate")):
            return await self._ask(method, url, headers)
        return response

    async def _ask(self, method: str, url: str, headers: dict[str, str]) -> Response:
        self.number += 1
        fields = {"CSeq": str(self.number)} | self.headers | {k.replace("_", "-"): v for k, v in headers.items()}
        if self.login and (credentials := self.login.header(method, url)):
            fields["Authorization"] = credentials
        self.writer.write(bytes(Request(method, url, Headers(fields.items()))))
        async with asyncio.timeout(10):
            response = await self._responses.get()
        assert response.headers.get("CSeq") == str(self.number)
        return response

    async def play(self, url: str, transports: dict[str, str]) -> dict[str, Response]:
        """DESCRIBE, SETUP of each kind with its transport, PLAY."""
        answers = {"DESCRIBE": await self.ask("DESCRIBE", url)}
        for kind, transport in transports.items():
            answers[kind] = await self.ask("SETUP", f"{url}{kind}", Transport=transport)
            assert answers[kind].status == 200
            session = answers[kind].headers.get("Session")
            assert session is not None
            self.headers["Session"] = session.partition(";")[0]
        answers["PLAY"] = await self.ask("PLAY", url)
        assert answers["PLAY"].status == 200
        return answers

    async def rtp(self, channel: int) -> Rtp:
        async with asyncio.timeout(10):
            return Rtp.parse(await self.channel(channel).get())


def digest(challenge: str, method: str, url: str, username: str, password: str) -> str:
    """An ``Authorization`` for a Digest challenge (RFC 7616), written out once more."""
    fields = dict(re.findall(r'(\w+)="?([^",]*)"?', challenge))
    hashed = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[fields["algorithm"]]

    def h(text: str) -> str:
        return hashed(text.encode()).hexdigest()

    secret, request = h(f"{username}:{fields['realm']}:{password}"), h(f"{method}:{url}")
    response = h(f"{secret}:{fields['nonce']}:00000001:c0ffee:auth:{request}")
    return (
        f'Digest username="{username}", realm="{fields["realm"]}", nonce="{fields["nonce"]}", uri="{url}", '
        f'algorithm={fields["algorithm"]}, response="{response}", qop=auth, nc=00000001, cnonce="c0ffee"'
    )


def access_units(packets: list[Rtp]) -> list[tuple[int, bytes]]:
    """Timestamp and Annex B bytes of each H.264 access unit."""
    units: list[tuple[int, bytes]] = []
    payloads: list[bytes] = []
    for packet in packets:
        payloads.append(packet.payload)
        if packet.marker:
            units.append((packet.timestamp, b"".join(b"\0\0\0\1" + nal for nal in depacketise(payloads))))
            payloads.clear()
    return units
