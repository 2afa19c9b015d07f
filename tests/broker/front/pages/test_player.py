"""The pages in a real Chromium, as far as no media is needed for it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from common.cameras import CameraState
from common.control import Move, Offer
from rigs.chromium import Kept, missing
from rigs.proxy import proxy
from tests.fakes.broker import RunningBroker, broker_in
from tests.fakes.workers import FakeEgress, FakeIngest

playwright = pytest.importorskip("playwright.async_api")
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.browser,
    pytest.mark.skipif(bool(missing()), reason="needs Chromium"),
]

CAMERAS = {"door": {"url": "rtsp://host/door"}, "yard": {"url": "rtsp://host/yard"}}


# One event loop for all tests here: the driver of the browser is of one loop, and its start takes long.


@pytest_asyncio.fixture(loop_scope="module")
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with broker_in(tmp_path, cameras=CAMERAS) as broker:
        yield broker


@pytest_asyncio.fixture(loop_scope="module")
async def egress(broker: RunningBroker) -> AsyncIterator[FakeEgress]:
    async with FakeEgress(broker.endpoints, "out-1") as egress:
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        yield egress


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def chromium(kept_chromium: Kept) -> AsyncIterator:
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.connect_over_cdp(kept_chromium.address())
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(broker: RunningBroker, chromium) -> AsyncIterator:
    page = await chromium.new_page(base_url=broker.url)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    await page.context.close()
    assert errors == []


async def test_the_list_is_live(broker: RunningBroker, page, monkeypatch) -> None:
    monkeypatch.setattr("broker.director.state.GRACE", 0.0)
    await page.goto("/")
    door = page.locator("[data-camera=door]")
    yard = page.locator("[data-camera=yard]")
    await playwright.expect(door).to_contain_text(CameraState.WAITING.sentence)
    async with FakeIngest(broker.endpoints, "in-1") as ingest:
        await playwright.expect(door).to_have_attribute("data-state", "playing")
        await playwright.expect(yard).to_have_attribute("data-state", "playing")
        ingest.show("yard", CameraState.UNAUTHORIZED)
        await playwright.expect(yard).to_have_attribute("data-state", "failed")
        await playwright.expect(yard).to_contain_text(CameraState.UNAUTHORIZED.sentence)
    await broker.http.post("/api/cameras", json={"id": "porch", "url": "rtsp://host/"})
    await playwright.expect(page.locator("[data-camera=porch]")).to_be_visible()
    await broker.http.delete("/api/cameras/porch")
    await playwright.expect(page.locator("[data-camera=porch]")).to_have_count(0)


async def test_the_list_says_what_is_draining_and_what_it_still_has(page, egress: FakeEgress) -> None:
    egress.report(draining=True)
    await page.goto("/")
    ending = page.locator("#ending")
    await playwright.expect(ending).to_have_text("out-1 is draining.")
    assert (
        await page.evaluate(
            """async () => (await import("/static/processes.js")).endingOf([
          { node: "in-1", role: "ingest", alive: true, draining: true, viewers: 0, cameras: ["a"] },
          { node: "in-2", role: "ingest", alive: false, draining: true, viewers: 0, cameras: [] },
          { node: "out-2", role: "egress", alive: true, draining: true, viewers: 2, cameras: ["a"] },
          { node: "out-3", role: "egress", alive: true, draining: false, viewers: 2, cameras: [] },
        ])"""
        )
        == "in-1 is draining: 1 camera still there. out-2 is draining: 2 viewers still there."
    )
    egress.report(draining=False)
    await playwright.expect(ending).to_be_hidden()


async def test_a_camera_is_added_and_removed_by_clicking(broker: RunningBroker, page) -> None:
    await page.goto("/")
    await page.click("#add")
    await page.fill("[name=id]", "porch")
    await page.fill("[name=url]", "ftp://user:secret@host/")
    await page.click("#form .primary")
    await playwright.expect(page.locator("#problem")).to_contain_text("rtsp://")
    await page.fill("[name=url]", "rtsp://user:secret@host/")
    await page.fill("[name=sub]", "rtsp://user:secret@host/small")
    await page.check("[name=on_demand]")
    await page.click("#form .primary")
    await playwright.expect(page.locator("[data-camera=porch] button")).to_have_attribute("aria-pressed", "true")
    await playwright.expect(page.locator("#details")).to_contain_text("rtsp://***@host/")
    await playwright.expect(page.locator("#details")).to_contain_text("rtsp://***@host/small: Nobody watches")
    assert (await broker.json("/api/cameras/porch"))["on_demand"]

    await page.click("#remove")
    await playwright.expect(page.get_by_role("dialog", name="Remove porch?")).to_be_visible()
    await page.keyboard.press("Escape")
    await playwright.expect(page.get_by_role("dialog")).to_have_count(0)
    await page.click("#remove")
    await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    await playwright.expect(page.locator("[data-camera=porch]")).to_have_count(0)
    await page.click("[data-camera=door] button")
    await playwright.expect(page.locator("#remove")).to_be_hidden()  # the configuration has it


@pytest.mark.parametrize("signalling", ["ws", "whep"])
async def test_why_there_is_no_picture_stands_over_it(page, egress: FakeEgress, signalling: str) -> None:
    egress.refusal = (406, "no_usable_codec", "The camera sends H.265, which this browser cannot play.")
    await page.goto(f"/watch/door?signalling={signalling}")
    message = page.locator("camshaft-player .message")
    await playwright.expect(message).to_have_text("The camera sends H.265, which this browser cannot play.")


async def test_without_egress_the_player_tries_until_there_is_one(broker: RunningBroker, page) -> None:
    await page.goto("/")
    await playwright.expect(page.locator("#connect")).to_be_enabled()
    await page.click("#connect")
    message = page.locator("camshaft-player .message")
    await playwright.expect(message).to_contain_text("No egress process can take a viewer now")
    async with FakeEgress(broker.endpoints, "out-1") as egress:
        await egress.until(lambda: egress.messages)
        await page.click("#connect")
    await playwright.expect(message).to_have_text("")


@pytest.mark.parametrize("signalling", ["ws", "whep"])
async def test_the_player_uses_the_ice_servers_of_the_configuration(tmp_path: Path, page, signalling: str) -> None:
    servers = ["stun:127.0.0.1:9", "turn:user:p%22a%5Css@127.0.0.1:9?transport=tcp"]
    http = {"listen": "127.0.0.1:0", "ice_servers": servers}
    async with broker_in(tmp_path, store={"path": tmp_path / "second.db"}, cameras=CAMERAS, http=http) as broker:
        await page.add_init_script("RTCPeerConnection.prototype.setLocalDescription = () => new Promise(() => {});")
        await page.goto(f"{broker.url}watch/door?signalling={signalling}")
        configured = await page.wait_for_function(
            """() => {
                const found = document.querySelector("camshaft-player")?.pc?.getConfiguration().iceServers ?? [];
                return found.length && found.map(({ urls, username, credential }) => [urls, username, credential]);
            }"""
        )
        assert await configured.json_value() == [
            [["stun:127.0.0.1:9"], "", ""],
            [["turn:127.0.0.1:9?transport=tcp"], "user", 'p"a\\ss'],
        ]


async def test_a_check_that_is_refused_is_over_and_keeps_the_socket(page, monkeypatch) -> None:
    monkeypatch.setattr("broker.front.signalling.MAX_SESSIONS", 0)
    await page.goto("/")
    known, seconds, online = await page.evaluate(
        """async () => {
            const { SocketSignalling } = await import("/static/socket.js");
            const socket = SocketSignalling.to(location.href);
            while (!socket.online) await new Promise((then) => setTimeout(then, 10));
            const start = performance.now();
            const known = await socket.check("session");
            return [String(known), (performance.now() - start) / 1000, socket.online];
        }"""
    )
    assert (known, online) == ("undefined", True)
    assert seconds < 2.0


async def test_an_unknown_camera_is_named_and_the_page_loads_to_its_end(page) -> None:
    await page.goto("/watch/porch")
    await playwright.expect(page.locator("camshaft-player .message")).to_have_text("There is no camera 'porch'.")


async def test_the_picture_stays_in_view_however_long_the_list(broker: RunningBroker, page) -> None:
    for number in range(30):
        await broker.http.post("/api/cameras", json={"id": f"cam{number}", "url": "rtsp://host/"})
    await page.set_viewport_size({"width": 1280, "height": 800})
    await page.goto("/")
    last = page.locator("#cameras li button").last
    await last.click()
    await playwright.expect(last).to_have_attribute("aria-pressed", "true")
    await playwright.expect(last).to_be_in_viewport(ratio=1)
    await playwright.expect(page.locator("#player")).to_be_in_viewport(ratio=1)
    await playwright.expect(page.locator("#connect")).to_be_in_viewport(ratio=1)


async def test_on_a_phone_name_and_address_stay_in_one_piece(broker: RunningBroker, page) -> None:
    address = "rtsp://192.168.100.100:8654/test"
    await broker.http.post("/api/cameras", json={"id": "devB", "url": address})
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.goto("/")
    await page.click("[data-camera=devB] button")
    await page.click("#connect")
    await playwright.expect(page.locator("#connect")).to_have_text("Disconnect")
    for line in (page.locator("#chosen"), page.get_by_text(address)):
        # In one step: the details are written anew whenever something happens to the camera.
        height = await line.evaluate("element => element.getBoundingClientRect().height")
        assert 0 < height < 30, "one line"
    assert await page.evaluate("document.documentElement.scrollWidth") == 390


async def test_without_the_server_no_state_is_claimed(broker: RunningBroker, page) -> None:
    sockets: list = []
    down = False

    async def carry(socket) -> None:
        if down:
            await socket.close()
        else:
            socket.connect_to_server()
            sockets.append(socket)

    async def carry_request(route) -> None:
        await (route.abort() if down else route.continue_())

    await page.route_web_socket("**/ws", carry)
    await page.route("**/api/**", carry_request)
    async with FakeIngest(broker.endpoints, "in-1"):
        await page.goto("/")
        door = page.locator("[data-camera=door]")
        state = page.locator("#details dd").first
        await playwright.expect(door).to_have_attribute("data-state", "playing")
        await playwright.expect(state).to_have_text(CameraState.PLAYING.sentence)
        down = True
        await sockets[0].close()
        await playwright.expect(page.locator("#offline")).to_be_visible()
        await playwright.expect(door).to_have_attribute("data-state", "unknown")
        for text in (door, state):
            await playwright.expect(text).to_contain_text("Not known while the server cannot be reached.")
        down = False
        await playwright.expect(door).to_have_attribute("data-state", "playing")
        await playwright.expect(state).to_have_text(CameraState.PLAYING.sentence)
        await playwright.expect(page.locator("#offline")).to_be_hidden()


async def test_a_click_on_the_idle_picture_connects(broker: RunningBroker, page) -> None:
    await page.goto("/")
    connect = page.locator("#connect")
    start = page.locator("camshaft-player .start")
    await playwright.expect(start).to_be_visible()
    await page.click("#player")
    await playwright.expect(connect).to_have_text("Disconnect")
    await playwright.expect(start).to_be_hidden()
    await connect.click()
    await playwright.expect(connect).to_have_text("Connect")
    await playwright.expect(start).to_be_visible()
    await page.evaluate("document.getElementById('player').setAttribute('camera', '')")
    await playwright.expect(start).to_be_hidden()  # there is nothing to connect to


async def test_a_server_that_stands_still_is_noticed_and_so_is_its_return(broker: RunningBroker, page) -> None:
    frozen = False

    async def carry(socket) -> None:
        server = socket.connect_to_server()
        socket.on_message(lambda message: frozen or server.send(message))
        server.on_message(lambda message: frozen or socket.send(message))

    async def carry_request(route) -> None:
        if not frozen:
            await route.continue_()

    await page.route_web_socket("**/ws", carry)
    await page.route("**/api/**", carry_request)
    await page.goto("/")
    door = page.locator("[data-camera=door]")
    await playwright.expect(door).to_have_attribute("data-state", "waiting")
    frozen = True
    await playwright.expect(page.locator("#offline")).to_have_text("The server cannot be reached. Trying again.")
    await playwright.expect(door).to_have_attribute("data-state", "unknown")
    frozen = False
    await playwright.expect(page.locator("#offline")).to_be_hidden()
    await playwright.expect(door).to_have_attribute("data-state", "waiting")


async def test_that_there_is_no_camera_is_said_after_the_server_has_said_so(tmp_path: Path, page) -> None:
    answers = asyncio.Event()

    async def carry(socket) -> None:
        await answers.wait()
        socket.connect_to_server()

    async def carry_request(route) -> None:
        await answers.wait()
        await route.continue_()

    await page.route_web_socket("**/ws", carry)
    await page.route("**/api/**", carry_request)
    async with broker_in(tmp_path, store={"path": tmp_path / "empty.db"}) as broker:
        await page.goto(broker.url)
        await playwright.expect(page.locator("#offline")).to_be_visible()  # nothing for long enough to say that
        await playwright.expect(page.locator("#empty")).to_be_hidden()
        answers.set()
        await playwright.expect(page.locator("#empty")).to_be_visible()


async def test_what_a_socket_swallows_is_offered_by_http(page, egress: FakeEgress) -> None:
    await page.route_web_socket("**/ws", lambda socket: socket.on_message(lambda _message: None))
    await page.goto("/watch/door")
    await egress.told(Offer)


async def test_a_player_that_leaves_by_whep_is_still_known_to_the_server(page, egress: FakeEgress) -> None:
    await page.add_init_script(
        """RTCPeerConnection.prototype.setRemoteDescription = async () => {};
        window.order = [];
        const { close } = RTCPeerConnection.prototype;
        RTCPeerConnection.prototype.close = function () { window.order.push("connection"); close.call(this); };
        const native = window.fetch;
        window.fetch = async (url, options) => {
          const response = await native(url, options);
          if (options?.method === "DELETE") window.order.push("server");
          return response;
        };"""
    )
    await page.goto("/watch/door?signalling=whep")
    await egress.told(Offer)
    await page.wait_for_function("() => document.querySelector('camshaft-player').session !== null")
    await page.evaluate("document.querySelector('camshaft-player').disconnect()")
    await page.wait_for_function("() => window.order.length === 2")
    assert await page.evaluate("window.order") == ["server", "connection"]


async def test_the_player_says_how_high_its_picture_stands(tmp_path: Path, page) -> None:
    door = {"url": "rtsp://host/door", "streams": {"sub": {"url": "rtsp://host/sub"}}}
    store = {"path": tmp_path / "second.db"}
    async with (
        broker_in(tmp_path, store=store, cameras={"door": door}) as broker,
        FakeEgress(broker.endpoints, "out-1") as egress,
    ):
        await page.add_init_script("RTCPeerConnection.prototype.setRemoteDescription = async () => {};")
        await page.set_viewport_size({"width": 320, "height": 240})
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        await page.goto(f"{broker.url}watch/door")
        assert (await egress.told(Offer)).camera == "door/sub"
        await page.set_viewport_size({"width": 1280, "height": 900})
        assert (await egress.told(Move)).camera == "door"
        for query in ("stream=sub", "signalling=whep&stream=sub"):
            await page.goto(f"{broker.url}watch/door?{query}")
            assert (await egress.told(Offer)).camera == "door/sub"


# Proxies

WEBSOCKETS = "WebSockets do not get through to Camshaft"
REFUSED = "so WebSockets and changes are refused"


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ({}, ""),
        ({"below": "/cams/"}, ""),
        ({"upgrades": False}, WEBSOCKETS),
        ({"keeps_host": False}, REFUSED),
        ({"keeps_host": False, "upgrades": False}, REFUSED),
    ],
)
async def test_behind_a_proxy_the_page_works_or_says_what_that_has_to_pass_on(
    broker: RunningBroker, page, egress: FakeEgress, missing: dict, sentence: str
) -> None:
    async with FakeIngest(broker.endpoints, "in-1") as ingest, proxy(broker.url, **missing) as address:
        await page.goto(address)
        yard = page.locator("[data-camera=yard]")
        await playwright.expect(yard).to_have_attribute("data-state", "playing")
        ingest.show("yard", CameraState.UNAUTHORIZED)
        await playwright.expect(yard).to_have_attribute("data-state", "failed")  # live
        notice = page.locator("#offline")
        if sentence:
            await playwright.expect(notice).to_contain_text(sentence)
            await playwright.expect(notice).to_contain_text("proxy_set_header Upgrade $http_upgrade")
        else:
            await playwright.expect(notice).to_be_hidden()
        told = page.locator("#missing")
        if "below" in missing:
            await playwright.expect(told).to_contain_text("send X-Forwarded-Prefix /cams")
        else:
            await playwright.expect(told).to_be_hidden()
        await page.click("[data-camera=door] button")
        await page.click("#connect")
        await egress.told(Offer)
        await page.goto(await page.locator("#alone").get_attribute("href"))
        await egress.told(Offer)


ARRIVAL = {"scheme": "https", "prefix": "", "believed": True, "forwarded_for": True, "forwarded_proto": "https"}


async def test_a_page_names_the_header_that_a_proxy_leaves_out(page) -> None:
    await page.goto("/")
    cases = (
        ({}, "https://cams.example/", ""),
        ({"prefix": "/a"}, "https://cams.example/a/", ""),
        ({"scheme": "http"}, "http://cams.example/", ""),
        ({"scheme": "http", "forwarded_proto": ""}, "https://cams.example/", "send X-Forwarded-Proto"),
        ({"scheme": "http", "believed": False}, "https://cams.example/", "stand in http.trusted_proxies"),
        ({}, "https://cams.example/a/", "http.base_path has to be /a."),
        ({"prefix": "/b"}, "https://cams.example/a/", "set up to be below /b/"),
        ({"forwarded_for": False}, "https://cams.example/", "send X-Forwarded-For"),
        ({"forwarded_for": False, "believed": False}, "https://cams.example/", ""),
    )
    script = "async ([a, home]) => (await import('/static/arrival.js')).arrivalProblem(a, new URL(home))"
    for change, home, sentence in cases:
        found = await page.evaluate(script, [ARRIVAL | change, home])
        assert sentence in found, found
        assert bool(sentence) == bool(found), found


async def test_a_page_beyond_the_limit_of_websockets_names_that_and_no_proxy(tmp_path: Path, chromium) -> None:
    async with (
        broker_in(tmp_path, cameras=CAMERAS, limits={"sockets": 1}) as broker,
        FakeEgress(broker.endpoints, "out-1") as egress,
        broker.http.ws_connect("/ws"),
    ):
        page = await chromium.new_page(base_url=broker.url)
        await page.goto("/")
        notice = page.locator("#offline")
        await playwright.expect(notice).to_contain_text("(limits.sockets is 1)")
        await playwright.expect(notice).not_to_contain_text("proxy")
        await page.click("[data-camera=door] button")
        await page.click("#connect")
        await egress.told(Offer)  # by WHEP
        await page.context.close()


async def test_a_change_that_a_proxy_makes_foreign_is_refused_with_what_to_set(broker: RunningBroker, page) -> None:
    async with proxy(broker.url, keeps_host=False) as address:
        await page.goto(address)
        await page.click("#add")
        await page.fill("[name=id]", "porch")
        await page.fill("[name=url]", "rtsp://host/")
        await page.click("#form .primary")
        await playwright.expect(page.locator("#problem")).to_contain_text("proxy_set_header Host $http_host")


# Browsers that cannot do all of it

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


@pytest.mark.parametrize(
    ("path", "lacking", "sentence"),
    [
        ("/", "delete window.RTCPeerConnection; delete window.webkitRTCPeerConnection;", "has no WebRTC"),
        ("/watch/door", "delete window.RTCPeerConnection; delete window.webkitRTCPeerConnection;", "has no WebRTC"),
        ("/", "delete RTCPeerConnection.prototype.addTransceiver", "is too old"),
    ],
)
async def test_a_browser_without_webrtc_reads_so_and_finds_no_dead_button(
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


async def test_what_the_browser_says_of_an_answer_is_not_what_people_read(page, egress: FakeEgress) -> None:
    await page.goto("/watch/door")  # the fake egress answers what no browser takes
    message = page.locator("camshaft-player .message")
    await playwright.expect(message).to_contain_text("This browser could not agree with the server on a connection")
    assert await page.evaluate("document.querySelector('camshaft-player').state") == "failed"
