"""When another egress begins, and when it ends."""

from __future__ import annotations

import asyncio

import pytest

from camshaft import reserves as module
from camshaft.plan import Program
from camshaft.reserves import PATIENCE, QUIET, Reserves, tend
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


async def test_none_begins_and_none_ends_while_an_upgrade_rolls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_INTERVAL", 0.0)
    monkeypatch.setattr(module, "QUIET", 0.0)
    begun: asyncio.Queue[Program] = asyncio.Queue()
    left: asyncio.Queue[str] = asyncio.Queue()
    demands, rolls = {ONE: MUCH}, iter([True, True])
    tending = asyncio.create_task(
        tend(
            Reserves(in_reserve(), [ONE]),
            begun.put_nowait,
            left.put_nowait,
            lambda: (demands.keys(), demands),
            lambda: next(rolls, False),
        )
    )
    async with asyncio.timeout(60):
        assert (await begun.get()).name == TWO
        assert (left.empty(), next(rolls, None)) == (True, None)
        demands[TWO] = NONE
        assert await left.get() == TWO
    assert begun.empty()
    tending.cancel()
