"""An egress that passes pictures on by one call, and one that does not, side by side."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from common.media import Batch, Kind, Rendition, decode_frame, encode_batch, live_topic
from common.worker.incoming import Incoming
from egress import native
from egress.media.feed import Feed, Source
from egress.media.group import Group, Lane
from egress.media.streams import Streams
from egress.wire.ice import Path
from egress.wire.port import MediaSocket, UdpTarget
from egress.wire.profiles import SRTP_AEAD_AES_128_GCM
from egress.wire.srtp import GcmKeys
from tests.fakes.native import PAYLOAD_TYPE, unreachable

SECOND_NS = 1_000_000_000
MASTER = os.urandom(SRTP_AEAD_AES_128_GCM.master_size)
SOURCES = {kind: Source(1, 2, 3) for kind in Kind}


class Bus:
    """A subscriber that gives frames of one rendition to whoever subscribed, as ``Subscriber`` does."""

    def __init__(self) -> None:
        self.counters: dict[str, int] = {}
        self.passed = 0  # frames that the shortcut took

    def subscribe(
        self, _rendition: Rendition, incoming: Incoming, passed_on: Callable[[Batch], object], shortcut: Any
    ) -> None:
        self.incoming, self.passed_on, self.shortcut = incoming, passed_on, shortcut

    def request_replay(self, rendition: Rendition) -> None:
        pass

    def give(self, batch: Batch, now: float, unix_ns: int) -> None:
        topic = live_topic("door")
        frame = topic + encode_batch(batch)
        if self.shortcut is not None and self.shortcut(frame, len(topic), now, unix_ns):
            self.passed += 1
            return
        (read,) = decode_frame(frame).batches
        if self.incoming.receive(read, now=now, unix_ns=unix_ns):
            self.passed_on(read)


class Listener:
    """A viewer's end that notes what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def may_start(self, index: int) -> None:
        self.told.append(("may_start", index))

    def fall_behind(self, index: int) -> None:
        self.told.append(("fall_behind", index))

    def slow_down(self, index: int) -> None:
        self.told.append(("slow_down", index))

    def skip_ahead(self, index: int) -> None:
        self.told.append(("skip_ahead", index))

    def format_changed(self) -> None:
        self.told.append(("format_changed", 0))


class Egress:
    """One stream with some live viewers of one kind; ``short`` says whether it takes the shortcut."""

    def __init__(
        self, *, short: bool, viewers: int = 1, extension: int = 0, playout: bytes = b"", kind: Kind = Kind.VIDEO
    ) -> None:
        self.bus, self._kind = Bus(), kind
        with patch.object(native, "BUILT", short):
            self.stream = Streams(self.bus, sources=SOURCES).acquire(Rendition("door"))  # type: ignore[arg-type]
        self.media_socket = MediaSocket(socket.AF_INET, "127.0.0.1", 0)
        self.group = Group(1, PAYLOAD_TYPE, extension, playout, watched=bool(extension))
        self.listener = Listener()
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(viewers)]
        self.lanes = []
        for number, each in enumerate(self.sockets):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            each.bind(("127.0.0.1", 0))
            each.setblocking(False)
            lane = Lane(-7 * number, 1, GcmKeys(SRTP_AEAD_AES_128_GCM, MASTER, compiled=True), unreachable)
            target = UdpTarget(self.media_socket, Path(each.getsockname()))
            self.feed.join(self.listener, lane, self.group, target, thin=False)
            self.lanes.append(lane)

    @property
    def feed(self) -> Feed:
        return self.stream.feeds[self._kind]

    def retarget(self, media_socket: MediaSocket) -> None:
        """Send by another socket from now on."""
        for lane, each in zip(self.lanes, self.sockets, strict=True):
            self.feed.leave(lane, self.group)
            target = UdpTarget(media_socket, Path(each.getsockname()))
            self.feed.join(self.listener, lane, self.group, target, thin=False)

    def received(self) -> list[list[bytes]]:
        return [received_by(each) for each in self.sockets]

    def state(self) -> tuple[object, ...]:
        feed, incoming = self.feed, self.stream.incoming
        history, meter, timeline = feed.history, feed.meter, feed.timeline
        return (
            (history.start, history.end, history.size, history.keyframe, history.slice(history.start, history.end)),
            (meter.rate, meter.burst, meter.largest, feed.pushed_at, timeline.timestamp, timeline.capture_ns),
            (incoming.expects("video"), incoming.expects("audio"), incoming.counters, incoming._least_transit_ns),
            (incoming._received_at, incoming._taken_at, incoming._window_at),
            (self.listener.told, [(lane.packets, lane.octets) for lane in self.lanes]),
        )

    def close(self) -> None:
        for each in (*self.sockets, self.media_socket.socket):
            each.close()


def received_by(each: socket.socket) -> list[bytes]:
    datagrams = []
    with contextlib.suppress(BlockingIOError):
        while True:
            datagrams.append(each.recv(2_048))
    return datagrams


class Both:
    """The same with the shortcut and without."""

    def __init__(self, **options: Any) -> None:
        self.short, self.plain = Egress(short=True, **options), Egress(short=False, **options)
        self.now_ns = 100 * SECOND_NS

    @property
    def passed(self) -> int:
        """Pictures that took the shortcut."""
        return self.short.bus.passed

    def give(self, batch: Batch, waited_ns: int = 5_000, *, look: bool = True) -> None:
        """A batch that was read so long ago; everything is the same afterwards, whether somebody looks now or later."""
        batch = batch._replace(arrival_ns=self.now_ns - waited_ns, capture_ns=self.now_ns - waited_ns)
        for each in (self.short, self.plain):
            each.bus.give(batch, self.now_ns / SECOND_NS, self.now_ns)
        assert self.short.received() == self.plain.received()
        if look:
            assert self.short.state() == self.plain.state()
        self.now_ns += SECOND_NS // 30
