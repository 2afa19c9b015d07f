"""Pages behind a reverse proxy: they work, or say what it has to pass on."""

from pathlib import Path

import pytest
from aiohttp import web

from common.cameras import CameraState
from common.control import Offer
from rigs.chromium import missing
from rigs.proxy import proxy
from tests.fakes.broker import RunningBroker, broker_in
from tests.fakes.page_cameras import CAMERAS
from tests.fakes.workers import FakeEgress, FakeIngest

playwright = pytest.importorskip("playwright.async_api")
pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.browser,
    pytest.mark.skipif(bool(missing()), reason="needs Chromium"),
]


WEBSOCKETS = "WebSockets do not get through to Camshaft"
REFUSED = "so WebSockets and changes are refused"


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ({}, ""),
        ({"below": "/cams/"}, ""),
        ({"upgrades": False}, WEBSOCKETS),
        ({"swallows": True}, WEBSOCKETS),
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
        await playwright.expect(yard).to_have_attribute("data-state", "playing", timeout=20_000)
        ingest.show("yard", CameraState.UNAUTHORIZED)
        await playwright.expect(yard).to_have_attribute("data-state", "failed")  # live
        notice = page.locator("#offline")
        if sentence:
            await playwright.expect(notice).to_contain_text(sentence, timeout=20_000)
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
        ({"scheme": "http", "believed": False}, "https://cams.example/", "to http.trusted_proxies"),
        ({}, "https://cams.example/a/", "set http.base_path to /a."),
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


FORM = {"text": "<!doctype html><title>Sign in</title>", "content_type": "text/html"}
SIGN_IN = {
    "a page": FORM,
    "a refusal": FORM | {"status": 401},
    "another place": {"status": 302, "headers": {"Location": "http://login.invalid/"}},
}


@pytest.mark.parametrize("what", SIGN_IN)
async def test_who_has_to_sign_in_again_at_a_proxy_reads_so(broker: RunningBroker, page, what: str) -> None:
    def instead(path: str) -> web.Response | None:
        return None if path == "" or path.startswith(("static/", "watch/")) else web.Response(**SIGN_IN[what])

    async with proxy(broker.url, instead=instead) as address:  # it ran out right after the page was loaded
        await page.goto(address)
        if what == "a refusal":  # which the list takes for ours: it leads to sign-in, and so to the proxy's
            await playwright.expect(page).to_have_title("Sign in")
        else:
            await playwright.expect(page.locator("#offline")).to_contain_text("answers instead of it", timeout=20_000)
        for signalling in ("whep", "ws"):
            await page.goto(f"{address}watch/door?signalling={signalling}")
            message = page.locator("camshaft-player .message")
            await playwright.expect(message).to_contain_text("wants you to sign in again", timeout=20_000)


async def test_a_proxy_that_takes_the_location_away_is_told_of(broker: RunningBroker, page, egress: FakeEgress) -> None:
    async with proxy(broker.url, takes=("location",)) as address:
        await page.goto(f"{address}watch/door?signalling=whep")
        await egress.told(Offer)
        await playwright.expect(page.locator("camshaft-player .message")).to_contain_text("the Location header")


async def test_a_change_that_a_proxy_makes_foreign_is_refused_with_what_to_set(broker: RunningBroker, page) -> None:
    async with proxy(broker.url, keeps_host=False) as address:
        await page.goto(address)
        await page.click("#add")
        await page.fill("[name=id]", "porch")
        await page.fill("[name=url]", "rtsp://host/")
        await page.click("#form .primary")
        await playwright.expect(page.locator("#problem")).to_contain_text("proxy_set_header Host $http_host")
