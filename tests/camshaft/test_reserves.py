"""When a process that is in reserve begins, and when it ends."""

from __future__ import annotations

import asyncio

import pytest

from camshaft import reserves as module
from camshaft.plan import Program
from camshaft.reserves import PATIENCE, QUIET, Reserves, reserves_of, tend
from common.control import Role
from common.demand import Demand

NONE, SOME, MUCH = Demand.NONE, Demand.SOME, Demand.MUCH
ONE, TWO, THREE = (f"egress-{n}" for n in range(3))


def in_reserve() -> list[Program]:
    return [Program(name, (), {}, reserve=True) for name in (TWO, THREE)]


def wanted(reserves: Reserves, demands: dict[str, Demand], now: float, silent: str = "") -> str | None:
    running = ["broker", *demands, *filter(None, [silent])]
    program = reserves.wanted(running, demands, now)
    return program.name if program is not None else None


def test_another_begins_when_all_have_much_to_do() -> None:
    reserves = Reserves(in_reserve(), [ONE])
    assert wanted(reserves, {}, 0.0) is None, "nothing runs yet"
    assert wanted(reserves, {ONE: SOME}, 1.0) is None
    assert wanted(reserves, {ONE: MUCH}, 2.0) == TWO
    assert wanted(reserves, {ONE: MUCH}, 3.0, silent=TWO) is None, "it has just begun"
    assert wanted(reserves, {ONE: MUCH, TWO: NONE}, 4.0) is None, "who comes is sent to it"
    assert wanted(reserves, {ONE: MUCH, TWO: MUCH}, 5.0) == THREE
    assert wanted(reserves, {ONE: MUCH, TWO: MUCH, THREE: MUCH}, 6.0) is None, "there are as many as cores"


def test_one_that_never_tells_is_not_waited_for_longer_than_its_beginning_takes() -> None:
    reserves = Reserves(in_reserve(), [ONE])
    assert wanted(reserves, {ONE: MUCH}, 0.0) == TWO
    assert wanted(reserves, {ONE: MUCH}, PATIENCE, silent=TWO) == THREE


def test_one_that_nobody_uses_ends_after_a_while_and_the_first_never() -> None:
    reserves = Reserves(in_reserve(), [ONE])
    running = [ONE, TWO]
    assert reserves.unused(running, {ONE: NONE, TWO: NONE}, 0.0) is None
    assert reserves.unused(running, {ONE: NONE, TWO: SOME}, QUIET - 1) is None, "somebody has come"
    assert reserves.unused(running, {ONE: NONE, TWO: NONE}, QUIET) is None
    assert reserves.unused(running, {ONE: NONE, TWO: NONE}, 2 * QUIET) == TWO
    assert reserves.unused(running, {ONE: NONE, TWO: NONE}, 2 * QUIET + 1) is None, "it was told"
    assert wanted(reserves, {ONE: MUCH}, 2 * QUIET + 2) == TWO, "when it has ended it may come again"


def test_what_converts_begins_when_the_broker_tells_that_it_is_needed_also_in_an_upgrade_and_ends_after_a_while() -> (
    None
):
    [reserves] = reserves_of([Program("transcode-0", (), {}, role=Role.TRANSCODE, reserve=True), Program(ONE, (), {})])

    def begins(demands: dict[str, Demand], now: float, *running: str, rolling: bool = False) -> bool:
        return reserves.wanted(["broker", ONE, *running], demands, now, rolling=rolling) is not None

    assert not begins({ONE: MUCH}, 0.0), "the egress tells of itself"
    assert not begins({"broker": NONE}, 0.0)
    assert begins({"broker": MUCH}, 1.0, rolling=True)
    assert not begins({"broker": MUCH}, 1.5, "transcode-0"), "it has just begun"
    assert not begins({"broker": SOME}, 2.0, "transcode-0")
    running = ["broker", "transcode-0"]
    assert reserves.unused(running, {"broker": SOME}, 2.0) is None
    assert reserves.unused(running, {}, 2.0) is None, "the broker is away"
    assert reserves.unused(running, {"broker": NONE}, 3.0) is None
    assert reserves.unused(running, {"broker": NONE}, 3.0 + QUIET) == "transcode-0"
    assert begins({"broker": MUCH}, 4.0 + QUIET), "it has ended, and is needed again"


async def test_what_is_told_is_looked_at_at_once() -> None:
    begun: asyncio.Queue[Program] = asyncio.Queue()
    demands, told = {"broker": NONE}, asyncio.Event()
    reserves = reserves_of([Program("transcode-0", (), {}, role=Role.TRANSCODE, reserve=True)])
    looks = iter(range(3))

    def look() -> tuple[list[str], dict[str, Demand]]:
        next(looks)
        return ["broker"], demands

    tending = asyncio.create_task(tend(reserves, begun.put_nowait, print, look, lambda: False, told))
    demands["broker"] = MUCH
    told.set()
    assert (await asyncio.wait_for(begun.get(), 60)).name == "transcode-0"
    assert next(looks) == 1, "nothing else had it look"
    tending.cancel()


async def test_none_begins_and_none_ends_while_an_upgrade_rolls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_INTERVAL", 0.001)
    monkeypatch.setattr(module, "QUIET", 0.0)
    begun: asyncio.Queue[Program] = asyncio.Queue()
    left: asyncio.Queue[str] = asyncio.Queue()
    demands, rolls = {ONE: MUCH}, iter([True, True])
    tending = asyncio.create_task(
        tend(
            [Reserves(in_reserve(), [ONE])],
            begun.put_nowait,
            left.put_nowait,
            lambda: (demands.keys(), demands),
            lambda: next(rolls, False),
            asyncio.Event(),
        )
    )
    async with asyncio.timeout(60):
        assert (await begun.get()).name == TWO
        assert (left.empty(), next(rolls, None)) == (True, None)
        demands[TWO] = NONE
        assert await left.get() == TWO
    assert begun.empty()
    tending.cancel()
