"""A camera's task with sources that are not RTSP: real processes, real FFmpeg, and what each source may not do."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from common.cameras import CameraSpec, CameraState
from common.media import Batch, Kind
from ingest.probe import probe
from tests.fakes.demuxed import (
    JPEG,
    PLAYLIST,
    SECOND,
    motion_jpeg,
    playlist,
    pulled,
    sees,
    serving,
    static,
    until_gone,
    write_clip,
)


def drift(units: list[Batch]) -> float:
    """Seconds by which the later half of 25 pictures a second comes later than the first, by what is on time of each.

    A busy machine has some late, and none early.
    """
    offsets = [unit.arrival_ns / 1e9 - number / 25 for number, unit in enumerate(units)]
    middle = len(offsets) // 2
    return min(offsets[middle:]) - min(offsets[:middle])


@pytest.mark.thorough
async def test_a_file_plays_for_ever_on_one_line_of_time(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a clip.mp4", sound=True)
    async with pulled(f"file://{tmp_path}/a%20clip.mp4") as camera:
        await camera.watch(65)
        report = camera.camera.report
        video, audio = camera.of("video"), camera.of("audio")
    assert (report.state, report.transport, report.reconnects) == (CameraState.PLAYING, "file", 0)
    assert [track.codec for track in report.tracks] == ["H264", "AAC"]
    assert len({batch.epoch for batch in video}) == 1
    starts = [batch for batch in video if batch.unit_end]
    steps = {b.timestamp - a.timestamp for a, b in pairwise(starts)}
    assert all(0 < step <= 2 * SECOND // 25 for step in steps), "no leap where it begins anew"
    assert abs(drift(starts[:64])) < 0.5, "as fast as it is, and no faster"
    near = min(audio, key=lambda batch: abs(batch.capture_ns - starts[20].capture_ns))
    assert abs(near.capture_ns - starts[20].capture_ns) < 50_000_000, "sound and picture are on one clock"
    assert clip.exists()
    await until_gone()


@pytest.mark.thorough
async def test_a_file_of_nothing_but_pictures_plays_for_ever_as_fast_as_it_says(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.h264")
    async with pulled(f"file://{tmp_path}/clip.h264") as camera:
        await camera.watch(60)
        report = camera.camera.report
        units = [batch for batch in camera.of("video") if batch.unit_end]
    assert (report.state, report.reconnects) == (CameraState.PLAYING, 0)
    assert abs(drift(units[:60])) < 0.5
    assert all(0 < b.timestamp - a.timestamp <= 2 * SECOND // 25 for a, b in pairwise(units))


async def test_motion_jpeg_over_http(image: bytes) -> None:
    async with serving({"/video": motion_jpeg(image)}) as address, pulled(f"{address}/video") as camera:
        await sees(camera, 20)
        report = camera.camera.report
        batches = camera.of("video")
    assert (report.state, report.transport) == (CameraState.PLAYING, "http")
    assert [(track.codec, bool(track.convert)) for track in report.tracks] == [("JPEG", True)]
    assert all(batch.keyframe for batch in batches)
    assert b"".join(batches[-1].payloads) == image
    took = (batches[19].timestamp - batches[1].timestamp) / SECOND
    assert took == pytest.approx((batches[19].arrival_ns - batches[1].arrival_ns) / 1e9, abs=0.1)


@pytest.mark.thorough
async def test_a_source_that_ends_is_connected_to_anew(image: bytes) -> None:
    handlers = {"/video": motion_jpeg(image, images=10)}
    async with serving(handlers) as address, pulled(f"{address}/video") as camera:
        await camera.until_report(lambda report: report.reconnects >= 1)
        assert len({batch.epoch for batch in camera.batches}) == 2
        assert "it has ended" in camera.camera.report.last_error


async def test_mpeg_ts_over_http(tmp_path: Path) -> None:
    data = write_clip(tmp_path / "clip.ts", frames=50, sound=True).read_bytes()
    async with serving({"/live": static(data, "video/mp2t")}) as address, pulled(f"{address}/live") as camera:
        await camera.watch(40)
        assert {track.codec for track in camera.camera.report.tracks} == {"H264", "AAC"}


async def test_hls_of_the_same_host(tmp_path: Path) -> None:
    data = write_clip(tmp_path / "clip.ts").read_bytes()
    handlers = {
        "/live/index.m3u8": static(playlist("0.ts", "0.ts", "0.ts"), "application/vnd.apple.mpegurl"),
        "/live/0.ts": static(data, "video/mp2t"),
    }
    async with serving(handlers) as address, pulled(f"{address}/live/index.m3u8") as camera:
        await camera.watch(40)
        assert camera.state is CameraState.PLAYING


async def test_hls_that_is_encrypted(tmp_path: Path) -> None:
    key, vector = bytes(range(16)), bytes(range(1, 17))
    padder, encryptor = PKCS7(128).padder(), Cipher(AES(key), CBC(vector)).encryptor()
    data = write_clip(tmp_path / "clip.ts").read_bytes()
    encrypted = encryptor.update(padder.update(data) + padder.finalize()) + encryptor.finalize()
    tag = f'#EXT-X-KEY:METHOD=AES-128,URI="key",IV=0x{vector.hex()}\n'
    handlers = {
        "/index.m3u8": static(PLAYLIST + tag + "#EXTINF:1.0,\n0.ts\n" * 3, "application/vnd.apple.mpegurl"),
        "/0.ts": static(encrypted, "video/mp2t"),
        "/key": static(key, "application/octet-stream"),
    }
    async with serving(handlers) as address, pulled(f"{address}/index.m3u8") as camera:
        await camera.watch(40)
        assert camera.state is CameraState.PLAYING


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("url", "state", "words"),
    [
        ("file:///no/such/file", CameraState.NOT_FOUND, "no such file"),
        ("file:///dev/zero", CameraState.REJECTED, "not a regular file"),
        ("device:///dev/video99", CameraState.NOT_FOUND, "no such device"),
        ("device:///etc/hostname", CameraState.REJECTED, "not a video device"),
        ("device:///dev/null", CameraState.REJECTED, "not a video device"),
        ("device:///dev/null?x=1", CameraState.INVALID_URL, "allowed: size, fps, format"),
        ("srt://127.0.0.1:9", CameraState.CONNECTION_REFUSED, ""),
        ("srt://127.0.0.1", CameraState.INVALID_URL, "needs a port"),
        ("rtmp://127.0.0.1:1/live/a", CameraState.CONNECTION_REFUSED, ""),
        ("rtmp://no-such-host.invalid/live", CameraState.HOST_UNKNOWN, ""),
    ],
)
async def test_what_cannot_be_opened_has_a_state(url: str, state: CameraState, words: str) -> None:
    async with pulled(url) as camera:
        report = await camera.reached(state)
        assert words in report.detail


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        ("<html>", "text/html", "web page"),
        (JPEG, "image/jpeg", "single picture"),
        (b"garbage" * 1_000, "application/octet-stream", ""),
        (PLAYLIST, "application/x-mpegurl", ""),
        ("#EXTM3U\n" + "#" * 10_000_000, "application/x-mpegurl", ""),
    ],
)
async def test_what_is_no_media_has_a_state(body: bytes | str, content_type: str, words: str) -> None:
    async with serving({"/": static(body, content_type)}) as address, pulled(f"{address}/") as camera:
        await camera.until_report(lambda report: report.state.failed)
        assert words in camera.camera.report.detail


@pytest.mark.thorough
async def test_a_probe_says_what_a_source_sends(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=75, sound=True)
    result = await probe(CameraSpec("probe", f"file://{clip}"))  # type: ignore[arg-type]
    assert result.transport == "file"
    video, audio = result.tracks
    assert (video.track.kind, video.width, video.height) == (Kind.VIDEO, 160, 120)
    assert video.frame_rate == pytest.approx(25, abs=1)
    assert audio.track.codec == "AAC"
