"""Pages in browsers that cannot do all of it."""

import re

import pytest

from common.control import Offer
from rigs.chromium import missing
from tests.fakes.broker import RunningBroker
from tests.fakes.workers import FakeEgress

playwright = pytest.importorskip("playwright.async_api")
pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.browser,
    pytest.mark.skipif(bool(missing()), reason="needs Chromium"),
]


LACKS = {
    "AbortSignal.timeout": "delete AbortSignal.timeout",
    "AbortController": "delete window.AbortController; delete window.AbortSignal",
    "an offer without an argument": """
        const set = RTCPeerConnection.prototype.setLocalDescription;
        RTCPeerConnection.prototype.setLocalDescription = function (description) {
          return arguments.length ? set.call(this, description) : Promise.reject(new TypeError("Not enough arguments"));
        };""",
    "setConfiguration": "delete RTCPeerConnection.prototype.setConfiguration",
    "connectionState": "delete RTCPeerConnection.prototype.connectionState",
    "replaceChildren": "delete Element.prototype.replaceChildren; delete Document.prototype.replaceChildren",
    "style sheets made by scripts": "window.CSSStyleSheet = function () { throw new TypeError('Illegal constructor') }",
    "adopted style sheets": "for (const it of [Document, ShadowRoot]) delete it.prototype.adoptedStyleSheets",
    "dialogs": "delete HTMLDialogElement.prototype.showModal; delete HTMLDialogElement.prototype.close",
    "frame callbacks": "delete HTMLVideoElement.prototype.requestVideoFrameCallback",
    "WebSocket": "delete window.WebSocket",
    "ResizeObserver": "delete window.ResizeObserver",
    "an answer on rights": "navigator.permissions.query = () => new Promise(() => {})",
    "storage": "Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('denied') } })",
    "permissions": "Object.defineProperty(navigator, 'permissions', { value: undefined })",
    "statistics": "delete RTCPeerConnection.prototype.getStats",
}


@pytest.mark.parametrize("lacking", LACKS)
async def test_what_came_late_to_browsers_is_not_needed(page, egress: FakeEgress, lacking: str) -> None:
    await page.add_init_script(LACKS[lacking])
    await page.goto("/")
    await page.click("[data-camera=door] button")
    await page.click("#connect")
    await egress.told(Offer)
    assert await page.evaluate("getComputedStyle(document.querySelector('#player')).backgroundColor") == "rgb(0, 0, 0)"
    await page.click("#add")
    await playwright.expect(page.locator("#form")).to_be_visible()
    await page.click("#cancel")
    await playwright.expect(page.locator("#form")).to_be_hidden()


NO_WEBRTC = "delete window.RTCPeerConnection; delete window.webkitRTCPeerConnection;"
NO_MSE = "delete window.MediaSource; delete window.ManagedMediaSource;"


@pytest.mark.parametrize(
    "lacking",
    [
        NO_WEBRTC + "delete window.MediaStream;",
        "delete RTCPeerConnection.prototype.addTransceiver;",
        "window.RTCPeerConnection = class { constructor() { throw new DOMException('', 'NotAllowedError') } };",
    ],
)
async def test_a_browser_without_webrtc_asks_by_the_page_s_own_port(page, lacking: str) -> None:
    await page.add_init_script(lacking)
    async with page.expect_websocket(lambda socket: "/mse/door" in socket.url):
        await page.goto("/watch/door")
        await page.evaluate("document.querySelector('camshaft-player').connect()")
    await playwright.expect(page.locator("camshaft-player .start")).to_be_hidden()


async def test_a_socket_that_was_refused_before_it_was_needed_is_not_waited_for(page) -> None:
    """The page's offer takes its time, and what the socket was told meanwhile counts."""
    await page.add_init_script("delete window.WebSocket")
    await page.goto("/watch/door")
    said = await page.evaluate("""async () => {
        const { HOME } = await import("/static/address.js");
        const { SocketSignalling } = await import("/static/socket.js");
        const socket = SocketSignalling.to(new URL(HOME));
        while (!socket.blocked) await new Promise((then) => setTimeout(then, 20));
        const open = socket.open("door", "v=0", {}, { stream: "auto", height: 0 }).catch((error) => error.code);
        return Promise.race([open, new Promise((then) => setTimeout(then, 0, "waits"))]);
    }""")
    assert said == "blocked"


@pytest.mark.parametrize(
    ("path", "lacking", "sentence"),
    [
        ("/", NO_WEBRTC + NO_MSE, "has no WebRTC"),
        ("/watch/door", NO_WEBRTC + NO_MSE, "has no WebRTC"),
        ("/", "delete RTCPeerConnection.prototype.addTransceiver;" + NO_MSE, "is too old"),
    ],
)
async def test_a_browser_without_any_way_reads_so_and_finds_no_dead_button(
    page, path: str, lacking: str, sentence: str
) -> None:
    await page.add_init_script(lacking)
    await page.goto(path)
    await playwright.expect(page.locator("camshaft-player .message")).to_contain_text(f"This browser {sentence}")
    await playwright.expect(page.locator("camshaft-player .start")).to_be_hidden()
    if path == "/":
        await playwright.expect(page.locator("[data-camera=door] button")).to_have_attribute("aria-pressed", "true")
        await playwright.expect(page.locator("#connect")).to_be_disabled()


@pytest.mark.parametrize(
    ("path", "module", "answer", "sentence"),
    [
        ("/", "player.js", {"body": "class Player { static { ??? } }"}, "This browser is too old for this page"),
        ("/watch/door", "look.js", {"body": "document.nothing.there"}, "This browser is too old for this page"),
        ("/watch/door", "words.js", {"status": 404}, "The scripts of this page have not arrived"),
    ],
)
async def test_a_page_that_cannot_start_says_why(
    broker: RunningBroker, chromium, path: str, module: str, answer: dict, sentence: str
) -> None:
    page = await chromium.new_page(base_url=broker.url)

    async def spoil(route) -> None:
        await route.fulfill(content_type="text/javascript", **answer)

    await page.route(f"**/static/{module}", spoil)
    await page.goto(path)
    await playwright.expect(page.locator("#broken")).to_be_visible()
    await playwright.expect(page.locator("#broken")).to_contain_text(sentence)
    await page.context.close()


NO_STANDARD = "delete Element.prototype.requestFullscreen;"
NO_VIDEO = "delete HTMLVideoElement.prototype.webkitEnterFullscreen;"
NO_PREFIX = "delete Element.prototype.webkitRequestFullscreen;"


@pytest.mark.parametrize(
    ("lacking", "called"),
    [
        ("", "element"),
        (NO_STANDARD, "video"),
        ("Object.defineProperty(document, 'fullscreenEnabled', {value: false});", "video"),  # a frame without the right
        (NO_STANDARD + NO_VIDEO, "prefixed"),
        (NO_STANDARD + NO_VIDEO + NO_PREFIX, None),
    ],
)
async def test_the_screen_is_filled_in_the_way_that_there_is(page, lacking: str, called: str | None) -> None:
    await page.add_init_script(
        """window.called = null;
        const note = (name) => function () { window.called = name; return Promise.reject(new TypeError("refused")) };
        Element.prototype.requestFullscreen = note("element");
        HTMLVideoElement.prototype.webkitEnterFullscreen = note("video");
        Element.prototype.webkitRequestFullscreen = note("prefixed");"""
        + lacking
    )
    await page.goto("/")
    full = page.locator("camshaft-player .full")
    if called is None:
        await playwright.expect(full).to_be_hidden()
    else:
        await full.click()
        assert await page.evaluate("window.called") == called


WITHOUT_PICTURE = [
    ("Firefox/153", "H264", False, "The camera sends H.264, but this Firefox .*OpenH264 Video Codec"),
    ("Firefox/153", "H265", False, "H.265, which is converted to H.264, but this Firefox .*OpenH264 Video Codec"),
    ("Chrome/156", "JPEG", False, "JPEG, which is converted to H.264, but this browser cannot play it: use another"),
    ("Chrome/156", "H265", True, "H.265, which .* nothing converts it: start a transcode process"),
    ("Chrome/156", "H264", True, "a kind of H.264 that this browser cannot play"),
]  # agent, picture, whether it takes H.264, what is said


async def test_why_a_browser_gets_sound_and_no_picture(page) -> None:
    await page.goto("/")
    said = await page.evaluate(
        """async (cases) => {
            const { noPicture } = await import("/static/words.js");
            return cases.map(([agent, video, takesH264]) => {
              Object.defineProperty(navigator, "userAgent", { value: agent, configurable: true });
              return noPicture({ summary: { state: "playing", video }, picture: false, takesH264 });
            });
        }""",
        WITHOUT_PICTURE,
    )
    for sentence, (*_, expected) in zip(said, WITHOUT_PICTURE, strict=True):
        assert re.search(expected, sentence)


async def test_what_the_browser_says_of_an_answer_is_not_what_people_read(page, egress: FakeEgress) -> None:
    await page.goto("/watch/door")  # the fake egress answers what no browser takes
    message = page.locator("camshaft-player .message")
    await playwright.expect(message).to_contain_text("This browser and the server could not agree on a connection")
    assert await page.evaluate("document.querySelector('camshaft-player').state") == "failed"
