"""How long a page waits for a picture, by what arrives of it and by how often the camera sends one."""

import pytest

from rigs.chromium import missing

pytest.importorskip("playwright.async_api")
pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.browser,
    pytest.mark.skipif(bool(missing()), reason="needs Chromium"),
]


async def test_two_long_gaps_between_pictures_are_a_pace_and_one_is_a_stall(page) -> None:
    await page.goto("/")
    within = await page.evaluate(
        """async (gaps) => {
            const { Pace } = await import("/static/pace.js"), pace = new Pace();
            let now = 1000;
            return gaps.map((gap) => {
                pace.pictured((now += gap));
                return pace.within(1500);
            });
        }""",
        [40, 40, 9000, 40, 5000, 5000, 40, 90_000, 90_000],
    )
    assert within == [1500, 1500, 1500, 1500, 1500, 12_500, 1500, 1500, 100_000]


async def test_how_long_a_picture_is_waited_for_goes_by_what_arrives(page) -> None:
    await page.goto("/")
    assert await page.evaluate(
        """async () => {
            const { Pictures } = await import("/static/pictures.js");
            const after = (come, confirmed = true) => {
                const pictures = new Pictures();
                pictures.begin(0);
                pictures.connected(0);
                pictures.count({ frames: 0, bytes: 0, received: 0, lost: 0, packets: 0, ...come }, 0, false);
                pictures.confirm(confirmed);
                return pictures;
            };
            const first = (is) => [1400, 1600, 4100, 8100, 12100].find(is) ?? null;
            const undecoded = after({ packets: 90, received: 30, bytes: 9 });
            undecoded.stalled(4100);
            const before = undecoded.undecoded;
            undecoded.moved(4200);
            const late = after({});
            return {
                overdue: first((now) => after({}).overdue(now)),
                lost: first((now) => after({ packets: 10, lost: 20 }).dark(now)),
                unwhole: first((now) => after({ packets: 10, lost: 1 }).dark(now)),
                nothing: first((now) => after({}).dark(now)),
                shown: first((now) => after({ packets: 10, frames: 1 }).dark(now)),
                arrives: first((now) => after({ packets: 90, received: 30 }).dark(now)),
                doubted: first((now) => after({}, false).dark(now) || after({}, false).over(now)),
                over: first((now) => after({}).over(now)),
                undecoded: [before, undecoded.undecoded],
                asleep: [late.looked(3900), late.looked(8000), late.over(8100), late.overdue(9600)],
            };
        }"""
    ) == {
        "overdue": 1600,
        "lost": 1600,
        "unwhole": 4100,
        "nothing": 12100,
        "shown": None,
        "arrives": None,
        "doubted": None,
        "over": 8100,
        "undecoded": [True, False],
        "asleep": [False, True, False, True],
    }


async def test_media_that_nothing_answers_for_is_named_with_where_the_page_came_from(page) -> None:
    await page.goto("/")
    said = await page.evaluate(
        """async () => {
            const { blocked } = await import("/static/ways.js");
            const way = (address) => `a=candidate:1 1 udp 5 ${address} 8189 typ host`;
            const sdp = [way("172.17.0.2"), way("fd77::1"), way("127.0.0.1")].join("\\r\\n");
            return ["172.17.0.2", "[fd77::1]", "cams.example", "127.0.0.1", "[::1]", "192.168.1.5", "[fd77::2]"]
                .map((host) => blocked(sdp, host));
        }"""
    )
    at = "No media arrives: nothing answers at 172.17.0.2:8189 (UDP), [fd77::1]:8189 (UDP). "
    assert said[:5] == [at + "A firewall may block it."] * 5
    for host, sentence in zip(("192.168.1.5", "[fd77::2]"), said[5:], strict=True):
        assert sentence == (
            f"{at}This page comes from {host}, which is none of these: "
            "the server's media.advertise may have to name it."
        )
