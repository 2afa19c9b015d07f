"""Sources that are not RTSP: files, what a web server gives, and the processes that read them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path

import av
import psutil
from aiohttp import web
from av.audio.frame import AudioFrame

from common.config_limits import SourcesConfig
from rigs.waiting import until
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


async def sees(camera: Pulled, pictures: int) -> None:
    """Wait for so many pictures of whatever codec."""
    await camera.until(lambda: sum(batch.unit_end for batch in camera.of("video")) >= pictures)


def demuxers() -> list[psutil.Process]:
    """The processes of sources that are running now."""
    children = psutil.Process().children()
    return [child for child in children if any("demuxer" in word for word in child.cmdline())]


async def until_gone() -> None:
    await until(lambda: not demuxers(), 10)


PLAYLIST = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n"


def playlist(*segments: str) -> str:
    return PLAYLIST + "".join(f"#EXTINF:1.0,\n{segment}\n" for segment in segments)
