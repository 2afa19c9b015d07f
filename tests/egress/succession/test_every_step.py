"""Either of the two is killed, stopped for a while or told to end before each word: no number ever comes twice.

That would be a nonce that does, or a packet that both had sent.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aioice
import pytest

from rigs.waiting import until
from tests.fakes.bus import FakeBroker
from tests.fakes.egress_processes import camera
from tests.fakes.egress_worker import NODE, watch
from tests.fakes.two_processes import PATIENCE, Two

pytestmark = pytest.mark.slow

STEPS = [
    *("Hello", "Prelude", "Ready", "Prelude again", "Ready again", "SessionState", "Ahead", "Ready at last"),
    *("Sockets", "SessionChanges", "Told", "Taken", "Go"),
]
TOLD_AT = ["Hello", "Ready", "Ready again", "SessionState", "Ready at last", "SessionChanges", "Taken", "Go"]
STOPPED_AT = ["Ready", "Ready again", "Ahead", "Told", "Taken", "Go"]
SHORT = 2.0  # seconds for which the two wait for each other where one of them stands still
ENDING = 10.0  # seconds without a word, after which one that was told to end says none any more
ORDERED = "Prelude again"  # the first word after the first process is told to end


class Taps:
    """All datagrams that a viewer got, by what their nonces were made of."""

    def __init__(self) -> None:
        self.media = 0
        self._datagrams: Counter[tuple[str, bytes, int]] = Counter()

    def take(self, datagram: bytes) -> None:
        if not 128 <= datagram[0] < 192:
            return
        if 192 <= datagram[1] < 224:  # RFC 5761 4; RFC 7714 9: the index comes last
            self._datagrams["SRTCP", datagram[4:8], int.from_bytes(datagram[-4:], "big")] += 1
        else:  # fewer than would wrap
            self.media += 1
            self._datagrams["SRTP", datagram[8:12], int.from_bytes(datagram[2:4], "big")] += 1

    def used_twice(self) -> list[tuple[str, bytes, int]]:
        return [key for key, count in self._datagrams.items() if count > 1]

    async def more(self, count: int) -> None:
        wanted = self.media + count
        await until(lambda: self.media >= wanted, PATIENCE)


@pytest.fixture
def taps(monkeypatch: pytest.MonkeyPatch) -> Taps:
    found, recv = Taps(), aioice.Connection.recv

    async def tapped(self: aioice.Connection) -> bytes:
        datagram = await recv(self)
        found.take(datagram)
        return datagram

    monkeypatch.setattr(aioice.Connection, "recv", tapped)
    return found


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[FakeBroker]:
    async with FakeBroker(tmp_path) as made:
        yield made


async def reach(two: Two, step: str) -> None:
    """Get as far as that the word of this step waits to be passed on."""
    name = step.partition(" ")[0]
    two.start_second()
    if STEPS.index(step) >= STEPS.index(ORDERED):
        await two.until(lambda word: word[1] == "Ready")
        two.pass_on()
        await two.says("first", "a successor is ready")
        two.signal("first", signal.SIGTERM)
    await two.until(lambda word: word[1] == name)
    if step == "Ready at last":
        two.pass_on()
        await two.until(lambda word: word[1] == name)


def goes_on(step: str, victim: str, number: signal.Signals) -> bool:
    """Whether the viewer is to get more: what was said decides who has it, and that one has to be left."""
    has = "second" if step == "Go" else "first"  # the last word is on its way, and whoever said it has nothing more
    if number == signal.SIGKILL:
        return victim != has
    ordered = STEPS.index(step) >= STEPS.index(ORDERED)
    return not (number == signal.SIGTERM and victim == "first" == has and ordered)  # a second one leaves no time


CASES = [
    (number, step)
    for number, steps in ((signal.SIGKILL, STEPS), (signal.SIGTERM, TOLD_AT), (signal.SIGSTOP, STOPPED_AT))
    for step in steps
]


@pytest.mark.parametrize(("number", "step"), CASES, ids=[f"{number.name} at {step}" for number, step in CASES])
@pytest.mark.parametrize("victim", ["first", "second"])
async def test_at_no_step_can_a_number_come_twice(
    broker: FakeBroker, tmp_path: Path, taps: Taps, step: str, victim: str, number: signal.Signals
) -> None:
    patience = SHORT if number == signal.SIGSTOP else PATIENCE
    with Two(broker, tmp_path, patience) as two:
        await broker.until(lambda: NODE in broker.reports)
        async with camera(broker):
            peer = await watch(broker)
            await taps.more(20)
            await reach(two, step)
            two.signal(victim, number)
            resting = asyncio.create_task(two.rest(ENDING if number == signal.SIGTERM else PATIENCE))
            if number == signal.SIGSTOP:
                await asyncio.sleep(2 * SHORT)  # longer than the other waits
                two.signal(victim, signal.SIGCONT)
                if STEPS.index(step) < STEPS.index(ORDERED):
                    two.signal("first", signal.SIGTERM)  # or nothing more is said
            if goes_on(step, victim, number):
                await taps.more(50)
            await asyncio.wait_for(resting, PATIENCE)
            await taps.more(50) if goes_on(step, victim, number) else await asyncio.sleep(0.3)
            await peer.close()
        assert taps.used_twice() == []
