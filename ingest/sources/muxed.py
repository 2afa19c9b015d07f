"""One session with a camera that sends an MPEG transport or program stream by RTSP (RFC 2250 2), as encoders do.

The session is ours, with all that it knows of cameras; what comes goes into a demuxer's process, and what is in it
comes back as of any source. Neither outlives the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NoReturn, Protocol

from common.cameras import Transport
from common.media import Batch
from ingest.payload.registry import NothingPlayableError
from ingest.sources.demuxed import Demuxed, started_demuxer
from ingest.sources.household import Bounds
from ingest.sources.wire import PIPED, Order

MAX_UNREAD = 4 << 20  # bytes that wait for the demuxer: two seconds of the fastest camera; more are dropped


class Carrier(Protocol):
    """The session that the stream comes by."""

    @property
    def transport(self) -> Transport:
        """The transport of RTP."""

    @property
    def server(self) -> str:
        """The name that the camera gives itself."""

    async def ended(self) -> NoReturn:
        """Wait for the session's failure and raise it: ``CameraError``."""


@asynccontextmanager
async def muxed(
    connect: Callable[..., AbstractAsyncContextManager[Carrier]],
    *,
    epoch: int,
    publish: Callable[[list[Batch]], bool | None],
    on_media: Callable[[Demuxed], None] = lambda _session: None,
    on_up: Callable[[], None] = lambda: None,
    bounds: Bounds | None = None,
) -> AsyncIterator[Muxed]:
    """A session that plays while ``ended`` is waited for, until the block is left. Raises ``CameraError``.

    ``connect`` opens the one that the stream comes by, and is given ``epoch`` and ``publish`` as ``connected`` is.
    """
    bounds = bounds or Bounds()
    order = Order(PIPED, memory=bounds.memory, bitrate=bounds.bitrate)
    async with (
        started_demuxer(Muxed, order, "", epoch, publish, on_media, on_up, bounds) as session,
        connect(epoch=epoch, publish=session.feed) as carrier,
    ):
        await session.begin_by(carrier)
        yield session


class Muxed(Demuxed):
    """See the module's text."""

    _carrier: Carrier

    def feed(self, batches: list[Batch]) -> None:
        """Pass on what has come of the transport stream."""
        pipe = self._process.stdin
        assert pipe is not None
        if pipe.transport.get_write_buffer_size() > MAX_UNREAD:
            self._slowed += 1
        elif not pipe.is_closing():
            pipe.write(b"".join(payload for batch in batches for payload in batch.payloads))

    async def begin_by(self, carrier: Carrier) -> None:
        """Wait until it is known what is in the stream. Raises ``CameraError``."""
        self._carrier, self.transport, self.server = carrier, carrier.transport, carrier.server
        try:
            await self._beside(self.begin())
        except NothingPlayableError as exc:
            exc.muxed = True
            raise

    async def ended(self) -> NoReturn:
        """Play until one of the two ends, and raise why: ``CameraError``."""
        await self._beside(super().ended())
        raise AssertionError("it ends by an error")

    async def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do that while the stream comes."""
        try:
            async with asyncio.TaskGroup() as group:
                carried = group.create_task(self._carrier.ended())
                await work
                carried.cancel()
        except BaseExceptionGroup as errors:  # of which the first is why
            raise errors.exceptions[0] from None
