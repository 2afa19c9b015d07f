"""Processes while they run: told of a new configuration once they listen, and killed when they hang."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import cast

import pytest

from camshaft import children as module
from camshaft.children import Children
from camshaft.nursery import Child
from common.demand import Demand, Teller
from common.heard import FIRST_LOOKS, HUNG_LOOKS
from common.onlooker import Condition

PATIENCE = 60.0  # seconds


class Process:
    """A process that runs until it is told to end."""

    pid = 7

    def __init__(self) -> None:
        self.signals: list[signal.Signals] = []
        self.over = asyncio.Event()

    async def wait(self) -> int:
        await self.over.wait()
        return 3

    def send_signal(self, number: signal.Signals) -> None:
        self.signals.append(number)
        if number is signal.SIGKILL:
            self.over.set()


async def begun(
    children: Children, name: str, looks: int = HUNG_LOOKS, *, cpu: int | None = None
) -> tuple[Process, int, asyncio.Task[int]]:
    """A process, our other end of its pulse, and the task that waits for its end."""
    process = Process()
    (hearing, beating), (asked, telling) = os.pipe(), os.pipe()
    ended = asyncio.create_task(children.ended(name, cast(Child, process), hearing, asked, hung_looks=looks, cpu=cpu))
    await asyncio.sleep(0)
    Teller(telling).tell(Demand.SOME)
    os.close(telling)
    return process, beating, ended


async def test_a_process_reads_its_configuration_again_when_it_listens_and_not_before() -> None:
    beats: list[str] = []
    children = Children(beats.append)
    process, beating, ended = await begun(children, "egress-0")
    children.reload(["egress-0", "ingest-0"])
    async with asyncio.timeout(PATIENCE):
        children.hear()
        assert not beats
        os.write(beating, b".")
        children.hear()
        assert beats == ["egress-0"]
        await children.told.wait()
        assert children.demands == {"egress-0": Demand.SOME}
        assert (process.signals, children.process("egress-0")) == ([], None)
        os.write(beating, b".")
        children.hear()
        assert (process.signals, children.process("egress-0")) == ([signal.SIGHUP], 7)
        children.terminate("ingest-0")  # which does not run
        children.signal_all(signal.SIGTERM)
        assert process.signals == [signal.SIGHUP, signal.SIGTERM]
        process.over.set()
        assert await ended == 3
    assert not children.names
    assert not children.demands
    os.close(beating)


async def test_a_process_that_falls_silent_is_killed_after_the_looks_that_are_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LOOK_INTERVAL", 0.001)
    children = Children(lambda _: None)
    relay, relay_beating, ended = await begun(children, "relay", 3)
    other, beating, other_ended = await begun(children, "broker", 10**9)
    async with asyncio.timeout(PATIENCE):
        for pipe in (relay_beating, beating):
            os.write(pipe, b".")
            children.hear()
        watch = asyncio.create_task(children.watch())
        await ended
        await asyncio.sleep(0.05)
        assert (relay.signals, other.signals) == ([signal.SIGKILL], [])
        other.over.set()
        await other_ended
    watch.cancel()
    for pipe in (relay_beating, beating):
        os.close(pipe)


async def test_a_process_that_never_beats_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_INTERVAL", 1 / FIRST_LOOKS)
    children = Children(lambda _: None)
    process, beating, ended = await begun(children, "broker")
    watch = asyncio.create_task(children.watch())
    async with asyncio.timeout(PATIENCE):
        await ended
    assert process.signals == [signal.SIGKILL]
    watch.cancel()
    os.close(beating)


async def test_one_that_gets_no_processor_is_not_killed_for_its_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has kept to a core may look for another then, once."""
    monkeypatch.setattr(module, "LOOK_INTERVAL", 0.001)
    conditions, looked, kept = {7: Condition.WAITS}, asyncio.Event(), list[object]()
    monkeypatch.setattr(module, "keep_to", lambda *kept_to: kept.append(kept_to))
    monkeypatch.setattr(module, "let_go", kept.append)

    class Onlooker:
        def __init__(self, pid: int) -> None:
            self.pid, self.looks = pid, 0

        def look(self, _: float) -> Condition:
            self.looks += 1
            if self.looks > 3 * HUNG_LOOKS:
                looked.set()
            return conditions[self.pid]

    monkeypatch.setattr(module, "Onlooker", Onlooker)
    children = Children(lambda _: None)
    process, beating, ended = await begun(children, "egress-0", cpu=1)
    os.write(beating, b".")
    children.hear()
    assert kept == [(7, 1)]
    watch = asyncio.create_task(children.watch())
    async with asyncio.timeout(PATIENCE):
        await looked.wait()
        assert process.signals == []
        assert kept == [(7, 1), 7]
        conditions[7] = Condition.FREE
        await ended
    assert process.signals == [signal.SIGKILL]
    watch.cancel()
    os.close(beating)
