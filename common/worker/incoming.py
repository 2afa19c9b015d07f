"""One rendition as it arrives from the bus: order, gaps, epochs; pure.

Batches of one epoch and track are numbered without gaps. A gap therefore means that the bus dropped something: the
publisher's queue was full, or the relay was away. The cached group of pictures is then requested again. If that
covers the gap, nobody notices; if not, video continues at the next keyframe. Part of a picture is never passed on as
if it were the whole.

A newer epoch replaces an older one: the camera's session has restarted, or another worker has the camera now. It does
so at its first keyframe while the older one flows, and otherwise at once. So a camera that moves from one worker to
another, and is pulled by both for a while, continues without a gap, including its sound. An older epoch comes from a
worker that does not know yet that it has been replaced; it counts again only if the newer one goes silent. Publishers
of other epochs are told which one is taken (``tell``), because the broker may not be able to reach them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from common.media import MAX_GOP_BYTES, Batch, Kind

MAX_AGE = 2.0  # seconds: a batch that waited longer in queues is no live picture any more
MAX_AGE_NS = int(MAX_AGE * 1e9)
MAX_COMING = 64  # batches kept of a newer epoch while its cached pictures are on their way: some 2 s
MAX_PENDING = 512  # batches kept while the cached group of pictures is on its way …
MAX_PENDING_BYTES = MAX_GOP_BYTES  # … and bytes of them
REPLAY_INTERVAL = 1.0  # seconds between requests for it
MAX_REPLAYS = 4  # taken in that time: one for each request, and what a worker still sends that was replaced
TRANSIT_WINDOW = 5.0  # seconds over which the fastest way is remembered, once or twice: clocks are set, and drift
FLOWS = 1.0  # seconds since its newest batch for which an epoch is not left before a newer one has a keyframe
EPOCH_SILENCE = 2.0  # seconds of silence after which an older epoch may take over, and numbers that were passed
MOST_WAIT = 30.0  # seconds: no queue holds a batch for longer, so one that seems so late tells that a clock was set


class Sink(Protocol):
    """Takes the batches of one track, in order; after a gap, the next one is a batch to start with."""

    def push(self, batch: Batch, now: float) -> None:
        """Take the next batch."""

    def pause(self) -> None:
        """Expect the next batches late and all at once: they are a cached group of pictures."""


class Books(Protocol):
    """Keeps note of what was passed on without ``receive``, and is not entered yet (``egress.media.books``)."""

    def settle(self) -> None:
        """Enter it, as somebody looks at what is remembered."""

    def end(self, kind: str | None = None) -> None:
        """Enter it, and ask again for what is due of that kind, or of any."""

    def newest(self, kind: str | None = None) -> float | None:
        """Monotonic time of the newest of that kind, or of any, that is not entered; ``None`` if there is none."""


class NoBooks:
    """Where all is entered at once."""

    def settle(self) -> None:
        """Do nothing: nothing waits."""

    def end(self, kind: str | None = None) -> None:
        """Do nothing: nothing waits."""

    def newest(self, kind: str | None = None) -> float | None:
        """None: nothing waits."""


NO_BOOKS = NoBooks()


class Incoming:
    """Passes one rendition on to a sink for each kind of track. ``request_replay`` asks for its cached pictures.

    ``tell`` is called with the epoch taken when somebody publishes another one, and with 0 when that epoch is left.
    """

    def __init__(self, sinks: Mapping[str, Sink], request_replay: Callable[[], None]) -> None:
        self.sinks = sinks
        self.counters: Counter[str] = Counter()
        self.tell: Callable[[int], object] = lambda _epoch: None
        self.books: Books = NO_BOOKS
        self._told = 0
        self._request_replay = request_replay
        self._requested_at = float("-inf")
        self._epoch = 0
        self._pictured = False  # whether a picture of the epoch was passed on
        self._coming: list[Batch] = []  # of a newer epoch, whose keyframe is not here yet
        self._expected: dict[str, int | None] = dict.fromkeys(Kind)  # next sequence number; None: a start is needed
        self._pending: list[Batch] = []
        self._pending_size = 0  # bytes
        self._replays_until = float("-inf")  # for these seconds …
        self._replays = 0  # … so many more are taken
        self._received_at = float("-inf")  # newest batch of the epoch
        self._taken_at: dict[str, float] = dict.fromkeys(Kind, float("-inf"))  # newest batch that was sent on
        self._least_transit_ns: list[int] = []  # of this window and of the one before
        self._window_at = 0.0

    def expects(self, kind: str) -> tuple[int, int | None]:
        """The epoch, and the number of a kind's next packet in it; ``None`` if a start is needed."""
        self.books.settle()
        return self._epoch, self._expected[kind]

    @property
    def epoch(self) -> int | None:
        """The epoch that is taken; ``None`` if no live batch has come yet."""
        return self._epoch if self._received_at > float("-inf") else None

    def silent_for(self, now: float) -> float:
        """Seconds since the newest live batch of the epoch."""
        newest = self.books.newest()
        return now - (self._received_at if newest is None else newest)

    def start(self, now: float) -> None:
        """Start after subscribing to the rendition: request the group of pictures."""
        self._request(now)

    def receive(self, batch: Batch, *, now: float, unix_ns: int) -> bool:
        """Take a live batch. ``True`` if it was passed on."""
        self.books.end(batch.kind)
        if batch.epoch > self._epoch and not self._may_begin(batch, now):
            self.counters["early_epoch"] += 1
            self._keep(batch, now)
            return False
        if not self._enter_epoch(batch, now):
            self.counters["old_epoch"] += 1
            self.contested()
            return False
        self._received_at = now
        if self._stale(batch, now, unix_ns):
            self.counters["stale"] += 1
            return False
        expected = self._expected[batch.kind]
        if expected is not None and batch.sequence < expected and now - self._taken_at[batch.kind] >= EPOCH_SILENCE:
            self._expected[batch.kind] = None
        if batch.kind != Kind.VIDEO:
            return self._receive_audio(batch, now)
        if self._take(batch, now):
            self._forget_pending()
            return True
        expected = self._expected[Kind.VIDEO]
        if expected is None or batch.sequence > expected:
            if expected is not None and not self._pending:
                self.counters["gaps"] += 1
            if len(self._pending) >= MAX_PENDING or self._pending_size > MAX_PENDING_BYTES:
                self._forget_pending()
            self._pending.append(batch)
            self._pending_size += batch.size
            self._request(now)
        return False

    def due(self, kind: str, *, now: float) -> tuple[int, int, int, int, float] | None:
        """The epoch and number of a kind's next batch, how many nanoseconds ago it has to have been read from the
        camera at most and at least, and until when that holds.

        ``receive`` would simply pass on a batch that matches, and note no more about it than ``passed`` does. ``None``
        if no batch qualifies. Whoever keeps to it has ``books``.
        """
        expected, least = self._expected[kind], self._least_transit_ns
        if expected is None or self._pending or not least or now - self._window_at > TRANSIT_WINDOW:
            return None
        fastest = min(least)
        return self._epoch, expected, fastest + MAX_AGE_NS, fastest, self._window_at + TRANSIT_WINDOW

    def passed(self, kind: str, packets: int, *, now: float, transit_ns: int) -> None:
        """Note that the batch due, of so many packets, was passed on without us, ``transit_ns`` after it was read."""
        self._received_at = self._taken_at[kind] = now
        self._expected[kind] += packets  # type: ignore[operator]  # it was due: so there is a number
        if transit_ns < self._least_transit_ns[0]:
            self._least_transit_ns[0] = transit_ns

    def receive_replay(self, batches: Sequence[Batch], *, now: float) -> None:
        """Take the cached group of pictures, and what came live while it was on its way."""
        self.books.end()
        if now >= self._replays_until:
            self._replays, self._replays_until = MAX_REPLAYS, now + REPLAY_INTERVAL
        if not self._replays:
            self.counters["replays_refused"] += 1
            return
        self._replays -= 1
        self.counters["replays"] += 1
        pending = (*self._pending, *self._coming)
        self._forget_pending()
        self.sinks[Kind.VIDEO].pause()
        for batch in (*batches, *pending):
            if batch.kind != Kind.VIDEO or (batch.epoch > self._epoch and not self._may_begin(batch, now)):
                continue
            if self._enter_epoch(batch, now):
                self._take(batch, now)

    def contested(self) -> None:
        """Tell the publishers which epoch is taken, because one of them publishes another."""
        if self._told != self._epoch:
            self._told = self._epoch
            self.tell(self._epoch)

    def _take(self, batch: Batch, now: float) -> bool:
        """Pass a video batch on if it is the next one, or one to start with."""
        expected = self._expected[Kind.VIDEO]
        if batch.sequence != expected:
            if not batch.keyframe or (expected is not None and batch.sequence < expected):
                return False
            if expected is not None:
                self.counters["lost"] += batch.sequence - expected
        self._expected[Kind.VIDEO] = batch.sequence + len(batch.payloads)
        self._taken_at[Kind.VIDEO] = now
        self._pictured = True
        self.sinks[Kind.VIDEO].push(batch, now)
        return True

    def _receive_audio(self, batch: Batch, now: float) -> bool:
        expected = self._expected[Kind.AUDIO]
        if expected is not None and batch.sequence != expected:
            if batch.sequence < expected:
                return False
            self.counters["lost"] += batch.sequence - expected
        self._expected[Kind.AUDIO] = batch.sequence + len(batch.payloads)
        self._taken_at[Kind.AUDIO] = now
        self.sinks[Kind.AUDIO].push(batch, now)
        return True

    def _may_begin(self, batch: Batch, now: float) -> bool:
        """Whether the first batch of a newer epoch may end the one that there is."""
        starts = batch.keyframe and batch.kind == Kind.VIDEO
        return starts or not self._pictured or now - self._received_at >= FLOWS

    def _keep(self, batch: Batch, now: float) -> None:
        """A picture of an epoch whose keyframe did not come this way: have it come with what is cached."""
        if batch.kind != Kind.VIDEO:
            return
        kept = len(self._coming), sum(each.size for each in self._coming)
        if kept[0] >= MAX_COMING or kept[1] > MAX_PENDING_BYTES or (kept[0] and self._coming[-1].epoch != batch.epoch):
            self._coming.clear()
        self._coming.append(batch)
        self._request(now)

    def _enter_epoch(self, batch: Batch, now: float) -> bool:
        """Whether ``batch`` is of the current epoch, perhaps because it has just become that."""
        if batch.epoch == self._epoch:
            return True
        if batch.epoch < self._epoch and now - self._received_at < EPOCH_SILENCE:
            return False
        self.books.end()
        if batch.epoch < self._told:  # who was told that it is outdated is not
            self._told = 0
            self.tell(0)
        self._epoch, self._pictured = batch.epoch, False
        self._coming.clear()
        self._expected = dict.fromkeys(Kind)
        self._forget_pending()
        self._least_transit_ns.clear()
        return True

    def _forget_pending(self) -> None:
        self._pending.clear()
        self._pending_size = 0

    def _stale(self, batch: Batch, now: float, unix_ns: int) -> bool:
        """Whether the batch waited too long on its way; measured against the fastest, as clocks of machines differ."""
        transit = unix_ns - batch.arrival_ns
        least = self._least_transit_ns
        before = least[:]
        if not least or now - self._window_at > TRANSIT_WINDOW:
            self._window_at = now
            least[:] = [transit, *least[:1]]
        elif transit < least[0]:
            least[0] = transit
        late = transit - min(least)
        if late > MOST_WAIT * 1e9:
            least[:] = [transit]
        if least != before:
            self.books.end()  # what is due was said by them
        return MAX_AGE_NS < late <= MOST_WAIT * 1e9

    def _request(self, now: float) -> None:
        if now - self._requested_at >= REPLAY_INTERVAL:
            self._requested_at = now
            self._request_replay()
