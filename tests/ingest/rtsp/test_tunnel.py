"""RTSP inside of HTTP: the two connections, their logins, and what answers there instead."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest
import uvloop
from cryptography.hazmat.primitives.asymmetric import ec

from common.cameras import CameraState, TlsSpec, Transport
from ingest.rtsp import tunnel
from ingest.rtsp.auth import Authorization, Challenge
from ingest.rtsp.url import RtspUrl
from rigs.camera import FakeCamera
from rigs.video import encode
from tests.fakes.viewer import Pulled, Viewer, error_of, playing
from tests.ingest.rtsp.test_connect import make_certificate

WANTED = [list(unit) for unit in encode()]


class WebServer:
    """A camera's web server with a tunnel to its RTSP: what comes by POST goes there, what comes from there by GET."""

    def __init__(self, camera: FakeCamera, *, tls: ssl.SSLContext | None = None) -> None:
        self.camera = camera
        self.tls = tls
        self.answer = b"HTTP/1.0 200 OK\r\nServer: camera\r\nContent-Type: application/x-rtsp-tunnelled\r\n\r\n"
        self.post_answer = b""
        self.challenge: Challenge | None = None
        self.heads: list[str] = []
        self.hangs_up_post = asyncio.Event()
        self._halves: dict[str, asyncio.StreamWriter] = {}  # towards RTSP, by cookie
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> WebServer:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"rtsp{'s' if self.tls else ''}+http://127.0.0.1:{self.port}/live"

    @property
    def unread(self) -> int:
        """Bytes of the answer to POST that have not gone."""
        return self._post.get_write_buffer_size()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(cast("asyncio.Task[None]", asyncio.current_task()))
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._serve(reader, writer)
        finally:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        cookie = head.partition("x-sessioncookie: ")[2].split("\r")[0]
        if not self._lets_in(head):
            writer.write(f"HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: {self.challenge}\r\n\r\n".encode())
            await writer.drain()
        elif head.startswith("GET"):
            writer.write(self.answer)
            await writer.drain()
            if b" 200 O" in self.answer:
                await self._let_out(cookie, writer)
        else:
            self._post = writer.transport
            writer.write(self.post_answer)
            taking = asyncio.ensure_future(self._take(reader, self._halves[cookie]))
            hung_up = asyncio.ensure_future(self.hangs_up_post.wait())
            try:
                await asyncio.wait([taking, hung_up], return_when=asyncio.FIRST_COMPLETED)
            finally:
                taking.cancel()
                hung_up.cancel()
                await asyncio.gather(taking, hung_up, return_exceptions=True)

    async def _let_out(self, cookie: str, writer: asyncio.StreamWriter) -> None:
        inner, self._halves[cookie] = await asyncio.open_connection("127.0.0.1", self.camera.port)
        try:
            while data := await inner.read(65_536):
                writer.write(data)
                await writer.drain()
        finally:
            self._halves[cookie].transport.abort()

    async def _take(self, reader: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        while True:
            to.write(base64.b64decode(await reader.readexactly(4)))

    def _lets_in(self, head: str) -> bool:
        if self.challenge is None:
            return True
        given = re.search(r"Authorization: (.*)\r", head)
        if given is None:
            return False
        return Authorization.parse(given[1]).verify(self.challenge, head.split()[0], "viewer", "secret")


@pytest.mark.parametrize("wanted", list(Transport))
async def test_it_plays_by_the_web_server_alone(wanted: Transport) -> None:
    async with FakeCamera() as camera, WebServer(camera) as web, Pulled(web.url, transport=wanted) as pulled:
        assert await pulled.watch(60) == (WANTED * 60)[:60]
        assert pulled.camera.report.transport == Transport.TCP
        assert {request.url for request in camera.requests} >= {f"rtsp://127.0.0.1:{web.port}/live"}
        get, post = web.heads
        assert get.startswith("GET /live HTTP/1.0\r\n")
        assert f"Host: 127.0.0.1:{web.port}\r\n" in post
        assert "Content-Length: 32767\r\n" in post


def test_it_plays_on_the_loop_that_workers_have() -> None:
    async def plays() -> None:
        async with FakeCamera() as camera, WebServer(camera) as web, Pulled(web.url) as pulled:
            await pulled.watch(20)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(plays())


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_it_plays_by_tls(tmp_path: Path, loop: object) -> None:
    context, fingerprint = make_certificate(tmp_path, ec.generate_private_key(ec.SECP256R1()))

    async def plays() -> None:
        viewer = Viewer()
        async with FakeCamera() as camera, WebServer(camera, tls=context) as web:
            assert (await error_of(web.url)).state is CameraState.TLS_FAILED
            async with playing(camera, viewer, url=web.url, tls=TlsSpec(fingerprint=fingerprint)):
                await viewer.watch(20)
            assert camera.requests[0].url == f"rtsp://127.0.0.1:{web.port}/live"  # TLS is the web server's

    with asyncio.Runner(loop_factory=loop) as runner:  # type: ignore[arg-type]
        runner.run(plays())


async def test_each_end_may_want_a_login() -> None:
    inner = Challenge.digest("camera")
    async with FakeCamera(username="viewer", password="secret", challenges=[inner]) as camera, WebServer(camera) as web:
        web.challenge = Challenge.digest("web", algorithm="SHA-256")
        async with Pulled(web.url.replace("//", "//viewer:secret@")) as pulled:
            await pulled.watch(5)
        async with Pulled(web.url.replace("//", "//viewer:wrong@")) as pulled:
            await pulled.reached(CameraState.UNAUTHORIZED)
    assert sum("Authorization" in head for head in web.heads) == 3  # GET and POST, and the wrong one once


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", CameraState.NOT_FOUND, "HTTP 404; it may not support RTSP inside HTTP"),
        (b"HTTP/1.1 405 Method Not Allowed\r\n\r\n", CameraState.REJECTED, "HTTP 405; it may not support RTSP"),
        (
            b"HTTP/1.1 301 Moved\r\nLocation: https://camera/live\r\n\r\n",
            CameraState.REJECTED,
            "leads to https://camera/live; write rtsps+http://",
        ),
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n", CameraState.REJECTED, "leads to /login"),
        (b"RTSP/1.0 400 Bad Request\r\n\r\n", CameraState.NOT_RTSP, "an RTSP server; write rtsp://"),
        (b"\x15\x03\x01\x00\x02\x02\x46", CameraState.NOT_RTSP, "a TLS server; write rtsps+http://"),
        (b"HTTP/x.y hello\r\n\r\n", CameraState.NOT_RTSP, "its first line is not HTTP"),
        (b"SSH-2.0-x\r\n", CameraState.NOT_RTSP, "an SSH server"),
        (b"HTTP/1.0 " + b"x" * 20_000, CameraState.NOT_RTSP, "the answer to GET does not end"),
        (b"", CameraState.CLOSED, "hung up instead of answering GET"),
    ],
)
async def test_what_answers_instead_is_named(answer: bytes, state: CameraState, words: str) -> None:
    async with FakeCamera() as camera, WebServer(camera) as web:
        web.answer = answer
        error = await error_of(web.url)
    assert (error.state, camera.connections) == (state, 0)
    assert words in error.detail


@pytest.mark.parametrize("size", [0, 200_000])
async def test_a_web_page_at_that_path_is_named(size: int) -> None:
    page = b"<html><body>Camera" + b" " * size
    async with FakeCamera() as camera, WebServer(camera) as web:
        web.answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + page
        error = await error_of(web.url)
    assert error.state is CameraState.NOT_RTSP
    assert "a web server" in error.detail


@pytest.mark.parametrize(
    "said", [b"RTSP/1.0 200 OK\r\nX: " + b"a" * 400_000, b"$\0\0\0" * 100_000, b"RTSP/1.0 200 OK\r\n\r\n" * 20_000]
)
async def test_what_comes_before_anything_was_asked_ends_the_session(said: bytes) -> None:
    """More of it than the buffer holds came back to where it had come from, without end."""
    async with FakeCamera() as camera, WebServer(camera) as web:
        web.answer = b"HTTP/1.0 200 OK\r\n\r\n" + said
        error = await error_of(web.url)
    assert error.state in (CameraState.CLOSED, CameraState.MALFORMED, CameraState.NOT_RTSP)


async def test_an_answer_to_post_that_does_not_end_is_left_where_it_is() -> None:
    async with FakeCamera() as camera, WebServer(camera) as web, Pulled(web.url) as pulled:
        web.post_answer = b"HTTP/1.0 200 OK" + bytes(32 << 20)
        await pulled.watch(60)
        assert web.unread > 16 << 20


async def test_nothing_is_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel, "ANSWER_TIMEOUT", 0.1)
    async with FakeCamera() as camera, WebServer(camera) as web:
        web.answer = b"HTTP/1.1 200 O"
        error = await error_of(web.url)
    assert error.state is CameraState.UNANSWERED
    assert f"port {web.port} accepts the connection, but nothing there answers in HTTP" in error.detail


async def test_either_connection_s_end_is_the_session_s() -> None:
    async with FakeCamera() as camera, WebServer(camera) as web, Pulled(web.url) as pulled:
        await pulled.watch(5)
        web.hangs_up_post.set()
        await pulled.reached(CameraState.CLOSED)
        assert "for our requests" in pulled.camera.report.detail
        web.hangs_up_post.clear()
        await pulled.reached(CameraState.PLAYING)
        camera.drop()
        await pulled.until(lambda: pulled.camera.report.reconnects == 2)


async def test_a_post_that_is_refused_is_named() -> None:
    async with FakeCamera() as camera, WebServer(camera) as web:
        web.post_answer = b"HTTP/1.1 403 Forbidden\r\n\r\n"
        error = await error_of(web.url)
    assert error.state is CameraState.CLOSED
    assert "the camera answered post with http 403" in error.detail.lower()


@pytest.mark.parametrize(
    ("text", "port", "wire"),
    [
        ("rtsp+http://host/live", 80, "rtsp://host:80/live"),
        ("rtsps+http://host/live?a=1", 443, "rtsp://host:443/live?a=1"),
        ("rtsp+http://host:554/", 554, "rtsp://host/"),
    ],
)
def test_the_url_inside_is_that_of_rtsp(text: str, port: int, wire: str) -> None:
    url = RtspUrl.parse(text)
    assert (url.port, url.wire, str(url), url.tunnel) == (port, wire, text, True)
    assert url.with_target("/x").tunnel


def test_a_redirect_stays_inside_as_long_as_it_is_to_the_same_port() -> None:
    url = RtspUrl.parse("rtsps+http://user:pw@host/live")
    assert str(url.redirected("rtsp://host:443/other")) == "rtsps+http://host/other"
    assert url.redirected("/other").tunnel
    with pytest.raises(ValueError, match="drop encryption"):
        url.redirected("rtsp://host:554/other")
    assert not RtspUrl.parse("rtsp+http://host/live").redirected("rtsp://host:554/other").tunnel
