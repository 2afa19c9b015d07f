"""Each codec that cameras send, from GStreamer, through the whole product, in Chromium, and what that gets of it.

The table in docs/codecs.md is what these tests see; one that does not fit to it fails.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from rigs import chromium as chromium_rig
from rigs import cradle
from rigs.chromium import Stats
from rigs.cluster import Cluster
from rigs.gst_launch import FPS, TONE, picture, recorded, sound
from tests.fakes.converted_cameras import PCMU, cameras, converter

pytestmark = [
    *(pytest.mark.e2e, pytest.mark.browser, pytest.mark.gstreamer, pytest.mark.quiet),
    pytest.mark.xdist_group("codecs"),  # they share one cluster
]

Seen = tuple[Stats, Stats, float, set[str]]
Watch = Callable[[str], Awaitable[Seen]]
TRIES = 3  # windows: what else the machine does may spoil one
TABLE = Path(__file__).parents[2] / "docs" / "codecs.md"
SECONDS = 3.0
PACKETS = 50  # of sound in a second
X264 = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=50 bitrate=800"
MAIN = "video/x-h264,profile=main"  # left alone it encodes Baseline, which has neither B-frames nor fields
FIELDS = "I420,interlace-mode=interleaved"
X265 = "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=50 bitrate=800"
H264 = picture(f"{X264} ! video/x-h264,profile=constrained-baseline ! rtph264pay")


@dataclass(frozen=True)
class Sent:
    """A camera's picture or sound, and the codec in which a browser gets it."""

    pipeline: str
    got: str

    @property
    def converted(self) -> bool:
        return self.got.endswith("*")


PICTURES = {
    "H.264 Constrained Baseline": Sent(H264, "H264"),
    "H.264 Main": Sent(picture(f"{X264} ! video/x-h264,profile=main ! rtph264pay"), "H264"),
    "H.264 High": Sent(picture(f"{X264} dct8x8=true ! video/x-h264,profile=high ! rtph264pay"), "H264"),
    "H.264 with B-frames": Sent(
        picture(
            f"x264enc speed-preset=ultrafast bframes=2 b-adapt=false key-int-max=50 bitrate=800 ! {MAIN} ! rtph264pay"
        ),
        "H264*",
    ),
    "H.264 with 10 bits": Sent(picture(f"{X264} ! rtph264pay", pixels="I420_10LE"), "H264*"),
    "H.264 interlaced": Sent(picture(f"{X264} interlaced=true ! {MAIN} ! rtph264pay", pixels=FIELDS), "H264*"),
    "H.265 Main": Sent(picture(f"{X265} ! rtph265pay"), "H264*"),
    "H.265 Main 10": Sent(picture(f"{X265} ! rtph265pay", pixels="I420_10LE"), "H264*"),
    "Motion JPEG": Sent(picture("jpegenc ! rtpjpegpay"), "H264*"),
    "H.263": Sent(picture("avenc_h263 gop-size=50 ! rtph263pay", size=(352, 288)), "H264*"),
    "MPEG-4 part 2": Sent(recorded("mpeg4videoparse ! rtpmp4vpay config-interval=1"), "H264*"),
    "VP8": Sent(picture("vp8enc deadline=1 keyframe-max-dist=50 ! rtpvp8pay"), "VP8"),
    "VP9": Sent(picture("vp9enc deadline=1 cpu-used=8 keyframe-max-dist=50 ! rtpvp9pay"), "VP9"),
}
SOUNDS = {
    "Opus": Sent(sound("opusenc ! rtpopuspay", rate=48_000), "opus"),
    "G.711 µ-law": Sent(PCMU, "PCMU"),
    "G.711 A-law": Sent(sound("alawenc ! rtppcmapay", rate=8_000, pt=8), "PCMA"),
    "G.722": Sent(sound("avenc_g722 ! rtpg722pay", rate=16_000, pt=9), "G722"),
    "AAC (MPEG4-GENERIC), 16 kHz": Sent(sound("avenc_aac ! rtpmp4gpay", rate=16_000), "opus*"),
    "AAC (MPEG4-GENERIC), 48 kHz stereo": Sent(sound("avenc_aac ! rtpmp4gpay", rate=48_000, channels=2), "opus*"),
    "AAC (LATM)": Sent(sound("avenc_aac ! rtpmp4apay", rate=48_000, channels=2), "opus*"),
    "L16": Sent(sound("rtpL16pay", rate=44_100, channels=2), "opus*"),
    "G.726 (32 kb/s)": Sent(sound("avenc_g726 bitrate=32000 ! rtpg726pay force-aal2=false", rate=8_000), "opus*"),
    "MP2": Sent(sound("avenc_mp2 ! rtpmpapay", rate=48_000, channels=2, pt=14), "opus*"),
    "AC-3": Sent(sound("avenc_ac3 ! ac3parse ! rtpac3pay", rate=48_000, channels=2), "opus*"),
    "AMR": Sent(sound("amrnbenc ! rtpamrpay", rate=8_000), "opus*"),
    "Speex": Sent(sound("speexenc ! rtpspeexpay", rate=16_000), "opus*"),
    "GSM": Sent(sound("gsmenc ! rtpgsmpay", rate=8_000, pt=3), "opus*"),
    "Opus of six channels": Sent(sound("opusenc ! rtpopuspay", rate=48_000, channels=6), "opus*"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def all_cameras(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watch]:
    """Watches the camera that sends a row's picture or sound, each once: one that is not watched encodes nothing."""
    count = max(len(PICTURES), len(SOUNDS))
    cycles = itertools.cycle(PICTURES), itertools.cycle(reversed(SOUNDS))  # where one is converted the other one passes
    sent = list(itertools.islice(zip(*cycles, strict=True), count))
    if problem := chromium_rig.missing():
        pytest.skip(problem)
    with cameras(*(f"{PICTURES[picture].pipeline} {SOUNDS[sound].pipeline}" for picture, sound in sent)) as launched:
        settings = {"on_demand": True, "keep_after": 0.0}
        sources = {f"camera-{number}": {"url": url} | settings for number, url in enumerate(launched.urls)}
        names = {row: camera for rows, camera in zip(sent, sources, strict=True) for row in rows}
        seen: dict[str, Seen] = {}
        directory = tmp_path_factory.mktemp("codecs")
        async with Cluster(directory, sources, begin=cradle.begin) as running, chromium_rig.chromium() as browser:

            async def watch(name: str) -> Seen:
                """The counts when the picture is there and some seconds later, the tone that is heard, in Hz, and what
                of the camera was converted."""
                camera = names[name]
                if camera in seen:
                    return seen[camera]
                viewing = await browser.whep(running.whep(camera))
                await viewing.shows(FPS)
                for _ in range(TRIES):
                    before = await viewing.stats()
                    measured = asyncio.sleep(SECONDS)  # the time to measure, not to wait for something
                    _, heard = await asyncio.gather(measured, viewing.loudest_hz())
                    after = await viewing.stats()
                    if flows(before, after):
                        break
                made = {
                    rendition.rpartition("/")[2]
                    for rendition in (await converter(running))["cameras"]
                    if rendition.startswith(f"{camera}/")
                }
                seen[camera] = before, after, heard, made
                await viewing.close()
                return seen[camera]

            yield watch


def flows(before: Stats, after: Stats) -> bool:
    """Whether nothing of picture and sound was missing meanwhile."""
    pictures = after.frames_decoded - before.frames_decoded >= 0.95 * FPS * SECONDS - 2
    sound = after.audio_packets - before.audio_packets >= 0.9 * SECONDS * PACKETS
    return pictures and sound and after.freezes == before.freezes


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", PICTURES)
async def test_the_picture_moves(name: str, all_cameras: Watch) -> None:
    sent = PICTURES[name]
    before, after, _, made = await all_cameras(name)
    assert ("h264" in made) is sent.converted
    assert after.video_codec == f"video/{sent.got.rstrip('*')}"
    assert flows(before, after), f"{before}, {after}"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", SOUNDS)
async def test_the_sound_is_there(name: str, all_cameras: Watch) -> None:
    sent = SOUNDS[name]
    before, after, heard, made = await all_cameras(name)
    assert ("opus" in made) is sent.converted
    assert after.audio_codec == f"audio/{sent.got.rstrip('*')}"
    assert flows(before, after), f"{before}, {after}"
    assert after.audio_concealed - before.audio_concealed < 0.1 * (after.audio_samples - before.audio_samples)
    assert heard == pytest.approx(TONE, rel=0.02)


def test_the_table_in_the_docs_is_what_these_tests_see() -> None:
    rows = [f"| {name} | {_said(sent)} |" for name, sent in [*PICTURES.items(), *SOUNDS.items()]]
    text = TABLE.read_text()
    missing = [row for row in rows if row not in text]
    assert not missing, "docs/codecs.md should have:\n" + "\n".join(missing)


def _said(sent: Sent) -> str:
    codec = {"H264": "H.264", "opus": "Opus", "PCMU": "G.711 µ-law", "PCMA": "G.711 A-law", "G722": "G.722"}
    name = codec.get(sent.got.rstrip("*"), sent.got)
    return f"converted to {name}" if sent.converted else f"passed as {name}"
