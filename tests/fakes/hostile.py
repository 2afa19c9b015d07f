"""A crowd of strangers in a process of its own: changed requests, WebSocket messages, datagrams and TCP frames.

``python -m tests.fakes.hostile URL CAMERA EACH SEED`` sends so many of each kind, from ``SOURCES`` addresses of the
loopback, and prints how the server answered as JSON. Each source also has a real session, with a path that answers
checks and with keys, so that what it sends reaches what lies behind them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import quote

import aiohttp
from OpenSSL import SSL
from yarl import URL

from egress.wire.stun import binding_success
from rigs.browser import PASSWORD
from tests.fuzz.egress_targets import FEEDBACK, OFFERS, QuickBrowser, check
from tests.fuzz.table import corpus

SOURCES = 50  # 127.0.0.2 and following
AT_ONCE = 6  # sources that are at work, so that the machine has something left for who watches
DATAGRAMS = 20  # in a row
FRAMES = 4  # over one connection
PAUSE = 0.002  # seconds between them
CONNECT = 5.0  # seconds for a real session; without one its datagrams come from nobody
ROOT = Path(__file__).parents[2]
_LONG = 200  # times that a piece is repeated


@dataclass
class Answers:
    """A request, and how it was answered."""

    offers: Counter[str] = field(default_factory=Counter)  # by HTTP status
    patches: Counter[str] = field(default_factory=Counter)
    leaves: Counter[str] = field(default_factory=Counter)  # DELETEs of sessions
    events: Counter[str] = field(default_factory=Counter)  # subscriptions to a session's events
    codes: Counter[str] = field(default_factory=Counter)  # of what was refused with 5xx
    messages: int = 0
    trickles: int = 0  # candidates by WebSocket
    frames: int = 0  # by TCP
    stun: int = 0
    dtls: int = 0
    rtcp: int = 0
    connected: int = 0  # sources with keys


@contextlib.asynccontextmanager
async def strangers(url: str, camera: str, each: int, seed: int = 1) -> AsyncIterator[asyncio.Task[Answers]]:
    """The crowd at work; the task ends with its answers."""
    process = await asyncio.create_subprocess_exec(
        *("nice", sys.executable, "-m", "tests.fakes.hostile", url, camera, str(each), str(seed)),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )

    async def answers() -> Answers:
        out, _ = await process.communicate()
        assert process.returncode == 0, "the strangers' own process failed"
        return Answers(**json.loads(out))

    task = asyncio.create_task(answers())
    try:
        yield task
    finally:
        if process.returncode is None:
            process.kill()
        await asyncio.gather(task, return_exceptions=True)


def changed(dice: random.Random, inputs: Sequence[bytes]) -> bytes:
    """One of the inputs, with up to four changes."""
    data = bytearray(dice.choice(inputs))
    for _ in range(dice.randint(1, 4)):
        start = dice.randrange(len(data) + 1)
        end = min(len(data), start + dice.choice((1, 4, 16, 64)))
        match dice.randrange(7):
            case 0 if start < len(data):
                data[start] ^= 1 << dice.randrange(8)
            case 1:
                del data[start:end]
            case 2:
                data[start:start] = data[start:end]
            case 3:
                data[start:start] = bytes(data[start:end]) * dice.randrange(_LONG)
            case 4:
                other = dice.choice(inputs)
                data[start:end] = other[dice.randrange(len(other) + 1) :]
            case 5:
                data[start:start] = dice.choice((b"0", b"-1", b"4294967296", b"\xff\xff\xff\xff", b"\r\n", b"a=", b'"'))
            case 6:
                del data[start:]
    return bytes(data[: 48 << 10])


class Stranger(asyncio.DatagramProtocol):
    """One source: its HTTP session, its WebSocket, its datagrams."""

    def __init__(self, number: int, url: str, camera: str, answers: Answers, seed: int) -> None:
        self.dice = random.Random(seed * SOURCES + number)
        self.address = f"127.0.0.{2 + number}"
        self.url, self.camera, self.answers = url, camera, answers
        self.browser = QuickBrowser()
        self.ready = asyncio.Event()
        self.transport: asyncio.DatagramTransport | None = None
        self._ufrag = self._password = ""
        self._server = ("127.0.0.1", 9)
        self._tcp_port = 9

    async def run(self, each: int) -> None:
        """Send so many of each kind."""
        connector = aiohttp.TCPConnector(local_addr=(self.address, 0))
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as http:
            session, tag = await self._connect(http)
            for _ in range(each):
                await self._offer(http)
                await self._patch(http, session, tag)
                await self._leave(http)
                await self._subscribe(http, session)
            sent = [await self._signal(http, each, inputs) for inputs in (_MESSAGES, _CANDIDATES)]
            self.answers.messages += sent[0]
            self.answers.trickles += sent[1]
            await self._send_all(each)
            await self._send_frames(each)
            if session:
                async with http.delete(self.url + session):
                    pass
        if self.transport is not None:
            self.transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer the server's checks, and shake hands."""
        assert self.transport is not None
        if data[:2] == b"\0\1":
            host, port = self.transport.get_extra_info("sockname")[:2]
            self.transport.sendto(binding_success(data[8:20], PASSWORD.encode(), host, port), addr)
        elif 20 <= data[0] < 64 and not self.browser.connected:
            with contextlib.suppress(SSL.Error):
                self.browser.receive(data)
            self._flush()
            if self.browser.connected:
                self.ready.set()

    async def _connect(self, http: aiohttp.ClientSession) -> tuple[str, str]:
        """A real session, if the server has room for one: its address and entity tag."""
        headers = {"Content-Type": "application/sdp"}
        async with http.post(f"{self.url}/whep/{self.camera}", data=self.browser.offer(), headers=headers) as response:
            answer = await response.text()
            if response.status != 201:
                return "", '"x"'
            session, tag = response.headers["Location"], response.headers["ETag"]
        self._ufrag, self._password = (re.findall(rf"a=ice-{name}:(\S+)", answer)[0] for name in ("ufrag", "pwd"))
        port, self._tcp_port = (
            int(re.findall(rf"a=candidate:\S+ \d {way} \d+ \S+ (\d+)", answer)[0]) for way in ("udp", "tcp")
        )
        self._server = ("127.0.0.1", port)
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=(self.address, 0))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONNECT):
                self._send(check(self._ufrag, self._password))
                await asyncio.sleep(0.05)
                self._send(check(self._ufrag, self._password))
                self.browser.start_dtls()
                self._flush()
                await self.ready.wait()
                self.answers.connected += 1
        return session, tag

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        self.transport = cast(asyncio.DatagramTransport, transport)  # by name it is none

    async def _offer(self, http: aiohttp.ClientSession) -> None:
        body = changed(self.dice, _OFFERS)
        headers = {"Content-Type": "application/sdp"}
        async with http.post(f"{self.url}/whep/{self.camera}", data=body, headers=headers) as response:
            await self._count(self.answers.offers, response)

    async def _patch(self, http: aiohttp.ClientSession, session: str, tag: str) -> None:
        where = session if session and self.dice.random() < 0.8 else f"/whep/{self.camera}/nobody"
        headers = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": tag}
        body = changed(self.dice, _FRAGMENTS)
        async with http.patch(self.url + where, data=body, headers=headers) as response:
            await self._count(self.answers.patches, response)

    async def _leave(self, http: aiohttp.ClientSession) -> None:
        """End a session that is nobody's, or no session at all."""
        name = quote(changed(self.dice, _NAMES)[:2_000] or b"x", safe="/")
        where = URL(f"{self.url}/whep/{self.camera}/{name}", encoded=True)
        async with http.delete(where, headers={"If-Match": self.dice.choice(("*", '"x"', ""))}) as response:
            await self._count(self.answers.leaves, response)

    async def _subscribe(self, http: aiohttp.ClientSession, session: str) -> None:
        """Ask for the events of a session."""
        where = session if session and self.dice.random() < 0.8 else f"/whep/{self.camera}/nobody"
        body, headers = changed(self.dice, _EVENTS), {"Content-Type": "application/json"}
        async with http.post(f"{self.url}{where}/events", data=body, headers=headers) as response:
            await self._count(self.answers.events, response)

    async def _count(self, counter: Counter[str], response: aiohttp.ClientResponse) -> None:
        counter[str(response.status)] += 1
        text = await response.text()
        if response.status >= 500:
            with contextlib.suppress(ValueError, KeyError):
                self.answers.codes[json.loads(text)["code"]] += 1

    async def _signal(self, http: aiohttp.ClientSession, each: int, inputs: Sequence[bytes]) -> int:
        """WebSocket messages; over another socket where the server closes one. How many were sent."""
        left = each
        while left > 0:
            async with http.ws_connect(f"{self.url}/ws", max_msg_size=0) as socket:
                reader = asyncio.create_task(_drain(socket))
                with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                    while left > 0 and not socket.closed:
                        await socket.send_str(changed(self.dice, inputs).decode("utf-8", "replace"))
                        left -= 1
                        await asyncio.sleep(PAUSE)
                reader.cancel()
        return each - left

    async def _send_all(self, each: int) -> None:
        if self.transport is None:
            return
        for number in range(each):
            if self.dice.random() < 0.5:
                self._send(
                    check(self._ufrag, self._password, nominate=self.dice.random() < 0.5, extra=_attributes(self.dice))
                )
            else:
                self._send(changed(self.dice, _STUN))
            self._send(changed(self.dice, _DTLS))
            feedback = changed(self.dice, _RTCP)
            if self.browser.connected and self.dice.random() < 0.8:
                with contextlib.suppress(Exception):  # libsrtp takes no packet that is none
                    feedback = self.browser.protect_rtcp(feedback[:1_400])
            self._send(feedback)
            self.answers.stun += 1
            self.answers.dtls += 1
            self.answers.rtcp += 1
            if number % DATAGRAMS == 0:
                await asyncio.sleep(PAUSE * DATAGRAMS)

    async def _send_frames(self, each: int) -> None:
        """TCP frames (RFC 4571), over another connection after some: the server closes one that sends what is none."""
        sent = 0
        while sent < each:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self._tcp_port, local_addr=(self.address, 0))
                if self.dice.random() < 0.5:
                    first = check(self._ufrag, self._password, nominate=self.dice.random() < 0.5)
                    writer.write(len(first).to_bytes(2, "big") + first)
                for _ in range(FRAMES):
                    data = changed(self.dice, self.dice.choice((_STUN, _DTLS, _RTCP)))[:1_500]
                    size = self.dice.choice((len(data), len(data), len(data), self.dice.randrange(65_536)))
                    writer.write(size.to_bytes(2, "big") + data)
                writer.close()
                await writer.wait_closed()
            sent += FRAMES
            await asyncio.sleep(PAUSE * FRAMES)
        self.answers.frames += sent

    def _send(self, datagram: bytes) -> None:
        assert self.transport is not None
        self.transport.sendto(datagram[:1_500], self._server)

    def _flush(self) -> None:
        for datagram in filter(None, self.browser.take()):
            self._send(datagram)


def _attributes(dice: random.Random) -> bytes:
    """An attribute of STUN that nobody knows, at times too long for the rest."""
    size = dice.randrange(64)
    return bytes((dice.randrange(256), dice.randrange(256), 0, size)) + bytes(size + 3 & ~3)


async def _drain(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass


_OFFERS = [*OFFERS, *(data[1:] for data in corpus("offer") if len(data) > 1)]
_FRAGMENTS = [data for data in corpus("sdpfrag") if data]
_MESSAGES = [line for data in corpus("signalling") for line in data.split(b"\n") if line]
_CANDIDATES = [
    json.dumps({"type": kind, "session": "s1", **fields}).encode()
    for kind in ("candidate", "attach", "close", "restart")
    for fields in (
        {"candidate": "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host", "sdpMid": "0", "sdpMLineIndex": 0},
        {"candidate": "candidate:2 1 tcp 1 a.local 9 typ host tcptype active", "usernameFragment": "x"},
        {"candidate": ""},
        {"ufrag": "8hhY", "password": "asd88fgpdd777uzjYhagZg"},
    )
]
_EVENTS = [b'["reconnect"]', b'["reconnect", "viewercount"]', b"[]", b"{}", b'[["reconnect"]]', b'"reconnect"']
_NAMES = [b"nobody", b"A" * 43, b"nobody/events", b"../../api/cameras", "\u00e4\u0000%2f".encode()]
_STUN = [data for data in corpus("stun") if data]
_DTLS = [data[2:] for data in corpus("dtls-records") if len(data) > 2]
_RTCP = [*FEEDBACK, *(data for data in corpus("rtcp") if data)]


async def _main(url: str, camera: str, each: int, seed: int) -> Answers:
    answers = Answers()
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with room:
            await Stranger(number, url, camera, answers, seed).run(-(-each // SOURCES))

    async with asyncio.TaskGroup() as group:
        for number in range(SOURCES):
            group.create_task(one(number))
    return answers


if __name__ == "__main__":
    print(json.dumps(vars(asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))))
