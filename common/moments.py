"""Moments at which whatever is done again and again is done, the same ones in all processes of a machine.

What wakes a process that rests has to come from memory first: a look that takes 20 µs when another has just been takes
200 otherwise. So looks are not spread over a second, each in its own moment, but come together, in one process and in
all: what they run of the interpreter and of the kernel is in the processor's caches by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

EARLY = 0.1  # of an interval that lies between two looks at least: a timer may be a millisecond early


def moment(now: float, interval: float) -> float:
    """The next moment for what is done every ``interval`` seconds, 0.1 to 1.1 of it from ``now``.

    Both moments are of the loop's clock, which on Linux all processes of the machine share.
    """
    return ((now / interval + EARLY) // 1 + 1) * interval


def at_moment(interval: float, call: Callable[[], object]) -> asyncio.TimerHandle:
    """Have the running loop ``call`` at the next moment of ``interval``."""
    loop = asyncio.get_running_loop()
    return loop.call_at(moment(loop.time(), interval), call)


async def waited(interval: float, event: asyncio.Event) -> bool:
    """Wait for ``event``, until the next moment of ``interval`` at most. Whether it is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout_at(moment(asyncio.get_running_loop().time(), interval)):
            await event.wait()
    return event.is_set()
