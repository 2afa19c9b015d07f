"""Sessions are opened where a camera leads, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from common.cameras import CameraState, Transport
from common.errors import CameraError
from ingest.rtsp import client
from ingest.rtsp.connect import ForbiddenAddressError
from ingest.rtsp.message import Headers, Request, Response
from ingest.rtsp.opening import MAX_REDIRECTS, over_any
from ingest.rtsp.setup import TransportRefusedError
from ingest.rtsp.silence import NoMediaError
from rigs.camera import Answer, FakeCamera
from tests.fakes.viewer import Viewer, error_of, playing


async def test_redirects_are_followed_and_what_was_left_is_closed() -> None:
    viewer = Viewer()
    async with FakeCamera() as there:

        def rewrite(request: Request, response: Response) -> Answer:
            return replace(response, status=302, headers=Headers([*response.headers, ("Location", there.url)]))

        async with FakeCamera(rewrite=rewrite) as here, playing(here, viewer):
            await viewer.watch(5)
            await here.until(lambda: not here._peers)


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"])
async def test_a_redirect_to_what_only_this_machine_reaches_is_not_followed(host: str) -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        return Response(302, "Moved", Headers([("CSeq", "1"), ("Location", f"rtsp://{host}/latest/meta-data")]))

    async with FakeCamera(rewrite=rewrite) as camera:
        error = await error_of(camera)
    assert isinstance(error, ForbiddenAddressError)
    assert error.state is CameraState.REJECTED
    assert "which only this machine can reach" in error.detail


async def test_a_redirect_to_the_loopback_is_not_followed_for_a_camera_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client.Connection, "peer", "192.0.2.7")
    async with FakeCamera() as there:

        def rewrite(request: Request, response: Response) -> Answer:
            return replace(response, status=302, headers=Headers([*response.headers, ("Location", there.url)]))

        async with FakeCamera(rewrite=rewrite) as here:
            assert isinstance(await error_of(here), ForbiddenAddressError)
        assert there.connections == 0


async def test_redirect_to_nowhere() -> None:
    async with FakeCamera(rewrite=lambda _, response: replace(response, status=302)) as camera:
        assert (await error_of(camera)).state is CameraState.REJECTED
    nowhere = Headers([("Location", "http://elsewhere/")])
    async with FakeCamera(rewrite=lambda _, response: replace(response, status=302, headers=nowhere)) as camera:
        assert (await error_of(camera)).state is CameraState.REJECTED


async def test_redirects_in_a_circle_come_to_an_end() -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        return replace(response, status=302, headers=Headers([*response.headers, ("Location", camera.url)]))

    async with FakeCamera(rewrite=rewrite) as camera:
        error = await error_of(camera)
        assert camera.connections == MAX_REDIRECTS + 1
    assert error.state is CameraState.REJECTED
    assert "redirects more than" in error.detail


async def failure_of(errors: dict[Transport, CameraError]) -> CameraError:
    async def attempt(transport: Transport) -> None:
        raise errors[transport]

    with pytest.raises(CameraError) as caught:
        await over_any(errors, attempt)
    return caught.value


@pytest.mark.parametrize("order", [(Transport.TCP, Transport.UDP), (Transport.UDP, Transport.TCP)])
async def test_of_two_failures_the_user_sees_that_of_the_transport_that_played(order: tuple[Transport, ...]) -> None:
    refused = TransportRefusedError(CameraState.REJECTED, "SETUP was answered with 461")
    silent = NoMediaError("no video has come over UDP")
    assert await failure_of(dict(zip(order, (refused, silent), strict=True))) is silent
    assert await failure_of(dict(zip(order, (silent, refused), strict=True))) is silent


async def test_of_two_failures_of_one_kind_the_user_sees_the_first() -> None:
    first, second = (TransportRefusedError(CameraState.REJECTED, text) for text in ("TCP", "UDP"))
    assert await failure_of({Transport.TCP: first, Transport.UDP: second}) is first


async def test_another_failure_ends_the_attempts() -> None:
    locked = CameraError(CameraState.UNAUTHORIZED)
    assert await failure_of({Transport.TCP: locked, Transport.UDP: NoMediaError("never tried")}) is locked


@pytest.mark.parametrize(
    ("transports", "words"),
    [
        ((Transport.TCP, Transport.UDP), "neither over TCP nor over UDP: set this stream of the camera to unicast"),
        ((Transport.TCP,), "only TCP was asked for"),
    ],
)
async def test_where_every_transport_is_refused_it_is_said_what_to_set(
    transports: tuple[Transport, ...], words: str
) -> None:
    async def attempt(_transport: Transport) -> None:
        raise TransportRefusedError(CameraState.REJECTED, "SETUP was answered with 461", unsupported=True)

    with pytest.raises(TransportRefusedError, match=words) as caught:
        await over_any(transports, attempt)
    assert caught.value.state is CameraState.REJECTED
