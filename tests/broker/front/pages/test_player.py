"""The pages in a real Chromium, as far as no media is needed for it."""

import asyncio
from pathlib import Path

import pytest

from common.cameras import CameraState
from common.control import Drain, Move, Offer
from rigs.chromium import missing
from tests.fakes.broker import RunningBroker, broker_in
from tests.fakes.page_cameras import CAMERAS
from tests.fakes.workers import FakeEgress, FakeIngest

playwright = pytest.importorskip("playwright.async_api")
pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.browser,
    pytest.mark.skipif(bool(missing()), reason="needs Chromium"),
]
LAID_OUT = """text => [...document.querySelectorAll("#chosen, #details dd")]
    .filter((each) => each.textContent === text)
    .map((each) => each.getBoundingClientRect().height)[0]"""
"""The height of a text once it stands on the page; until then nothing, or 0."""


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


async def test_a_process_is_drained_from_the_page_and_why_not_is_said(broker: RunningBroker, page) -> None:
    async with FakeEgress(broker.endpoints, "out-1") as only:
        await page.goto("/")
        await page.get_by_text("Processes").click()
        item = page.locator("#processes [data-node=out-1]")
        await playwright.expect(item).to_contain_text("out-1")
        await playwright.expect(page.locator("#processes [data-node=broker] button")).to_have_count(0)
        await item.get_by_role("button").click()
        await page.get_by_role("dialog").get_by_role("button", name="Drain").click()
        await playwright.expect(page.get_by_role("dialog")).to_contain_text("only egress")
        await page.get_by_role("button", name="Close").click()
        async with FakeEgress(broker.endpoints, "out-2"):
            await playwright.expect(page.locator("#processes [data-node=out-2]")).to_be_visible()
            await item.get_by_role("button").click()
            await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
            assert not [message for message in only.messages if isinstance(message, Drain)]
            await item.get_by_role("button").click()
            await page.get_by_role("dialog").get_by_role("button", name="Drain").click()
            await only.told(Drain)
            only.report(draining=True)
            await playwright.expect(item).to_contain_text("draining")
            await playwright.expect(item.get_by_role("button")).to_be_disabled()
    await playwright.expect(item).to_contain_text("does not answer", timeout=10_000)


async def test_a_name_as_people_give_it_is_shown_and_the_id_is_made_of_it(broker: RunningBroker, page) -> None:
    await page.goto("/")
    await page.click("#add")
    await page.fill("[name=id]", " Küche, hinten ")
    await page.fill("[name=url]", "rtsp://host/")
    await page.click("#form .primary")
    await playwright.expect(page.locator("#chosen")).to_have_text("Küche, hinten")
    assert (await broker.json("/api/cameras/Kuche-hinten"))["name"] == "Küche, hinten"
    named = """async (given) => (await import("/static/forms.js")).named(given)"""
    for given in ({"id": "front-door", "name": ""}, {"id": "前門", "name": ""}, {"id": "a b", "name": "c"}):
        assert await page.evaluate(named, given) == given


async def test_keys_lead_past_the_list_to_the_picture(page) -> None:
    await page.goto("/")
    await playwright.expect(page.locator("#connect")).to_be_enabled()
    await page.keyboard.press("Tab")
    await playwright.expect(page.get_by_role("link", name="To the picture")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.tagName") == "CAMSHAFT-PLAYER"


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
    await playwright.expect(page.locator("#details")).to_contain_text("rtsp://***@host/small: Nobody is watching")
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
    await playwright.expect(message).to_contain_text("No egress process can take a viewer right now")
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
    for text in ("devB", address):
        # In one step: the details are written anew whenever something happens to the camera.
        height = await page.wait_for_function(LAID_OUT, arg=text)
        assert await height.json_value() < 30, "one line"
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
            await playwright.expect(text).to_contain_text("Unknown while the server cannot be reached.")
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


async def test_a_player_that_is_moved_within_the_page_goes_on_and_one_that_is_removed_does_not(page) -> None:
    await page.goto("/watch/door")
    states = await page.evaluate("""async () => {
        const player = document.querySelector("camshaft-player");
        const soon = () => new Promise((then) => setTimeout(then, 50));
        player.connect();
        const frame = document.createElement("div");
        document.body.append(frame);
        frame.append(player);
        await soon();
        const moved = player.state;
        player.remove();
        await soon();
        return [moved, player.state];
    }""")
    assert states[0] != "idle"
    assert states[1] == "idle"


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
