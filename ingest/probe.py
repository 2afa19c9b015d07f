"""Looks at one camera for a moment and says what it sends: what ``camshaft probe`` shows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

from common.camera_url import RTSP
from common.cameras import CameraSpec, CameraState, Transport
from common.control import TrackStats
from common.errors import CameraError
from common.media import Batch, Kind, Track
from ingest.payload.h264 import H264
from ingest.payload.registry import NothingPlayableError
from ingest.retry import Transports
from ingest.rtsp.auth import Pin
from ingest.rtsp.client import Connection
from ingest.rtsp.networks import Networks
from ingest.rtsp.opening import connected, over_any
from ingest.rtsp.url import RtspUrl
from ingest.sources.demuxed import Demuxed, demuxed
from ingest.sources.muxed import muxed

LISTEN = 2.0  # seconds of media that are looked at, at least
LONG_GROUP = 4.0  # seconds between keyframes from which on a lost packet hurts for long
MAX_HANG_UPS = 3  # at which it is asked once more, in another way
Session = Connection | Demuxed

_POLL = 0.1  # seconds between looks whether enough has come


@dataclass(frozen=True, slots=True)
class TrackProbe:
    """One track as it was seen."""

    track: Track
    width: int = 0  # pixels
    height: int = 0
    frame_rate: float | None = None  # frames a second
    keyframe_interval: float | None = None  # seconds; None: no two keyframes came
    bitrate: int = 0  # bit/s, RTP headers included
    packets: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """A camera as it was seen. ``problems`` are sentences for a person; none of them keeps it from playing."""

    transport: str
    server: str  # what the camera calls itself
    tracks: tuple[TrackProbe, ...]
    problems: tuple[str, ...]


async def probe(spec: CameraSpec, timeout: float = 10.0) -> ProbeResult:  # noqa: ASYNC109  # of the watching alone
    """Connect, log in, and watch for two seconds, or up to ``timeout`` until two keyframes have come.

    Raises ``CameraError`` if the camera cannot be played.
    """
    if spec.scheme not in RTSP:
        return await _watch(partial(demuxed, spec), timeout)
    try:
        url = RtspUrl.parse(spec.url)
    except ValueError as exc:
        raise CameraError(CameraState.INVALID_URL, str(exc)) from None
    transports, pin = Transports.of(spec), Pin()
    open_ = partial(connected, url, spec.tls, networks=Networks(spec.networks), pin=pin)

    async def attempt(transport: Transport) -> ProbeResult:
        while True:
            before = deepcopy(pin)
            over = partial(open_, udp=transport is not Transport.TCP, multicast=transport is Transport.MULTICAST)
            try:
                return await _watch(over, timeout)
            except NothingPlayableError as exc:
                if not exc.muxed:
                    raise
                return await _watch(partial(muxed, partial(over, muxed=True)), timeout)
            except CameraError as exc:
                if exc.state is not CameraState.CLOSED or pin == before or pin.habits.learnt > MAX_HANG_UPS:
                    raise  # else it hung up at what the next attempt goes round

    return await over_any(transports, attempt)


async def _watch(open_: Callable[..., AbstractAsyncContextManager[Session]], longest: float) -> ProbeResult:
    sight = _Sight()
    async with open_(
        epoch=time.time_ns() // 10**6,
        publish=sight.see,
        on_media=sight.begin,
    ) as connection:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + longest
        while not sight.enough(connection) and (sight.began is None or loop.time() < deadline):
            try:
                async with asyncio.timeout(_POLL):
                    await connection.ended()
            except TimeoutError:
                continue
        return sight.result(connection)


class _Sight:
    """The batches and timestamps that were seen of a camera."""

    def __init__(self) -> None:
        self.began: float | None = None  # on the loop's clock
        self._units: list[int] = []  # timestamps of the picture
        self._keyframes: list[int] = []

    def begin(self, _connection: Session) -> None:
        self.began = asyncio.get_running_loop().time()

    def see(self, batches: list[Batch]) -> None:
        for batch in batches:
            if batch.kind == Kind.VIDEO:
                if batch.keyframe:
                    self._keyframes.append(batch.timestamp)
                if batch.unit_end:
                    self._units.append(batch.timestamp)

    @property
    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self.began if self.began is not None else 0.0

    def enough(self, connection: Session) -> bool:
        picture = any(receiver.kind is Kind.VIDEO for receiver in connection.stream.receivers)
        return self._elapsed >= LISTEN and (len(self._keyframes) > 1 or not picture)

    def result(self, connection: Session) -> ProbeResult:
        seen = {receiver.kind: receiver for receiver in connection.stream.receivers}
        tracks = tuple(
            self._track(track, seen[track.kind].stats, seen[track.kind].unpacking.format)
            if track.kind in seen
            else TrackProbe(track)
            for track in connection.tracks
        )
        return ProbeResult(connection.transport, connection.server, tracks, tuple(self._problems(tracks, connection)))

    def _track(self, track: Track, stats: TrackStats, form: object) -> TrackProbe:
        bitrate = round(8 * stats.bytes / self._elapsed) if self._elapsed else 0
        if track.kind is not Kind.VIDEO:
            return TrackProbe(track, bitrate=bitrate, packets=stats.packets, lost=stats.lost)
        sps = form.sps if isinstance(form, H264) else None
        return TrackProbe(
            track,
            track.width,
            track.height,
            _rate(self._units, track.clock_rate) or (sps.frame_rate if sps else None),
            _interval(self._keyframes, track.clock_rate),
            bitrate,
            stats.packets,
            stats.lost,
        )

    def _problems(self, tracks: tuple[TrackProbe, ...], connection: Session) -> list[str]:
        problems = []
        for probed in tracks:
            kind, track = probed.track.kind, probed.track
            converted = f"{track.convert}; it is converted while somebody watches" if track.convert else ""
            problems += [f"{kind}: {text}" for text in (track.problem, track.warning, converted) if text]
            if probed.lost:
                problems.append(f"{kind}: {probed.lost} of {probed.lost + probed.packets} packets were lost")
            if kind is Kind.VIDEO and track.playable:
                problems += _keyframe_problems(probed, len(self._keyframes), self._elapsed)
        if connection.stream.clock.distrusted:
            problems.append(
                "the camera's sender reports carry an impossible time, so sound may be out of sync; set its clock"
            )
        return problems


def _keyframe_problems(probed: TrackProbe, keyframes: int, elapsed: float) -> list[str]:
    advice = "after a loss, viewers wait that long; set a shorter keyframe interval in the camera"
    if not keyframes:
        return [f"video: no keyframe within {elapsed:.0f} s, and nothing can be shown without one"]
    if probed.keyframe_interval is None:
        return [f"video: no second keyframe within {elapsed:.0f} s; {advice}"]
    if probed.keyframe_interval > LONG_GROUP:
        return [f"video: a keyframe only every {probed.keyframe_interval:.1f} s; {advice}"]
    return []


def _interval(timestamps: list[int], clock_rate: int) -> float | None:
    """Seconds from one to the next, on average."""
    if len(timestamps) < 2:
        return None
    return round((timestamps[-1] - timestamps[0]) / clock_rate / (len(timestamps) - 1), 3)


def _rate(timestamps: list[int], clock_rate: int) -> float | None:
    """How many a second."""
    ticks = timestamps[-1] - timestamps[0] if timestamps else 0
    return round((len(timestamps) - 1) * clock_rate / ticks, 2) if ticks else None
