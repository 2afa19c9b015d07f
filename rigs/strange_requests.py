"""Requests to the front door that no client of ours sends: well-formed ones by chance, and others with bytes changed.

All by a seed, so that what finds a bug can be sent again. Nothing here knows what an answer should be.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

PATIENCE = 1.0  # seconds for the head of an answer; of a request whose end was cut off none comes
AT_ONCE = 32  # connections
HEAD = 4_096  # bytes of an answer that are looked at

_TEXTS = (
    *("", "a", "yard", "***", "null", "%00", "%2e%2e", "..", "é", "\ud800", "'\"<>&", "0", "-1"),
    *("x" * 300, "x" * 20_000),
)
_VALUES: tuple[object, ...] = (None, True, -1, 0, 1e308, 2**80, [], {}, [[[]]], "rtsp://u:p@127.0.0.1:1/", *_TEXTS)
_KEYS = (
    *("id", "url", "name", "group", "transport", "on_demand", "keep_after", "tls", "streams", "user", "password"),
    *("role", "cameras", "current", "new", "token", "link", "x", "__proto__"),
)
_TYPES = (
    *("application/json", "application/merge-patch+json", "application/sdp", "application/trickle-ice-sdpfrag"),
    *("text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"),
)
_HEADERS: Mapping[str, Sequence[str]] = {
    "If-Match": ("*", '"x"', 'W/"', "x" * 9_000),
    "If-None-Match": ("*", '"x"', ",,,"),
    "Origin": ("null", "http://evil.example", "http://127.0.0.1", "x"),
    "Cookie": ("camshaft=x", "=;=;", "a=" + "b" * 5_000),
    "Upgrade": ("websocket", "h2c"),
    "Connection": ("upgrade", "close", "keep-alive, upgrade"),
    "Sec-WebSocket-Key": ("x", "dGhlIHNhbXBsZSBub25jZQ=="),
    "Sec-WebSocket-Version": ("13", "0"),
    "Transfer-Encoding": ("chunked", "gzip", "chunked, chunked", "identity"),
    "Content-Encoding": ("gzip", "br", "x"),
    "Content-Length": ("0", "-1", "5, 5", "99999999999999999999", "x"),
    "Expect": ("100-continue", "x"),
    "Accept": ("text/html", "text/event-stream", "x/y;q=z"),
    "Range": ("bytes=0-", "bytes=-1", "x"),
    "X-Forwarded-For": ("10.0.0.1", "x", "::1"),
    "X-Forwarded-Prefix": ("/a", "//evil.example", "x"),
    "Last-Event-ID": ("7", "x"),
    "Host": ("evil.example", "[", "127.0.0.1:99999", ""),
}
_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=rtpmap:96 H264/90000\r\n"
)


@dataclass
class Answers:
    """The answers that came: how many of each status, and the requests that were answered by a fault of the server."""

    statuses: Counter[int] = field(default_factory=Counter)  # 0: none
    faults: list[tuple[int, bytes]] = field(default_factory=list)


class Stranger:
    """Makes requests by chance, from the methods and paths of an interface, with these tokens."""

    def __init__(self, seed: int, routes: Iterable[tuple[str, str]], tokens: Sequence[str]) -> None:
        self._chance = random.Random(seed)
        self._routes = tuple(routes)
        self._tokens = tuple(tokens)

    def request(self) -> bytes:
        """A request as it goes over the wire; half of them with bytes changed."""
        made = self._made()
        return self._changed(made) if self._chance.random() < 0.5 else made

    def _made(self) -> bytes:
        chance = self._chance
        method, template = chance.choice(self._routes)
        if chance.random() < 0.05:
            method = chance.choice(("GET", "PUT", "TRACE", "PROPFIND", "get", "PRI"))
        parts = [self._name() if part.startswith("{") else part for part in template.split("/")]
        path = "/".join(parts).encode("utf-8", "surrogatepass")
        if chance.random() < 0.3:
            path += (
                b"?"
                + chance.choice((b"token=", b"token=x", b"a=b&a=c", b"%", b"wait=9e9", b"\xff"))
                + self._some_bytes()
            )
        body = self._body() if method not in ("GET", "OPTIONS", "HEAD") else b""
        headers = {"Host": "127.0.0.1", "Connection": "close"}
        if body:
            headers |= {"Content-Length": str(len(body)), "Content-Type": chance.choice(_TYPES)}
        if self._tokens and chance.random() < 0.9:
            headers["Authorization"] = f"Bearer {chance.choice(self._tokens)}"
        for name in chance.sample(sorted(_HEADERS), chance.choice((0, 0, 0, 1, 1, 2, 3))):
            headers[name] = chance.choice(_HEADERS[name])
        lines = [
            f"{method} ".encode() + path + b" HTTP/1.1",
            *(f"{name}: {text}".encode() for name, text in headers.items()),
        ]
        return b"\r\n".join([*lines, b"", body])

    def _name(self) -> str:
        return self._chance.choice(("yard", "yard", "none", *_TEXTS)).replace(" ", "%20")

    def _some_bytes(self) -> bytes:
        return self._chance.randbytes(self._chance.choice((0, 1, 8))).hex().encode()

    def _body(self) -> bytes:
        chance = self._chance
        kind = chance.random()
        if kind < 0.15:
            return _SDP.encode()
        if kind < 0.25:
            return chance.choice((b"[" * 9_000, b"{", b"\xff\xfe", b"null", b"7", b'{"a":1,"a":2}', b"x" * 70_000))
        fields = {chance.choice(_KEYS): chance.choice(_VALUES) for _ in range(chance.randrange(6))}
        if chance.random() < 0.3:
            fields["tls"] = {chance.choice(("verify", "fingerprint", "x")): chance.choice(_VALUES)}
        return json.dumps(fields).encode()

    def _changed(self, request: bytes) -> bytes:
        chance = self._chance
        data = bytearray(request)
        for _ in range(chance.choice((1, 1, 2, 5, 20))):
            at = chance.randrange(len(data)) if data else 0
            kind = chance.randrange(5)
            if kind == 0 and data:
                data[at] = chance.randrange(256)
            elif kind == 1:
                data[at:at] = chance.choice(
                    (b"\r\n", b"\r", b"\n", b"\0", b":", b" ", b"%", b"\xff", b"\r\n\r\n", b"//")
                )
            elif kind == 2:
                del data[at : at + chance.choice((1, 2, 10))]
            elif kind == 3:
                end = at + chance.randrange(1, 40)
                data[at:at] = data[at:end]
            else:
                del data[chance.randrange(max(1, len(data))) :]
        return bytes(data)


async def send(host: str, port: int, requests: Iterable[bytes], answers: Answers) -> None:
    """Send each by a connection of its own, many at once, and take in how it was answered."""
    waiting = iter(requests)

    async def one_after_the_other() -> None:
        for request in waiting:
            status = await _status(host, port, request)
            answers.statuses[status] += 1
            if status >= 500:
                answers.faults.append((status, request))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(one_after_the_other())


async def _status(host: str, port: int, request: bytes) -> int:
    """The status of the answer; 0 if there is none."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(PATIENCE):
                writer.write(request)
                await writer.drain()
                head = await reader.read(HEAD)
                if head.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")):  # the latter where it cannot tell what was asked
                    return int(head[9:12])
        return 0
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
