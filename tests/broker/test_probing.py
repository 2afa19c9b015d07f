"""Connections are tried when there is a reason, and not all the time."""

import asyncio
from itertools import pairwise

from broker.probing import LOOK_AGAIN, Probing

PATIENCE = 30.0  # seconds


async def test_a_burst_of_breaks_is_one_look_and_what_is_missing_is_looked_at_again() -> None:
    loop = asyncio.get_running_loop()
    looks: list[float] = []
    enough = asyncio.Event()

    def probe() -> bool:
        looks.append(loop.time())
        if len(looks) == 3:
            enough.set()
        return len(looks) < 3

    probing = Probing(probe)
    for _ in range(100):
        probing.soon()
    async with asyncio.timeout(PATIENCE):
        await enough.wait()
    probing.stop()
    assert all(later - before >= LOOK_AGAIN - 0.01 for before, later in pairwise(looks))


async def test_after_its_end_it_does_not_look() -> None:
    looks: list[bool] = []
    probing = Probing(lambda: bool(looks.append(True)))
    probing.soon()
    probing.stop()
    await asyncio.sleep(0.01)
    assert not looks
