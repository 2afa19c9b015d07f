"""Cameras come, say something new each time, and go: afterwards nothing is left of them."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace

import pytest

from common.cameras import CameraSpec
from common.control import Assign, Release
from ingest.worker import Ingest
from rigs.waiting import until
from tests.fakes.contents import contents, grown

EACH = 200
AT_ONCE = 20


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be a camera that answers each request in another way that leads nowhere, by its path's number."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            number = int(head.split()[1].rpartition("/")[2])
            sequence = head.lower().partition("cseq:")[2].split()[0]
            sdp = f"v=0\r\ns={number}\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 X{number}/90000\r\n"
            ways = [
                ("404 Not Found", f"Server: {number}", ""),
                ("401 Unauthorized", f'WWW-Authenticate: Digest realm="r{number}", nonce="n{number}"', ""),
                ("302 Moved", f"Location: rtsp://127.0.0.1:9/{number}", ""),
                ("200 OK", f"Content-Type: application/sdp\r\nContent-Base: rtsp://x{number}/", sdp),
                ("200 OK", f"Public: X{number}", "garbage"),
            ]
            status, header, body = ways[number % len(ways)]
            lines = (f"RTSP/1.0 {status}", f"CSeq: {sequence}", header, f"Content-Length: {len(body)}", "", body)
            writer.write("\r\n".join(lines).encode())
    writer.close()


async def test_nothing_is_left_of_cameras_that_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    for bound in ("ingest.retry.MOST_LOGINS", "ingest.learnt.MAX_REMEMBERED"):
        monkeypatch.setattr(bound, AT_ONCE)
    link = SimpleNamespace(node="ingest-1", report_soon=lambda: None)
    publisher = SimpleNamespace(
        publish=lambda *_: True, straight=lambda *_: None, forget=lambda _rendition: None, use_key=lambda *_: 0
    )
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, asyncio.TaskGroup() as group:
        ingest = Ingest(link, publisher, group)  # type: ignore[arg-type]
        before = contents()
        for first in range(0, EACH, AT_ONCE):
            names = [f"c{number}" for number in range(first, first + AT_ONCE)]
            for name in names:
                url = f"rtsp://user-{name}:secret@127.0.0.1:{port}/{name[1:]}"
                ingest.handle(Assign(CameraSpec(name, url)))  # type: ignore[arg-type]
            await until(lambda names=names: all(ingest._cameras[name].report.last_error for name in names), 60)
            for name in names:
                ingest.handle(Release(name))  # type: ignore[arg-type]
        await until(lambda: not ingest._tasks, 60)
        left: dict[str, int] = {}
        for _ in range(50):
            left = grown(before, contents(), EACH // 5)
            if not left:
                break
            await asyncio.sleep(0.2)
        assert left == {}
