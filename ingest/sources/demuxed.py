"""One session with a source that is not RTSP: a demuxer's process, and what ingest makes of what that sends.

It is to a camera's task what an RTSP session is (``ingest.rtsp.client.Connection``): it has tracks and counters, ends
in one ``CameraError``, and no wait is without a bound. A process that hangs, or takes what it may not, is killed.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process, SubprocessStreamProtocol
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import thread_time
from typing import NoReturn, TypeVar

from common.cameras import CameraSpec, CameraState
from common.clock import unix_ns
from common.errors import CameraError, ProtocolError
from common.media import Batch, Track
from ingest.budget import Budget
from ingest.payload.registry import choose
from ingest.rtp.receiver import TrackReceiver
from ingest.rtp.stream import CameraStream
from ingest.sdp import parse
from ingest.sources.household import Bounds
from ingest.sources.reins import Reins
from ingest.sources.wire import FrameKind, Order, PipeFrame, PipeFrames, read_failure

START_TIMEOUT = 25.0  # seconds until a demuxer has connected and looked at what there is
SILENT_AFTER = 20.0  # seconds without a packet: a segment of HLS takes 10
READ_BYTES = 16 << 10  # at once: of the smallest frames they take 4 ms to be cut
BUFFER = 64 << 10  # bytes that are read ahead
TURN_NS = 4_000_000  # for one source before others have their turn …
TURN_FRAMES = 100  # … and frames that it may hand on in it: a picture and what comes beside it
MAX_DESCRIPTION = 64 << 10  # bytes
END_GRACE = 1.0  # seconds for a process to go by itself
# From its start on, which takes most: many at once, or one that costs much to read, take what others leave of a core.
NICENESS = 10  # one that plays needs 2 % of it

Made = TypeVar("Made", bound="Demuxed")

_DEMUXER = f"{__package__}.demuxer"
_ROOT = str(Path(__file__).parents[__name__.count(".")])  # of all that is ours
_GREEDY = (
    "it needs more memory than any other source, and all together need more than they may have "
    "(sources.memory_together)"
)


class Demuxed:
    """See the module's text; made by ``demuxed``."""

    def __init__(
        self,
        process: Process,
        scheme: str,
        *,
        epoch: int,
        publish: Callable[[list[Batch]], bool | None],
        on_media: Callable[[Demuxed], None],
        on_up: Callable[[], None],
        budget: Budget,
        reins: Reins,
    ) -> None:
        self.stream = CameraStream([], udp=False, epoch=epoch)
        self.server = ""
        self.transport: str = scheme
        self._process = process
        self._epoch = epoch
        self._publish, self._on_media, self._on_up, self._budget = publish, on_media, on_up, budget
        self._reins = reins
        self._frames = PipeFrames()
        self._waiting: deque[PipeFrame] = deque()  # read, and not looked at yet
        self._unplayable: list[Track] = []
        self._receivers: dict[int, TrackReceiver] = {}  # by media section
        self._flowing = False
        self._slowed = 0

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The source's tracks as they are known now; at most one of each kind, video first."""
        tracks = [*(receiver.track for receiver in self.stream.receivers), *self._unplayable]
        return tuple(sorted(tracks, key=lambda track: track.kind, reverse=True))

    @property
    def counters(self) -> Counter[str]:
        """Counters of data that was of no use, beyond the tracks' own statistics."""
        return Counter(timestamps_repaired=self.stream.repaired, slowed=self._slowed + self._reins.stopped)

    async def begin(self) -> None:
        """Wait until the demuxer says what there is. Raises ``CameraError``."""
        try:
            async with asyncio.timeout(START_TIMEOUT):
                first = await self._next()
                if first.kind is FrameKind.UP:
                    self._reins.take_up()
                    self._on_up()
                    first = await self._next()
        except TimeoutError:
            raise CameraError(CameraState.SILENT, f"nothing could be read within {START_TIMEOUT:.0f} s") from None
        if first.kind is FrameKind.FAILED:
            raise read_failure(first.body)
        if first.kind is not FrameKind.DESCRIPTION or len(first.body) > MAX_DESCRIPTION:
            raise ProtocolError("the first frame is no description")
        description = parse(first.body)
        choices, self._unplayable = choose(description)
        self.stream = CameraStream(choices, udp=False, epoch=self._epoch)
        sections = [choice.section for choice in choices]
        for number, section in enumerate(description.media):
            at = next((at for at, chosen in enumerate(sections) if chosen is section), None)
            if at is not None:
                self._receivers[number] = self.stream.receivers[at]

    async def ended(self) -> NoReturn:
        """Play until the source ends, and raise why: ``CameraError``."""
        loop = asyncio.get_running_loop()
        while True:
            while self._waiting:
                self._take()
                await asyncio.sleep(0)  # also where more has come: others have their turn
            if wait := self._budget.wait(loop.time(), thread_time()):
                self._slowed += 1
                if complaint := self._budget.complaint(loop.time()):
                    raise CameraError(CameraState.OVER_LIMIT, complaint)
                await asyncio.sleep(wait)
            try:
                async with asyncio.timeout(SILENT_AFTER):
                    self._waiting += await self._read()
            except TimeoutError:
                raise CameraError(CameraState.SILENT, f"nothing came for {SILENT_AFTER:.0f} s") from None

    async def _next(self) -> PipeFrame:
        while not self._waiting:
            self._waiting += await self._read()
        return self._waiting.popleft()

    async def _read(self) -> list[PipeFrame]:
        assert self._process.stdout is not None
        data = await self._process.stdout.read(READ_BYTES)
        if not data:
            code = await self._process.wait()
            if self._reins.greedy:
                raise CameraError(CameraState.OVER_LIMIT, _GREEDY)
            how = f"by signal {-code}" if code < 0 else f"with code {code}"
            raise CameraError(CameraState.CLOSED, f"the process that reads it ended {how}")
        return self._frames.push(data)

    def _take(self) -> None:
        """Take of the frames that wait as many as one turn allows."""
        arrival_ns = unix_ns()
        failure: CameraError | None = None
        size = count = 0
        while self._waiting and count < TURN_FRAMES and unix_ns() - arrival_ns < TURN_NS:
            kind, section, body = self._waiting.popleft()
            count += 1
            receiver = self._receivers.get(section)
            size += len(body)
            if kind is FrameKind.FAILED:
                failure = read_failure(body)
            elif receiver is not None and kind is FrameKind.RTP:
                receiver.receive(body, arrival_ns)
            elif receiver is not None and kind is FrameKind.RTCP:
                receiver.receive_rtcp(body, arrival_ns)
        now_ns = unix_ns()
        batches = self.stream.take(now_ns)
        if batches:
            self._publish(batches)
        self._budget.spend(size, count, len(batches), now_ns - arrival_ns)
        if not self._flowing and any(receiver.packets for receiver in self.stream.receivers):
            self._flowing = True
            self._on_media(self)
        if failure is not None:
            raise failure


@asynccontextmanager
async def demuxed(
    spec: CameraSpec,
    *,
    epoch: int,
    publish: Callable[[list[Batch]], bool | None],
    on_media: Callable[[Demuxed], None] = lambda _session: None,
    on_up: Callable[[], None] = lambda: None,
    bounds: Bounds | None = None,
) -> AsyncIterator[Demuxed]:
    """A session that plays while ``ended`` is waited for, until the block is left. Raises ``CameraError``.

    ``on_up`` is called when its process has begun, which keeps to ``bounds``, the usual ones if there are none.
    """
    bounds = bounds or Bounds()
    order = Order(spec.url, spec.tls, bounds.memory, spec.networks, bounds.bitrate)
    async with started_demuxer(Demuxed, order, spec.scheme, epoch, publish, on_media, on_up, bounds) as session:
        await session.begin()
        yield session


@asynccontextmanager
async def started_demuxer(
    make: type[Made],
    order: Order,
    transport: str,
    epoch: int,
    publish: Callable[[list[Batch]], bool | None],
    on_media: Callable[[Demuxed], None],
    on_up: Callable[[], None],
    bounds: Bounds,
) -> AsyncIterator[Made]:
    """The session of a demuxer's process that has been started, before it has begun. Raises ``CameraError``."""
    pipes, process = await _started(order)
    budget = Budget(order.bitrate, asyncio.get_running_loop().time(), thread_time())
    reins = Reins(process, bounds)
    session = make(
        process, transport, epoch=epoch, publish=publish, on_media=on_media, on_up=on_up, budget=budget, reins=reins
    )
    try:
        yield session
    except ProtocolError as exc:
        raise CameraError(CameraState.MALFORMED, f"the process that reads it makes no sense: {exc}") from None
    finally:
        reins.let_go()
        await _end(pipes, process)


async def _started(order: Order) -> tuple[asyncio.SubprocessTransport, Process]:
    """Without our variables, which hold secrets; the URL goes by standard input, which nobody else reads."""
    environ = {"PYTHONPATH": _ROOT, "PATH": os.defpath, "LANG": "C.UTF-8"}
    command = (sys.executable, "-P", "-m", _DEMUXER)
    loop = asyncio.get_running_loop()
    try:
        transport, protocol = await loop.subprocess_exec(
            lambda: SubprocessStreamProtocol(BUFFER, loop),
            *command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=environ,
        )
    except OSError as exc:  # no memory, too many processes or files: that passes
        raise CameraError(CameraState.CLOSED, f"no process can be started to read it: {exc.strerror}") from None
    process = Process(transport, protocol, loop)
    with suppress(OSError):  # it has ended already
        os.setpriority(os.PRIO_PROCESS, process.pid, min(os.getpriority(os.PRIO_PROCESS, 0) + NICENESS, 19))
    assert process.stdin is not None
    process.stdin.write(bytes(order))
    return transport, process


async def _end(transport: asyncio.SubprocessTransport, process: Process) -> None:
    """Let it hang up, for a moment; then kill it, and forget what it still says."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(END_GRACE):
                await process.wait()
    finally:
        transport.close()
        await process.wait()  # also where there is no time for it: it was killed, and somebody has to see that
