"""The egress process: offers in, answers out, and the viewers that come of them.

Everything happens in callbacks of one event loop: datagrams, batches, control messages, and two timers for the whole
process, that of ``sweeps`` and that of ``catch_up``. There is no task and no timer per viewer.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from functools import partial
from pathlib import Path

from common.cameras import NOTHING
from common.config import Config
from common.config_limits import LimitsConfig
from common.control import (
    Answered,
    Assign,
    Convert,
    EndConversion,
    Ended,
    HangUp,
    IceNotRestarted,
    IceRestarted,
    Move,
    NodeName,
    Offer,
    Refused,
    Release,
    Report,
    RestartIce,
    Role,
    StreamKey,
    ToWorker,
)
from common.curve import Keys
from common.demand import DEMAND_FD, Demand, Teller
from common.errors import ConfigError, RequestError
from common.handover import Doors
from common.log import LINES_A_MINUTE, Quiet, get_logger
from common.media import Kind, Rendition
from common.memory import Rush, give_back
from common.process import inherited_pipe
from common.reloader import Reloader
from common.sessions import ice_mark
from common.succession import SUCCESSION
from common.worker.link import Link
from common.worker.process import Surroundings, run_worker
from egress import native
from egress.answer import TransportDescription, write_answer
from egress.catch_up import CatchUp
from egress.journal import Journal
from egress.media.stream import Stream
from egress.media.streams import Streams
from egress.mse.door import Door
from egress.mse.tls import TlsDoor
from egress.mse.viewers import MseViewers
from egress.negotiation import renditions_for
from egress.promise import negotiated, promised
from egress.restart import restart
from egress.room import Room
from egress.succession.beginning import NotNeededError, followed, opened_ports
from egress.succession.handing import Handing
from egress.succession.resuming import Here
from egress.succession.successor import Met, meet
from egress.sweeps import SWEEP_INTERVAL, Sweeps, pace
from egress.viewer import Viewer
from egress.viewers import Viewers
from egress.wire.addresses import Advertised, watched
from egress.wire.dtls import Identity
from egress.wire.ports import Ports

log = get_logger()


async def run(config: Config, node: NodeName, stop: asyncio.Event, reloader: Reloader | None = None) -> None:
    """Serve viewers until ``stop`` is set. Raises ``ConfigError`` or ``AddressInUseError`` if that cannot begin.

    Where a process of the same name is at work, and ``serve`` has told both where they meet, this is its successor.
    """
    told = os.environ.pop(SUCCESSION, "")
    meeting = Path(told) if told else None
    after = meeting is not None and meeting.exists()  # somebody was here, and may be gone before it gives anything
    met = await meet(meeting, node) if meeting is not None else Met()
    heir = met.heir
    opened = partial(_opened, compiled=_compiled(config), meeting=meeting, met=met, after=after, stop=stop)
    keys = Keys(heir.prelude.keys[0], b"", *heir.prelude.keys[1:]) if heir is not None and heir.prelude.keys else None
    try:
        await run_worker(Role.EGRESS, opened, config, node, stop, reloader, keys)
    except* NotNeededError:
        log.debug("not needed: told to end before the predecessor has, or that goes on")
    finally:
        if heir is not None:
            heir.end()


@asynccontextmanager
async def _opened(
    around: Surroundings,
    *,
    compiled: bool,
    meeting: Path | None,
    met: Met,
    after: bool,
    stop: asyncio.Event,
) -> AsyncIterator[Egress]:
    media, limits, link, heir = around.config.media, around.config.limits, around.link, met.heir
    # A replay comes to a name, and the predecessor has the node's.
    with around.subscriber(f"{link.node}.{link.incarnation}" if heir is not None else "") as subscriber:
        known = dict(heir.prelude.resolved) if heir is not None else {}
        async with watched(media.advertise, media.listen, known) as addresses:
            streams = Streams(subscriber, limits.cache_bytes, heir.sources if heir is not None else None)
            catch_up = CatchUp()
            cname = heir.prelude.cname if heir is not None else secrets.token_hex(8)
            here = Here(Identity(compiled=compiled), cname, catch_up.add, streams, lambda: addresses.resolved)
            taken = await followed(heir, streams, link.incarnation, stop, meeting, here) if heir is not None else None
            with closing(await opened_ports(media, taken, after=after, process=met.process)) as ports:
                egress = Egress(link, ports, streams, addresses, here, catch_up, limits=limits)
                around.live.on("limits", take=lambda new: egress.limit(new.limits))
                if heir is not None:
                    if taken is not None:
                        await egress.handing.take(heir, taken)
                    heir.close(streams)
                if meeting is not None:
                    egress.handing.open(meeting, around.keys)
                yield egress


def _compiled(config: Config) -> bool:
    """Whether to send by the compiled loop. Raises ``ConfigError`` if that is wanted and cannot be."""
    if config.egress.compiled == "always" and not native.BUILT:
        problem = f"it was not built; install {native.NEEDS}, and Camshaft again"
        raise ConfigError(problem, key="egress.compiled")
    return native.BUILT and config.egress.compiled != "never"


class Egress:
    """All viewers of this process, and what the broker asks for."""

    def __init__(
        self,
        link: Link,
        ports: Ports,
        streams: Streams,
        addresses: Advertised,
        here: Here,
        catch_up: CatchUp,
        *,
        limits: LimitsConfig = LimitsConfig(),  # noqa: B008  # frozen
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._link = link
        self._ports = ports
        self._streams = streams
        self._addresses = addresses
        self._identity, self._cname = here.identity, here.cname
        self._sends = f"compiled, {native.LIBRARY}" if here.identity.compiled else "Python"
        self._transport = partial(_transport, self._identity, ports, addresses)
        self._catch_up = catch_up
        self._quiet = Quiet(log, lines=LINES_A_MINUTE)
        self._journal = Journal(self._quiet)
        self._sweeps = Sweeps(self._sweep)
        self._viewers = Viewers(link, ports, addresses, self._journal, self._sweeps.hurry)
        self._rush = Rush()
        self._teller = Teller(inherited_pipe(DEMAND_FD))
        now = asyncio.get_running_loop().time
        self._mse = MseViewers(
            streams, self._quiet, now, lambda name, why: link.send(Ended(name, why)), self._journal.measure
        )
        self.handing = Handing(link, ports, streams, self._viewers, self._catch_up, here)
        self.hand_over = self.handing.hand_over  # see ``common.worker.HandsOver``
        self._room = Room(limits, self._viewers, self._mse, now=now())
        self._door = Door(self._mse)
        self._tls_door = TlsDoor(self._mse, self._door.counters)
        self._told: frozenset[Rendition] = frozenset()  # renditions, at the last sweep

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set; then say goodbye to every viewer."""
        self._ports.start(self._viewers.mux)
        self._door.open()
        if (tcp := self._ports.tcp) is not None:
            tcp.on_tls = self._tls_door.take
        self._sweeps.begin()
        ports = {"port": self._ports.udp.number, "tcp": "off" if tcp is None else tcp.number}
        log.info("egress ready", node=self._link.node, **ports, addresses=self._addresses.now, send_loop=self._sends)
        try:
            async with self.handing.serving():
                await stop.wait()
        finally:
            self._close()

    def limit(self, limits: LimitsConfig) -> None:
        """Keep to other limits from now on. Nobody who watches is sent away."""
        self._room.limit(limits)
        self._streams.limit(limits.cache_bytes)

    @property
    def drained(self) -> bool:
        """Whether nobody watches."""
        return not self._room.taken

    @property
    def has_heir(self) -> bool:
        """See ``common.worker.HandsOver``."""
        return self.handing.has_heir

    def _close(self) -> None:
        self._sweeps.close()
        self.handing.close()
        self._catch_up.close()
        self._viewers.close()
        self._mse.close()
        self._door.close()
        self._tls_door.close()
        self._quiet.flush()

    def handle(self, message: ToWorker) -> None:
        """Do what the broker says."""
        match message:
            case Offer() if not self.handing.holds(message):
                self._answer(message)
            case StreamKey(rendition, key):
                self._streams.learn(rendition, key)
            case RestartIce():
                self._restart(message)
            case HangUp(session, reason):
                self.handing.held.drop(session)
                if viewer := self._viewers.get(session):
                    self._viewers.remove(viewer, reason or "hung up")
                else:
                    self._mse.hang_up(session, reason or "hung up")
            case Move(session, camera, tracks, convertible):
                self._streams.renew({camera: message.revision})
                self._sweeps.hurry()  # what it makes necessary to convert is reported then
                if self._mse.move(message):
                    self._link.report_soon()
                elif viewer := self._viewers.get(session):
                    renditions = renditions_for(viewer.showing.sections, camera, tracks, convertible)
                    now = asyncio.get_running_loop().time()
                    viewer.showing.move(camera, renditions, now, flooded=viewer.feedback.flooded(now))
            case Assign() | Release() | Convert() | EndConversion():
                self.counters["control_misdirected"] += 1

    def report(self, base: Report) -> Report:
        """Complete a report with everything this process has."""
        now = asyncio.get_running_loop().time()
        viewers, others = self._viewers.reports(now), self._mse.reports(now)
        counters = Counter(base.counters) + self.counters + self._door.counters
        counters.update(self._streams.statistics())
        self._viewers.count(counters, viewers)
        counters.update(self._mse.counters(others))
        self._teller.tell(Demand.of(base.load.cpu, self._room.taken, self._room.limits.egress_viewers))
        self._ports.count(counters)
        return dataclasses.replace(
            base,
            viewers=viewers + others,
            full=self._room.full(now),
            subscribed=tuple(self._streams.renditions),
            counters=dict(counters),
            measured=(self._streams.delay, *self._journal.measured),
        )

    def _answer(self, offer: Offer) -> None:
        try:
            answer, renditions = self._accept(offer)
            self._link.send(Answered(offer.session, answer, renditions))
        except RequestError as exc:
            self.counters["refused"] += 1
            self._quiet.info("viewer refused", camera=offer.camera, code=exc.code, reason=str(exc))
            self._link.send(Refused(offer.session, exc.status, exc.code, exc.message))
        else:
            self._rush.note(asyncio.get_running_loop().time())
            self._sweeps.hurry()
            self._link.report_soon()

    def _restart(self, asked: RestartIce) -> None:
        viewer = self._viewers.get(asked.session)
        try:
            fragment = restart(viewer, asked, self._transport, asyncio.get_running_loop().time())
        except RequestError as exc:
            self._link.send(IceNotRestarted(asked.request, asked.session, exc.status, exc.code, exc.message))
            return
        assert viewer is not None, "without one it is refused"
        self._viewers.restarted(viewer)
        self._link.send(IceRestarted(asked.request, asked.session, ice_mark(asked.session, asked.ufrag), fragment))
        self._link.report_soon()

    def _accept(self, offer: Offer) -> tuple[str, tuple[Rendition, ...]]:
        """Make the viewer; return the answer, and the renditions it promises. Raises ``RequestError``.

        The answer is SDP, or for Media Source Extensions where the connection is to be handed over."""
        if offer.session in self._viewers or offer.session in self._mse:
            raise RequestError(409, "session_exists", "The session has already been answered.")
        if self._link.draining or self.handing.under_way:
            raise RequestError(503, "draining", "This node is ending and takes no more viewers.")
        self._room.check(asyncio.get_running_loop().time())
        self._streams.renew({offer.camera: offer.revision, offer.other: offer.other_revision})
        if offer.takes:
            remote = self._ports.tcp_endpoints(self._addresses.now)
            return str(Doors(self._door.address, remote, self._tls_door.fingerprint)), self._mse.accept(offer)
        camera, agreed = negotiated(offer)
        renditions = promised(agreed, camera, offer.other if camera == offer.camera else offer.camera)
        streams: dict[Kind, Stream] = {}
        try:
            for kind, rendition in renditions.items():
                streams[kind] = self._streams.acquire(rendition)
            viewer = Viewer(
                offer.session,
                camera,
                streams,
                agreed,
                self._identity,
                cname=self._cname,
                on_behind=self._catch_up.add,
                renditions=self._streams,
                declined=offer.camera if camera != offer.camera else NOTHING,
                holder=(offer.principal, offer.expires),
                watched=bool(offer.other) and not offer.fixed,
                now=asyncio.get_running_loop().time(),
                started=time.time(),
            )
            sources = {kind: stream.feeds[kind].source for kind, stream in streams.items()}
            answer = write_answer(agreed, self._transport(viewer), sources, self._cname)
        except BaseException:
            self._streams.release(*streams.values())
            raise
        self._viewers.add(viewer, unheard=self._room.limits.unheard_viewers)
        return answer, tuple(renditions.values())

    def _sweep(self, now: float, due: float) -> float:
        self._room.look(now, due, self._streams.skips)
        if self.handing.paused:
            return SWEEP_INTERVAL
        for offer in self.handing.no_longer_held():
            self._answer(offer)
        self._viewers.sweep(now)
        self._mse.sweep(now)
        self._tls_door.sweep(now)
        self._streams.sweep(now)
        self._ports.sweep(now)
        told, self._told = self._told, frozenset(self._streams.renditions)
        if told != self._told:  # one may have to be converted, which begins when the broker knows
            self._link.report_soon()
        self._quiet.sweep()
        if self._rush.over(now):
            # Joiners' groups of pictures came at once, and what waited for us meanwhile: of a hundred cameras 40 to 80
            # MB stayed for good. Takes 15 to 30 ms then, in a thread; this one waits for it where it allocates.
            with suppress(RuntimeError):  # the system has no memory for a thread
                asyncio.get_running_loop().run_in_executor(None, give_back)
        return pace(self._room.taken, settled=self._viewers.settled and not self._mse)


def _transport(identity: Identity, ports: Ports, addresses: Advertised, viewer: Viewer) -> TransportDescription:
    """Our side of the viewer's transport, by the addresses of now."""
    agent = viewer.reach.agent
    return TransportDescription(
        agent.ufrag,
        agent.password,
        str(identity.fingerprint),
        ports.udp_endpoints(addresses.now),
        ports.tcp_endpoints(addresses.now),
    )
