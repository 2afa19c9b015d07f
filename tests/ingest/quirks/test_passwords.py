"""Cameras that ask for a password in their own way, and passwords that look like a part of the URL."""

from __future__ import annotations

from dataclasses import replace

import pytest

from common.cameras import CameraState
from ingest.rtsp.auth import Challenge
from ingest.rtsp.message import Request, Response
from rigs.camera import Answer, FakeCamera
from tests.fakes.quirks import WANTED, plays
from tests.fakes.viewer import Pulled


@pytest.mark.parametrize("algorithm", ["", "MD5", "SHA-256", "SHA-512-256", "MD5-sess"])
@pytest.mark.parametrize("qop", [(), ("auth",), ("auth", "auth-int"), ("auth-int",)])
async def test_digests_of_every_kind_are_answered(algorithm: str, qop: tuple[str, ...]) -> None:
    challenge = Challenge.digest("IP Camera(12345)", algorithm=algorithm, qop=qop)
    fake = FakeCamera(username="admin", password="p@ss:w/rd", challenges=[replace(challenge, opaque="x==")])
    async with fake:
        url = fake.url.replace("://", "://admin:p@ss:w/rd@")
        async with Pulled(url) as pulled:
            assert await pulled.watch(5) == WANTED[:5]
            assert fake.wrong_logins == 0


async def test_the_strongest_of_several_challenges_is_answered() -> None:
    digest = Challenge.digest("cam", algorithm="SHA-256")
    unknown = Challenge.digest("cam", algorithm="SHA3-512")
    fake = FakeCamera(username="admin", password="secret")
    fake.challenges = [Challenge.basic("cam"), unknown, Challenge.digest("cam"), digest]
    async with fake, Pulled(fake.login_url) as pulled:
        await pulled.watch(5)
        [*_, play] = [request for request in fake.requests if request.method == "PLAY"]
        assert "algorithm=SHA-256" in (play.headers.get("Authorization") or "")


@pytest.mark.thorough
async def test_a_nonce_that_goes_stale_in_mid_session_is_answered() -> None:
    nonces = [Challenge.digest("cam") for _ in range(4)]
    fake = FakeCamera(username="admin", password="secret", challenges=nonces[:1], session="1;timeout=1")
    async with fake, Pulled(fake.login_url) as pulled:
        await pulled.watch(5)
        for number, nonce in enumerate(nonces[1:], 1):
            fake.challenges = [replace(nonce, stale=True)]
            before = len(fake.requests)
            await fake.until(
                lambda before=before, nonce=nonce: any(
                    nonce.nonce in (r.headers.get("Authorization") or "") for r in fake.requests[before:]
                )
            )
            assert fake.wrong_logins == number
        assert pulled.camera.report.reconnects == 0


@pytest.mark.parametrize("password", ["p%40ss", "p@ss:#?word", "50%", "ü€"])
async def test_a_password_may_hold_what_ends_a_url(password: str) -> None:
    fake = FakeCamera(username="admin", password=password.replace("%40", "@"), challenges=[Challenge.digest("cam")])
    async with fake:
        async with Pulled(fake.url.replace("://", f"://admin:{password}@")) as pulled:
            await pulled.watch(5)
        assert fake.wrong_logins == 0


async def test_a_camera_that_wants_a_user_agent_gets_one() -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        return response if "User-Agent" in request.headers else Response(401, "Unauthorized")

    await plays(FakeCamera(rewrite=rewrite))


async def test_a_wrong_password_is_tried_once() -> None:
    fake = FakeCamera(username="admin", password="right", challenges=[Challenge.digest("cam")])
    async with fake, Pulled(fake.url.replace("://", "://admin:wrong@")) as pulled:
        report = await pulled.reached(CameraState.UNAUTHORIZED)
        assert fake.wrong_logins == 1
        assert report.retry_at is not None
        assert report.retry_at - report.since > 100
        assert "wrong" not in report.last_error
