"""Cameras that refuse a wrong password in other words than 401, and lock the account after a few."""

from __future__ import annotations

import pytest

from common.cameras import CameraState
from ingest.retry import Attempts
from ingest.rtsp.auth import Challenge
from ingest.rtsp.message import Request, Response
from rigs.camera import Answer, FakeCamera
from tests.fakes.viewer import Pulled


def refusing(status: int) -> FakeCamera:
    """A camera that answers requests with a password by that status, or hangs up (0)."""
    fake = FakeCamera(challenges=[Challenge.digest("IP Camera")], username="admin", password="right")

    def rewrite(request: Request, response: Response) -> Answer:
        if "Authorization" not in request.headers or response.status != 401:
            return response
        if status:
            return Response(status, "No")
        fake.drop()
        return None

    fake.rewrite = rewrite
    return fake


def tries(fake: FakeCamera) -> int:
    """Requests that carried a password."""
    return sum("Authorization" in request.headers for request in fake.requests)


async def test_forbidden_is_a_refused_login() -> None:
    async with refusing(403) as fake, Pulled(fake.url.replace("://", "://admin:wrong@")) as pulled:
        report = await pulled.reached(CameraState.UNAUTHORIZED)
        assert "403" in report.detail
        assert report.retry_at - report.since >= 100  # type: ignore[operator]
        assert tries(fake) == 1


@pytest.mark.parametrize("status", [400, 404, 454, 455])
async def test_an_answer_that_may_mean_the_password_is_followed_by_as_long_a_pause(status: int) -> None:
    async with refusing(status) as fake, Pulled(fake.url.replace("://", "://admin:wrong@")) as pulled:
        state = CameraState.NOT_FOUND if status == 404 else CameraState.REJECTED
        report = await pulled.reached(state)
        assert "password" in report.detail
        assert report.retry_at - report.since >= 100  # type: ignore[operator]
        assert tries(fake) == 1


async def test_a_camera_that_hangs_up_at_a_password_is_tried_twice_and_then_left_alone() -> None:
    async with refusing(0) as fake, Pulled(fake.url.replace("://", "://admin:wrong@")) as pulled:
        report = await pulled.reached(CameraState.UNAUTHORIZED)
        assert "hung up" in report.detail
        assert report.retry_at - report.since >= 100  # type: ignore[operator]
        assert tries(fake) == 2


async def test_the_right_password_after_a_wrong_path_is_not_suspected() -> None:
    fake = refusing(403)
    async with fake, Pulled(fake.login_url) as pulled:
        await pulled.watch(5)
        fake.rewrite = lambda request, response: (
            Response(404, "Not Found") if request.method == "DESCRIBE" and response.status == 200 else response
        )
        fake.drop()
        report = await pulled.reached(CameraState.NOT_FOUND)
        assert report.retry_at - report.since < 100  # type: ignore[operator]


async def test_forbidden_without_a_password_asks_for_one() -> None:
    fake = FakeCamera(rewrite=lambda request, _: Response(403, "Forbidden") if request.method == "DESCRIBE" else _)
    async with fake, Pulled(fake.url) as pulled:
        pulled.camera._attempts = Attempts(lambda: 0.0)
        report = await pulled.reached(CameraState.REJECTED)
        assert "user name and password" in report.detail


@pytest.mark.parametrize("login", [True, False])
async def test_a_login_that_options_does_not_explain_is_asked_of_describe(login: bool) -> None:
    challenges = [Challenge.digest("IP Camera")] if login else []

    def rewrite(request: Request, response: Response) -> Answer:
        return Response(401, "Unauthorized") if request.method == "OPTIONS" else response

    fake = FakeCamera(challenges=challenges, username="admin", password="right", rewrite=rewrite)
    async with fake, Pulled(fake.url.replace("://", "://admin:right@") if login else fake.url) as pulled:
        await pulled.reached(CameraState.PLAYING)
