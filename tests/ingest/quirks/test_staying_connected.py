"""Sessions that have to be kept alive, that stall, break, or never come about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from common.cameras import CameraState, Transport
from ingest.rtsp import silence
from ingest.rtsp.message import Headers, Request, Response
from rigs.camera import Answer, FakeCamera, h264_track, pcmu_track
from rigs.rtp import rtp
from tests.fakes.quirks import plays
from tests.fakes.viewer import Pulled


@pytest.mark.thorough
@pytest.mark.parametrize("public", ["OPTIONS, GET_PARAMETER", "OPTIONS"])
async def test_a_keepalive_that_is_never_answered_ends_nothing(public: str) -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        return None if "Session" in request.headers and request.method in ("OPTIONS", "GET_PARAMETER") else response

    method = "GET_PARAMETER" if "GET" in public else "OPTIONS"
    async with FakeCamera(session="1;timeout=1", public=public, rewrite=rewrite) as fake, Pulled(fake.url) as pulled:
        await fake.asked(method, 3)
        kept = [request for request in fake.requests if "Session" in request.headers and request.method == method]
        await fake.until(lambda: fake.methods.count(method) >= 4)
        assert kept[0].url == fake.url + "/"
        assert pulled.camera.report.reconnects == 0


@pytest.mark.parametrize("session", ["ab; timeout=90", "ab ;timeout=0", "ab;x=y;TIMEOUT=5", "ab"])
async def test_session_headers_of_any_form_are_understood(session: str) -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        lower = [(name.lower(), value) for name, value in response.headers]
        return replace(response, headers=Headers(lower))

    fake = FakeCamera([h264_track(), pcmu_track()], session=session, rewrite=rewrite)
    await plays(fake)
    assert all(request.headers.get("Session") == "ab" for request in fake.requests if request.method == "PLAY")
    assert all("CSeq" in dict(request.headers) for request in fake.requests)


async def test_a_camera_that_reboots_comes_back() -> None:
    async with FakeCamera() as fake, Pulled(fake.url) as pulled:
        for times in range(1, 4):
            await pulled.reached(CameraState.PLAYING)
            fake.drop()
            await pulled.reached(CameraState.CLOSED)
            await pulled.until(lambda times=times: pulled.camera.report.reconnects == times)
        await pulled.until(lambda: len({batch.epoch for batch in pulled.batches}) == 4)
        assert [batch.epoch for batch in pulled.batches] == sorted(batch.epoch for batch in pulled.batches)
        for epoch in {batch.epoch for batch in pulled.batches}:
            first = next(batch for batch in pulled.batches if batch.epoch == epoch)
            assert first.keyframe
            assert first.sequence == 0
        assert "closed the connection" in pulled.camera.report.last_error
        assert pulled.forgotten == 3


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
async def test_a_cable_that_is_pulled_is_noticed(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SILENCE_TIMEOUT", 1.0)
    async with FakeCamera() as fake, Pulled(fake.url, transport=transport) as pulled:
        await pulled.watch(5)
        fake.silent = {"tcp", "udp"}  # nothing comes any more, and nothing says why
        report = await pulled.reached(CameraState.SILENT)
        assert report.stats[0].packets > 0
        fake.silent = set()
        await pulled.until(lambda: pulled.camera.report.reconnects == 1)


@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"])
@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (None, CameraState.UNANSWERED),
        (b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nX: ", CameraState.MALFORMED),
        (b"RTSP/1.0 200 OK\r\n" + b"X: y\r\n" * 4_000, CameraState.MALFORMED),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 1048576\r\n\r\n" + bytes(1 << 20), CameraState.MALFORMED),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 500\r\n\r\nv=0\r\n", CameraState.MALFORMED),
    ],
)
async def test_replies_that_never_end_are_given_up(
    method: str, answer: bytes | None, state: CameraState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.rtsp.session.REPLY_TIMEOUT", 1.0)

    def rewrite(request: Request, response: Response) -> Answer:
        return answer if request.method == method else response

    async with FakeCamera(rewrite=rewrite) as fake, Pulled(fake.url) as pulled:
        await pulled.until(lambda: pulled.state.failed)
        assert pulled.state is state


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
async def test_garbage_among_the_media(transport: Transport) -> None:
    fake = FakeCamera()
    foreign = rtp(b"\x7c\x85", 1, 1, payload_type=99)
    fake.mangle = lambda packet: [packet, b"", b"\x80", bytes(40), b"\xff" * 40, packet[:11], foreign]
    pulled = await plays(fake, transport=transport)
    [stats] = pulled.camera.report.stats
    assert stats.dropped > 200
    assert stats.lost == 0
