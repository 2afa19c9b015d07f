"""Reads renditions from the bus: one SUB socket, with two subscriptions per rendition, live and cached pictures.

Publishers on this machine that it has called (``call_neighbours``) send their batches through connections of their own,
without the relay; ``common.worker.ways`` decides when.

If several workers publish the same rendition, the subscriber tells all of them which epoch it takes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from types import TracebackType

import zmq

from common.bus import Channel, connect, open_socket
from common.clock import unix_ns
from common.curve import Keys
from common.endpoints import Endpoints
from common.errors import ProtocolError
from common.log import get_logger
from common.media import (
    MAX_TOPIC,
    Batch,
    Kind,
    Rendition,
    decode_frame,
    live_topic,
    parse_topic,
    replay_topic,
    taken_topic,
)
from common.moments import at_moment
from common.near import AVAILABLE, CALL
from common.seal import StreamSeals
from common.worker.incoming import Incoming
from common.worker.near_door import CERTAIN_AFTER, NearDoor
from common.worker.pipe import Pipe
from common.worker.ways import Ways

KEY_INTERVAL = 1.0  # seconds between two times that a rendition's key is asked for
SILENT_AFTER = 2.0  # seconds without a batch from near by, after which the relay may bring it; looked at once a second
LOOK_INTERVAL = 1.0

log = get_logger()

PassedOn = Callable[[Batch], object]
"""Called with each live batch that was passed on, after it was."""

Shortcut = Callable[[bytes, int, float, int], bool]
"""Called with each frame of a rendition's live batches, where the batch stands in it, the time, and Unix time. Returns
whether it has taken the batch, so that there is nothing left to be done with it."""


class Subscriber:
    """A context manager; while it is open, subscribed renditions arrive.

    ``sealed``: frames count only if the worker that makes the rendition sealed them (``common.seal``); ``key_wanted``
    asks the broker for a rendition's key.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoints: Endpoints,
        keys: Keys | None,
        node: str,
        *,
        sealed: bool = False,
        key_wanted: Callable[[Rendition], object] = lambda _rendition: None,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._node = node
        self._incoming: dict[Rendition, tuple[Incoming, PassedOn]] = {}
        self._shortcuts: dict[bytes, Shortcut] = {}  # by topic
        self._seals: dict[Rendition, StreamSeals] | None = {} if sealed else None
        self._key_wanted = key_wanted
        self._key_wanted_at: dict[Rendition, float] = {}
        self._told: dict[Rendition, bytes] = {}  # topic that tells which epoch is taken
        self._time = asyncio.get_running_loop().time
        self._socket = open_socket(context, zmq.SUB, keys)
        self._endpoint = endpoints.media_out
        self._channel: Channel | None = None
        self._ways: Ways[Pipe] = Ways(self._ask_relay)
        self._may_call = AVAILABLE and keys is None and endpoints.directory is not None
        self._calls = False
        self._door: NearDoor | None = None
        self._pause = 0.0
        self._doubt: asyncio.TimerHandle | None = None  # runs while some publisher has no connection to here
        self._look: asyncio.TimerHandle | None = None

    def __enter__(self) -> Subscriber:
        self._channel = Channel(self._socket, self._receive)
        connect(self._socket, self._endpoint)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._channel is not None
        for timer in (self._doubt, self._look):
            if timer is not None:
                timer.cancel()
        if self._door is not None:
            self._door.close()
        self._channel.close()

    def call_neighbours(self, call: bool) -> None:
        """Call publishers on this machine from now on, or stop: then everything comes through the relay again."""
        if not self._may_call or call == self._calls:
            return
        self._calls = call
        if self._door is None:
            self._door = NearDoor(self._node, self.counters, self._welcome, self._ways.ended)
            self._door.rest(self._pause)
            self._look = at_moment(LOOK_INTERVAL, self._look_for_silence)
        _subscribe_to(self._socket, self._door.call.topic, call)
        if self._doubt is not None:
            self._doubt.cancel()
        self._ways.certain(call)

    def subscribe(
        self,
        rendition: Rendition,
        incoming: Incoming,
        passed_on: PassedOn = lambda _batch: None,
        shortcut: Shortcut | None = None,
    ) -> None:
        """Give ``incoming`` from now on what comes of ``rendition``, and of that to ``shortcut`` first what is live."""
        self._incoming[rendition] = incoming, passed_on
        if shortcut is not None:
            self._shortcuts[live_topic(rendition)] = shortcut
        incoming.tell = partial(self._tell, rendition)
        if self._door is not None:
            self._door.say(_SUBSCRIBE + live_topic(rendition))
        self._ways.begin(live_topic(rendition))
        incoming.start(self._time())

    def unsubscribe(self, rendition: Rendition) -> None:
        """Stop receiving it, and forget its key; it is no error if it was never subscribed to."""
        self._key_wanted_at.pop(rendition, None)
        if self._seals is not None:
            self._seals.pop(rendition, None)
        self._tell(rendition, 0)
        self._shortcuts.pop(live_topic(rendition), None)
        if self._incoming.pop(rendition, None) is not None:
            if self._door is not None:
                self._door.say(_UNSUBSCRIBE + live_topic(rendition))
            self._ways.over(live_topic(rendition))
            _subscribe_to(self._socket, replay_topic(rendition, self._node), False)

    def rest(self, seconds: float) -> None:
        """Receive only once in so many seconds; 0: at once."""
        assert self._channel is not None
        self._channel.rest(seconds)
        self._pause = seconds
        if self._door is not None:
            self._door.rest(seconds)

    def request_replay(self, rendition: Rendition) -> None:
        """Subscribe to the replay topic again: the publisher notices, and answers with the cached pictures."""
        topic = replay_topic(rendition, self._node)
        if self._door is not None:
            self._door.say(_SUBSCRIBE + topic)
        if self._ways.relayed(live_topic(rendition)):
            for wanted in (False, True):
                _subscribe_to(self._socket, topic, wanted)

    def learn(self, rendition: Rendition, key: bytes) -> None:
        """Expect frames sealed with this key from now on. It has no effect if nothing is sealed."""
        if self._seals is None:
            return
        try:
            self._seals.setdefault(rendition, StreamSeals()).learn(key, self._time())
        except ValueError:
            self.counters["control_garbage"] += 1

    def _tell(self, rendition: Rendition, epoch: int) -> None:
        """Tell all that publish it, or will, which epoch is taken; with 0, no longer."""
        if (before := self._told.pop(rendition, None)) is not None:
            self._socket.setsockopt(zmq.UNSUBSCRIBE, before)
        if epoch:
            topic = self._told[rendition] = taken_topic(rendition, epoch)
            self._socket.setsockopt(zmq.SUBSCRIBE, topic)

    def _open(self, frame: bytes, seals: dict[Rendition, StreamSeals]) -> bytes | None:
        """The frame without its seal; ``None``, and counted, if the worker that makes the rendition did not seal it.

        Raises ``ProtocolError`` if it has no topic.
        """
        rendition, _ = parse_topic(frame[: frame.find(b"\0", 0, MAX_TOPIC) + 1])
        now = self._time()
        opener = seals.get(rendition)
        opened = opener.open(frame, now) if opener is not None else None
        if opened is None and rendition in self._incoming:
            self.counters["media_forged"] += 1
            self._incoming[rendition][0].contested()
            if now - self._key_wanted_at.get(rendition, float("-inf")) >= KEY_INTERVAL:
                self._key_wanted_at[rendition] = now
                self._key_wanted(rendition)
        return opened

    def _ask_relay(self, topic: bytes, subscribe: bool) -> None:
        """Take live batches from the relay, or no more: then no start either, as what follows it would be missing."""
        _subscribe_to(self._socket, topic, subscribe)
        if not subscribe:
            _subscribe_to(self._socket, replay_topic(parse_topic(topic)[0], self._node), False)

    def _welcome(self, pipe: Pipe) -> None:
        """Tell a publisher near by what is taken."""
        pipe.on_frame = partial(self._receive, pipe=pipe)
        for rendition, (incoming, _) in self._incoming.items():
            pipe.put(_SUBSCRIBE + live_topic(rendition))
            if incoming.expects(Kind.VIDEO)[1] is None:  # what asked the relay for a start may get none there any more
                pipe.put(_SUBSCRIBE + replay_topic(rendition, self._node))
        pipe.flush()

    def _unreached(self) -> None:
        """Some publisher tells that it has no connection to here: what it publishes comes by the relay alone."""
        if not self._calls:
            return
        if self._doubt is not None:
            self._doubt.cancel()
        self._ways.certain(False)
        self._doubt = asyncio.get_running_loop().call_later(CERTAIN_AFTER, self._ways.certain, True)

    def _look_for_silence(self) -> None:
        now = self._time()
        for rendition, (incoming, _) in self._incoming.items():
            silent = incoming.silent_for(now) > SILENT_AFTER
            (self._ways.silent if silent else self._ways.flows)(live_topic(rendition))
        self._look = at_moment(LOOK_INTERVAL, self._look_for_silence)

    def _receive(self, message: bytes, pipe: Pipe | None = None) -> None:
        """Take a frame that came near by, or from the relay."""
        try:
            frame = message if self._seals is None else self._open(message, self._seals)
            if frame is None:
                return
            at = frame.find(b"\0", 0, MAX_TOPIC) + 1
            topic = frame[:at]
            usual = self._ways.sources.get(topic) is pipe
            if usual:
                shortcut = self._shortcuts.get(topic)
                if shortcut is not None and shortcut(frame, at, self._time(), unix_ns()):
                    return
            if topic == CALL:
                self._unreached()
                return
            rendition, node, batches = decode_frame(frame)
        except ProtocolError as exc:
            self.counters["media_garbage"] += 1
            log.debug("media message dropped", reason=str(exc))
            return
        if rendition not in self._incoming:  # unsubscribed a moment ago
            return
        incoming, _ = self._incoming[rendition]
        if node is not None:
            incoming.receive_replay(batches, now=self._time())
        elif usual:
            self._take(rendition, batches[0])
        else:
            take, expected = partial(self._take, rendition), incoming.expects(batches[0].kind)[1]
            self._ways.come(topic, batches[0], pipe, take, epoch=incoming.epoch, expected=expected, now=self._time())

    def _take(self, rendition: Rendition, batch: Batch) -> bool:
        """Take a live batch. ``True`` if it was passed on."""
        if (found := self._incoming.get(rendition)) is None:  # what came before it was the last that was wanted
            return False
        incoming, passed_on = found
        taken = incoming.receive(batch, now=self._time(), unix_ns=unix_ns())
        if taken:
            passed_on(batch)
        return taken


def _subscribe_to(relay: zmq.Socket[bytes], topic: bytes, subscribe: bool) -> None:
    relay.setsockopt(zmq.SUBSCRIBE if subscribe else zmq.UNSUBSCRIBE, topic)


_SUBSCRIBE, _UNSUBSCRIBE = b"\1", b"\0"  # before a topic, as XPUB sockets read it
