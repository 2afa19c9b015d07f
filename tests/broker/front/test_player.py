"""The pages in a real Chromium, as far as no media is needed for it."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.cameras import CameraState
from tests.fakes.broker import RunningBroker, broker_in
from tests.fakes.workers import FakeEgress, FakeIngest

playwright = pytest.importorskip("playwright.async_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]

CAMERAS = {"door": {"url": "rtsp://host/door"}, "yard": {"url": "rtsp://host/yard"}}


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with broker_in(tmp_path, cameras=CAMERAS) as broker:
        yield broker


@pytest.fixture
async def egress(broker: RunningBroker) -> AsyncIterator[FakeEgress]:
    async with FakeEgress(broker.endpoints, "out-1") as egress:
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        yield egress


@pytest.fixture
async def page(broker: RunningBroker) -> AsyncIterator:
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(base_url=broker.url)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        await browser.close()
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


async def test_a_camera_is_added_and_removed_by_clicking(broker: RunningBroker, page) -> None:
    await page.goto("/")
    await page.click("#add")
    await page.fill("[name=id]", "porch")
    await page.fill("[name=url]", "http://user:secret@host/")
    await page.click("#form .primary")
    await playwright.expect(page.locator("#problem")).to_contain_text("rtsp://")
    await page.fill("[name=url]", "rtsp://user:secret@host/")
    await page.check("[name=on_demand]")
    await page.click("#form .primary")
    await playwright.expect(page.locator("[data-camera=porch] button")).to_have_attribute("aria-pressed", "true")
    await playwright.expect(page.locator("#details")).to_contain_text("rtsp://***@host/")
    assert (await broker.json("/api/cameras/porch"))["on_demand"]

    page.on("dialog", lambda dialog: dialog.accept())
    await page.click("#remove")
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
            const { SocketSignalling } = await import("/static/signalling.js");
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
        box = await line.bounding_box()
        assert box["height"] < 30, "one line"
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

    await page.route_web_socket("**/ws", carry)
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
