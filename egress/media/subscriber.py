"""The streams of this egress: one SUB socket, one subscription a stream that somebody watches."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable

import zmq

from common.bus import Channel, Endpoints, Keys, open_socket
from common.clock import unix_ns
from common.config import LimitsConfig
from common.errors import ProtocolError
from common.log import get_logger
from common.media import Rendition, decode_frame, live_topic, parse_topic, replay_topic
from common.seal import StreamSeals
from egress.media.history import Histories
from egress.media.stream import Stream

LINGER = 5.0  # seconds a stream is kept after its last viewer: a page that is reloaded starts from the cache
KEY_INTERVAL = 1.0  # seconds between two times that a rendition's key is asked for
WARN_INTERVAL = 60.0  # seconds between two lines that say the same
DELAYS_KEPT = 2_000  # batches over which the delay's percentiles are taken

log = get_logger()


class Subscriber:
    """Owns the streams; viewers hold them by ``acquire`` and give them back by ``release``.

    ``sealed``: frames count only if the worker that makes the rendition sealed them (``common.seal``).
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoints: Endpoints,
        keys: Keys | None,
        node: str,
        cache_bytes: int = LimitsConfig().cache_bytes,
        *,
        sealed: bool = False,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._node = node
        self._histories = Histories(cache_bytes)
        self._streams: dict[Rendition, Stream] = {}
        self._users: Counter[Rendition] = Counter()
        self._unused_since: dict[Rendition, float] = {}
        self._delays_ns: deque[int] = deque(maxlen=DELAYS_KEPT)
        self._seals: dict[Rendition, StreamSeals] | None = {} if sealed else None
        self._key_wanted_at: dict[Rendition, float] = {}
        self._socket = open_socket(context, zmq.SUB, keys)
        self._socket.connect(endpoints.media_out)
        self._channel: Channel | None = None
        self._overloads = 0  # at the last look
        self._warned_at = float("-inf")

    def start(self, *, key_wanted: Callable[[Rendition], object] = lambda _rendition: None) -> None:
        """Read from now on. ``key_wanted`` asks the broker for a rendition's key."""
        self._key_wanted = key_wanted
        self._time = asyncio.get_running_loop().time
        self._channel = Channel(self._socket, self._receive)

    def close(self) -> None:
        """Close the socket."""
        if self._channel is not None:
            self._channel.close()
        else:
            self._socket.close(linger=0)

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
            later = asyncio.get_running_loop().call_soon
            stream = self._streams[rendition] = Stream(
                rendition, lambda: self._request_replay(rendition), later, self._histories
            )
            self._socket.setsockopt(zmq.SUBSCRIBE, live_topic(rendition))
            stream.start(asyncio.get_running_loop().time())
        return stream

    def release(self, stream: Stream) -> None:
        """One user less."""
        self._users[stream.rendition] -= 1
        if not self._users[stream.rendition]:
            del self._users[stream.rendition]
            self._unused_since[stream.rendition] = asyncio.get_running_loop().time()

    def learn(self, rendition: Rendition, key: bytes) -> None:
        """The rendition's frames are sealed with this key from now on. Where nothing is sealed it does not matter."""
        if self._seals is None:
            return
        now = asyncio.get_running_loop().time()
        if rendition not in self._streams:  # if its offer is refused, nobody will ever release it
            self._unused_since.setdefault(rendition, now)
        try:
            self._seals.setdefault(rendition, StreamSeals()).learn(key, now)
        except ValueError:
            self.counters["control_garbage"] += 1

    def sweep(self, now: float) -> None:
        """Drop streams that nobody has watched for a while, and say so when this process is too slow for the others."""
        overloads = sum(feed.overloads for stream in self._streams.values() for feed in stream.feeds.values())
        if overloads > self._overloads and now - self._warned_at > WARN_INTERVAL:
            self._warned_at = now
            log.warning("too many viewers for this process, pictures are skipped: start more egress workers")
        self._overloads = overloads
        for rendition, since in tuple(self._unused_since.items()):
            if now - since > LINGER:
                del self._unused_since[rendition]
                self._key_wanted_at.pop(rendition, None)
                if self._seals is not None:
                    self._seals.pop(rendition, None)
                if (stream := self._streams.pop(rendition, None)) is None:
                    continue
                self.counters.update(stream.statistics)
                for topic in (live_topic(rendition), replay_topic(rendition, self._node)):
                    self._socket.setsockopt(zmq.UNSUBSCRIBE, topic)

    def statistics(self) -> dict[str, int]:
        """Counters of all streams, present and past, and the delay from ingest to egress in microseconds."""
        total = self.counters + self._histories.counters
        for stream in self._streams.values():
            total.update(stream.statistics)
        if delays := sorted(self._delays_ns):
            total["delay_p50_us"] = delays[len(delays) // 2] // 1_000
            total["delay_p99_us"] = delays[len(delays) * 99 // 100] // 1_000
        return dict(total)

    def _request_replay(self, rendition: Rendition) -> None:
        """Subscribe anew to the stream's replay topic: ingest sees that, and answers with the cached pictures."""
        topic = replay_topic(rendition, self._node)
        self._socket.setsockopt(zmq.UNSUBSCRIBE, topic)
        self._socket.setsockopt(zmq.SUBSCRIBE, topic)

    def _open(self, frame: bytes, seals: dict[Rendition, StreamSeals]) -> bytes | None:
        """The frame without its seal; ``None``, and counted, if the worker that makes the rendition did not seal it.

        Raises ``ProtocolError`` if it has no topic.
        """
        rendition, _ = parse_topic(frame[: frame.find(b"\0", 0, 256) + 1])
        now = self._time()
        opener = seals.get(rendition)
        opened = opener.open(frame, now) if opener is not None else None
        if opened is None and rendition in self._streams:
            self.counters["media_forged"] += 1
            if now - self._key_wanted_at.get(rendition, float("-inf")) >= KEY_INTERVAL:
                self._key_wanted_at[rendition] = now
                self._key_wanted(rendition)
        return opened

    def _receive(self, message: bytes) -> None:
        try:
            frame = message if self._seals is None else self._open(message, self._seals)
            if frame is None:
                return
            rendition, node, batches = decode_frame(frame)
        except ProtocolError as exc:
            self.counters["media_garbage"] += 1
            log.debug("media message dropped", reason=str(exc))
            return
        stream = self._streams.get(rendition)
        if stream is None:  # unsubscribed a moment ago
            return
        now = self._time()
        if node is not None:
            stream.receive_replay(batches, now=now)
        elif stream.receive(batch := batches[0], now=now, unix_ns=unix_ns()):
            stream.feeds[batch.kind].outbox.when_empty(lambda: self._delays_ns.append(unix_ns() - batch.arrival_ns))
