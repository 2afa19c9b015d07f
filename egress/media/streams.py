"""The streams of this egress: each is subscribed to while somebody watches it, and a little longer."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from common.cameras import CameraName
from common.clock import unix_ns
from common.config_limits import LimitsConfig
from common.control import Measured
from common.histogram import Histogram, Measure
from common.log import Quiet, get_logger
from common.media import Batch, Kind, Rendition, camera_of, first_epoch
from common.worker.subscriber import Subscriber
from egress import native
from egress.media.feed import Source
from egress.media.history import Histories
from egress.media.stream import Stream

LINGER = 5.0  # seconds a stream is kept after its last viewer: a page that is reloaded starts from the cache
DELAYS_KEPT = 2_000  # batches over which the delay's percentiles are taken

log = get_logger()


class Streams:
    """Viewers acquire streams and release them.

    A viewer may be moved from any stream to any other, so all streams use the same sources.
    """

    def __init__(
        self,
        subscriber: Subscriber,
        cache_bytes: int = LimitsConfig().cache_bytes,
        sources: Mapping[Kind, Source] | None = None,
    ) -> None:
        self._subscriber = subscriber
        self._counters: Counter[str] = Counter()  # of streams that are over
        self._histories = Histories(cache_bytes)
        self.sources = sources or {kind: Source() for kind in Kind}
        self._keys: dict[Rendition, bytes] = {}  # by which frames are opened, where they are sealed
        self._streams: dict[Rendition, Stream] = {}
        self._users: Counter[Rendition] = Counter()
        self._unused_since: dict[Rendition, float] = {}
        self._revisions: dict[CameraName, int] = {}  # of cameras' streams, as the broker last said
        self._delays_ns: deque[int] = deque(maxlen=DELAYS_KEPT)
        self._delay = Histogram(Measure.DELAY)
        self._overloads = 0  # of the streams that there were at the last look
        self.skips = 0  # times that this process was too slow for all viewers of a stream
        self._quiet = Quiet(log)

    def __iter__(self) -> Iterator[Stream]:
        return iter(tuple(self._streams.values()))

    def key(self, rendition: Rendition) -> bytes:
        """The newest key of a rendition's frames; empty where there is none."""
        return self._keys.get(rendition, b"")

    def limit(self, cache_bytes: int) -> None:
        """Keep so many bytes at most from now on."""
        self._histories.limit(cache_bytes)

    @property
    def delay(self) -> Measured:
        """How long batches took from ingest to the last viewer."""
        return self._delay.measured

    @property
    def renditions(self) -> Iterable[Rendition]:
        """All that are subscribed to."""
        return self._streams.keys()

    def acquire(self, rendition: Rendition) -> Stream:
        """The stream of ``rendition``, subscribed to from now on if it was not."""
        self._users[rendition] += 1
        self._unused_since.pop(rendition, None)
        stream = self._streams.get(rendition)
        if stream is None:
            request_replay = partial(self._subscriber.request_replay, rendition)
            later = asyncio.get_running_loop().call_soon
            stream = Stream(rendition, request_replay, later, self._histories, self.sources, self._note_delay)
            self._streams[rendition] = stream
            if key := self.key(rendition):
                self._subscriber.learn(rendition, key)
            shortcut = stream.books.pass_on if native.BUILT else None
            self._subscriber.subscribe(rendition, stream.incoming, partial(self._measure, stream), shortcut)
        return stream

    def revision(self, rendition: Rendition) -> int:
        """The revision of the camera's stream that a rendition is of; 0 where it is not known."""
        return self._revisions.get(camera_of(rendition), 0)

    def renew(self, revisions: Mapping[CameraName, int]) -> None:
        """Streams of cameras are of these revisions; 0 says nothing. Nobody begins with pictures of another one.

        They may be another camera's, which had the name before. What nobody watches is kept no longer, and of what
        somebody watches nothing that a viewer could begin with, before the next keyframe.
        """
        new = {camera for camera, each in revisions.items() if each and each != self._revisions.get(camera)}
        self._revisions |= {camera: revisions[camera] for camera in new}
        for rendition, stream in tuple(self._streams.items()) if new else ():
            if (camera := camera_of(rendition)) not in new:
                continue
            if rendition in self._unused_since:
                self._end(rendition)
            elif stream.epoch < first_epoch(revisions[camera]):  # which is a time, as a fence is, but of the change
                stream.forget()

    def release(self, *streams: Stream) -> None:
        """Count one user less of each stream; one that has none is dropped after a while."""
        for stream in streams:
            self._users[stream.rendition] -= 1
            if not self._users[stream.rendition]:
                del self._users[stream.rendition]
                self._unused_since[stream.rendition] = asyncio.get_running_loop().time()

    def learn(self, rendition: Rendition, key: bytes) -> None:
        """Expect the rendition's frames to be sealed with this key from now on."""
        if rendition not in self._streams:  # if its offer is refused, nobody will ever release it
            self._unused_since.setdefault(rendition, asyncio.get_running_loop().time())
        self._keys[rendition] = key
        self._subscriber.learn(rendition, key)

    def sweep(self, now: float) -> None:
        """Drop streams that nobody has watched for a while, and log if this process is too slow for the others."""
        overloads = sum(stream.overloads for stream in self._streams.values())
        if overloads > self._overloads:
            self.skips += overloads - self._overloads
            self._quiet.warning("too many viewers for this process, skipping pictures: start more egress workers")
        self._overloads = overloads
        self._quiet.sweep()
        for stream in self._streams.values():
            stream.books.look(now)
        for rendition, since in tuple(self._unused_since.items()):
            if now - since > LINGER:
                del self._unused_since[rendition]
                self._end(rendition)
                self._keys.pop(rendition, None)
                if not any(camera_of(each) == camera_of(rendition) for each in self._streams):
                    self._revisions.pop(camera_of(rendition), None)

    def statistics(self) -> dict[str, int]:
        """Counters of all streams, present and past, and the delay from ingest to egress in microseconds."""
        total = self._counters + self._histories.counters + self._subscriber.counters
        for stream in self._streams.values():
            total.update(stream.statistics)
        if delays := sorted(self._delays_ns):
            total["delay_p50_us"] = delays[len(delays) // 2] // 1_000
            total["delay_p99_us"] = delays[len(delays) * 99 // 100] // 1_000
        return dict(total)

    def _end(self, rendition: Rendition) -> None:
        self._subscriber.unsubscribe(rendition)
        if (stream := self._streams.pop(rendition, None)) is not None:
            self._counters.update(stream.statistics)

    def _measure(self, stream: Stream, batch: Batch) -> None:
        """Record the age of a batch when it has been sent to the last viewer."""
        outbox = stream.feeds[batch.kind].outbox
        if outbox.empty:
            self._sent(batch.arrival_ns)
        else:
            outbox.when_empty(partial(self._sent, batch.arrival_ns))

    def _sent(self, arrival_ns: int) -> None:
        self._note_delay(unix_ns() - arrival_ns)

    def _note_delay(self, nanoseconds: int) -> None:
        self._delays_ns.append(nanoseconds)
        self._delay.add(nanoseconds / 1e9)
