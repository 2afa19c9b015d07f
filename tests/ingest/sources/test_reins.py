"""A process that is kept busy from outside within one call: it stands still for the most time."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, create_subprocess_exec
from signal import SIGKILL

import pytest

from ingest.sources.household import ORDINARY, Bounds, Household
from ingest.sources.reins import BURST, LOOK_INTERVAL, MAX_BUSY, Reins, Taken, own_memory, processor_time


def busy(seconds: float, part: float) -> float:
    """The seconds of processors that a process takes which would take this part of one and is held."""
    now = cpu = 0.0
    taken, standing = Taken(0.0, 0.0), False
    while now < seconds:
        now += LOOK_INTERVAL
        cpu += 0.0 if standing else part * LOOK_INTERVAL
        standing = taken.too_much(now, cpu)
    return cpu


def test_one_that_plays_is_never_held() -> None:
    assert busy(600.0, MAX_BUSY) == pytest.approx(MAX_BUSY * 600.0)


@pytest.mark.parametrize("part", [1.0, 2.0])  # with a second thread of FFmpeg's
def test_one_that_never_rests_has_its_share_in_the_end(part: float) -> None:
    assert busy(60.0, part) == pytest.approx(MAX_BUSY * 60.0 + BURST, abs=2 * LOOK_INTERVAL)


async def test_a_process_without_end_stands_still_and_runs_when_it_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.sources.reins.BURST", 0.1)
    monkeypatch.setattr("ingest.sources.reins.MAX_BUSY", 0.001)  # others may leave it little
    process = await create_subprocess_exec(sys.executable, "-c", "while True: pass", stdout=DEVNULL)
    try:
        reins = Reins(process, Bounds())
        reins.take_up()
        async with asyncio.timeout(30.0):
            while not reins.stopped:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
        reins.let_go()
        reins.let_go()
        stopped, before = reins.stopped, processor_time(process.pid)
        async with asyncio.timeout(30.0):
            while processor_time(process.pid) < before + 0.05:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)
        assert reins.stopped == stopped
    finally:
        process.kill()
        await process.wait()
    assert processor_time(process.pid) == 0.0


def test_the_clock_of_a_process_is_what_it_has_taken() -> None:
    assert processor_time(os.getpid()) == pytest.approx(time.process_time(), abs=0.5)


def test_the_largest_ends_when_all_have_too_much() -> None:
    household, most = Household(), 100 << 20
    assert not any(household.uses(pid, ORDINARY, most) for pid in range(1_000)), "harmless ones are within any bound"
    assert not household.uses(1, ORDINARY + (60 << 20), most)
    assert not household.uses(2, ORDINARY + (50 << 20), most), "it is the other one that has most"
    assert household.uses(1, ORDINARY + (60 << 20), most)
    household.left(1)
    household.left(1)
    assert not household.uses(2, ORDINARY + (50 << 20), most)


async def test_one_that_has_too_much_is_killed_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.sources.household.ORDINARY", 0)
    waits = "import time; kept = bytearray(8 << 20); print(flush=True); time.sleep(60)"
    process = await create_subprocess_exec(sys.executable, "-c", waits, stdout=PIPE)
    assert process.stdout is not None
    await process.stdout.readline()
    assert own_memory(process.pid) > 8 << 20
    reins = Reins(process, Bounds(together=1))
    reins.take_up()
    assert await process.wait() == -SIGKILL
    assert reins.greedy
    reins.let_go()
    assert own_memory(process.pid) == 0
