"""A worker's end in good order: it takes nothing new, what it has is handed over, and it ends when nothing is left.

SIGTERM asks for it, or the broker does (``Drain``). Where a successor is ready on the same machine, that gets all of it
at once, and where it is ready only later, as on a machine that has too much to do, then. Until then the broker sees it
in the worker's reports and moves what it can. It lasts until the worker has nothing left, for ``drain.timeout`` at
most, and is over at once where a plain event, or ``Stop.at_once``, says that there is no time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress

from common.log import Logger, get_logger
from common.process import Stop
from common.worker import HandsOver, Worker
from common.worker.link import Link

LOOK_INTERVAL = 0.1  # seconds between looks whether something is left
TOLD_FOR = 0.2  # seconds at least, so that what is on its way here is sent elsewhere: an offer just given to us


async def drained(worker: Worker, link: Link, stop: asyncio.Event, *, within: float) -> None:
    """Wait until the worker is to end, and then until it has nothing left, or ``within`` seconds are over.

    One that cannot be of this cluster has nothing.
    """
    at_once = stop.at_once if isinstance(stop, Stop) else stop
    await first_of(stop, link.drain_ordered, link.hopeless)
    if at_once.is_set() or link.hopeless.is_set():
        return
    log = get_logger(node=link.node)
    handing = worker if isinstance(worker, HandsOver) else None
    if handing is not None and await _handed_over(handing, at_once, log):
        return
    loop = asyncio.get_running_loop()
    began = loop.time()
    link.draining = True
    link.report_soon()
    log.info("draining: taking nothing new, and moving what is here", at_most=within)
    while not at_once.is_set():
        passed = loop.time() - began
        if passed >= within:
            log.warning("drained for as long as drain.timeout allows; ending what is left", after=within)
            return
        if passed >= TOLD_FOR and worker.drained:
            log.info("drained", after=round(passed, 1))
            return
        if handing is not None and handing.has_heir and await _handed_over(handing, at_once, log):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_INTERVAL):
                await at_once.wait()


async def _handed_over(worker: HandsOver, at_once: asyncio.Event, log: Logger) -> bool:
    """Whether its successor has everything."""
    if not await _unless(at_once, worker.hand_over()):
        return False
    log.info("handed over to the successor")
    return True


async def _unless(given_up: asyncio.Event, handing: Coroutine[None, None, bool]) -> bool:
    """Whether it was handed over before there is no time any more."""
    task = asyncio.ensure_future(handing)
    waiting = asyncio.ensure_future(given_up.wait())
    try:
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
        return task.done() and task.result()
    finally:
        task.cancel()
        waiting.cancel()


async def first_of(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
