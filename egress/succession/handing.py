"""An egress's part in a succession, from either side: what it has is given, or what another had is taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from common.control import Offer
from common.curve import Keys
from common.errors import CamshaftError, ProtocolError
from common.log import get_logger
from common.media import Kind
from common.worker.link import Link
from egress.catch_up import CatchUp
from egress.media.feed import Source
from egress.media.streams import Streams
from egress.succession.channel import GoneError
from egress.succession.held import HeldOffers
from egress.succession.predecessor import Predecessor
from egress.succession.resuming import Here, begin, complete, discarded, prepared
from egress.succession.states import MAX_NAMES, SessionState
from egress.succession.successor import Session, Successor, Taken
from egress.succession.words import VERSION, Prelude, SourceState
from egress.together import catch_up_together
from egress.viewer import Viewer
from egress.viewers import Viewers
from egress.wire.ice import TcpAddress
from egress.wire.ports import Ports

HANDSHAKES_WITHIN = 1.0  # seconds for those that are under way to be over: they cannot be moved
LOOK = 0.02  # seconds between looks whether they are
TRIES = 2  # successors, one after the other

log = get_logger()


class SuccessionError(CamshaftError):
    """The predecessor stopped in the middle: nothing of it is ours, and its sockets are in use."""

    def __str__(self) -> str:
        return "the process to be replaced stopped in the middle of the handover; this one starts afresh"


class Handing:
    """``here`` is what sessions get that are taken."""

    def __init__(
        self,
        link: Link,
        ports: Ports,
        streams: Streams,
        viewers: Viewers,
        catch_up: CatchUp,
        here: Here,
    ) -> None:
        self.under_way = False  # nothing new is taken …
        self.paused = False  # … and nothing is done with sessions and sockets
        self._link = link
        self._ports, self._streams, self._viewers, self._catch_up = ports, streams, viewers, catch_up
        self._here = here
        self._keys: Keys | None = None  # of the bus, where they are this worker's own
        self._predecessor: Predecessor | None = None
        self.held = HeldOffers()

    def holds(self, offer: Offer) -> bool:
        """Whether an offer is kept, as all is being handed over."""
        return self.under_way and self.held.add(offer, asyncio.get_running_loop().time())

    def no_longer_held(self) -> list[Offer]:
        """The offers that were kept, once nothing has come of handing over."""
        return [] if self.under_way else self.held.take(asyncio.get_running_loop().time())

    def open(self, path: Path, keys: Keys | None) -> None:
        """Let successors come from now on."""
        self._keys = keys if keys and keys.by_token else None
        node = self._link.node
        self._predecessor = Predecessor(path, node, self._about, self._streams, self._ports, self._viewers)
        self._predecessor.open()

    def _about(self) -> Prelude:
        keys, names = self._keys, self._here.resolved()
        return Prelude(
            VERSION,
            self._link.node,
            self._link.incarnation,
            self._here.cname,
            _told(self._streams.sources),
            (keys.server_public, keys.client_public, keys.client_secret) if keys is not None else None,
            resolved=tuple((name, tuple(found[:MAX_NAMES])) for name, found in names.items())[:MAX_NAMES],
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """While open, get successors ready."""
        if self._predecessor is None:
            yield
            return
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(self._predecessor.serve())
            yield
            serving.cancel()

    def close(self) -> None:
        """Let none come any more."""
        if self._predecessor is not None:
            self._predecessor.close()

    @property
    def has_heir(self) -> bool:
        """See ``common.worker.HandsOver``."""
        return self._predecessor is not None and self._predecessor.has_heir

    async def hand_over(self) -> bool:
        """See ``common.worker.HandsOver``. A successor that dies in the middle is followed by another."""
        for _ in range(TRIES):
            if self._predecessor is None or not len(self._viewers) or not await self._predecessor.invite():
                return False
            self.under_way = True
            try:
                await self._let_handshakes_end()
                given = await self._predecessor.give(self)
            except BaseException:
                self.under_way = False
                raise
            self.under_way = given
            if given:
                return True
        return False

    async def _let_handshakes_end(self) -> None:
        """Wait for viewers that are about to be movable, but not for long."""
        loop = asyncio.get_running_loop()
        until = loop.time() + HANDSHAKES_WITHIN
        while loop.time() < until and any(_joins(viewer, loop.time()) for viewer in self._viewers):  # noqa: ASYNC110
            await asyncio.sleep(LOOK)  # a viewer's datagrams have no event

    async def take(self, heir: Successor, taken: Taken) -> None:
        """Go on with what the predecessor gave. Raises ``SuccessionError`` if it has not."""
        now = asyncio.get_running_loop().time()
        try:
            remotes = self._adopt_connections(taken, now)
            made = [self._made(session, now) for session in taken.sessions]
            mine = [each for each in made if each is not None]
            await heir.go(len(mine), (place for place, each in enumerate(made) if each is None))
        except (GoneError, ProtocolError, TimeoutError) as exc:
            log.warning("nothing was taken over", reason=str(exc) or "no answer")
            raise SuccessionError from None
        self._link.succeeds = heir.prelude.incarnation
        places = await heir.places()
        now = asyncio.get_running_loop().time()
        for viewer, state in mine:
            self._viewers.adopt(viewer, now)
            begin(viewer, state, places, now)
        catch_up_together(sender for viewer, _ in mine for sender in viewer.senders.values())
        taken.discard()  # what ended since
        for remote in remotes:
            if not self._viewers.mux.holds(remote):  # of a session that is not ours, or whose socket it was not
                self._ports.hang_up(remote)
        found = sum(place is not None for place in places.values())
        paused = round(asyncio.get_running_loop().time() - taken.since, 3)
        count = {"viewers": len(mine), "tracks": len(places), "found": found}
        log.info("sessions taken over", node=self._link.node, paused=paused, **count)

    def _adopt_connections(self, taken: Taken, now: float) -> list[TcpAddress]:
        """The addresses of connections that are ours now; one that its peer has reset meanwhile is not."""
        remotes = []
        for told, sock in taken.connections:
            remote = TcpAddress(*told.remote)
            try:
                self._ports.adopt(sock, remote, told.read, told.unsent, now)
            except (OSError, ProtocolError) as exc:
                log.info("a viewer's connection is lost", reason=str(exc))
                sock.close()
            else:
                remotes.append(remote)
        return remotes

    def _made(self, session: Session | None, now: float) -> tuple[Viewer, SessionState] | None:
        """A viewer with its state; ``None`` if no viewer can be made of that."""
        if session is None:
            return None
        viewer = session.viewer
        try:
            if viewer is None:
                viewer = prepared(session.state, self._here, now)
            complete(viewer, session.state, self._ports.way, now, session.before)
        except ProtocolError as exc:
            log.warning("a session cannot be taken over", reason=str(exc), camera=session.state.camera)
            if viewer is not None:
                discarded(viewer)
            return None
        return viewer, session.state

    # See ``Giver``.

    def pause(self) -> None:
        """See ``Giver``."""
        self.paused = True
        self._catch_up.close()
        self._ports.pause()

    def unpause(self) -> None:
        """See ``Giver``."""
        self._ports.start(self._viewers.mux)
        self.paused = False

    async def leave(self, successor: str) -> None:
        """See ``Giver``."""
        await self._link.leave(successor)

    def come_back(self) -> None:
        """See ``Giver``."""
        self._link.open()


def _joins(viewer: Viewer, now: float) -> bool:
    """Whether its handshake is under way, or its answer is."""
    return not viewer.senders and (viewer.heard or now - viewer.reach.agent.created < HANDSHAKES_WITHIN)


def _told(sources: Mapping[Kind, Source]) -> tuple[SourceState, SourceState]:
    picture, sound = ((kind, each.ssrc, each.rtx_ssrc, each.origin) for kind, each in sources.items())
    return picture, sound
