"""Publishes what the reads of one session's sockets brought, as soon as it is whole or has waited for long enough."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from common.clock import unix_ns
from common.media import Batch
from ingest.rtsp.express import Express
from ingest.rtsp.media import SessionMedia
from ingest.rtsp.turns import Turns

WARM_UP = 5.0  # seconds from the first packet on in which no camera rests: TCP's window has still to grow


class Publishing:
    """One session's publishing. ``on_media`` is called once, with the first packet of something that can be played."""

    def __init__(
        self,
        media: SessionMedia,
        turns: Turns,
        publish: Callable[[list[Batch]], bool | None],
        on_media: Callable[[], None],
        express: Express,
    ) -> None:
        self.unwatched = False  # nobody takes what is published
        self._media, self._turns, self._publish, self._on_media = media, turns, publish, on_media
        self._express = express
        self._flowing = False
        self._rests_from = 0.0  # on the loop's clock; counts while it flows
        self._loop = asyncio.get_running_loop()
        self._expiry: asyncio.TimerHandle | None = None

    @property
    def may_rest(self) -> bool:
        """Whether nobody waits for what comes next: nobody takes it, and of what has come nothing awaits its rest."""
        return (
            self.unwatched
            and self._expiry is None
            and not self._media.stream.begun
            and self._flowing
            and self._loop.time() >= self._rests_from
        )

    def begin_express(self, arrival_ns: int) -> None:
        """Have what comes next taken by the express way, if somebody takes it and nothing that came awaits its rest."""
        steady = self._flowing and self._expiry is None and not (self.unwatched or self._media.nothing_playable)
        if steady and not self._turns.watched:
            self._express.begin(arrival_ns)

    def rest(self) -> None:
        """Read less often until somebody watches, if that may be."""
        if self.may_rest:
            self._turns.rest()

    def watched(self) -> None:
        """Publish without delay from now on, as somebody watches."""
        if self.unwatched:
            self.unwatched = False
            self._media.stream.read_as_it_comes(True)
            self._turns.wake()

    def flush(self, arrival_ns: int, size: int, packets: int, *, whole: bool = False) -> None:
        """Publish what is ready to be. So many bytes and packets came at that time.

        ``whole``: they are nothing but whole pictures, so that nothing more waits for its rest than did before.
        """
        media, now_ns = self._media, unix_ns()
        stream = media.stream
        batches = stream.take(now_ns)
        if batches:
            unwatched = self._publish(batches) is False
            if unwatched is not self.unwatched:
                self.unwatched = unwatched
                stream.read_as_it_comes(not unwatched)
        self._turns.spend(size, packets, len(batches), now_ns - arrival_ns)
        if batches:
            media.nothing_playable = None
        if not self._flowing and not media.nothing_playable and any(each.packets for each in stream.receivers):
            self._flowing = True
            self._rests_from = self._loop.time() + WARM_UP
            self._on_media()
        if not whole and self._expiry is None and (deadline_ns := stream.deadline_ns) is not None:
            # uvloop counts in milliseconds: less than one would call again and again until the time has come.
            self._expiry = self._loop.call_later(max(deadline_ns - now_ns, 1_000_000) / 1e9, self._expire)
        if whole and not (self._express.begun or self._express.vain):
            self.begin_express(arrival_ns)

    def close(self) -> None:
        """Publish nothing any more that waits."""
        self._express.end()
        self.unwatched = False
        if self._expiry is not None:
            self._expiry.cancel()

    def _expire(self) -> None:
        self._expiry = None
        self._express.end()
        now_ns = unix_ns()
        self._media.stream.expire(now_ns)
        self.flush(now_ns, 0, 0)
