"""The transcode process: makes renditions of others, as the broker orders, and tells how each of them is.

Everything but the codecs' work happens in callbacks of one event loop; they work in a thread for each core, and on
sound in the loop. Hostile bytes meet a decoder here and nowhere else: if one brings this process down, another takes
over what it made.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from common.cameras import CameraName
from common.clock import unix_ns
from common.config import Config, TranscodeConfig
from common.control import (
    Convert,
    EndConversion,
    Made,
    NodeName,
    Report,
    Role,
    Snapshot,
    SnapshotFailed,
    SnapshotTaken,
    StreamKey,
    ToWorker,
)
from common.log import get_logger
from common.media import (
    Kind,
    Rendition,
    Track,
    as_it_came,
    camera_of,
    converted,
    converted_track,
    first_epoch,
)
from common.memory import GivingBack
from common.payload.assembler import AccessUnit
from common.process import memory_limit
from common.reloader import Reloader
from common.worker.incoming import Incoming, Sink
from common.worker.link import Link
from common.worker.process import Surroundings, run_worker
from common.worker.publisher import Publisher
from common.worker.subscriber import Subscriber
from transcode.conversion import Conversion, Converter, Several
from transcode.encoders import SOFTWARE, Encoder
from transcode.gathering import GATHER, Gathering
from transcode.still import Still, draw
from transcode.trial import choose

DECODED = frozenset({"H264", "H265", "VP8", "VP9", "AV1", "JPEG", "MP4V-ES", "MPV", "H263"})  # codecs of pictures
MAX_STILLS = 16  # that are waited for or drawn at once
KEYFRAME_KEPT = 1.5  # seconds, for stills of other heights
STILL_WITHIN = 5.0  # seconds for a keyframe to come


async def run(config: Config, node: NodeName, stop: asyncio.Event, reloader: Reloader | None = None) -> None:
    """Convert until ``stop`` is set. Raises ``ConfigError`` for a bus that cannot be."""
    await run_worker(Role.TRANSCODE, _opened, config, node, stop, reloader)


@asynccontextmanager
async def _opened(around: Surroundings) -> AsyncIterator[Transcoder]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with (
        memory_limit(around.config.transcode.memory),
        around.publisher() as publisher,
        around.subscriber() as subscriber,
        ThreadPoolExecutor(cores, "codec") as executor,
        ThreadPoolExecutor(1, "still") as drawing,
    ):
        config = around.config.transcode
        encoder, others = await choose(config.encoder)
        get_logger(node=around.link.node).info("encoder chosen", encoder=encoder.label, not_taken=others)
        worker = Transcoder(around.link, subscriber, publisher, executor, drawing, config, cores=cores, encoder=encoder)
        try:
            yield worker
        finally:
            worker.close()


@dataclass(slots=True)
class _Running:
    """A conversion, and what it is of."""

    track: Track  # the source
    conversion: Conversion
    revision: int  # of the camera's stream


class Transcoder:
    """The conversions of this process. Those of one camera share its subscription."""

    def __init__(
        self,
        link: Link,
        subscriber: Subscriber,
        publisher: Publisher,
        executor: Executor,
        drawing: Executor,
        config: TranscodeConfig = TranscodeConfig(),  # noqa: B008  # frozen
        *,
        cores: int = 1,
        encoder: Encoder = SOFTWARE,
    ) -> None:
        self._link = link
        self._subscriber = subscriber
        self._publisher = publisher
        self._executor = executor
        self._gathering = Gathering()
        self._config = config
        self._cores = cores
        self._encoder = encoder
        self._log = get_logger(node=link.node)
        self._counters: Counter[str] = Counter()  # of conversions that are over
        self._running: dict[Rendition, _Running] = {}
        self._sinks: dict[Rendition, dict[str, Several]] = {}  # by the rendition that is subscribed to
        self._stills = 0  # that are being made
        # Those of the last stills by the stream and its revision, and when they came.
        self._keyframes: dict[tuple[CameraName, int], tuple[AccessUnit, float]] = {}
        self._drawing = drawing  # one at a time: conversions come first
        self._memory = GivingBack()  # of pictures, which are megabytes each and lie in each thread's part of it

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set."""
        await stop.wait()

    @property
    def drained(self) -> bool:
        """Whether the broker has taken every conversion from it, or cannot be reached, and no still is drawn."""
        return not self._stills and (not self._running or not self._link.there)

    def close(self) -> None:
        """End every conversion."""
        for rendition in tuple(self._running):
            self._end(rendition)
        self._memory.close()

    def handle(self, message: ToWorker) -> None:
        """Do what the broker says."""
        match message:
            case Convert():
                self._convert(message)
            case EndConversion(rendition):
                self._end(rendition)
            case Snapshot():
                self._take_still(message)
            case StreamKey(rendition, key):
                self._subscriber.learn(rendition, key)

    def report(self, base: Report) -> Report:
        """Complete a report with the conversions."""
        counters = Counter(base.counters) + self._counters + self._publisher.counters + self._subscriber.counters
        for running in self._running.values():
            counters.update(running.conversion.counters)
        full = base.load.cpu > self._config.share * self._cores
        return replace(
            base,
            made=tuple(
                Made(name, each.track, each.conversion.problem, each.revision) for name, each in self._running.items()
            ),
            full=full,
            counters=dict(counters),
        )

    def _convert(self, order: Convert) -> None:
        rendition, track, key, source_key = order.rendition, order.track, order.key, order.source_key
        made, source = converted_track(rendition), as_it_came(camera_of(rendition))
        if made is None or track.kind is not made.kind:
            return
        kind = made.kind
        running = self._running.get(rendition)
        if running is not None and _alike(running.track, track) and running.revision == order.revision:
            running.track = track
            self._publisher.use_key(rendition, key)
            if source_key:
                self._subscriber.learn(source, source_key)
            return
        self._end(rendition)
        self._publisher.use_key(rendition, key)
        conversion = Conversion(
            track,
            made,
            partial(_converter, track, made, self._config.max_height, self._encoder),
            partial(self._publisher.publish, rendition),
            self._executor,
            self._log,
            epoch=first_epoch(order.fence or unix_ns() // 1_000_000),
            gathering=self._gathering if kind is Kind.AUDIO else None,
        )
        self._running[rendition] = _Running(track, conversion, order.revision)
        self._connect(source, kind, conversion, source_key)
        self._log.info("conversion begins", rendition=rendition, of=track.codec, to=made.codec)
        self._link.report_soon()

    def _take_still(self, order: Snapshot) -> None:
        """Have the next keyframe drawn, and answer with that; a cached one comes at once."""
        if order.track.kind is not Kind.VIDEO or order.track.codec not in DECODED:
            self._link.send(SnapshotFailed(order.request, "its picture cannot be decoded"))
            return
        if self._stills >= MAX_STILLS:
            self._link.send(SnapshotFailed(order.request, f"{MAX_STILLS} stills are already being made"))
            return
        source = as_it_came(order.camera)
        self._stills += 1
        loop = asyncio.get_running_loop()

        def draw_it(unit: AccessUnit) -> None:
            work = loop.run_in_executor(self._drawing, draw, unit, order.track.codec, order.height)
            work.add_done_callback(partial(answer, unit.capture_ns))

        def came(unit: AccessUnit) -> None:
            late.cancel()
            self._disconnect(source, Kind.VIDEO, still)
            self._keyframes[order.camera, order.revision] = unit, loop.time()
            draw_it(unit)

        def answer(capture_ns: int, work: asyncio.Future[bytes]) -> None:
            self._stills -= 1
            if work.cancelled():
                return
            self._memory.note()
            if (error := work.exception()) is not None:
                self._counters["stills_failed"] += 1
                self._link.send(SnapshotFailed(order.request, str(error)))
            elif self._link.send(SnapshotTaken(order.request, work.result(), capture_ns / 1e9)):
                self._counters["stills_made"] += 1
            else:
                self._link.send(SnapshotFailed(order.request, "it is too large; ask for a smaller height"))

        def give_up() -> None:
            self._stills -= 1
            self._disconnect(source, Kind.VIDEO, still)
            self._link.send(SnapshotFailed(order.request, f"no keyframe came within {STILL_WITHIN:.0f} s"))

        if (unit := self._keyframe(order, loop.time())) is not None:
            draw_it(unit)
            return
        still = Still(order.track, came)
        late = loop.call_later(STILL_WITHIN, give_up)
        self._connect(source, Kind.VIDEO, still, order.source_key)

    def _keyframe(self, order: Snapshot, now: float) -> AccessUnit | None:
        """The stream's newest keyframe, if it is at hand."""
        for kept, (_, at) in tuple(self._keyframes.items()):
            if now - at > KEYFRAME_KEPT:
                del self._keyframes[kept]
        running = self._running.get(converted(order.camera, Kind.VIDEO))
        if running is not None and _alike(running.track, order.track) and running.revision == order.revision:
            return running.conversion.keyframe
        known = self._keyframes.get((order.camera, order.revision))
        return known[0] if known is not None else None

    def _connect(self, source: Rendition, kind: Kind, sink: Sink, key: bytes) -> None:
        """Give ``sink`` what comes of the source.

        A conversion gets pictures from the cached ones on, so they are subscribed to anew. For a still that would
        disturb what runs already: then it waits for the next keyframe.
        """
        sinks = self._sinks.setdefault(source, {each: Several() for each in Kind})
        begun, flows = any(each.sinks for each in sinks.values()), bool(sinks[kind].sinks)
        sinks[kind].sinks.append(sink)
        self._rest()
        if (begun and kind is Kind.AUDIO) or (flows and isinstance(sink, Still)):
            return
        self._subscriber.unsubscribe(source)
        if key:
            self._subscriber.learn(source, key)
        self._subscriber.subscribe(source, Incoming(sinks, partial(self._subscriber.request_replay, source)))

    def _end(self, rendition: Rendition) -> None:
        running = self._running.pop(rendition, None)
        if running is None:
            return
        running.conversion.close()
        self._memory.note()
        self._counters.update(running.conversion.counters)
        self._disconnect(as_it_came(camera_of(rendition)), running.track.kind, running.conversion)
        self._publisher.forget(rendition)
        self._publisher.use_key(rendition, b"")
        self._log.info("conversion ends", rendition=rendition, units=running.conversion.units)
        self._link.report_soon()

    def _disconnect(self, source: Rendition, kind: Kind, sink: Sink) -> None:
        sinks = self._sinks[source]
        sinks[kind].sinks.remove(sink)
        if not any(each.sinks for each in sinks.values()):
            del self._sinks[source]
            self._subscriber.unsubscribe(source)
        self._rest()

    def _rest(self) -> None:
        """Sound waits for other sound: where there is nothing else, let it wait in the socket."""
        rests = bool(self._sinks) and not any(sinks[Kind.VIDEO].sinks for sinks in self._sinks.values())
        self._subscriber.rest(GATHER if rests else 0.0)
        self._gathering.wait = 0.0 if rests else GATHER


def _alike(one: Track, other: Track) -> bool:
    """Whether what decodes one decodes the other."""
    return (one.codec, one.clock_rate, one.channels) == (other.codec, other.clock_rate, other.channels)


def _converter(track: Track, made: Track, max_height: int, encoder: Encoder) -> Converter:
    # Late: FFmpeg's libraries take 30 MB, and most clusters have nothing to convert.
    if track.kind is Kind.VIDEO:
        from transcode.picture import PictureConverter

        return PictureConverter(track.codec, max_height=max_height, encoder=encoder)
    from transcode.sound import SoundConverter

    return SoundConverter(track, made.codec)
