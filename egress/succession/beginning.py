"""The begin of an egress that may have a predecessor: it waits for that, and has its ports, or own ones."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path

import psutil

from common.config import MediaConfig
from common.errors import AddressInUseError, CamshaftError, ProtocolError
from common.log import get_logger
from common.succession import Word, tell
from egress.media.streams import Streams
from egress.succession.channel import GoneError
from egress.succession.handing import SuccessionError
from egress.succession.resuming import Here, prepared
from egress.succession.states import SessionState
from egress.succession.successor import Successor, Taken
from egress.viewer import Viewer
from egress.wire.ports import Ports

PORTS_WITHIN = 5.0  # seconds for a predecessor that ends by itself to let its ports go
LOOK = 0.05  # seconds between tries

log = get_logger()


class NotNeededError(CamshaftError):
    """A successor is told to end while its predecessor is at work, or that goes on without giving anything."""

    def __str__(self) -> str:
        return "not needed any more"


async def followed(
    heir: Successor, streams: Streams, incarnation: str, stop: asyncio.Event, meeting: Path | None, here: Here
) -> Taken | None:
    """All that the predecessor gives; ``None`` if it ends by itself. The supervisor hears when it can give.

    ``here`` is what sessions get that are told in advance.

    Raises ``NotNeededError`` if ``stop`` comes first, ``SuccessionError`` if the predecessor stops in the middle.
    """
    ready = partial(tell, meeting, Word.READY) if meeting is not None else bool
    following = asyncio.ensure_future(heir.follow(streams, incarnation, ready, partial(_prepared, here)))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((following, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not following.done():
            raise NotNeededError
        return following.result()
    except (GoneError, ProtocolError, TimeoutError) as exc:
        log.warning("nothing was taken over", reason=str(exc) or "no answer")
        raise SuccessionError from None
    finally:
        for task in (following, stopping):
            task.cancel()
        await asyncio.gather(following, stopping, return_exceptions=True)


def _prepared(here: Here, state: SessionState) -> Viewer | None:
    try:
        return prepared(state, here, asyncio.get_running_loop().time())
    except ProtocolError as exc:
        log.warning("a session cannot be taken over", reason=str(exc), camera=state.camera)
        return None


async def opened_ports(media: MediaConfig, taken: Taken | None, *, after: bool, process: int = 0) -> Ports:
    """The ports that were taken, or own ones: ``after`` a predecessor that ends, as soon as it has let them go.

    Where it was that ``process``, which gave nothing, it has to have ended as well: there is one of a name, whatever
    ports there are. Raises ``AddressInUseError``, ``ConfigError``, or ``NotNeededError`` where it goes on.
    """
    if taken is not None:
        return Ports(media, (taken.udp, taken.tcp))
    loop = asyncio.get_running_loop()
    until = loop.time() + PORTS_WITHIN
    while _lives(process):
        if loop.time() > until:
            raise NotNeededError
        await asyncio.sleep(LOOK)
    while True:
        try:
            return Ports(media)
        except AddressInUseError:
            if not after or loop.time() > until:
                raise
        await asyncio.sleep(LOOK)


def _lives(process: int) -> bool:
    """Whether it is there; one that has ended may still wait for its supervisor to see that."""
    try:
        return process not in (0, os.getpid()) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
