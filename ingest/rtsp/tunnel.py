"""RTSP inside of HTTP: for cameras of which nothing but their web server's port is reached.

QuickTime's way, which Axis', Hikvision's, Bosch's and others' cameras have: what the camera says is the answer without
end to a GET, what we say is the body without end of a POST, in base64; both name one ``x-sessioncookie``. Both begin on
connections of their own, with TLS where the URL asks for it. Behind that, everything is as on an RTSP connection.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, TypeVar

from common.cameras import CameraState
from common.errors import CameraError, ProtocolError
from ingest.quoting import quoted
from ingest.rtsp.auth import Pin
from ingest.rtsp.http_head import Answer, AnswerReader
from ingest.rtsp.login import Login
from ingest.rtsp.requests import USER_AGENT
from ingest.rtsp.url import RtspUrl

ANSWER_TIMEOUT = 10.0  # seconds for the answer to GET, logins included
MAX_TRIES = 3  # of GET: without a login, with one, and with another nonce
MAX_AHEAD = 4_096  # bytes behind the answer to GET: a camera says nothing before it is asked something
POST_LENGTH = 32_767  # bytes that every client announces, and no camera counts

_MEDIA_TYPE = "application/x-rtsp-tunnelled"
_NO_TUNNEL = "it may not support RTSP inside HTTP, or have it turned off; try rtsp:// with the RTSP port"

P = TypeVar("P", bound=asyncio.BufferedProtocol)
Connect = Callable[[Callable[[], "_Half"]], Awaitable["_Half"]]
"""Makes a TCP or TLS connection to the camera for a protocol, and raises ``CameraError``."""


class _Half(asyncio.Protocol):
    """One of the two connections, as long as HTTP is spoken on it. ``answer`` is set, or fails with ``CameraError``."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self.ended: Callable[[str], None] = lambda _reason: None  # called when a half in use is of no use any more
        self._reader = AnswerReader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected, with TLS if that is asked for."""
        self.transport = transport  # type: ignore[assignment]  # of a stream

    def data_received(self, data: bytes) -> None:
        """Take a part of the answer, or of what follows it."""
        if self.answer.done():
            return
        try:
            answer = self._reader.feed(data)
        except ProtocolError as exc:
            self.transport.pause_reading()  # nothing more is understood, and what nobody reads costs nothing
            self._fail(CameraState.NOT_RTSP, str(exc))
            return
        if answer is not None:
            self.transport.pause_reading()
            self.answer.set_result(answer)
            if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
                self.ended(f"the camera answered POST with HTTP {answer.status}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits: the connection ended."""
        self._fail(CameraState.CLOSED, "the camera hung up instead of answering GET")
        self.ended("the camera closed the connection for our requests")

    def _fail(self, state: CameraState, detail: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(CameraError(state, detail))
            self.answer.exception()  # nobody may be waiting


class Tunnel(asyncio.Transport):
    """The two connections as one: reads of the first, writes to the second."""

    def __init__(self, inward: asyncio.Transport, outward: asyncio.Transport) -> None:
        super().__init__()
        self._inward, self._outward = inward, outward

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As of the connection that media comes on."""
        return self._inward.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Whether nothing can be said any more."""
        return self._inward.is_closing() or self._outward.is_closing()

    def pause_reading(self) -> None:
        """Take nothing for now."""
        self._inward.pause_reading()

    def resume_reading(self) -> None:
        """Take what comes again."""
        self._inward.resume_reading()

    def get_write_buffer_size(self) -> int:
        """Bytes that the camera has not taken."""
        return self._outward.get_write_buffer_size()

    def write(self, data: Any) -> None:
        """Say that; each message is base64 by itself."""
        self._outward.write(base64.b64encode(data))

    def close(self) -> None:
        """End both, when what was said is sent."""
        self._outward.close()
        self._inward.close()

    def abort(self) -> None:
        """End both at once."""
        self._outward.abort()
        self._inward.abort()


async def tunnelled(factory: Callable[[], P], url: RtspUrl, pin: Pin, connect: Connect) -> P:
    """Open both connections, and give a protocol of ``factory``'s the ``Tunnel``. Raises ``CameraError``."""
    cookie = secrets.token_hex(11)
    login = Login(url, pin)
    inward, rest = await _granted(url, login, cookie, connect)
    try:
        outward = await connect(_Half)
    except BaseException:
        inward.transport.abort()
        raise
    outward.transport.write(_request("POST", url, login, cookie))
    return _joined(factory(), inward, outward, rest)


async def _granted(url: RtspUrl, login: Login, cookie: str, connect: Connect) -> tuple[_Half, bytes]:
    """The connection whose GET was granted, and what came behind the answer."""
    challenges: list[str] = []
    for _ in range(MAX_TRIES):
        half, answer = await _asked(url, login, cookie, connect)
        if answer.status == HTTPStatus.OK:
            login.auth.accepted()
            return half, answer.rest
        half.transport.abort()
        if answer.status != HTTPStatus.UNAUTHORIZED:
            raise _refused(answer, login)
        challenges = answer.headers.all("WWW-Authenticate")
        if not login.auth.challenged(challenges):
            break
    raise login.refusal(challenges)


async def _asked(url: RtspUrl, login: Login, cookie: str, connect: Connect) -> tuple[_Half, Answer]:
    """A connection, and the answer to GET on it."""
    half = await connect(_Half)
    try:
        half.transport.write(_request("GET", url, login, cookie))
        async with asyncio.timeout(ANSWER_TIMEOUT):
            return half, await half.answer
    except BaseException as exc:
        half.transport.abort()
        if isinstance(exc, CameraError):
            raise login.unanswered(exc.state, exc.detail) from None
        if isinstance(exc, TimeoutError):
            detail = f"port {url.port} accepts the connection, but nothing there answers in HTTP"
            raise login.unanswered(CameraState.UNANSWERED, detail) from None
        raise


def _refused(answer: Answer, login: Login) -> CameraError:
    said = f"GET was answered with HTTP {answer.status}"
    if 300 <= answer.status < 400:
        to = answer.headers.get("Location") or ""
        what = "write rtsps+http:// with its port for HTTPS" if to.startswith("https:") else "type that address"
        return CameraError(CameraState.REJECTED, f"{said}, and leads to {quoted(to)}; {what}")
    login.answered(answer.status, said, options=False)
    state = CameraState.NOT_FOUND if answer.status == HTTPStatus.NOT_FOUND else CameraState.REJECTED
    return CameraError(state, f"{said}; {_NO_TUNNEL}")


def _request(method: str, url: RtspUrl, login: Login, cookie: str) -> bytes:
    target = url.target or "/"
    host = f"[{url.host.partition('%')[0]}]" if ":" in url.host else url.host
    lines = [
        f"{method} {target} HTTP/1.0",  # whose answer has no chunks
        f"Host: {host}:{url.port}",
        f"User-Agent: {USER_AGENT}",
        f"x-sessioncookie: {cookie}",
        f"{'Accept' if method == 'GET' else 'Content-Type'}: {_MEDIA_TYPE}",
        "Pragma: no-cache",
        "Cache-Control: no-cache",
    ]
    if method == "POST":
        lines += [f"Content-Length: {POST_LENGTH}", "Expires: Sun, 9 Jan 1972 00:00:00 GMT"]
    if authorization := login.auth.header(method, target):
        lines.append(f"Authorization: {authorization}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


def _joined(protocol: P, inward: _Half, outward: _Half, rest: bytes) -> P:
    """Let the protocol have both connections. It is told once that they are lost, whichever ends first."""
    tunnel = Tunnel(inward.transport, outward.transport)

    def ended(reason: str) -> None:
        if inward.transport.is_closing():  # it says so itself
            return
        inward.transport.set_protocol(asyncio.Protocol())
        tunnel.abort()
        protocol.connection_lost(ConnectionError(reason))

    if inward.transport.is_closing():
        raise CameraError(CameraState.CLOSED, "the camera hung up after it had answered GET")
    outward.ended = ended
    inward.transport.set_protocol(protocol)
    protocol.connection_made(tunnel)
    if ahead := rest[:MAX_AHEAD]:  # it may say what answers there instead
        memoryview(protocol.get_buffer(-1))[: len(ahead)] = ahead
        protocol.buffer_updated(len(ahead))
    if len(rest) > MAX_AHEAD:
        ended("the camera sent a lot before it was asked anything")
    else:
        tunnel.resume_reading()
    return protocol
