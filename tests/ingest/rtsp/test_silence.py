"""Sessions of which nothing comes, or nothing any more."""

from __future__ import annotations

import pytest

from common.cameras import CameraState
from common.errors import CameraError
from ingest.rtsp import silence
from ingest.rtsp.silence import NoMediaError
from rigs.camera import FakeCamera, h264_track, pcmu_track
from tests.fakes.viewer import Viewer, error_of, playing


@pytest.mark.parametrize("udp", [False, True])
async def test_no_media_at_all(udp: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "FIRST_PACKET_TIMEOUT" if udp else "SILENCE_TIMEOUT", 0.3)
    async with FakeCamera(silent={"tcp", "udp"}) as camera:
        error = await error_of(camera, udp=udp)
    assert isinstance(error, NoMediaError)
    assert error.state is CameraState.SILENT
    assert ("UDP" if udp else "TCP") in error.detail


@pytest.mark.parametrize("udp", [False, True])
async def test_media_that_stops(udp: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SILENCE_TIMEOUT", 0.5)
    viewer = Viewer()
    async with FakeCamera() as camera, playing(camera, viewer, udp=udp) as connection:
        await viewer.watch(5)
        camera.silent = {"tcp", "udp"}
        with pytest.raises(CameraError) as caught:
            await connection.ended()
    assert caught.value.state is CameraState.SILENT
    assert not isinstance(caught.value, NoMediaError)


async def test_picture_that_stops_while_the_sound_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SILENCE_TIMEOUT", 0.5)
    viewer = Viewer()
    async with FakeCamera([h264_track(), pcmu_track()]) as camera, playing(camera, viewer) as connection:
        await viewer.watch(5)
        camera.mangle = lambda packet: [packet] if packet[1] & 0x7F == 0 else []
        with pytest.raises(CameraError, match="sound goes on"):
            await connection.ended()


async def test_sound_that_stops_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SILENCE_TIMEOUT", 0.3)
    viewer = Viewer()
    async with FakeCamera([h264_track(), pcmu_track()]) as camera:
        camera.mangle = lambda packet: [packet] if packet[1] & 0x7F else []
        async with playing(camera, viewer):
            await viewer.watch(200)


async def test_goodbye_ends_the_session_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "GOODBYE_TIMEOUT", 0.1)
    viewer = Viewer()
    async with FakeCamera() as camera, playing(camera, viewer) as connection:
        await viewer.watch(5)
        camera.goodbye = True
        with pytest.raises(CameraError, match="goodbye"):
            await connection.ended()
