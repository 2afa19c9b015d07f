"""Cameras that hang up at a request, or never answer it, and play where it is not asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from common.cameras import CameraState
from ingest.rtsp import session, stall
from ingest.rtsp.auth import Challenge
from ingest.rtsp.message import Headers, Request, Response
from rigs.camera import Answer, FakeCamera, h264_track, pcmu_track
from tests.fakes.quirks import plays, with_header
from tests.fakes.viewer import Pulled


def hanging_up(method: str, part: str = "") -> FakeCamera:
    """A camera that hangs up when this is asked of a URL with this part."""
    fake = FakeCamera([h264_track(), pcmu_track()])

    def rewrite(request: Request, response: Response) -> Answer:
        if request.method == method and part in request.url:
            fake.drop()
            return None
        return response

    fake.rewrite = rewrite
    return fake


async def test_a_camera_that_hangs_up_at_options_is_not_asked_for_them() -> None:
    fake = hanging_up("OPTIONS")
    await plays(fake)
    assert fake.methods.count("OPTIONS") == 1


async def test_a_track_at_which_the_camera_hangs_up_is_left_out() -> None:
    async with hanging_up("SETUP", "trackID=2") as fake, Pulled(fake.url) as pulled:
        await pulled.watch(5)
        problem = {track.kind: track.problem for track in pulled.camera.report.tracks}
        assert "ends the session" in problem["audio"]
        assert not problem["video"]


async def test_what_a_camera_hangs_up_at_outlives_its_task() -> None:
    async with hanging_up("SETUP", "trackID=2") as fake:
        async with Pulled(fake.url) as first:
            await first.watch(5)
        connections = fake.connections
        async with Pulled(fake.url, memory=first.shared.memory) as second:  # of the same process
            await second.watch(5)
        assert fake.connections == connections + 1


async def test_a_camera_that_hangs_up_after_its_401_is_answered_on_the_next_connection() -> None:
    challenges = [Challenge("Digest", "cam", "nonce")]
    fake = FakeCamera(username="admin", password="secret", challenges=challenges, hangs_up_after=401)
    async with fake, Pulled(fake.login_url) as pulled:
        await pulled.watch(5)
        assert fake.connections == 2


@pytest.mark.parametrize("length", [None, 0, 3_000])
async def test_a_description_of_another_length_than_announced_is_read(
    length: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stall, "PATIENCE", 0.1)

    def rewrite(request: Request, response: Response) -> Answer:
        if request.method != "DESCRIBE":
            return response
        head, _, body = bytes(response).partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
        said = [] if length is None else [b"Content-Length: %d" % length]
        return b"\r\n".join([*lines, *said, b"", body])

    await plays(FakeCamera(rewrite=rewrite))


async def test_each_answer_may_say_that_it_holds_a_description() -> None:
    def rewrite(_request: Request, response: Response) -> Answer:
        return with_header(response, "Content-Type", "application/sdp") if not response.body else response

    await plays(FakeCamera(rewrite=rewrite))


@pytest.mark.thorough
async def test_an_answer_to_play_that_never_comes_is_not_waited_for_while_media_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "REPLY_TIMEOUT", 1.0)
    fake = FakeCamera(session="1;timeout=1", answers_play=False)
    async with fake, Pulled(fake.url) as pulled:
        await fake.asked("GET_PARAMETER", 2)
        await pulled.watch(5)
        assert fake.connections == 1


async def test_a_port_that_answers_nothing_is_said_to_be_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "REPLY_TIMEOUT", 0.1)
    async with FakeCamera(rewrite=lambda _request, _response: None) as fake, Pulled(fake.url) as pulled:
        report = await pulled.reached(CameraState.UNANSWERED)
        assert f"port {fake.port} accepts the connection, but nothing there answers in RTSP" in report.detail
        assert "power" not in report.last_error


@pytest.mark.parametrize("password", ["", "secret"])
async def test_a_path_that_is_not_there_is_answered_with_those_of_the_maker(password: str) -> None:
    def rewrite(request: Request, response: Response) -> Response:
        missing = request.method == "DESCRIBE" and response.status == 200
        return replace(response, status=404, reason="Not Found") if missing else response

    asked = [Challenge.digest("IP Camera(C2189)")] if password else []
    fake = FakeCamera(username="admin", password=password, challenges=asked, rewrite=rewrite)
    if not password:
        fake.rewrite = lambda request, response: with_header(rewrite(request, response), "Server", "Hikvision")
    async with fake, Pulled(fake.login_url if password else fake.url) as pulled:
        report = await pulled.reached(CameraState.NOT_FOUND)
        assert "Hikvision's cameras have /Streaming/Channels/101" in report.detail


@pytest.mark.parametrize("refused", ["range", "whole"])
async def test_play_is_asked_for_in_every_way(refused: str) -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        if request.method != "PLAY":
            return response
        wrong = "Range" in request.headers if refused == "range" else "trackID" not in request.url
        if wrong:
            return Response(455, "Method Not Valid in This State", Headers([("CSeq", "1")]))
        return with_header(response, "Range", None)

    async with FakeCamera([h264_track(), pcmu_track()], rewrite=rewrite) as fake, Pulled(fake.url) as pulled:
        await pulled.watch(5)
        assert len({batch.kind for batch in pulled.batches}) == 2
        assert fake.connections == 1
