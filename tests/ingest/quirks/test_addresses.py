"""Cameras that write down wrongly where their media are, and cameras that lead elsewhere."""

from __future__ import annotations

import pytest

from common.cameras import CameraState
from ingest.rtsp.auth import Challenge
from ingest.rtsp.message import Headers, Request, Response
from rigs.camera import Answer, FakeCamera, h264_track, pcmu_track
from tests.fakes.quirks import plays
from tests.fakes.viewer import Pulled


@pytest.mark.parametrize(
    "control",
    ["rtsp://10.9.9.9/live/t1", "rtsp://u:p@10.9.9.9:1/live/t1", "/t1", "?track=t1", "t1?x=y/t1"],
)
async def test_a_control_of_any_form_leads_to_the_track(control: str) -> None:
    fake = FakeCamera([h264_track(), pcmu_track()])
    fake.tracks[0].control = control

    def rewrite(request: Request, response: Response) -> Answer:
        if request.method == "SETUP" and not request.url.startswith(fake.url):
            return Response(404, "Not Found")
        return response

    fake.rewrite = rewrite
    await plays(fake)


@pytest.mark.parametrize("control", ["", "*"])
async def test_a_control_that_says_nothing_is_the_whole(control: str) -> None:
    fake = FakeCamera()
    fake.tracks[0].control = ""
    fake.tracks[0].extra = [f"a=control:{control}"]
    await plays(fake)
    assert [r.url for r in fake.requests if r.method == "SETUP"] == [fake.url + "/"]


@pytest.mark.parametrize(
    "base", [None, "/live/", "{url}", "rtsp://rtsp://10.0.0.1/live/", "rtsp://fe80::1/live/", "10.0.0.1:554/live/"]
)
async def test_a_content_base_that_is_wrong_does_no_harm(base: str | None) -> None:
    fake = FakeCamera(content_base=base)
    await plays(fake)
    assert all(request.url.startswith(fake.url) for request in fake.requests)


def with_login(url: str) -> str:
    return url.replace("://", "://admin:secret@")


async def test_redirects_are_followed() -> None:
    challenge = [Challenge.digest("cam")]
    async with FakeCamera(username="admin", password="secret", challenges=challenge) as there:
        for status in (301, 302, 303, 305, 307):

            def rewrite(request: Request, _response: Response, status: int = status) -> Answer:
                headers = [("CSeq", request.headers.get("CSeq") or ""), ("Location", there.url)]
                return Response(status, "Moved", Headers(headers))

            async with FakeCamera(rewrite=rewrite) as here, Pulled(with_login(here.url)) as pulled:
                await pulled.watch(5)


async def test_no_more_than_five_redirects_are_followed() -> None:
    fake = FakeCamera()

    def rewrite(request: Request, _response: Response) -> Answer:
        return Response(302, "Found", Headers([("CSeq", request.headers.get("CSeq") or ""), ("Location", fake.url)]))

    fake.rewrite = rewrite
    async with fake, Pulled(fake.url) as pulled:
        report = await pulled.reached(CameraState.REJECTED)
        assert "redirects" in report.detail
        assert fake.methods.count("OPTIONS") == 6


async def test_a_redirect_to_another_host_gets_no_credentials() -> None:
    fake = FakeCamera(host="::1", username="admin", password="secret", challenges=[Challenge.basic("cam")])

    async with fake as there:

        def rewrite(request: Request, _response: Response) -> Answer:
            return Response(302, "Found", Headers([("CSeq", "1"), ("Location", there.url)]))

        async with FakeCamera(rewrite=rewrite) as here, Pulled(with_login(here.url)) as pulled:
            await pulled.reached(CameraState.UNAUTHORIZED)
        assert not any("Authorization" in request.headers for request in there.requests)
