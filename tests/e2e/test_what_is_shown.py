"""The page in Chromium where the picture cannot come, or was stopped by the browser: what people read and see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import Page, expect

from rigs.camera import FakeCamera, FakeTrack, h264_track, pcmu_track
from rigs.chromium import Chromium
from rigs.video import Packet, encode

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

PATIENCE = 20_000.0  # ms
UNITS = encode(50, gop=25)
NO_H264 = """
  const add = RTCPeerConnection.prototype.addTransceiver;
  RTCPeerConnection.prototype.addTransceiver = function (kind, init) {
    const made = add.call(this, kind, init);
    if (kind === "video") {
      const { codecs } = RTCRtpReceiver.getCapabilities("video");
      made.setCodecPreferences(codecs.filter(({ mimeType }) => !/h264/i.test(mimeType)));
    }
    return made;
  };"""
FIREFOX = "Object.defineProperty(navigator, 'userAgent', {value: 'Mozilla/5.0 Gecko/20100101 Firefox/128.0'});"
REFUSES = """() => {
  window.refuses = true;
  const play = HTMLMediaElement.prototype.play;
  HTMLMediaElement.prototype.play = function () {
    return window.refuses ? Promise.reject(new DOMException("not now", "NotAllowedError")) : play.call(this);
  };
}"""


def h264() -> FakeTrack:
    return h264_track(UNITS)


def h266() -> FakeTrack:
    units = [[Packet(b"\x26\x01" + bytes(500), 0, True)] for _ in range(25)]
    return FakeTrack("m=video 0 RTP/AVP 98\na=rtpmap:98 H266/90000\n", units, 98, control="trackID=1")


class Shown:
    """The text that the player of a page shows."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.message = page.locator("camshaft-player .message")
        self.start = page.locator("camshaft-player .start")

    async def state(self, *states: str) -> None:
        """Wait for one of these states."""
        await self.page.wait_for_function(
            "states => states.includes(document.querySelector('camshaft-player').state)",
            arg=list(states),
            timeout=PATIENCE,
        )

    async def number(self, expression: str) -> float:
        """An attribute of the player's video."""
        value: float = await self.page.evaluate(f"document.querySelector('camshaft-player').video.{expression}")
        return value

    async def moves(self) -> None:
        """Wait for the picture to move on."""
        before = await self.number("getVideoPlaybackQuality().totalVideoFrames")
        await self.page.wait_for_function(
            """before => {
                const { video } = document.querySelector("camshaft-player");
                return !video.paused && video.getVideoPlaybackQuality().totalVideoFrames > before + 5;
            }""",
            arg=before,
            timeout=PATIENCE,
        )

    async def sounds(self) -> None:
        """Wait for more sound."""
        await self.page.wait_for_function(
            """async () => {
                const player = document.querySelector("camshaft-player");
                const packets = async () => (await player.stats()).audio?.packetsReceived ?? 0;
                const before = await packets();
                await new Promise((resolve) => setTimeout(resolve, 300));
                return (await packets()) > before;
            }""",
            timeout=PATIENCE,
        )


async def shown(chromium: Chromium, url: str, *init: str) -> Shown:
    page = await chromium.context.new_page()
    for script in init:
        await page.add_init_script(script)
    await page.goto(url)
    return Shown(page)


@pytest.mark.parametrize("signalling", ["ws", "whep"])
async def test_a_camera_of_which_only_the_sound_plays(
    chromium: Chromium, shared_cluster: Callable[..., Any], signalling: str
) -> None:
    async with FakeCamera([h266(), pcmu_track()], interval=0.04) as camera:
        running = await shared_cluster({"door": camera.url})
        door = await shown(chromium, f"{running.url}/watch/door?signalling={signalling}")
        await door.state("soundonly")
        await expect(door.message).to_contain_text("H.266")
        await expect(door.message).to_contain_text("H.264")
        await door.sounds()
        camera.tracks = [h264(), pcmu_track()]  # as it was told
        camera.drop()
        await door.state("playing")
        await door.moves()
        await expect(door.message).to_have_text("")


async def test_a_camera_of_few_pictures_is_not_said_to_have_stopped(
    chromium: Chromium, shared_cluster: Callable[..., Any]
) -> None:
    slow = h264_track(encode(20, gop=2))
    slow.ticks = 90_000 * 2
    async with FakeCamera([slow], interval=2.0) as camera:
        running = await shared_cluster({"door": camera.url})
        door = await shown(chromium, f"{running.url}/watch/door")
        await door.state("playing")
        states = await door.page.evaluate(
            """async () => {
                const player = document.querySelector("camshaft-player"), states = [];
                const frames = () => player.video.getVideoPlaybackQuality().totalVideoFrames;
                const pass = async (count) => {
                    const before = frames();
                    while (frames() < before + count) await new Promise((resolve) => setTimeout(resolve, 100));
                };
                await pass(3); // nobody knows its pace before
                player.addEventListener("statechange", () => states.push(player.state));
                await pass(3);
                return states;
            }"""
        )
        assert states == []


@pytest.mark.parametrize("sound", [[pcmu_track()], []])
async def test_a_camera_that_changes_to_another_codec_while_it_is_watched(
    chromium: Chromium, shared_cluster: Callable[..., Any], sound: list[FakeTrack]
) -> None:
    async with FakeCamera([h264(), *sound], interval=0.04) as camera:
        running = await shared_cluster({"door": camera.url})
        door = await shown(chromium, f"{running.url}/watch/door")
        await door.state("playing")
        camera.tracks = [h266(), *sound]
        camera.drop()
        await expect(door.message).to_contain_text("H.266", timeout=PATIENCE)
        await expect(door.message).to_contain_text("H.264")
        await door.state("soundonly" if sound else "waiting")
        assert await door.number("videoWidth") == 320  # the last picture stays below
        overview = await chromium.context.new_page()
        await overview.goto(running.url)
        await expect(overview.locator("[data-camera=door]")).to_have_attribute("data-state", "failed")
        camera.tracks = [h264(), *sound]
        camera.drop()
        await door.state("playing")
        await expect(door.message).to_have_text("")


async def test_a_picture_that_this_browser_cannot_play_and_nothing_converts(
    chromium: Chromium, cluster: Callable[..., Any]
) -> None:
    vp9 = FakeTrack(
        "m=video 0 RTP/AVP 98\na=rtpmap:98 VP9/90000\n", [[Packet(b"\x08\x82key", 0, True)]], 98, control="v"
    )
    async with FakeCamera([vp9, pcmu_track()], interval=0.04) as camera:
        running = await cluster({"door": camera.url}, config={"transcode": {"workers": 0}})
        page = await chromium.context.new_page()
        await page.add_init_script(NO_H264.replace("h264", "vp9"))
        await page.goto(f"{running.url}/watch/door")
        door = Shown(page)
        await door.state("soundonly")
        await expect(door.message).to_contain_text("VP9, which this browser cannot play")
        await expect(door.message).to_contain_text("camshaft transcode")
        await door.sounds()


@pytest.mark.parametrize(
    ("signalling", "browser", "advice"),
    [("ws", [NO_H264], "use another one"), ("whep", [NO_H264, FIREFOX], "OpenH264 Video Codec")],
)
async def test_a_browser_without_h264(
    chromium: Chromium, shared_cluster: Callable[..., Any], signalling: str, browser: list[str], advice: str
) -> None:
    async with FakeCamera([h264(), pcmu_track()], interval=0.04) as camera:
        running = await shared_cluster({"door": camera.url})
        door = await shown(chromium, f"{running.url}/watch/door?signalling={signalling}", *browser)
        await door.state("soundonly")
        await expect(door.message).to_contain_text("The camera sends H.264, but this ")
        await expect(door.message).to_contain_text(advice)
        await door.sounds()


async def test_a_camera_without_a_picture_is_said_to_be_one(
    chromium: Chromium, shared_cluster: Callable[..., Any]
) -> None:
    async with FakeCamera([pcmu_track()], interval=0.04) as camera:
        running = await shared_cluster({"door": camera.url})
        door = await shown(chromium, f"{running.url}/watch/door")
        await door.state("soundonly")
        await expect(door.message).to_have_text("The camera sends sound but no picture.")


async def test_a_picture_that_is_paused(chromium: Chromium, shared_cluster: Callable[..., Any]) -> None:
    async with FakeCamera([h264(), pcmu_track()], interval=0.04) as camera:
        running = await shared_cluster({"door": camera.url})
        door = await shown(chromium, f"{running.url}/watch/door")
        await door.state("playing")

        await door.page.evaluate("document.querySelector('camshaft-player').video.pause()")  # as a phone does
        await door.moves()
        await expect(door.start).to_be_hidden()

        await door.page.evaluate(REFUSES)
        await door.page.evaluate("document.querySelector('camshaft-player').video.pause()")
        await door.state("paused")
        await expect(door.start).to_be_visible()
        await expect(door.message).to_contain_text("press the button")
        await door.page.wait_for_timeout(1_500)  # pictures go on coming, and none of them is seen
        await door.state("paused")

        await door.page.evaluate("window.refuses = false")
        await door.start.click(position={"x": 20, "y": 20})
        await door.state("playing")
        await door.moves()
        await expect(door.start).to_be_hidden()


@pytest.mark.parametrize("instead", ["null", "new MediaStream()"])
async def test_an_element_that_is_given_another_stream(
    chromium: Chromium, shared_cluster: Callable[..., Any], instead: str
) -> None:
    """By an extension, or by a script of the page: pictures are decoded and not seen, so it is not playing."""
    async with FakeCamera([h264(), pcmu_track()], interval=0.04) as camera:
        running = await shared_cluster({"door": camera.url})
        door = await shown(chromium, f"{running.url}/watch/door")
        await door.state("playing")
        await door.moves()
        await door.page.evaluate(f"document.querySelector('camshaft-player').video.srcObject = {instead}")
        await door.page.wait_for_function("() => document.querySelector('camshaft-player').video.videoWidth > 0")
        await door.moves()
        await door.state("playing")


async def test_a_browser_that_wants_a_click_first(chromium: Chromium, shared_cluster: Callable[..., Any]) -> None:
    async with FakeCamera([h264(), pcmu_track()], interval=0.04) as camera:
        running = await shared_cluster({"door": camera.url})
        door = await shown(chromium, f"{running.url}/watch/door", f"({REFUSES})()")
        await door.state("paused")
        await expect(door.start).to_be_visible()
        await expect(door.message).to_contain_text("does not start video by itself")
        await door.page.evaluate("window.refuses = false")
        await door.start.click(position={"x": 20, "y": 20})
        await door.state("playing")
        await door.moves()
        await expect(door.message).to_be_empty()


async def test_a_picture_that_arrives_and_is_not_decoded(
    chromium: Chromium, shared_cluster: Callable[..., Any]
) -> None:
    undecoded = """
      delete HTMLVideoElement.prototype.requestVideoFrameCallback;
      const get = RTCPeerConnection.prototype.getStats;
      RTCPeerConnection.prototype.getStats = async function () {
        const made = new Map();
        (await get.call(this)).forEach((entry, id) => made.set(id, { ...entry, framesDecoded: 0 }));
        return made;
      };"""
    async with FakeCamera([h264(), pcmu_track()], interval=0.04) as camera:
        running = await shared_cluster({"door": camera.url})
        door = await shown(chromium, f"{running.url}/watch/door", undecoded)
        await expect(door.message).to_contain_text("this browser cannot decode it", timeout=PATIENCE)


async def test_a_camera_without_keyframes_is_waited_for_in_one_session(
    chromium: Chromium, shared_cluster: Callable[..., Any]
) -> None:
    async with FakeCamera([h264_track(UNITS[1:20]), pcmu_track()], interval=0.04) as camera:
        running = await shared_cluster({"door": camera.url})
        door = await shown(chromium, f"{running.url}/watch/door")
        await expect(door.message).to_contain_text("no keyframe has come", timeout=PATIENCE)
        session = await door.page.evaluate("document.querySelector('camshaft-player').session")
        await door.page.wait_for_timeout(10_000)  # longer than a picture that stopped without a reason is waited for
        assert await door.page.evaluate("document.querySelector('camshaft-player').session") == session
        await expect(door.message).to_contain_text("no keyframe has come")


async def test_sound_is_given_up_where_it_would_stop_the_picture(
    chromium: Chromium, shared_cluster: Callable[..., Any]
) -> None:
    async with FakeCamera([h264(), pcmu_track()], interval=0.04) as camera:
        running = await shared_cluster({"door": camera.url})
        door = await shown(chromium, f"{running.url}/watch/door")
        await door.state("playing")
        await door.page.locator("camshaft-player .mute").click()
        assert not await door.number("muted")
        await door.page.wait_for_timeout(2_500)  # a pause within 2 s of the start counts as somebody's own
        await door.page.evaluate(
            """() => {
                const play = HTMLMediaElement.prototype.play;
                HTMLMediaElement.prototype.play = function () {
                  const refusal = new DOMException("a click first", "NotAllowedError");
                  return this.muted ? play.call(this) : Promise.reject(refusal);
                };
                document.querySelector("camshaft-player").video.pause();
            }"""
        )
        await door.moves()
        assert await door.number("muted")
        await door.page.mouse.move(0, 0)
        await expect(door.page.locator("camshaft-player .controls")).to_have_css("opacity", "1")  # shows where


@pytest.mark.parametrize(
    "lacking",
    [
        "delete HTMLVideoElement.prototype.requestVideoFrameCallback",
        """const get = RTCPeerConnection.prototype.getStats;
        RTCPeerConnection.prototype.getStats = async function () {
          const made = new Map();
          (await get.call(this)).forEach(({ framesDecoded, kind, ...entry }, id) => {
            made.set(id, { ...entry, mediaType: kind });
          });
          return made;
        };""",
        "RTCPeerConnection.prototype.getStats = () => Promise.reject(new TypeError('not here'))",
    ],
)
async def test_a_browser_that_counts_little_still_knows_that_its_picture_moves(
    chromium: Chromium, shared_cluster: Callable[..., Any], lacking: str
) -> None:
    async with FakeCamera([h264()], interval=0.04) as camera:
        running = await shared_cluster({"door": camera.url})
        door = await shown(chromium, f"{running.url}/watch/door", lacking)
        await door.state("playing")
        await door.page.wait_for_timeout(2_500)  # longer than what is taken for a picture that has stopped
        await door.state("playing")
