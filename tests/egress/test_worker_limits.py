"""The limits of a whole egress worker: viewers, memory, and lines in the log."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from common.control import (
    Answered,
    Ended,
    Offer,
    Refused,
)
from common.log import LINES_A_MINUTE
from egress import worker
from egress.viewers import GAVE_WAY
from rigs.browser import Browser
from tests.fakes.bus import FakeBroker
from tests.fakes.egress_worker import NODE, PCMU, ask, running, watch
from tests.fakes.log import Recorder


async def test_of_viewers_that_are_never_heard_of_the_oldest_gives_way(broker: FakeBroker) -> None:
    async with running(broker, limits_unheard_viewers="3"):
        peer = await watch(broker, "honest")
        await ask(broker, "s1", "s2", "s3", "s4", "s5")
        for session in ("s1", "s2"):
            ended = await broker.said(Ended)
            assert (ended.session, ended.reason) == (session, GAVE_WAY)
            assert ended.tried is not None
            assert ended.tried.offered
            assert not ended.tried.heard_from
        await broker.until(lambda: {v.session for v in broker.reports[NODE].viewers} == {"honest", "s3", "s4", "s5"})
        assert broker.reports[NODE].counters["gave_way"] == 2
        assert peer.connectionState == "connected"
        await peer.close()


async def test_a_full_egress_refuses_with_the_limits_name(broker: FakeBroker) -> None:
    async with running(broker, limits_egress_viewers="2"):
        await ask(broker, "s1", "s2")
        broker.tell(NODE, Offer("s3", "yard", Browser().offer(), (PCMU,)))
        refused = await broker.said(Refused)
        assert (refused.status, refused.code) == (503, "full")
        assert "limits.egress_viewers" in refused.message
        await broker.until(lambda: broker.reports[NODE].full)


async def test_an_egress_without_time_refuses_with_the_limits_name(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("egress.burden.WINDOW", 3)
    monkeypatch.setattr("egress.room.time.thread_time", lambda: 0.97 * asyncio.get_running_loop().time())
    monkeypatch.setattr("egress.room.CoreWaits.seconds", 0.0)
    async with running(broker):
        await broker.until(lambda: broker.reports[NODE].full)
        broker.tell(NODE, Offer("s1", "yard", Browser().offer(), (PCMU,)))
        refused = await broker.said(Refused)
        assert (refused.status, refused.code) == (503, "overloaded")
        assert "it was busy for 97% of the time that it had (limits.egress_load is 90)" in refused.message


async def test_an_egress_short_of_memory_refuses_with_the_limits_name(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(broker):
        await ask(broker, "s1")
        monkeypatch.setattr("egress.room.Shortage.now", lambda self, now: True)
        broker.tell(NODE, Offer("s2", "yard", Browser().offer(), (PCMU,)))
        refused = await broker.said(Refused)
        assert (refused.status, refused.code) == (503, "no_memory")
        assert "limits.free_memory" in refused.message
        await broker.until(lambda: broker.reports[NODE].full)


async def test_a_flood_of_offers_costs_little_memory(broker: FakeBroker) -> None:
    """An offer that nobody follows up keeps a few kilobytes, not OpenSSL's twenty."""
    async with running(broker, limits_unheard_viewers="2000"):
        offer = Browser().offer()
        sizes = []
        for count in (100, 500):
            for n in range(count):
                broker.tell(NODE, Offer(f"{count} {n}", "yard", offer, (PCMU,)))
                await broker.said(Answered)
            sizes.append(psutil.Process().memory_info().rss)
        assert (sizes[1] - sizes[0]) / 500 < 12_000


async def test_lines_about_viewers_beyond_thirty_a_minute_are_summed_up_at_the_end(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "log", log := Recorder())
    async with running(broker):
        for number in range(LINES_A_MINUTE + 3):
            broker.tell(NODE, Offer(f"s{number}", "yard", "no offer"))
        await broker.until(lambda: broker.reports[NODE].counters.get("refused", 0) == LINES_A_MINUTE + 3)
    assert len(log.of("viewer refused")) == LINES_A_MINUTE
    assert len(log.of("viewer refused: and 3 more in a minute")) == 1
