"""The element on pages of other sites, in a real Chromium, as far as no media is needed for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from broker.access.tokens import digest_of
from common.control import HangUp, Offer
from rigs.chromium import Kept, missing
from tests.fakes.broker import RunningBroker, broker_in
from tests.fakes.elsewhere import elsewhere
from tests.fakes.workers import FakeEgress

playwright = pytest.importorskip("playwright.async_api")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(bool(missing()), reason="needs Chromium")]

TOKENS = {
    "wall": {"sha256": digest_of("t-wall"), "cameras": ["door"]},
    "admin": {"sha256": digest_of("t-admin"), "role": "admin"},
}


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    cameras = {"door": {"url": "rtsp://host/door"}}
    async with broker_in(tmp_path, auth={"tokens": TOKENS}, cameras=cameras) as broker:
        yield broker


@pytest.fixture
async def egress(broker: RunningBroker) -> AsyncIterator[FakeEgress]:
    async with FakeEgress(broker.endpoints, "out-1") as egress:
        await broker.until("/api/nodes?token=t-admin", lambda nodes: len(nodes) == 2)
        yield egress


@pytest.fixture
def sockets() -> list[str]:
    """Addresses of the page's WebSockets that nobody has looked at."""
    return []


@pytest.fixture
async def page(kept_chromium: Kept, sockets: list[str]) -> AsyncIterator[Any]:
    async with elsewhere() as address, playwright.async_playwright() as driver:
        browser = await driver.chromium.connect_over_cdp(kept_chromium.address())
        page = await browser.new_page(base_url=address)
        page.on("websocket", lambda socket: sockets.append(socket.url))
        await page.goto("/")
        yield page
        await browser.close()
        assert sockets == [], "the server would refuse it"


SHOW = """async ([script, fields, early]) => {
    const element = document.createElement("camshaft-player");
    element.addEventListener("error", ({ detail }) => (window.failure = detail.code));
    if (early) Object.assign(element, fields);
    document.body.append(element);
    await import(script);
    if (!early) Object.assign(element, fields);
}"""


async def test_the_name_of_a_session_leads_nowhere_else(page: Any) -> None:
    """An egress tells it, and the page sends DELETE there, with its user's cookies."""
    adopted = """async (name) => {
        const { WhepSignalling } = await import("/vendor/whep.js");
        return new WhepSignalling("https://cams.example/").adopt(name, { camera: "door" });
    }"""
    assert await page.evaluate(adopted, "a-B_9") == "https://cams.example/whep/door/a-B_9"
    for name in ("../../api/cameras/door", "/api/cameras/door", "//evil.example", "..", "\\..\\..\\api"):
        assert (await page.evaluate(adopted, name)).startswith("https://cams.example/whep/"), name


@pytest.mark.parametrize("early", [True, False], ids=["before it is defined", "after it was put into the page"])
async def test_it_goes_by_whep_and_shows_its_token(
    broker: RunningBroker, egress: FakeEgress, page, early: bool
) -> None:
    script = f"{broker.url}static/player.js"
    await page.evaluate(SHOW, [script, {"camera": "door", "autoconnect": True, "token": "t-wall"}, early])
    offer = await egress.told(Offer)
    assert (offer.camera, offer.principal.partition("#")[0]) == ("door", "token:wall")
    assert "t-wall" not in await page.content(), "a token that was given as a property stands nowhere in the page"
    assert (await egress.told(HangUp)).session == offer.session, "the fake's answer is none, and the session is left"


async def test_a_new_token_is_shown_when_it_is_needed(broker: RunningBroker, egress: FakeEgress, page) -> None:
    fields = {"camera": "door", "autoconnect": True, "token": "t-nobody"}
    await page.evaluate(SHOW, [f"{broker.url}static/player.js", fields, True])
    await page.wait_for_function("document.querySelector('camshaft-player').state === 'failed'")
    await page.evaluate("document.querySelector('camshaft-player').token = 't-wall'")
    assert (await egress.told(Offer)).principal.startswith("token:wall")


@pytest.mark.parametrize(("token", "why"), [("t-nobody", "invalid_token"), ("t-wall", "not_handed_over")])
async def test_a_page_elsewhere_says_why_it_may_not_watch_by_the_servers_own_port(
    broker: RunningBroker, egress: FakeEgress, page: Any, sockets: list[str], token: str, why: str
) -> None:
    """No browser tells a page with which status a WebSocket was refused."""
    begin = """async ([server, token]) => {
        const { MseSession } = await import("/vendor/mse.js");
        const player = { marked() {}, closed() {}, media() {} }, wish = () => ({ token });
        const video = document.createElement("video");
        const session = new MseSession(new URL(server), {}, "door", wish, player, video);
        return session.start().then(() => "", ({ code, message }) => `${code}: ${message}`);
    }"""
    assert (await page.evaluate(begin, [broker.url, token])).startswith(f"{why}: ")
    assert len(sockets) == 1
    sockets.clear()


async def test_scripts_of_a_package_need_a_server_and_take_one_below_a_path(broker, egress, page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.evaluate(SHOW, ["/vendor/player.js", {"camera": "door", "autoconnect": True}, True])
    await page.wait_for_function("window.failure === 'no_server'")
    await playwright.expect(page.locator("camshaft-player .message")).to_contain_text("Say which server")
    assert [url for url in asked if "/vendor/" not in url] == [], "nothing is asked of the page's own site"
    await page.evaluate(
        "([server]) => Object.assign(document.querySelector('camshaft-player'), {token: 't-wall', server})",
        [broker.url.rstrip("/")],
    )
    assert (await egress.told(Offer)).principal.startswith("token:wall")
    for server, endpoint in (
        ("https://cams.example/below", "https://cams.example/below/whep/door"),
        ("https://cams.example", "https://cams.example/whep/door"),
    ):
        found = await page.evaluate(
            """async ([server]) => {
                const { below, serverAt } = await import("/vendor/address.js");
                return below(serverAt(server), "whep/door").href;
            }""",
            [server],
        )
        assert found == endpoint
