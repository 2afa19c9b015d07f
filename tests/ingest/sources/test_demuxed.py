"""A camera's task with sources that are not RTSP: real processes, real FFmpeg, and what each source may not do."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import psutil
import pytest
import structlog
from aiohttp import web
from av.audio.frame import AudioFrame
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from common.cameras import CameraSpec, CameraState
from common.config_limits import SourcesConfig
from common.control import Assign, Release
from common.media import Kind
from ingest.probe import probe
from ingest.sources import demuxed as demuxed_module
from ingest.worker import Ingest
from tests.fakes.viewer import Pulled

SECOND = 90_000  # ticks
EVERYTHING = SourcesConfig(allow=("http", "file", "udp", "srt", "rtmp", "device"))
JPEG = b"\xff\xd8" + bytes(20_000) + b"\xff\xd9"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def pulled(url: str, sources: SourcesConfig = EVERYTHING, **spec: object) -> Pulled:
    camera = Pulled(url, **spec)
    camera.shared.sources = sources
    return camera


def write_clip(path: Path, *, frames: int = 25, sound: bool = False) -> Path:
    """A second of H.264, and AAC, in the container that the file's name says."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"preset": "ultrafast", "tune": "zerolatency", "g": "25"})
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        audio = out.add_stream("aac", rate=48_000) if sound else None
        for number in range(frames):
            frame = av.VideoFrame(160, 120, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([number * 10 % 256]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for number in range(frames * 1_920 // 1_024 if audio is not None else 0):
            tone = AudioFrame("fltp", "stereo", 1_024)
            for sound_plane in tone.planes:
                sound_plane.update(bytes(sound_plane.buffer_size))
            tone.sample_rate, tone.pts, tone.time_base = 48_000, number * 1_024, Fraction(1, 48_000)
            assert isinstance(audio, av.AudioStream)
            out.mux(audio.encode(tone))
        if isinstance(audio, av.AudioStream):
            out.mux(audio.encode(None))
    return path


@asynccontextmanager
async def serving(handlers: dict[str, Handler]) -> AsyncIterator[str]:
    app = web.Application()
    for path, handler in handlers.items():
        app.router.add_get(path, handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def static(body: bytes | str, content_type: str) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body.encode() if isinstance(body, str) else body, content_type=content_type)

    return answer


def motion_jpeg(image: bytes, *, images: int = 1_000) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "multipart/x-mixed-replace; boundary=frame"})
        await response.prepare(request)
        for _ in range(images):
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}\r\n\r\n"
            try:
                await response.write(head.encode() + image + b"\r\n")
            except ConnectionError:  # it hung up
                break
            await asyncio.sleep(0.04)
        return response

    return answer


@pytest.fixture
def image() -> bytes:
    context = av.CodecContext.create("mjpeg", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt, context.time_base = 160, 120, "yuvj420p", Fraction(1, 25)
    return b"".join(
        bytes(packet) for packet in [*context.encode(av.VideoFrame(160, 120, "yuvj420p")), *context.encode()]
    )


@pytest.fixture
def log() -> Iterator[list[Any]]:
    """The log, as structured events."""
    with structlog.testing.capture_logs() as events:
        yield events


async def sees(camera: Pulled, pictures: int) -> None:
    """Wait for so many pictures of whatever codec."""
    await camera.until(lambda: sum(batch.unit_end for batch in camera.of("video")) >= pictures)


def demuxers() -> list[psutil.Process]:
    """The processes of sources that are running now."""
    children = psutil.Process().children()
    return [child for child in children if any("demuxer" in word for word in child.cmdline())]


async def until_gone() -> None:
    async with asyncio.timeout(10):
        while demuxers():  # noqa: ASYNC110  # the system tells nobody
            await asyncio.sleep(0.05)


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
    took = (starts[64].arrival_ns - starts[0].arrival_ns) / 1e9
    assert took == pytest.approx(64 / 25, abs=0.5), "as fast as it is, and no faster"
    near = min(audio, key=lambda batch: abs(batch.capture_ns - starts[20].capture_ns))
    assert abs(near.capture_ns - starts[20].capture_ns) < 50_000_000, "sound and picture are on one clock"
    assert clip.exists()
    await until_gone()


async def test_a_file_of_nothing_but_pictures_plays_for_ever_as_fast_as_it_says(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.h264")
    async with pulled(f"file://{tmp_path}/clip.h264") as camera:
        await camera.watch(60)
        report = camera.camera.report
        units = [batch for batch in camera.of("video") if batch.unit_end]
    assert (report.state, report.reconnects) == (CameraState.PLAYING, 0)
    took = (units[59].arrival_ns - units[0].arrival_ns) / 1e9
    assert took == pytest.approx(59 / 25, abs=0.5)
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


async def test_a_source_that_ends_is_connected_to_anew(image: bytes) -> None:
    handlers = {"/video": motion_jpeg(image, images=10)}
    async with serving(handlers) as address, pulled(f"{address}/video") as camera:
        await camera.until_report(lambda report: report.reconnects >= 1)
        assert len({batch.epoch for batch in camera.batches}) == 2
        assert "come to its end" in camera.camera.report.last_error


async def test_mpeg_ts_over_http(tmp_path: Path) -> None:
    data = write_clip(tmp_path / "clip.ts", frames=50, sound=True).read_bytes()
    async with serving({"/live": static(data, "video/mp2t")}) as address, pulled(f"{address}/live") as camera:
        await camera.watch(40)
        assert {track.codec for track in camera.camera.report.tracks} == {"H264", "AAC"}


PLAYLIST = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n"


def playlist(*segments: str) -> str:
    return PLAYLIST + "".join(f"#EXTINF:1.0,\n{segment}\n" for segment in segments)


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


@pytest.mark.parametrize(
    "segment",
    [
        "file://{path}",
        "{path}",
        "concat:{path}",
        "subfile,,start,0,end,9999999,,:{path}",
        "crypto:file://{path}",
        "pipe:0",
        "/leads/there",
    ],
)
async def test_a_playlist_reaches_no_file(tmp_path: Path, segment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes play when they come by HTTP: see above. What FFmpeg itself passes over is waited for in vain."""
    monkeypatch.setattr(demuxed_module, "START_TIMEOUT", 4.0)
    path = write_clip(tmp_path / "secret.ts")

    async def leads(_request: web.Request) -> web.Response:
        raise web.HTTPFound(f"file://{path}")

    listed = playlist(*[segment.format(path=path)] * 3)
    handlers = {"/index.m3u8": static(listed, "application/vnd.apple.mpegurl"), "/leads/there": leads}
    async with serving(handlers) as address, pulled(f"{address}/index.m3u8") as camera:
        await camera.until_report(lambda report: report.state.failed)
        refused = {CameraState.REJECTED, CameraState.NOT_FOUND, CameraState.SILENT}
        assert camera.state in refused
        assert not camera.batches


async def test_a_file_reaches_no_other_file(tmp_path: Path) -> None:
    write_clip(tmp_path / "secret.ts")
    (tmp_path / "list.m3u8").write_text(playlist("secret.ts"))
    (tmp_path / "list.ffconcat").write_text("ffconcat version 1.0\nfile secret.ts\n")
    for name in ("list.m3u8", "list.ffconcat"):
        async with pulled(f"file://{tmp_path}/{name}") as camera:
            await camera.reached(CameraState.NOT_MEDIA)
            assert not camera.batches


@pytest.mark.parametrize(
    ("url", "state", "words"),
    [
        ("file:///no/such/file", CameraState.NOT_FOUND, "no such file"),
        ("file:///dev/zero", CameraState.REJECTED, "no file"),
        ("device:///dev/video99", CameraState.NOT_FOUND, "no such device"),
        ("device:///etc/hostname", CameraState.REJECTED, "no device"),
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


async def test_a_kind_that_is_not_allowed_is_not_opened(tmp_path: Path) -> None:
    url = f"file://{write_clip(tmp_path / 'clip.mp4')}"
    async with pulled(url, SourcesConfig()) as camera:
        report = await camera.reached(CameraState.NOT_ALLOWED)
        assert "add file to sources.allow" in report.detail
        assert not demuxers()


async def test_another_list_of_kinds_holds_at_once(image: bytes) -> None:
    published: list[Any] = []
    link = SimpleNamespace(node="ingest-1", report_soon=lambda: None)
    publisher = SimpleNamespace(
        publish=lambda _rendition, batches: published.extend(batches),
        forget=lambda _rendition: None,
        use_key=lambda *_: 0,
    )

    async def until(state: CameraState) -> None:
        async with asyncio.timeout(15):
            while ingest._cameras["yard"].report.state is not state:  # noqa: ASYNC110  # reports are asked for
                await asyncio.sleep(0.02)

    async with serving({"/": motion_jpeg(image)}) as address, asyncio.TaskGroup() as group:
        ingest = Ingest(link, publisher, group, sources=SourcesConfig(allow=("rtsp",)))  # type: ignore[arg-type]
        ingest.handle(Assign(CameraSpec("yard", f"{address}/")))  # type: ignore[arg-type]
        await until(CameraState.NOT_ALLOWED)
        assert not published
        ingest.allow(SourcesConfig(allow=("http",)))
        await until(CameraState.PLAYING)
        ingest.allow(SourcesConfig(allow=("http",), memory=100))
        assert len(demuxers()) == 1
        ingest.allow(SourcesConfig(allow=("rtsp",)))
        await until(CameraState.NOT_ALLOWED)
        await until_gone()
        ingest.handle(Release("yard"))  # type: ignore[arg-type]


async def test_an_address_outside_of_the_networks_is_not_spoken_to() -> None:
    asked = asyncio.Event()

    async def ask(_request: web.Request) -> web.Response:
        asked.set()
        return web.Response()

    async with serving({"/": ask}) as address:
        port = address.rpartition(":")[2]
        for url in (f"{address}/", f"rtmp://127.0.0.1:{port}/live", f"udp://127.0.0.1:{port}"):
            async with pulled(url, networks=("192.0.2.0/24",)) as camera:
                report = await camera.reached(CameraState.NOT_ALLOWED)
                assert "sources.networks allows 192.0.2.0/24" in report.detail
    assert not asked.is_set()


async def test_a_demuxer_that_dies_is_replaced(image: bytes) -> None:
    async with serving({"/": motion_jpeg(image)}) as address, pulled(f"{address}/") as camera:
        await sees(camera, 5)
        [process] = demuxers()
        os.kill(process.pid, signal.SIGSEGV)
        await camera.until_report(lambda report: report.reconnects == 1)
        assert "ended by signal 11" in camera.camera.report.last_error


async def test_a_demuxer_that_hangs_is_ended(image: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demuxed_module, "SILENT_AFTER", 0.5)
    async with serving({"/": motion_jpeg(image)}) as address, pulled(f"{address}/") as camera:
        await sees(camera, 5)
        [process] = demuxers()
        os.kill(process.pid, signal.SIGSTOP)
        await camera.reached(CameraState.SILENT)
        await camera.until_report(lambda report: report.reconnects == 1)
        assert not process.is_running()


async def test_a_server_that_never_answers_ends_in_a_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demuxed_module, "START_TIMEOUT", 2.0)
    asked = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        asked.set()
        await asyncio.sleep(60)
        return web.Response()

    async with serving({"/": hang}) as address:
        async with pulled(f"{address}/") as camera:
            await camera.reached(CameraState.SILENT)
            async with asyncio.timeout(
                60.0
            ):  # where others keep the machine busy, an attempt may be over before it asks
                await asked.wait()
        await until_gone()


async def test_a_demuxer_that_wants_too_much_memory_is_ended(tmp_path: Path) -> None:
    """An MP4 whose index says that it has half a gigabyte of entries."""
    clip = write_clip(tmp_path / "clip.mp4").read_bytes()
    at = clip.index(b"stsz")
    hostile = clip[: at + 12] + (1 << 27).to_bytes(4, "big") + clip[at + 16 :]
    (tmp_path / "hostile.mp4").write_bytes(hostile)
    async with pulled(f"file://{tmp_path}/hostile.mp4", SourcesConfig(allow=("file",), memory=64)) as camera:
        await camera.until_report(lambda report: report.state.failed or bool(camera.batches))
        for process in demuxers():
            assert process.memory_info().rss < 200 << 20


async def test_no_password_shows(image: bytes, log: list[Any]) -> None:
    async with serving({"/": motion_jpeg(image, images=3)}) as address:
        secret = address.replace("://", "://admin:hunter2@")
        for url in (
            f"{secret}/",
            f"{secret}/missing",
            "rtmp://admin:hunter2@127.0.0.1:1/live",
            "http://a:hunter2/3@h/",
        ):
            async with pulled(url) as camera:
                await camera.until_report(lambda report: report.state.failed)
                assert "hunter2" not in repr(camera.camera.report)
                for process in demuxers():
                    assert "hunter2" not in f"{process.cmdline()} {process.environ()}"
    assert "hunter2" not in repr(log)


async def test_a_demuxer_gets_none_of_our_variables(image: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMSHAFT_CLUSTER_SECRET", "hunter2-0123456789")
    async with serving({"/": motion_jpeg(image)}) as address, pulled(f"{address}/") as camera:
        await sees(camera, 2)
        [process] = demuxers()
        assert set(process.environ()) <= {"PYTHONPATH", "PATH", "LANG", "LC_CTYPE"}
        assert process.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
        assert process.rlimit(psutil.RLIMIT_DATA) == (512 << 20, 512 << 20)


async def test_a_probe_says_what_a_source_sends(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=75, sound=True)
    result = await probe(CameraSpec("probe", f"file://{clip}"))  # type: ignore[arg-type]
    assert result.transport == "file"
    video, audio = result.tracks
    assert (video.track.kind, video.width, video.height) == (Kind.VIDEO, 160, 120)
    assert video.frame_rate == pytest.approx(25, abs=1)
    assert audio.track.codec == "AAC"
