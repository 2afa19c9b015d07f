"""Publishes batches on the bus, and sends each new subscriber the group of pictures that it missed.

The bus consists of one XPUB socket per process, towards the relay, and a connection to each subscriber on this machine
that calls (``common.near``); what it takes there it does not take from the relay. Batches without a subscriber are
cached and not sent: ZeroMQ would drop them, at a higher cost than everything else here. A subscriber asks for the
cached pictures after it has subscribed, so none is missing in between. ZeroMQ drops what a slow or absent broker
cannot take. Nothing here waits.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from types import TracebackType

import zmq

from common.bus import Channel, connect, open_socket
from common.config_limits import LimitsConfig
from common.curve import Keys
from common.endpoints import Endpoints
from common.errors import ProtocolError
from common.media import (
    MAX_TOPIC,
    Batch,
    Kind,
    Rendition,
    encode_batch,
    encode_replay,
    live_topic,
    parse_taken,
    parse_topic,
    replay_topic,
)
from common.near import CALL, Call
from common.seal import Sealer
from common.worker.groups import Groups
from common.worker.neighbours import Neighbour, Neighbours
from common.worker.straight import Books, Straight

_SUBSCRIBE = 1  # first byte of what an XPUB socket receives
MAX_WANTED = 100_000  # renditions of which it is known that somebody wants them; a cluster of 1,000 cameras has a tenth


class Publisher:
    """A context manager; while open, ``publish`` sends and subscriptions are answered.

    The cached groups of all renditions together hold ``cache_bytes``; the largest gives way first.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoints: Endpoints,
        keys: Keys | None,
        cache_bytes: int = LimitsConfig().cache_bytes,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.on_taken: Callable[[Rendition], None] = lambda _rendition: None  # somebody has subscribed to what is live
        self._socket = open_socket(context, zmq.XPUB, keys)
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)  # each worker's subscription, not only the first to a topic
        # A relay that is away takes nothing, and has forgotten what it wanted: nothing is kept for it.
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._loop = asyncio.get_running_loop()  # to ask for it each time is a call to the kernel
        self._endpoint = endpoints.media_in
        self._channel: Channel | None = None
        self._topics: dict[Rendition, bytes] = {}
        self._groups = Groups(cache_bytes, self.counters)
        self._sealers: dict[Rendition, Sealer] = {}
        self._hears_calls = keys is None and endpoints.directory is not None
        self._neighbours = Neighbours(self.counters, self._subscribed, self._cannot_reach, self._end)
        self._unsent: list[bytes] = []  # frames of this turn of the event loop, for the relay …
        self._waiting = 0  # … and how many wait for its end by either way
        self._alone = True  # what was sent last was one frame by itself …
        self._sent_at = float("-inf")  # … and when that was last sent without waiting for the turn's end
        self._taken: set[Rendition] = set()  # by way of the relay
        self._newest: dict[Rendition, int] = {}  # epoch that somebody told he takes
        self._books: dict[Rendition, Books] = {}  # of what goes straight to its only taker

    def __enter__(self) -> Publisher:
        self._channel = Channel(self._socket, self._subscribed)
        connect(self._socket, self._endpoint)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._channel is not None
        self._send()
        self._neighbours.close()
        self._channel.close()

    def publish(self, rendition: Rendition, batches: list[Batch]) -> bool:
        """Send a rendition's new batches, together with what else this turn of the event loop brings.

        Returns whether anybody takes it.
        """
        topic = self._topics.get(rendition)
        if topic is None:
            topic = self._topics[rendition] = live_topic(rendition)
        relayed, near = rendition in self._taken, self._neighbours.takers.get(rendition)
        taken = relayed or near is not None
        begins = taken and not self._waiting
        sealer = self._sealers.get(rendition)
        for batch in batches:
            video = batch.kind == _VIDEO
            if not taken and not video:
                continue
            encoded = encode_batch(batch)
            if video:
                self._groups.keep(rendition, batch, encoded)
            if taken:
                head, rest = (topic, encoded) if sealer is None else (b"", sealer.seal(topic + encoded))
                self._waiting += 1
                if near is not None:
                    self._neighbours.put(near, rest, head)
                if relayed:
                    self._unsent.append(head + rest)
        if begins and self._waiting:
            self._send_soon()
        return taken

    def straight(self, rendition: Rendition, books: Books) -> Straight | None:
        """The way straight to the only one who takes a rendition that is being published, until ``books`` are told that
        it ends; ``None`` if there is no such way."""
        topic, near = self._topics.get(rendition), self._neighbours.takers.get(rendition, ())
        if topic is None or len(near) != 1 or rendition in self._taken or rendition in self._sealers:
            return None
        self._books[rendition] = books
        return Straight(topic, partial(self._send_one, near[0]), partial(self._groups.keep, rendition))

    def taken(self, rendition: Rendition) -> bool:
        """Whether anybody subscribes to its live batches, directly or according to the relay."""
        return rendition in self._taken or rendition in self._neighbours.takers

    def outdated(self, rendition: Rendition, epoch: int) -> bool:
        """Whether somebody has said that it takes another publisher's newer epoch instead."""
        return self._newest.get(rendition, epoch) > epoch

    def limit(self, cache_bytes: int) -> None:
        """Keep so many bytes at most from now on."""
        self._groups.limit(cache_bytes)

    def use_key(self, rendition: Rendition, key: bytes) -> None:
        """Seal the rendition's frames with ``key`` from now on; with an empty one, no longer."""
        self._end(rendition)
        sealer = self._sealers.get(rendition)
        if not key:
            self._sealers.pop(rendition, None)
        elif sealer is None or sealer.key != key:
            self._sealers[rendition] = Sealer(key)

    def forget(self, rendition: Rendition) -> None:
        """Drop the cache of a rendition whose source has ended: its last pictures are useless."""
        self._end(rendition)
        self._topics.pop(rendition, None)
        self._groups.forget(rendition)

    def _end(self, rendition: Rendition) -> None:
        """Have what went straight to its taker entered, and go on by the usual way."""
        if books := self._books.pop(rendition, None):
            books.end()

    def _send_one(self, neighbour: Neighbour, frame: memoryview) -> None:
        """Send a frame, which stands behind its length: ``_send_soon`` says when."""
        now = self._loop.time()
        if self._alone and not self._waiting and now != self._sent_at:
            self._sent_at = now
            neighbour.pipe.send_at_once(frame)
            return
        self._waiting += 1
        self._neighbours.put_whole(neighbour, frame)
        if self._waiting == 1:
            self._loop.call_soon(self._send)

    def _send_soon(self) -> None:
        """Send a frame at once if it is likely to come alone, else with everything else that this turn brings.

        One more turn of the event loop for a single frame costs a system call and the loop's own work, on cold caches.
        If frames came together last time, or two come within one turn, they wait for each other.
        """
        loop = self._loop
        now = loop.time()
        if self._alone and now != self._sent_at:
            self._sent_at = now
            self._send()
        else:
            loop.call_soon(self._send)

    def _send(self) -> None:
        """Send everything that waits, so that it wakes others only once."""
        assert self._channel is not None
        if not self._waiting or self._channel.closed:
            return
        self._alone, self._waiting = self._waiting == 1, 0
        self._neighbours.flush()
        if self._unsent:
            unsent, self._unsent = self._unsent, []
            self._channel.send_all(unsent)

    def _subscribed(self, message: bytes, neighbour: Neighbour | None = None) -> None:
        """Take a message as an XPUB socket gives them, by the relay's way or by a neighbour's."""
        if len(message) > MAX_TOPIC:
            return
        subscribed, topic = message[:1] == bytes((_SUBSCRIBE,)), message[1:]
        try:
            if topic.startswith(CALL) and self._hears_calls:
                (self._neighbours.called if subscribed else self._neighbours.call_over)(Call.parse(topic))
                return
            if told := parse_taken(topic):
                self._told(*told, subscribed)
                return
            rendition, node = parse_topic(topic)
        except ProtocolError:
            self.counters["subscription_garbage"] += 1
            return
        if node is not None:
            if subscribed:
                self._replay(rendition, node, neighbour)
            return
        if neighbour is not None:
            known = self._neighbours.takers
            self._neighbours.take(neighbour, rendition, subscribed and self._has_room(known, rendition))
        else:
            self._end(rendition)
            subscribed = subscribed and self._has_room(self._taken, rendition)
            (self._taken.add if subscribed else self._taken.discard)(rendition)
        if subscribed:
            self.on_taken(rendition)

    def _replay(self, rendition: Rendition, node: str, neighbour: Neighbour | None) -> None:
        """Answer with the cached group of pictures. A neighbour asks by both ways, and is answered by its own."""
        self._end(rendition)
        group = self._groups.of(rendition)
        if not group or (neighbour is None and self._neighbours.takes(node, rendition)):
            return
        assert self._channel is not None
        self._send()  # what is in the group comes before it, and nothing else
        frame = replay_topic(rendition, node) + encode_replay(group.batches)
        sealer = self._sealers.get(rendition)
        (self._channel.send if neighbour is None else neighbour.pipe.send)(
            frame if sealer is None else sealer.seal(frame)
        )
        self.counters["replays"] += 1

    def _cannot_reach(self, call: Call) -> None:
        """Tell a subscriber that calls, by way of the relay, that it has no connection to here."""
        if self._channel is not None and not self._channel.closed:
            self._channel.send(call.topic)

    def _told(self, rendition: Rendition, epoch: int, holds: bool) -> None:
        """Hear which epoch somebody takes, while more than one is published, or that it does not any more."""
        if holds and self._has_room(self._newest, rendition):
            self._newest[rendition] = max(epoch, self._newest.get(rendition, epoch))
        elif not holds and self._newest.get(rendition) == epoch:
            del self._newest[rendition]

    def _has_room(self, known: Collection[Rendition], rendition: Rendition) -> bool:
        """Whether somebody's wish may be kept beside those that are ``known``: always for what is published here, and
        of the rest so many. Whoever is let into the bus could name millions."""
        if rendition in known or rendition in self._topics or len(known) < MAX_WANTED:
            return True
        self.counters["subscription_garbage"] += 1
        return False


_VIDEO = Kind.VIDEO.value
