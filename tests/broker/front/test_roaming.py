"""The player's parts that follow a viewer to another network, in a real Chromium and on a clock of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from common.media import Kind
from egress.answer import TransportDescription, write_answer, write_fragment
from egress.media.feed import Source
from egress.negotiation import negotiate
from rigs.browser import PASSWORD, UFRAG, Browser
from rigs.chromium import Kept, missing
from tests.fakes.elsewhere import elsewhere
from tests.fakes.offers import HIGH, OPUS, h264

playwright = pytest.importorskip("playwright.async_api")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(bool(missing()), reason="needs Chromium")]

BEFORE = TransportDescription("ours", "apasswordofoursof22signs", "sha-256 AB", (("192.0.2.1", 8189),))
AFTER = TransportDescription("newer", "anotheroneofoursof22signs", "sha-256 AB", (("192.0.2.7", 1), ("2001:db8::7", 2)))

WATCH = """async (steps) => {
    const { Roaming } = await import("/vendor/roaming.js");
    let clock = 0, dead = false, said = [];
    performance.now = () => clock;
    const roaming = new Roaming({
        restart: () => (said.push("restart"), true),
        doubt: async () => (said.push("doubt"), dead),
        look: () => {},
    });
    roaming.begin();
    const all = [];
    for (const { at, arrived, arrivedAt, beats, asleep = false, isDead = false, begins = false } of steps) {
        clock = at;
        dead = isDead;
        if (begins) roaming.begin();
        roaming.looked({ arrived, arrivedAt, beats }, asleep);
        await new Promise((then) => setTimeout(then));
        all.push(said.join(" "));
        said = [];
    }
    roaming.stop();
    return all;
}"""


@pytest.fixture
async def page(kept_chromium: Kept) -> AsyncIterator[Any]:
    async with elsewhere() as address, playwright.async_playwright() as driver:
        browser = await driver.chromium.connect_over_cdp(kept_chromium.address())
        page = await browser.new_page()
        await page.goto(address)
        yield page
        await browser.close()


async def test_silence_is_doubted_first_and_restarts_ice_ever_more_rarely(page) -> None:
    steps = [
        ({"at": 0, "arrived": 0}, ""),
        ({"at": 5_000, "arrived": 0}, ""),  # nothing has come yet: it connects
        ({"at": 6_000, "arrived": 10, "arrivedAt": 5_990}, ""),
        ({"at": 6_400, "arrived": 10}, ""),
        ({"at": 6_500, "arrived": 10}, "doubt"),
        ({"at": 7_300, "arrived": 10}, ""),
        ({"at": 7_400, "arrived": 10}, "restart"),  # 1.4 s after the last packet, not after the look that saw it
        ({"at": 9_300, "arrived": 10}, ""),
        ({"at": 11_500, "arrived": 10}, "restart"),
        ({"at": 15_000, "arrived": 10}, ""),
        ({"at": 19_600, "arrived": 10}, "restart"),
        ({"at": 20_000, "arrived": 11}, ""),  # it helped
        ({"at": 20_600, "arrived": 11}, "doubt"),
        ({"at": 22_000, "arrived": 11}, "restart"),
    ]
    assert await page.evaluate(WATCH, [step for step, _ in steps]) == [said for _, said in steps]


async def test_a_dead_connection_to_the_server_proves_it_and_a_page_that_slept_proves_nothing(page) -> None:
    steps = [
        ({"at": 1_000, "arrived": 10}, ""),
        ({"at": 1_600, "arrived": 10, "isDead": True}, "doubt restart"),
        ({"at": 3_000, "arrived": 20}, ""),
        ({"at": 90_000, "arrived": 20, "asleep": True}, ""),
        ({"at": 90_400, "arrived": 20}, ""),
        ({"at": 90_600, "arrived": 20}, "doubt"),
        ({"at": 90_700, "arrived": 0, "begins": True}, ""),  # another session
        ({"at": 99_000, "arrived": 0}, ""),
    ]
    assert await page.evaluate(WATCH, [step for step, _ in steps]) == [said for _, said in steps]


async def test_where_nothing_comes_by_itself_only_a_dead_connection_to_the_server_proves_another_network(page) -> None:
    steps = [
        ({"at": 1_000, "arrived": 10, "beats": False}, ""),
        ({"at": 1_400, "arrived": 10, "beats": False}, ""),
        ({"at": 1_900, "arrived": 10, "beats": False}, "doubt"),  # a picture a second
        ({"at": 9_000, "arrived": 10, "beats": False}, ""),  # none at all
        ({"at": 10_000, "arrived": 20, "beats": False}, ""),
        ({"at": 11_500, "arrived": 20, "beats": False, "isDead": True}, "doubt restart"),
    ]
    assert await page.evaluate(WATCH, [step for step, _ in steps]) == [said for _, said in steps]


async def test_a_browser_that_tells_of_another_network_is_believed_and_of_another_speed_is_not(page) -> None:
    said = await page.evaluate(
        """async () => {
            const { Roaming } = await import("/vendor/roaming.js");
            let clock = 0, said = 0;
            performance.now = () => clock;
            const { connection } = navigator;
            const become = (type) => Object.defineProperty(connection, "type", { configurable: true, value: type });
            become("wifi");
            const roaming = new Roaming({ restart: () => ++said, doubt: async () => false, look: () => {} });
            roaming.start();
            const all = [];
            const tell = (target, name) => {
                clock += 60_000;
                target.dispatchEvent(new Event(name));
                all.push(said);
            };
            tell(connection, "change");
            become("none");
            tell(connection, "change");
            become("cellular");
            tell(connection, "change");
            tell(connection, "change");
            tell(window, "online");
            roaming.stop();
            become("wifi");
            tell(connection, "change");
            tell(window, "online");
            return all;
        }"""
    )
    assert said == [0, 0, 1, 1, 2, 2, 2]


async def test_the_answer_gets_the_servers_other_side_and_stays_as_it_was(page) -> None:
    browser = Browser()
    negotiated = negotiate(browser.offer(), [h264(HIGH), OPUS])
    sources = {kind: Source(7, 9) for kind in Kind}
    answer = write_answer(negotiated, BEFORE, sources, "name")
    fragment = write_fragment(AFTER, "0", Kind.VIDEO)
    found, none, ours = await page.evaluate(
        """async ([answer, fragment, offer]) => {
            const { fragmentOf, renewed } = await import("/vendor/restart.js");
            return [renewed(answer, fragment), renewed(answer, "a=ice-lite\\r\\n"), fragmentOf(offer)];
        }""",
        [answer, fragment, browser.offer()],
    )
    origin = answer.splitlines()[1]
    expected = write_answer(negotiated, AFTER, sources, "name").splitlines()
    expected[1] = origin.replace(" 1 IN", " 2 IN")
    assert found.splitlines() == expected
    assert found.endswith("\r\n")
    assert none is None
    assert ours == f"a=ice-ufrag:{UFRAG}\r\na=ice-pwd:{PASSWORD}\r\n"


DOUBT = """async (ways) => {
    const { SocketSignalling } = await import("/vendor/socket.js");
    let clock = 0, timers = [], count = 0, sockets = 0, closed = 0, first = null;
    let way = ways[0]; // to the server and back in ms; null: nothing comes back by sockets that are open
    let before = way; // what it was when something came back
    performance.now = () => clock;
    window.setTimeout = (act, ms = 0) => (timers.push({ at: clock + ms, act, id: ++count }), count);
    window.clearTimeout = (id) => (timers = timers.filter((each) => each.id !== id));
    window.WebSocket = class {
        static OPEN = 1;
        readyState = 0;
        constructor() {
            sockets += 1;
            first ??= this;
            setTimeout(() => ((this.readyState = 1), this.onopen?.()), 2 * (way ?? before));
        }
        send(text) {
            if (way === null || JSON.parse(text).type !== "ping") return;
            setTimeout(() => this.onmessage?.({ data: '{"type": "pong"}' }), way);
        }
        close() {
            closed += 1;
        }
    };
    const pass = async (ms) => {
        for (const end = clock + ms; ; ) {
            for (let turn = 0; turn < 20; turn++) await Promise.resolve();
            timers.sort((one, other) => one.at - other.at);
            if (!timers.length || timers[0].at > end) return void (clock = end);
            const { at, act } = timers.shift();
            clock = at;
            act();
        }
    };
    const signalling = new SocketSignalling(new URL("ws://camera.example/ws"), location.href);
    await pass(10_000);
    const all = [];
    for (way of ways.slice(1)) {
        const begun = clock;
        let took = null;
        signalling.doubt().then((dead) => (took = [dead, clock - begun]));
        await pass(20_000);
        all.push(took);
        before = way ?? before;
    }
    return [all, sockets, closed];
}"""


@pytest.mark.parametrize("way", [700, 800])
async def test_a_connection_by_satellite_is_not_taken_for_dead(page, way: int) -> None:
    """The other socket that is opened each time comes too late."""
    assert await page.evaluate(DOUBT, [way, way, way, way]) == [[[False, way]] * 3, 4, 3]


async def test_a_server_near_by_is_asked_without_another_socket(page) -> None:
    assert await page.evaluate(DOUBT, [5, 5, 100]) == [[[False, 5], [False, 100]], 1, 0]


@pytest.mark.parametrize(("way", "found"), [(5, 500), (150, 500), (300, 600), (700, 1_400)])
async def test_a_connection_that_is_dead_is_found_out_as_soon_as_the_way_allows(page, way: int, found: int) -> None:
    """As soon as another socket is open, which takes two round trips, and not before half a second."""
    assert await page.evaluate(DOUBT, [way, None]) == [[[True, found]], 2, 1]


async def test_the_other_connection_is_closed_where_the_first_one_had_only_stood_still(page) -> None:
    """A packet is lost on its way, and sent again after 300 ms: the other one is open by then."""
    assert await page.evaluate(DOUBT.replace("2 * (way ?? before)", "10"), [5, 300]) == [[[False, 300]], 2, 1]


async def test_the_other_connection_is_the_only_one_where_the_browser_gives_the_first_one_up(page) -> None:
    """As Chromium does with those of a network that has gone."""
    gives_up = "await pass(300);\nfirst.readyState = 3;\nfirst.onclose({ code: 1006 });\nawait pass(20_000);"
    script = DOUBT.replace("2 * (way ?? before)", "10").replace("await pass(20_000);", gives_up)
    assert await page.evaluate(script, [5, None]) == [[[True, 300]], 2, 0]


async def test_a_busy_moment_at_the_beginning_makes_nothing_longer(page) -> None:
    """All that was measured is a round trip of three seconds."""
    [_, dead], *_ = await page.evaluate(DOUBT, [3_000, 5, None])
    assert dead == [True, 500]


async def test_a_way_that_becomes_long_is_not_taken_for_dead(page) -> None:
    doubts, *_ = await page.evaluate(DOUBT, [5, 700, 700, 700])
    assert doubts == [[False, 700]] * 3


async def test_where_nothing_gets_through_the_connection_is_given_up_all_the_same(page) -> None:
    [[dead, after]], *_ = await page.evaluate(
        DOUBT.replace("2 * (way ?? before)", "way === null ? 60_000 : 10"), [5, None]
    )
    assert dead
    assert after == 1_000
