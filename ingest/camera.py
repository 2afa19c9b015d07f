"""One camera: kept playing whatever happens to it, and what can be said about it.

A camera's task attempts, plays, fails and tries again until it is cancelled. A failure is logged when it is new; the
report shows it all the time.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NoReturn

from common.camera_url import RTSP, refusal
from common.cameras import CameraSpec, CameraState, Transport, redact
from common.config_limits import LimitsConfig, SourcesConfig
from common.control import StreamReport
from common.errors import CameraError
from common.log import Logger
from common.media import Batch, Kind, Rendition, as_it_came, first_epoch
from common.worker.straight import Books, Straight
from ingest.learnt import Memory
from ingest.payload.registry import NothingPlayableError
from ingest.retry import SETTLED_AFTER, Account, Attempts, Logins
from ingest.rtsp.auth import Pin
from ingest.rtsp.client import Connection
from ingest.rtsp.connect import ForbiddenAddressError
from ingest.rtsp.express import no_way
from ingest.rtsp.login import SuspectedLoginError
from ingest.rtsp.networks import Networks, OutsideNetworksError
from ingest.rtsp.opening import connected, over_any
from ingest.rtsp.setup import TransportRefusedError
from ingest.rtsp.silence import NoMediaError
from ingest.rtsp.url import RtspUrl
from ingest.sources.demuxed import Demuxed, demuxed
from ingest.sources.household import Bounds, Household
from ingest.sources.knocking import knock_at
from ingest.sources.muxed import muxed
from ingest.standing import MAX_SHOWN, Standing
from ingest.starts import PROCESSES, PROCESSES_AT_ONCE, Start, Starts

LOGIN_POLL = 0.25  # seconds between looks whether another camera's attempt with the same account is over

Session = Connection | Demuxed


@dataclass(slots=True)
class Shared:
    """The things that all cameras of a process share."""

    publish: Callable[[Rendition, list[Batch]], bool | None]  # False: nobody takes them
    forget: Callable[[Rendition], None]  # a session is over
    changed: Callable[[], None]  # a report should go out soon
    straight: Callable[[Rendition, Books], Straight | None] = lambda _rendition, _books: None  # past ``publish``
    bitrate: int = LimitsConfig().camera_bitrate  # Mbit/s that each may send for long
    sources: SourcesConfig = field(default_factory=SourcesConfig)
    logins: Logins = field(default_factory=Logins)
    starts: Starts = field(default_factory=Starts)
    processes: Starts = field(default_factory=lambda: Starts(PROCESSES_AT_ONCE))  # of those that demux
    household: Household = field(default_factory=Household)
    memory: Memory = field(default_factory=Memory, repr=False)

    @property
    def bounds(self) -> Bounds:
        """The bounds to what a process that demuxes may take."""
        return Bounds(self.bitrate, self.sources.memory, self.sources.memory_together, self.household)


class Camera:
    """``run`` it in a task; ask for its ``report`` at any time.

    ``fence`` is its assignment's number, ``after`` its former self: what it publishes is newer.
    """

    def __init__(
        self, spec: CameraSpec, shared: Shared, log: Logger, *, fence: int = 0, after: Camera | None = None
    ) -> None:
        self.spec = spec
        self.fence = fence
        self._rendition = as_it_came(spec.id)
        self._shared = shared
        self._log = log.bind(camera=spec.id)
        self._attempts = Attempts()
        self._learnt = shared.memory.of(spec)  # it outlives the task, which goes with an on-demand viewer
        self._account: Account | None = None
        self._starts: list[tuple[Starts, Start]] = []  # while it is being connected to
        self._connection: Session | None = None
        self._standing = Standing(spec, fence, self._log, time.time())
        self._counters: Counter[str] = Counter()  # of sessions that are over
        self._epoch = after.epoch if after is not None else 0
        self._sessions = 0  # in which media came
        self._flowing_since: float | None = None  # on the loop's clock
        self._pin = Pin(habits=self._learnt.habits)
        self._redirected_to = ""

    @property
    def report(self) -> StreamReport:
        """The camera as it is now; while it is away, with its tracks as they were."""
        connection = self._connection
        if connection is None:
            return self._standing.report
        state, detail = self._standing.report.state, self._standing.report.detail
        if state is CameraState.PLAYING:
            state, detail = _shown(connection), _hindrance(connection)
        return replace(
            self._standing.report,
            state=state,
            detail=detail,
            transport=connection.transport,
            tracks=connection.tracks,
            stats=tuple(receiver.stats for receiver in connection.stream.receivers),
        )

    @property
    def epoch(self) -> int:
        """The newest that was published under; 0 if none was."""
        return max(self._epoch, self._connection.stream.epoch) if self._connection else self._epoch

    @property
    def counters(self) -> Counter[str]:
        """Counters of data that was of no use, beyond the tracks' own statistics."""
        return self._counters + self._connection.counters if self._connection else self._counters

    def watched(self) -> None:
        """Publish without delay from now on, as somebody watches."""
        if isinstance(self._connection, Connection):
            self._connection.watched()

    async def run(self) -> None:
        """Keep the camera playing until cancelled."""
        while True:
            try:
                delay = await self._attempt()
            except Exception:  # a mistake of ours in the face of one camera must not take the others away
                self._log.exception("unexpected error")
                delay = self._failed(CameraError(CameraState.MALFORMED, "Camshaft itself failed; its log says how"))
            await asyncio.sleep(delay)
            self._standing.trying()

    async def _attempt(self) -> float:
        """Play until that fails. Returns the seconds to wait before the next attempt."""
        loop, logins = asyncio.get_running_loop(), self._shared.logins
        if forbidden := refusal(self.spec.url, self._shared.sources.allow):
            return self._failed(CameraError(CameraState.NOT_ALLOWED, forbidden))
        if self.spec.scheme not in RTSP:
            return await self._attempt_source()
        try:
            url = RtspUrl.parse(self.spec.url)
        except ValueError as exc:
            return self._failed(CameraError(CameraState.INVALID_URL, str(exc)))
        self._account = Account(url.host.lower(), url.port, url.username, url.password) if url.username else None
        while True:
            if self._account and (wait := logins.refusal(self._account, loop.time())):
                detail = f"another camera rejected the same credentials; not trying again for {wait:.0f} s"
                refused = CameraError(CameraState.UNAUTHORIZED, detail)
                return self._failed(refused, wait)
            if not self._account or logins.begin(self._account):
                break
            await asyncio.sleep(LOGIN_POLL)
        try:
            behind = self._attempts.failing
            await _turn(self._shared.starts, (url.host.lower(), url.port), self._starts, behind=behind)
            if self._learnt.muxed:
                await _turn(self._shared.processes, PROCESSES, self._starts, behind=behind)
            await over_any(self._learnt.transports, partial(self._over, url))
        except SuspectedLoginError as exc:
            wait_now = logins.suspected(self._account, loop.time(), hung_up=exc.hung_up) if self._account else None
            named = exc.state is CameraState.CLOSED and wait_now is not None
            return self._failed(CameraError(CameraState.UNAUTHORIZED, exc.detail) if named else exc, wait_now)
        except NothingPlayableError as exc:
            before, self._learnt.muxed = self._learnt.muxed, exc.muxed
            if exc.muxed != before:  # it is asked again in the other way, at once or, if it may go on changing, soon
                return 0.0 if exc.muxed else self._failed(CameraError(CameraState.CLOSED, exc.detail))
            return self._failed(exc)
        except CameraError as exc:
            if self._account and exc.state is CameraState.UNAUTHORIZED:
                return self._failed(exc, logins.refused(self._account, loop.time()))
            return self._failed(exc)
        finally:
            self._started()
            if self._account:
                logins.end(self._account)

    def _started(self) -> None:
        """Let another camera at that host begin, as this one plays or has failed."""
        for line, start in self._starts:
            line.end(start)
        self._starts.clear()

    def _process_up(self) -> None:
        """Let another process begin, as this one's has; what it reads may be a while in coming."""
        for _, start in self._starts:
            self._shared.processes.end(start)

    async def _attempt_source(self) -> float:
        """One attempt at a source that is not RTSP; returns as ``_attempt`` does."""
        open_ = partial(demuxed, self.spec, on_up=self._process_up, bounds=self._shared.bounds)
        try:
            await _turn_of_source(self.spec, self._shared.processes, self._starts, self._attempts)
            await self._session(open_)
        except CameraError as exc:
            self._counters["addresses_refused"] += exc.state is CameraState.NOT_ALLOWED
            return self._failed(exc)
        finally:
            self._started()

    async def _over(self, url: RtspUrl, transport: Transport) -> NoReturn:
        """Play RTSP over one transport. Always ends in a ``CameraError``."""
        open_ = partial(
            connected,
            url,
            self.spec.tls,
            udp=transport is not Transport.TCP,
            multicast=transport is Transport.MULTICAST,
            way=partial(self._shared.straight, self._rendition),
            on_redirect=self._redirected,
            pin=self._pin,
            keepalive=self._learnt.keepalive,
            pace=self._learnt.pace,
            bitrate=self._shared.bitrate,
            networks=Networks(self.spec.networks),
        )
        try:
            await self._session(_as_muxed(open_, self._shared, self._process_up) if self._learnt.muxed else open_)
        except ForbiddenAddressError:
            self._counters["redirects_refused"] += 1
            raise
        except OutsideNetworksError:
            self._counters["addresses_refused"] += 1
            raise
        except (TransportRefusedError, NoMediaError) as exc:
            self._log.debug("transport gives nothing", transport=transport, reason=exc.detail)
            raise

    async def _session(self, open_: Callable[..., AbstractAsyncContextManager[Session]]) -> NoReturn:
        """Play a session. Always ends in a ``CameraError``."""
        self._epoch = max(first_epoch(self.fence or time.time_ns() // 10**6), self._epoch + 1)
        try:
            async with open_(
                epoch=self._epoch,
                publish=partial(self._shared.publish, self._rendition),
                on_media=self._playing,
            ) as self._connection:
                with self._shared.logins.playing(self._account):
                    await self._connection.ended()
        finally:
            self._session_over()

    def _playing(self, connection: Session) -> None:
        """The first packet of a session has come."""
        transport = connection.transport
        self._started()
        self._connection = connection  # it may have come with the answer to PLAY
        self._sessions += 1
        self._flowing_since = asyncio.get_running_loop().time()
        if isinstance(transport, Transport):
            self._learnt.transports.worked(transport)
        self._standing.playing(transport, connection.tracks, self._sessions - 1, time.time())
        self._shared.changed()

    def _redirected(self, url: RtspUrl) -> None:
        """The camera leads elsewhere."""
        self._counters["redirects"] += 1
        log = self._log.debug if self._redirected_to == str(url) else self._log.info
        log("redirected", to=redact(str(url))[:MAX_SHOWN])
        self._redirected_to = str(url)

    def _session_over(self) -> None:
        """A session has ended, or did not come about."""
        self._standing.report, connection = self.report, self._connection
        self._connection = None
        if connection is not None:
            self._epoch = connection.stream.epoch
            self._counters += connection.counters
        self._shared.forget(self._rendition)
        if self._flowing_since is not None:
            if asyncio.get_running_loop().time() - self._flowing_since >= SETTLED_AFTER:
                self._attempts.settled()
            self._flowing_since = None

    def _failed(self, error: CameraError, wait: float | None = None) -> float:
        """Remember and log a failure. Returns the seconds to wait, ``wait`` if it is given."""
        if isinstance(error, NothingPlayableError):  # what it sent before is not there any more
            self._standing.announced(error.tracks)
        delay = self._attempts.failed(error.state) if wait is None else wait
        self._standing.failed(error, delay, time.time())
        self._shared.changed()
        return delay


async def _turn(line: Starts, where: tuple[str, int], begun: list[tuple[Starts, Start]], *, behind: bool) -> None:
    """Wait until it may be connected to. Whoever calls ends what stands in ``begun`` then, also if it is given up."""
    start = line.ask(where, behind=behind)
    begun.append((line, start))
    while True:
        wait = line.wait(start, asyncio.get_running_loop().time())
        if not wait:
            return
        await asyncio.sleep(wait)


async def _turn_of_source(
    spec: CameraSpec, line: Starts, begun: list[tuple[Starts, Start]], attempts: Attempts
) -> None:
    """Wait until a process may be made for a source. One that would wait, or failed, is looked at first."""
    there = await knock_at(spec) if attempts.failing or line.busy(PROCESSES) else True
    await _turn(line, PROCESSES, begun, behind=attempts.failing or not there)


def _as_muxed(
    connect: Callable[..., AbstractAsyncContextManager[Connection]], shared: Shared, on_up: Callable[[], None]
) -> Callable[..., AbstractAsyncContextManager[Session]]:
    """The way to a camera that sends a transport stream."""
    open_ = partial(connect, muxed=True, way=no_way)  # what comes is nothing that anybody takes
    return partial(muxed, open_, on_up=on_up, bounds=shared.bounds)


def _shown(connection: Session) -> CameraState:
    """Whether there is something to see or hear of a session in which media comes."""
    if not any(track.playable for track in connection.tracks):  # what comes is not what was announced
        return CameraState.NO_PLAYABLE_TRACK
    return (
        CameraState.NO_PICTURE
        if any(each.unpacking.unseen for each in connection.stream.receivers)
        else CameraState.PLAYING
    )


def _hindrance(connection: Session) -> str:
    """Why nothing is seen of a camera though its packets come; empty if there is no reason."""
    if connection.stream.garbled.problem:
        return connection.stream.garbled.problem
    receivers = connection.stream.receivers
    for track in connection.tracks:
        if track.problem and (track.kind is Kind.VIDEO or (len(receivers) == 1 and track.kind is receivers[0].kind)):
            return f"{track.kind}: {track.problem}"
    return next((hindrance for receiver in receivers if (hindrance := receiver.unpacking.hindrance)), "")
