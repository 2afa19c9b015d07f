"""Ingest against a camera that nobody here wrote: GStreamer's RTSP server, decoded again with FFmpeg."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise

import pytest

from common.cameras import CameraSpec, CameraState, Transport
from ingest.probe import probe
from rigs import gst_camera as rig
from rigs.clip import Clip
from rigs.gst_camera import GstCamera
from rigs.video import decode
from tests.fakes.viewer import Pulled

CLIP = Clip(width=640, height=360, bitrate=1_500_000, seconds=2, gop=30)
OTHER = Clip(width=320, height=240, bitrate=300_000, seconds=2, gop=30)

pytestmark = pytest.mark.gstreamer


@pytest.fixture
def camera(pytestconfig: pytest.Config) -> Iterator[Callable[..., GstCamera]]:
    """Starts a camera."""
    if problem := rig.missing():
        pytest.skip(problem)
    assert pytestconfig.cache is not None
    directory = pytestconfig.cache.mkdir("clips")
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(GstCamera(CLIP.file(directory), CLIP.fps, **options))


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
@pytest.mark.parametrize(("audio", "encrypted"), [("opus", False), ("pcmu", True)])
async def test_every_frame_decodes(
    camera: Callable[..., GstCamera], transport: Transport, audio: str, encrypted: bool
) -> None:
    async with Pulled(camera(audio=audio, encrypted=encrypted).url, transport=transport) as pulled:
        units = await pulled.watch(90)
        report = pulled.camera.report
    assert decode(nal for unit in units for nal in unit) == 90
    assert report.transport == transport
    video, sound = report.stats
    assert (video.lost, sound.lost) == (0, 0)
    assert video.dropped == 0
    stamps = [batch.timestamp for batch in pulled.of("video") if batch.unit_end]
    steps = [after - before for before, after in pairwise(stamps)]
    assert sum(abs(step - 3_000) < 100 for step in steps) > 0.95 * len(steps)
    # Sound and picture are on one clock: what was captured together arrives together, within a frame or two of a lag.
    late = [batch.arrival_ns - batch.capture_ns for batch in pulled.batches[-50:]]
    assert all(0 <= ns < 10**9 for ns in late)
    assert len(pulled.of("audio")) > 100


@pytest.mark.parametrize("auth", ["digest", "basic"])
async def test_password(camera: Callable[..., GstCamera], auth: str) -> None:
    there = camera(user="viewer", password="p@ss:w/rd", auth=auth)
    async with Pulled(there.url) as pulled:
        await pulled.watch(5)
    async with Pulled(there.url.replace("p%40ss", "wrong")) as pulled:
        await pulled.reached(CameraState.UNAUTHORIZED)


@pytest.mark.parametrize("only", ["tcp", "udp"])
async def test_whatever_transport_it_takes(camera: Callable[..., GstCamera], only: str) -> None:
    async with Pulled(camera(transports=(only,)).url) as pulled:
        await pulled.watch(5)
        assert pulled.camera.report.transport == only


@pytest.mark.parametrize("auth", ["digest", "basic"])
async def test_inside_of_http(camera: Callable[..., GstCamera], auth: str) -> None:
    there = camera(user="viewer", password="secret", auth=auth)
    async with Pulled(there.url.replace("rtsp://", "rtsp+http://")) as pulled:
        units = await pulled.watch(60)
        assert pulled.camera.report.transport == Transport.TCP
    assert decode(nal for unit in units for nal in unit) == 60


async def test_it_reboots_with_another_picture(camera: Callable[..., GstCamera], pytestconfig: pytest.Config) -> None:
    assert pytestconfig.cache is not None
    there = camera()
    async with Pulled(there.url) as pulled:
        await pulled.watch(30)
        there.kill()
        await pulled.until(lambda: pulled.state.failed)
        there.restart(OTHER.file(pytestconfig.cache.mkdir("clips")))
        await pulled.until(lambda: len({batch.epoch for batch in pulled.of("video")}) == 2)
        assert pulled.camera.report.reconnects == 1


async def test_its_picture_changes_in_mid_stream(camera: Callable[..., GstCamera], pytestconfig: pytest.Config) -> None:
    assert pytestconfig.cache is not None
    there = camera(audio="")
    async with Pulled(there.url) as pulled:
        before = await pulled.watch(30)
        there.switch(OTHER.file(pytestconfig.cache.mkdir("clips")))
        sets = {nal for unit in before for nal in unit if nal[0] & 0x1F == 7}
        await pulled.until(
            lambda: len({nal for unit in pulled.units() for nal in unit if nal[0] & 0x1F == 7} - sets) == 1
        )
        assert pulled.camera.report.reconnects == 0


async def test_probe(camera: Callable[..., GstCamera]) -> None:
    result = await probe(CameraSpec("x", camera().url))
    video, sound = result.tracks
    assert (video.width, video.height) == (640, 360)
    assert video.frame_rate == pytest.approx(30, abs=0.5)
    assert video.keyframe_interval == pytest.approx(1, abs=0.05)
    assert 800_000 < video.bitrate < 3_000_000
    assert (sound.track.codec, result.problems) == ("opus", ())
    assert "GStreamer" in result.server
