"""The books of several pictures: whoever comes or leaves between them finds all as if each had been entered at once."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from common.media import Batch, Kind, Rendition
from common.worker.incoming import EPOCH_SILENCE, MAX_AGE_NS
from egress import native
from egress.media.feed import Feed
from egress.media.group import Group, Lane
from egress.media.streams import Streams
from egress.wire.ice import Path
from egress.wire.port import MediaSocket, UdpTarget
from egress.wire.profiles import SRTP_AEAD_AES_128_GCM
from egress.wire.srtp import GcmKeys
from tests.fakes.media import audio, video
from tests.fakes.native import PAYLOAD_TYPE, needs_native, stream_socket, unreachable
from tests.fakes.passing import MASTER, SECOND_NS, SOURCES, Bus, Listener, received_by

pytestmark = needs_native

KINDS = tuple(Kind)
VIEWERS = 2
EVENTS = (
    *["picture"] * 12,
    *["sound"] * 8,
    *("keyframe", "gap", "part", "epoch", "old epoch", "stale", "replay", "silence", "pause", "clock", "limit"),
    *("leave", "leave", "join", "join", "thin", "idle", "tap", "full", "missed", "looked at", "forget", "pushed"),
)


class Tap:
    """Takes what a feed takes."""

    def __init__(self) -> None:
        self.taken: list[object] = []

    def take(self, batch: Batch, timestamp: int) -> None:
        self.taken.append((batch._replace(payloads=[*map(bytes, batch.payloads)]), timestamp))

    def forget(self) -> None:
        self.taken.append(None)


class Viewers:
    """A stream with viewers of its picture and sound. ``short`` says whether they may be served by one call."""

    def __init__(self, stack: ExitStack, full: MediaSocket, *, short: bool) -> None:
        self.bus, self.listener, self.tap = Bus(), Listener(), Tap()
        with patch.object(native, "BUILT", short):
            self.streams = Streams(self.bus, sources=SOURCES)  # type: ignore[arg-type]
            self.stream = self.streams.acquire(Rendition("door"))
        media_socket = MediaSocket(socket.AF_INET, "127.0.0.1", 0)
        stack.callback(media_socket.socket.close)
        self.groups = {kind: Group(1 + at, PAYLOAD_TYPE) for at, kind in enumerate(KINDS)}
        self.lanes: dict[tuple[Kind, int], Lane] = {}
        self.live: dict[tuple[Kind, int], Group] = {}
        self.sockets: list[socket.socket] = []
        self.targets: list[UdpTarget] = []
        for at in range(VIEWERS):
            each = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            stack.callback(each.close)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            each.bind(("127.0.0.1", 0))
            each.setblocking(False)
            self.sockets.append(each)
            self.targets.append(UdpTarget(media_socket, Path(each.getsockname())))
            keys = GcmKeys(SRTP_AEAD_AES_128_GCM, MASTER, compiled=True)
            for kind in KINDS:
                self.lanes[kind, at] = Lane(-7 * at, 1 + KINDS.index(kind), keys, unreachable)
                self.join(kind, at)
        self.full = UdpTarget(full, Path(self.sockets[0].getsockname()))

    def feed(self, kind: Kind) -> Feed:
        return self.stream.feeds[kind]

    def join(self, kind: Kind, at: int, *, thin: bool = False, full: bool = False) -> None:
        self.leave(kind, at)
        lane, target = self.lanes[kind, at], self.full if full else self.targets[at]
        self.feed(kind).join(self.listener, lane, self.groups[kind], target, thin=thin)
        self.live[kind, at] = self.groups[kind]

    def leave(self, kind: Kind, at: int) -> None:
        if (group := self.live.pop((kind, at), None)) is not None:
            self.feed(kind).leave(self.lanes[kind, at], group)

    def tapped(self, kind: Kind) -> None:
        taps = self.feed(kind).taps
        (taps.discard if self.tap in taps else taps.add)(self.tap)

    def state(self) -> list[object]:
        """All that anybody may look at."""
        incoming, found = self.stream.incoming, list[object]()
        for kind in KINDS:
            feed = self.feed(kind)
            history, meter, timeline = feed.history, feed.meter, feed.timeline
            found += [history.start, history.end, history.size, history.keyframe, feed.codec, feed.profile]
            found += [history.slice(history.start, history.end), meter.rate, meter.burst, meter.largest]
            found += [feed.pushed_at, timeline.timestamp, timeline.capture_ns, incoming.expects(kind)]
            found += [list(feed.trains), list(feed.pictures)]
        found += [incoming.counters, incoming._least_transit_ns, incoming._received_at, incoming._taken_at]
        found += [incoming._window_at, incoming._pending, incoming._coming, incoming.epoch, self.stream.epoch]
        found += [[(lane.packets, lane.octets) for lane in self.lanes.values()], self.listener.told, self.tap.taken]
        return found


class Both:
    """The same with one call for a picture and without."""

    def __init__(self, stack: ExitStack) -> None:
        stream, _ = stack.enter_context(stream_socket(0))
        self.all = [Viewers(stack, stream, short=short) for short in (True, False)]
        self.now_ns = 1_000_000 * SECOND_NS
        self.skew_ns = 0  # of the clock, which somebody set
        self.epoch, self.frames = 1, 0
        self.due = dict.fromkeys(KINDS, 0)
        self.group: list[Batch] = []

    def give(self, batch: Batch, waited_ns: int = 5_000) -> None:
        came_ns = self.now_ns + self.skew_ns
        batch = batch._replace(arrival_ns=came_ns - waited_ns, capture_ns=came_ns - waited_ns)
        if batch.keyframe:
            self.group.clear()
        self.group.append(batch)
        for each in self.all:
            each.bus.give(batch, self.now_ns / SECOND_NS, came_ns)

    def picture(self, what: str, packets: int, size: int, waited_ns: int) -> None:
        self.frames += 1
        sequence = self.due[Kind.VIDEO] + 5 * (what == "gap")
        epoch = self.epoch - (what == "old epoch")
        batch = video(sequence, self.frames, keyframe=what == "keyframe", packets=packets, size=size, epoch=epoch)
        if what == "part":
            batch = batch._replace(flags=batch.flags & 1)
        if what != "old epoch":
            self.due[Kind.VIDEO] = sequence + packets
        self.give(batch, waited_ns + (3 * MAX_AGE_NS if what == "stale" else 0))

    def sound(self) -> None:
        self.give(audio(self.due[Kind.AUDIO], epoch=self.epoch))
        self.due[Kind.AUDIO] += 1

    def happens(self, what: str, kind: Kind, at: int, packets: int, size: int, waited_ns: int) -> None:
        one, other = self.all
        self.now_ns += SECOND_NS // 50
        now = self.now_ns / SECOND_NS
        match what:
            case "sound":
                self.sound()
            case "picture" | "keyframe" | "gap" | "part" | "old epoch" | "stale":
                self.picture(what, packets, size, waited_ns)
            case "epoch":
                self.epoch, self.due, self.frames = self.epoch + 1, dict.fromkeys(KINDS, 0), 0
                self.picture("keyframe" if at else "picture", packets, size, waited_ns)
            case "silence":
                self.now_ns += int(EPOCH_SILENCE * 2 * SECOND_NS)
                for each in self.all:
                    each.streams.sweep(self.now_ns / SECOND_NS)
                assert not one.stream.books._passed, "nothing more came"
            case "clock":
                self.skew_ns += (at or -1) * packets * SECOND_NS
            case "looked at":
                assert one.state() == other.state()
            case "missed":
                first, second = (each.feed(kind).history for each in self.all)
                assert [first.get(first.end - back) for back in (1, 3, packets)] == [
                    second.get(second.end - back) for back in (1, 3, packets)
                ]
            case "pushed":
                assert one.feed(kind).pushed_at == other.feed(kind).pushed_at
                assert one.stream.incoming.silent_for(now) == other.stream.incoming.silent_for(now)
            case _:
                for each in self.all:
                    self._changes(each, what, kind, at, now, size)

    def _changes(self, each: Viewers, what: str, kind: Kind, at: int, now: float, size: int) -> None:
        feed = each.feed(kind)
        match what:
            case "leave":
                each.leave(kind, at)
            case "join" | "thin" | "full":
                each.join(kind, at, thin=what == "thin", full=what == "full")
            case "idle":
                (feed.discard if each.listener in feed._idle else feed.add)(each.listener)
            case "tap":
                each.tapped(kind)
            case "replay":
                each.stream.incoming.receive_replay(self.group, now=now)
            case "pause":
                feed.pause()
            case "forget":
                each.stream.forget()
            case "limit":
                each.stream.books.settle()  # else what is given up is not the same: of what is not kept yet nothing is
                each.streams.limit(size * 40)


@contextmanager
def both() -> Iterator[Both]:
    with ExitStack() as stack:
        yield Both(stack)


STEPS: Any = st.lists(
    st.tuples(
        st.sampled_from(EVENTS),
        st.sampled_from(KINDS),
        st.integers(0, VIEWERS - 1),
        st.sampled_from([1, 3, 12, 70]),
        st.sampled_from([20, 100, 1_160]),
        st.sampled_from([0, 5_000, 50_000_000]),
    ),
    max_size=40,
)


@settings(max_examples=30)
@given(STEPS)
async def test_whatever_happens_between_pictures_it_is_as_if_each_was_entered_at_once(steps: list[Any]) -> None:
    with both() as pair:
        pair.happens("keyframe", Kind.VIDEO, 0, 3, 100, 0)
        pair.happens("sound", Kind.AUDIO, 0, 3, 100, 0)
        for step in steps:
            pair.happens(*step)
            one, other = ([received_by(each) for each in viewers.sockets] for viewers in pair.all)
            assert one == other
        assert pair.all[0].state() == pair.all[1].state()
