"""Waiting for what tells nobody: another process, a thread, a file, the system. It is asked again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

WITHIN = 20.0  # seconds: more than anything takes that a test waits for
FIRST, LAST, GROWTH = 0.001, 0.1, 1.5  # seconds between two questions, the first and at most, and how they grow

T = TypeVar("T")


async def until(condition: Callable[[], T], within: float = WITHIN) -> T:
    """The first true value of ``condition``, asked for so many seconds at most. Raises ``TimeoutError``."""
    pause = FIRST
    async with asyncio.timeout(within):
        while not (value := condition()):
            await asyncio.sleep(pause)
            pause = min(pause * GROWTH, LAST)
    return value
