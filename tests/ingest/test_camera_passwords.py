"""Cameras that want a password: what those of one account do together, and what is sent to whom."""

from __future__ import annotations

import asyncio
import re
import time

from common.cameras import CameraSpec, CameraState
from common.log import get_logger
from ingest.camera import Camera
from ingest.retry import Account
from ingest.rtsp.auth import Challenge
from ingest.rtsp.message import Headers, Request, Response
from rigs.camera import Answer, FakeCamera
from tests.fakes.viewer import Pulled


def locked_camera() -> FakeCamera:
    return FakeCamera(username="admin", password="right", challenges=[Challenge.digest("cam")])


async def all_reach(state: CameraState, first: Pulled, others: list[Camera]) -> None:
    """Run the others beside the first until all have come to a state, then end them."""
    tasks = [asyncio.create_task(other.run()) for other in others]
    await first.until(lambda: all(each.report.state is state for each in [first.camera, *others]))
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_cameras_of_one_account_try_a_wrong_password_once() -> None:
    async with locked_camera() as fake:
        url = fake.url.replace("://", "://admin:wrong@")
        async with Pulled(url) as first:
            others = [Camera(CameraSpec(f"c{n}", url), first.shared, get_logger()) for n in range(8)]
            await all_reach(CameraState.UNAUTHORIZED, first, others)
        assert fake.wrong_logins == 1
        retries = [other.report.retry_at for other in others]
        assert all(at is not None and at > time.time() + 100 for at in retries)
    details = [each.report.detail for each in [first.camera, *others] if "another camera" in each.report.detail]
    assert len(details) == 8
    said = re.compile(r"another camera rejected the same credentials; not trying again for (\d+) s")
    assert all(0 < int(match[1]) <= 120 for match in map(said.fullmatch, details) if match)
    assert all(map(said.fullmatch, details))


async def test_cameras_of_one_account_play_together() -> None:
    async with locked_camera() as fake:
        async with Pulled(fake.login_url) as first:
            others = [Camera(CameraSpec("door", fake.login_url), first.shared, get_logger()) for _ in range(4)]
            await all_reach(CameraState.PLAYING, first, others)
        assert fake.wrong_logins == 0
        login = first.shared.logins._logins[Account("127.0.0.1", fake.port, "admin", "right")]
        assert (login.trying, login.playing, login.good) == (0, 0, True)


async def test_one_camera_that_is_refused_leaves_the_others_of_its_account_alone() -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        if not request.url.endswith("forbidden"):
            return response
        return Response(401, "Unauthorized", Headers([("WWW-Authenticate", str(challenge))]))

    challenge = Challenge.digest("cam")
    fake = FakeCamera(username="admin", password="right", challenges=[challenge], rewrite=rewrite)
    async with fake, Pulled(fake.login_url) as good:
        await good.watch(5)
        bad = Camera(CameraSpec("bad", fake.login_url.replace("/live", "/forbidden")), good.shared, get_logger())
        task = asyncio.create_task(bad.run())
        await good.until_report(lambda _: bad.report.state is CameraState.UNAUTHORIZED)
        fake.drop()
        await good.until(lambda: good.camera.report.reconnects == 1)
        assert bad.report.retry_at is not None
        assert bad.report.retry_at > time.time() + 100
        task.cancel()
        await asyncio.wait((task,))


async def test_a_changed_password_is_tried_at_once() -> None:
    async with locked_camera() as fake, Pulled(fake.url.replace("://", "://admin:wrong@")) as pulled:
        await pulled.reached(CameraState.UNAUTHORIZED)
        right = Camera(CameraSpec("door", fake.login_url), pulled.shared, get_logger())
        task = asyncio.create_task(right.run())
        await pulled.watch(5)
        task.cancel()
        await asyncio.wait((task,))


async def test_a_camera_that_took_a_digest_is_not_sent_the_password_later() -> None:
    camera = FakeCamera(username="user", password="sesame-1", challenges=[Challenge.digest("camera")])
    async with camera, Pulled(camera.login_url) as pulled:
        await pulled.watch(3)
        camera.challenges = [Challenge.basic("camera")]
        camera.drop()
        report = await pulled.reached(CameraState.UNAUTHORIZED)
    assert "now asks for the plain password (Basic)" in report.detail
    sent = [value for request in camera.requests for value in request.headers.all("Authorization")]
    assert sent
    assert not any(value.startswith("Basic") for value in sent)
