"""A real Chromium as a viewer, driven by Playwright: bare WHEP and WebSocket viewers, and eyes on any page.

``probe.js`` runs in every page before the page's own scripts and remembers peer connections and shown frames. The bare
viewers live on an empty page that Playwright itself serves at the server's own origin, so that no cross-origin rule is
in the way and nothing of the product's pages is involved.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import av
import psutil
from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright

from rigs.process import end_with_parent

CHROMIUM = "/usr/bin/chromium"
# The same without a window of its own, where it is installed: its start and each page take a sixth of the CPU. What it
# does with media and networks is the same code.
# Debian's command of that name is a script that stays, so what is told to end would not be the browser.
SHELL = shutil.which("chromium-headless-shell", path="/usr/lib/chromium") or CHROMIUM
PROBE = Path(__file__).with_name("probe.js")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    # The empty page comes from Playwright, so Chromium takes the server for a more private network than the page's.
    "--disable-features=LocalNetworkAccessChecks",
)
KEPT_FLAGS = (
    "--headless",
    "--remote-debugging-port=0",
    "--hide-scrollbars",
    "--mute-audio",
    "--disable-extensions",
    "--no-default-browser-check",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-hang-monitor",
    "--disable-ipc-flooding-protection",
    "--disable-popup-blocking",
    "--disable-prompt-on-repost",
    "--force-color-profile=srgb",
    "--password-store=basic",
    "--use-mock-keychain",
)
START_SECONDS = 60.0  # that a start may take on a machine which has much else to do
EMPTY_PAGE = "<!doctype html><title>viewer</title><video autoplay muted playsinline width=320 height=180></video>"
BLANK_DEVIATION = 4.0  # of luma, out of 255: a page without a picture has less, any of our clips has far more


@cache
def missing() -> str:
    """Why no Chromium can be driven here; empty if it can."""
    return "" if Path(CHROMIUM).exists() else f"{CHROMIUM} is missing: apt install chromium"


class Frame(NamedTuple):
    """One frame that was shown; Unix times in milliseconds, ``None`` where Chromium does not say."""

    shown: float
    captured: float | None
    received: float | None  # its last packet
    rtp_timestamp: int | None
    width: int
    height: int
    decode_seconds: float
    code: int | None  # the number in its corner if it is from a clip of ours, once ``read_codes`` was called


@dataclass(frozen=True, slots=True)
class Stats:
    """Statistics of one peer connection by ``getStats()``: counters since its start, zero where it says nothing."""

    state: str
    video_codec: str  # such as video/H264
    audio_codec: str
    srtp_cipher: str  # such as AEAD_AES_128_GCM
    dtls_version: str
    frames_received: int
    frames_decoded: int
    frames_dropped: int
    keyframes_decoded: int
    width: int
    height: int
    freezes: int
    freeze_seconds: float
    packets: int
    packets_lost: int
    retransmitted: int
    nacks: int
    plis: int
    jitter: float  # seconds
    jitter_buffer_delay: float  # seconds, mean of a frame
    jitter_buffer_target: (
        float  # seconds for which it wants to keep a frame, mean; one that comes late is kept for less
    )
    audio_samples: int
    audio_concealed: int
    audio_packets: int
    audio_packets_lost: int
    round_trip: float  # seconds, of the selected pair
    way: str  # protocol of that pair's remote candidate: udp or tcp

    @classmethod
    def of(cls, report: dict[str, Any]) -> Stats:
        """From what probe.js gathers."""
        video, audio, transport = report["video"], report["audio"], report["transport"]
        emitted = video.get("jitterBufferEmittedCount", 0)
        return cls(
            state=report["state"],
            video_codec=report["videoCodec"],
            audio_codec=report["audioCodec"],
            srtp_cipher=transport.get("srtpCipher", ""),
            dtls_version=transport.get("tlsVersion", ""),
            frames_received=video.get("framesReceived", 0),
            frames_decoded=video.get("framesDecoded", 0),
            frames_dropped=video.get("framesDropped", 0),
            keyframes_decoded=video.get("keyFramesDecoded", 0),
            width=video.get("frameWidth", 0),
            height=video.get("frameHeight", 0),
            freezes=video.get("freezeCount", 0),
            freeze_seconds=video.get("totalFreezesDuration", 0.0),
            packets=video.get("packetsReceived", 0),
            packets_lost=video.get("packetsLost", 0),
            retransmitted=video.get("retransmittedPacketsReceived", 0),
            nacks=video.get("nackCount", 0),
            plis=video.get("pliCount", 0),
            jitter=video.get("jitter", 0.0),
            jitter_buffer_delay=video.get("jitterBufferDelay", 0.0) / emitted if emitted else 0.0,
            jitter_buffer_target=video.get("jitterBufferTargetDelay", 0.0) / emitted if emitted else 0.0,
            audio_samples=audio.get("totalSamplesReceived", 0),
            audio_concealed=audio.get("concealedSamples", 0),
            audio_packets=audio.get("packetsReceived", 0),
            audio_packets_lost=audio.get("packetsLost", 0),
            round_trip=report["pair"].get("currentRoundTripTime", 0.0),
            way=report["remote"].get("protocol", ""),
        )


@dataclass(frozen=True, slots=True)
class Viewing:
    """A page with video on it, and what can be seen of it from outside."""

    page: Page

    async def all_stats(self) -> list[Stats]:
        """Statistics of every open peer connection of the page, oldest first."""
        return [Stats.of(report) for report in await self.page.evaluate("probe.stats()")]

    async def stats(self) -> Stats:
        """Statistics of the newest open peer connection. Raises ``IndexError`` if there is none."""
        return (await self.all_stats())[-1]

    async def frames(self) -> list[Frame]:
        """The last frames that the page's videos have shown, at most 4,000 a video."""
        return [Frame(*frame) for frame in await self.page.evaluate("probe.frames()")]

    async def loudest_hz(self) -> float:
        """The loudest frequency of the sound of the page's first video or player, in Hz; 0 for silence."""
        loudest: float = await self.page.evaluate(
            """async () => {
                const audio = new AudioContext();
                await audio.resume();
                const listener = new AnalyserNode(audio, { fftSize: 16384 });
                const video = document.querySelector("video") ?? document.querySelector("camshaft-player").video;
                audio.createMediaStreamSource(video.srcObject).connect(listener);
                await new Promise((resolve) => setTimeout(resolve, 1000));
                const levels = new Float32Array(listener.frequencyBinCount);
                listener.getFloatFrequencyData(levels);
                await audio.close();
                const top = levels.reduce((best, level, bin) => (level > levels[best] ? bin : best), 0);
                return levels[top] > -80 ? (top * audio.sampleRate) / listener.fftSize : 0;
            }"""
        )
        return loudest

    async def read_codes(self) -> None:
        """Read the number of each frame that is shown, from now on."""
        await self.page.evaluate("probe.readsCodes = true")

    async def shows(self, more: int = 1, *, seconds: float = 15.0) -> None:
        """Wait until so many more frames have been shown. Raises Playwright's ``TimeoutError``."""
        before = await self.page.evaluate("probe.shown()")
        await self.page.wait_for_function("n => probe.shown() >= n", arg=before + more, timeout=seconds * 1000)

    async def first_frame_ms(self, *, seconds: float = 15.0) -> float:
        """Milliseconds from the click (or the start of a bare viewer) to the first frame on the screen."""
        await self.page.wait_for_function("() => probe.firstFrame !== null", timeout=seconds * 1000)
        elapsed: float = await self.page.evaluate("probe.firstFrame - probe.clicked")
        return elapsed

    async def luma_deviation(self) -> float:
        """Standard deviation of the brightness of the first video's picture on the screen, out of 255."""
        return luma_deviation(await self.page.locator("video").first.screenshot())

    async def is_blank(self) -> bool:
        """Whether the screen shows a single colour where the video should be."""
        return await self.luma_deviation() < BLANK_DEVIATION

    async def close(self) -> None:
        """Hang up as a polite viewer does, and close the page."""
        await self.page.evaluate("probe.close && probe.close()")
        await self.page.close()


@dataclass(frozen=True, slots=True)
class Chromium:
    """A running Chromium; make one with ``chromium()``."""

    context: BrowserContext

    @asynccontextmanager
    async def window(self) -> AsyncIterator[Chromium]:
        """The same browser with a window and a profile of its own: of the pages in one window only the front one shows
        its pictures."""
        assert self.context.browser is not None
        async with _window(self.context.browser) as chromium:
            yield chromium

    async def open(self, url: str) -> Viewing:
        """Open a page of the product's."""
        page = await self.context.new_page()
        await page.goto(url)
        return Viewing(page)

    async def whep(
        self, url: str, *, gather: bool = False, rewrite_answer: Callable[[str], str] | None = None
    ) -> Viewing:
        """Watch by WHEP. ``rewrite_answer`` may change the SDP answer, to lead media through a relay.

        ``gather``: put our candidates into the offer; ICE-lite servers need none. Raises Playwright's ``Error`` with
        status and body when the server refuses.
        """
        page = await self._empty_page(url)
        if rewrite_answer is not None:
            await page.expose_function("rewriteAnswer", rewrite_answer)
        options = {"gather": gather, "rewrite": rewrite_answer is not None}
        await page.evaluate("([url, options]) => probe.whep(url, options)", [url, options])
        return Viewing(page)

    async def websocket(self, url: str, camera: str) -> Viewing:
        """Watch by WebSocket signalling at ``url`` (``ws://…/ws``). Raises Playwright's ``Error`` when refused."""
        page = await self._empty_page(url)
        await page.evaluate("([url, camera]) => probe.websocket(url, camera)", [url, camera])
        return Viewing(page)

    async def _empty_page(self, server: str) -> Page:
        parts = urlsplit(server)
        url = f"{parts.scheme.replace('ws', 'http')}://{parts.netloc}/bare-viewer-of-the-tests"

        async def serve(route: Route) -> None:
            await route.fulfill(content_type="text/html", body=EMPTY_PAGE)

        page = await self.context.new_page()
        await page.route(url, serve)
        await page.goto(url)
        return page


@asynccontextmanager
async def chromium(executable: str = SHELL, *flags: str, kept: Kept | None = None) -> AsyncIterator[Chromium]:
    """Run a headless Chromium, or use one that is kept; with a profile of its own, which takes any certificate.

    ``executable`` may be a wrapper that enters a namespace, and may be given more ``flags`` if none is kept.
    """
    async with async_playwright() as playwright:
        if kept is None:
            browser = await playwright.chromium.launch(executable_path=executable, args=[*FLAGS, *flags])
        else:
            browser = await playwright.chromium.connect_over_cdp(kept.address())
        try:
            async with _window(browser) as chromium:
                yield chromium
        finally:
            await browser.close()


@asynccontextmanager
async def _window(browser: Browser) -> AsyncIterator[Chromium]:
    context = await browser.new_context(viewport={"width": 800, "height": 600}, ignore_https_errors=True)
    await context.add_init_script(path=PROBE)
    yield Chromium(context)
    await context.close()


@asynccontextmanager
async def capturing(executable: str, origin: str) -> AsyncIterator[Chromium]:
    """Run a headless Chromium in whose profile somebody has let pages of ``origin`` use camera and microphone.

    A right that DevTools grant would also hold where a page's own policy takes it away. The origin counts as secure.
    """
    granted = {f"{origin},*": {"setting": 1}}
    rights = {"media_stream_camera": granted, "media_stream_mic": granted}
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        preferences = Path(profile, "Default", "Preferences")
        preferences.parent.mkdir()
        preferences.write_text(json.dumps({"profile": {"content_settings": {"exceptions": rights}}}))
        flags = (*FLAGS, f"--unsafely-treat-insecure-origin-as-secure={origin}")
        async with async_playwright() as playwright:
            context = await playwright.chromium.launch_persistent_context(
                profile, executable_path=executable, args=flags, viewport={"width": 800, "height": 600}
            )
            await context.add_init_script(path=PROBE)
            yield Chromium(context)
            await context.close()


class Kept:
    """A headless Chromium that stays for many: its start costs more than most of what is tried with it.

    Whoever connects makes a context, which shares neither cookies nor storage with others.
    """

    def __init__(self, executable: str = SHELL) -> None:
        self._executable = executable
        self._process: subprocess.Popen[str] | None = None
        self._address = ""
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)

    def address(self) -> str:
        """Where its DevTools listen; started if it does not run. Raises ``RuntimeError`` if it cannot be."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        return self._address

    def pids(self) -> set[int]:
        """The browser's processes."""
        if self._process is None:
            return set()
        main = psutil.Process(self._process.pid)
        return {main.pid, *(child.pid for child in main.children(recursive=True))}

    def end(self) -> None:
        """End it, with all of its processes."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
        self._profile.cleanup()

    def _start(self) -> None:
        said = Path(self._profile.name, "said.txt")
        with said.open("w") as file:
            self._process = subprocess.Popen(
                [self._executable, *FLAGS, *KEPT_FLAGS, f"--user-data-dir={self._profile.name}"],
                stderr=file,
                stdout=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        until = time.monotonic() + START_SECONDS
        while not (found := re.search(r"DevTools listening on (ws://\S+)", said.read_text("utf-8", "replace"))):
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"Chromium does not start: {said.read_text('utf-8', 'replace')[-2_000:]}")
            time.sleep(0.02)
        self._address = found[1]


def luma_deviation(png: bytes) -> float:
    """Standard deviation of the brightness of a PNG picture, out of 255."""
    with av.open(io.BytesIO(png), "r") as container:
        grey = next(container.decode(video=0)).reformat(format="gray")
    plane = bytes(grey.planes[0])
    return statistics.pstdev(plane[:: max(1, len(plane) // 20_000)])
