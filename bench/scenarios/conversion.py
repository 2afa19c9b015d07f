"""The scenario about conversion: a camera of H.265 before browsers that do not take it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from fractions import Fraction

import aiohttp
import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.resampler import AudioResampler
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext

from bench.results import Check
from bench.rig import SETTLE, Plan, Stage, staged
from bench.servers.camshaft import Camshaft
from ingest.payload.aac import Configuration
from rigs import gst_launch
from rigs.codecs import tone
from rigs.gst_launch import GstLaunch, picture, recorded, sound

FPS = 30
SIZE = (1920, 1080)
BURST = 60  # pictures that are taken to see what the codecs cost alone
PAYLOADER = "h265parse ! rtph265pay config-interval=-1"
SOUNDS = 10  # cameras whose sound alone is converted: one costs too little to be measured
PASSED = picture("x264enc tune=zerolatency speed-preset=ultrafast key-int-max=50 ! rtph264pay")
AAC = f"{PASSED} {sound('avenc_aac ! rtpmp4gpay', rate=48_000, channels=2)}"


async def conversion(plan: Plan) -> None:
    """H.265 at 1080p30 to H.264 for one viewer and for twenty; beside it FFmpeg's decoder and encoder alone.

    Then AAC to Opus, beside H.264 that is passed, and the codecs of sound alone.
    """
    assert isinstance(plan.server, Camshaft)
    server = replace(plan.server, transcode=1)  # there from the start, or nobody would measure it
    pipeline = recorded(PAYLOADER)
    if problem := gst_launch.missing(f"{pipeline} ! {AAC}"):
        plan.result.skipped.append(problem)
        return
    with GstLaunch([pipeline], encoder="libx265", fps=FPS, size=SIZE) as source:
        assert source.recording is not None
        alone = await asyncio.to_thread(_alone, str(source.recording))
        for usable in plan.usable([server]):
            async with staged(usable, [source.urls[0]], plan.crowd()) as stage:
                costs = []
                for more, viewers in ((1, 1), (19, 20)):
                    await stage.join(more)
                    await asyncio.sleep(2 * SETTLE)
                    run = await stage.window(f"{viewers} viewers", plan.seconds, delay_ms=await _delay(stage))
                    costs.append(run.measured.of(["transcode"]).cpu / run.measured.seconds * 100)
                    plan.result.runs.append(run)
            one, twenty = costs
            delay = plan.result.runs[-2].notes["delay_ms"]
            plan.result.checks += [
                Check(f"{one:.1f} % of a core, against {alone:.1f} by the codecs alone", one / alone * 100, 125, "%"),
                Check("with twenty viewers, against one", twenty / one * 100, 110, "%"),
                Check("from ingest to egress, converted, median", delay, 40, "ms"),
                Check("memory of the transcode process", run.measured.of(["transcode"]).memory / 1e6, 200, "MB"),
            ]
    with GstLaunch([AAC]) as source:
        for usable in plan.usable([server]):
            async with staged(usable, source.urls * SOUNDS, plan.crowd()) as stage:
                await stage.join(SOUNDS)
                await asyncio.sleep(2 * SETTLE)
                run = await stage.window(f"sound of {SOUNDS} cameras", plan.seconds)
                each = run.measured.of(["transcode"]).cpu / run.measured.seconds * 100 / SOUNDS
                alone = await asyncio.to_thread(_sound_alone)
                plan.result.runs.append(run)
            name = f"AAC to Opus, whole process, of a core, against {alone:.2f} by the codecs alone"
            plan.result.checks.append(Check(name, each, 1, "%"))


async def _delay(stage: Stage) -> float:
    """Milliseconds from a picture's arrival at ingest until its viewers have been sent it: the median, by egress."""
    async with aiohttp.ClientSession() as http, http.get(f"{stage.running.base_url}/api/nodes") as response:
        nodes = await response.json()
    return float(next(node["counters"]["delay_p50_us"] for node in nodes if node["role"] == "egress")) / 1_000


def _sound_alone() -> float:
    """Per cent of a core that decoding AAC of 48 kHz in stereo and encoding Opus take for sound in real time."""
    recorded = tone("aac", 10.0, rate=48_000, channels=2)
    configuration = Configuration(2, 48_000, 2)
    decoder, encoder = CodecContext.create("aac", "r"), CodecContext.create("libopus", "w")
    assert isinstance(decoder, AudioCodecContext)
    assert isinstance(encoder, AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "stereo", "s16"
    encoder.bit_rate = 64_000
    encoder.options = {"application": "lowdelay", "frame_duration": "20", "compression_level": "5"}
    resampler = AudioResampler("s16", "stereo", 48_000, 960)
    began = time.thread_time()
    for unit in recorded.payloads:
        for frame in decoder.decode(av.Packet(configuration.adts(len(unit)) + unit)):
            for resampled in resampler.resample(frame):
                encoder.encode(resampled)
    return (time.thread_time() - began) / (len(recorded.payloads) * recorded.seconds) * 100


def _alone(path: str) -> float:
    """Per cent of a core that decoding and ``ultrafast`` encoding take for pictures that come in real time."""
    encoder = VideoCodecContext.create("libx264", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = *SIZE, "yuv420p"
    encoder.time_base, encoder.thread_count = Fraction(1, FPS), 1
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "crf": "25"}
    with av.open(path) as file:
        file.streams.video[0].codec_context.thread_count = 1
        began, count = time.thread_time(), 0
        for frame in file.decode(video=0):
            frame.pts, frame.time_base = count, Fraction(1, FPS)
            encoder.encode(frame)
            count += 1
            if count == BURST:
                break
    return (time.thread_time() - began) / count * FPS * 100
