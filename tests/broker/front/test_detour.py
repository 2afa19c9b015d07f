"""Which way a player goes, in a real Chromium and on a clock of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from rigs.chromium import Kept, missing
from tests.fakes.elsewhere import elsewhere

playwright = pytest.importorskip("playwright.async_api")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(bool(missing()), reason="needs Chromium")]

# A player that does nothing but say what it is told; sessions in the background are numbered.
BEGIN = """async () => {
    const { Detour } = await import("/vendor/detour.js");
    window.said = [];
    let number = 0;
    const session = () => {
        const name = `webrtc ${++number}`;
        return { name, close: () => said.push(`${name} closed`) };
    };
    window.first = session();
    window.detour = new Detour({
        fallBack: () => (said.push("falls back"), detour.take(first)),
        attempt: () => (said.push("tries"), (window.tried = session())),
        goBack: ({ name }) => said.push(`goes back to ${name}`),
        pictured: async () => window.isPictured === true,
    });
    detour.begin();
    detour.answered();
}"""


@pytest.fixture
async def page(kept_chromium: Kept) -> AsyncIterator[Any]:
    async with elsewhere() as address, playwright.async_playwright() as driver:
        browser = await driver.chromium.connect_over_cdp(kept_chromium.address())
        page = await browser.new_page()
        await page.clock.install(time=0)
        await page.goto(address)
        await page.clock.pause_at(3_600)  # seconds: later than any start
        await page.evaluate(BEGIN)
        yield page
        await browser.close()


async def said(page: Any, ms: int, before: str = "") -> list[str]:
    """Let so many milliseconds pass after this; returns the words that the player is told meanwhile."""
    await page.evaluate(f"() => {{ said.length = 0; {before} }}")
    await page.clock.run_for(ms)
    found: list[str] = await page.evaluate("said")
    return found


async def test_webrtc_is_tried_beside_the_other_way_and_then_ever_more_rarely(page: Any) -> None:
    assert await said(page, 1_800) == []
    assert await said(page, 200) == ["falls back"]
    assert await said(page, 10_000) == ["webrtc 1 closed"]
    assert await said(page, 15_000) == ["tries"]
    assert await said(page, 10_000) == ["webrtc 2 closed"]
    assert await said(page, 20_000) == []
    assert await said(page, 10_000) == ["tries"]
    assert await said(page, 100, "detour.heard(tried, 'media')") == ["goes back to webrtc 3"]
    assert not await page.evaluate("detour.taken")


async def test_what_is_tried_in_the_background_outlives_sessions_by_the_pages_own_port(page: Any) -> None:
    assert await said(page, 2_000) == ["falls back"]
    again = "detour.over(); detour.goOn();"  # as a player does that begins anew
    assert await said(page, 2_000, again) == []
    assert await said(page, 100, f"{again} detour.heard(first, 'media')") == ["goes back to webrtc 1"]


async def test_an_attempt_comes_when_it_is_due_however_often_the_other_way_begins_anew(page: Any) -> None:
    assert await said(page, 2_000) == ["falls back"]
    assert await said(page, 8_000) == ["webrtc 1 closed"]
    for _ in range(14):
        assert await said(page, 1_000, "detour.over(); detour.goOn();") == []
    assert await said(page, 1_500, "detour.over(); detour.goOn();") == ["tries"]


async def test_a_port_that_has_worked_is_left_for_seconds_and_another_network_brings_it_back(page: Any) -> None:
    assert await said(page, 2_000, "detour.works()") == ["falls back"]
    failed = "detour.over(); detour.failed(); detour.goOn();"
    for _ in range(5):
        await said(page, 100, failed)
        assert await page.evaluate("detour.taken"), "it may be the server that starts anew"
    once_more = "detour.over(); detour.failed(); detour.over(); detour.answered();"
    assert await said(page, 100, once_more) == ["webrtc 1 closed"]
    assert not await page.evaluate("detour.taken")
    assert await said(page, 3_700) == []
    assert await said(page, 400) == ["falls back"]
    assert await said(page, 5_000, once_more) == ["webrtc 1 closed"], "then it is left for twice as long"
    assert await said(page, 2_000, "dispatchEvent(new Event('online'))") == ["falls back"]


async def test_what_fails_before_it_has_been_answered_leaves_nothing_behind(page: Any) -> None:
    assert await said(page, 5_000, "detour.over()") == []
    assert await said(page, 2_000, "detour.answered()") == ["falls back"]
    assert await said(page, 60_000, "detour.end()") == ["webrtc 1 closed"]


async def test_a_network_that_lets_no_picture_through_is_left_and_gone_back_to_with_a_picture(page: Any) -> None:
    """WebRTC connects there, also in the background: that is no reason to go back."""
    assert await said(page, 100, "detour.connected(); detour.leave(first); detour.works();") == ["webrtc 1 closed"]
    assert await page.evaluate("detour.taken")
    assert await said(page, 15_000) == ["tries"]
    assert await said(page, 10_000, "detour.heard(tried, 'media')") == ["webrtc 2 closed"]
    assert await said(page, 30_000) == ["tries"]
    assert await said(page, 3_000, "detour.heard(tried, 'media')") == []
    assert await said(page, 1_000, "isPictured = true") == ["goes back to webrtc 3"]
    assert await page.evaluate("sessionStorage.length") == 0, "the next page begins by WebRTC"


async def test_the_next_page_on_such_a_network_knows_it(page: Any) -> None:
    await said(page, 100, "detour.connected(); detour.leave(first); detour.works(); detour.end();")
    await page.evaluate(BEGIN)
    assert await page.evaluate("detour.taken")
    assert await said(page, 16_000, "detour.goOn()") == ["tries"]
    assert await said(page, 1_000, "detour.heard(tried, 'media')") == []
    assert await said(page, 1_000, "isPictured = true") == ["goes back to webrtc 2"]
