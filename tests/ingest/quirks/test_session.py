"""Cameras that are peculiar about their sessions: ids, keepalives, and the URL that PLAY goes to."""

from __future__ import annotations

import pytest

from common.cameras import CameraState
from ingest.rtsp.message import Request, Response
from rigs.camera import Answer, FakeCamera, h264_track, pcmu_track
from tests.fakes.quirks import plays, with_header
from tests.fakes.viewer import Pulled


@pytest.mark.parametrize("wanted", ["first", "last"])
async def test_a_session_id_for_each_setup(wanted: str) -> None:
    ids = {"first": "1", "last": "2"}

    def rewrite(request: Request, response: Response) -> Answer:
        if request.method == "SETUP":
            number = "1" if request.url.endswith("trackID=1") else "2"
            return with_header(response, "Session", f"{number};timeout=60")
        if request.method in ("PLAY", "TEARDOWN") and request.headers.get("Session") != ids[wanted]:
            return Response(454, "Session Not Found")
        return with_header(response, "Session", None)

    fake = FakeCamera([h264_track(), pcmu_track()], rewrite=rewrite)
    await plays(fake)
    assert fake.methods.count("PLAY") == (1 if wanted == "first" else 2)
    assert fake.requests[-1].headers.get("Session") == ids[wanted]


@pytest.mark.parametrize("aggregate", ["/live", "/live/trackID=1"])
async def test_play_at_another_url_than_the_base(aggregate: str) -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        right = request.url.endswith(aggregate)
        return Response(404, "Not Found") if request.method == "PLAY" and not right else response

    fake = FakeCamera(rewrite=rewrite)
    await plays(fake)
    assert fake.requests[-1].url.endswith(aggregate)


@pytest.mark.thorough
async def test_a_keepalive_that_ends_the_session_is_sent_once() -> None:
    fake = FakeCamera(session="1;timeout=1")

    def rewrite(request: Request, response: Response) -> Answer:
        if request.method == "GET_PARAMETER":
            fake.drop()
            return None
        return response

    fake.rewrite = rewrite
    async with fake, Pulled(fake.url) as pulled:
        await fake.asked("GET_PARAMETER")
        await pulled.until(lambda: pulled.camera.report.reconnects == 1)
        setups = fake.methods.count("SETUP")
        before = fake.methods.count("OPTIONS")
        await fake.asked("OPTIONS", before + 3)
        assert fake.methods.count("GET_PARAMETER") == 1
        assert fake.methods.count("SETUP") == setups
        assert pulled.camera.report.reconnects == 1
        assert pulled.state is CameraState.PLAYING


@pytest.mark.thorough
async def test_what_was_learnt_outlives_the_camera_s_task() -> None:
    fake = FakeCamera(session="1;timeout=1")

    def rewrite(request: Request, response: Response) -> Answer:
        if request.method == "GET_PARAMETER":
            fake.drop()
        return response

    fake.rewrite = rewrite
    async with fake:
        async with Pulled(fake.url) as first:
            await fake.asked("GET_PARAMETER")
            await first.until(lambda: first.camera.report.reconnects == 1)
        second = Pulled(fake.url, memory=first.shared.memory)  # of the same process
        async with second:
            await second.watch(5)
            before = fake.methods.count("OPTIONS")
            await fake.asked("OPTIONS", before + 2)
    assert fake.methods.count("GET_PARAMETER") == 1


async def test_a_camera_that_hangs_up_at_once_may_speak_tls() -> None:
    fake = FakeCamera()

    def rewrite(_request: Request, _response: Response) -> Answer:
        fake.drop()
        return None

    fake.rewrite = rewrite
    async with fake, Pulled(fake.url) as pulled:
        report = await pulled.reached(CameraState.CLOSED)
        assert "rtsps://" in report.detail
