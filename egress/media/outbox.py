"""Parcels on their way to live viewers. Encrypting and sending a keyframe for some hundreds of viewers takes a tenth of
a second. The outbox does it in slices; in between, the process reads its sockets and other streams get their turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from egress.media.fanout import Parcel, fan_out
from egress.media.group import Lane

SLICE = 1_000  # packets, each to one viewer, that are sent without a pause: 2 to 3 ms, in Python twice that

Later = Callable[[Callable[[], None]], object]
"""Calls what it is given, after everything else had its turn."""


def at_once(work: Callable[[], None]) -> None:
    """Call it at once: the ``Later`` of a process that has nothing else to do."""
    work()


class _Posting:
    """A batch on its way to the lanes that were live when it arrived."""

    __slots__ = ("at", "audience", "done", "index", "parcel")

    def __init__(self, parcel: Parcel, index: int, at: float) -> None:
        self.at = at  # monotonic seconds
        self.parcel = parcel
        self.index = index  # of the first packet
        self.audience = parcel.group.audience
        self.done = 0  # members that have it


class Outbox:
    """Batches in order of arrival. ``on_blocked`` is called for a lane that got nothing from some index on."""

    def __init__(self, later: Later, on_blocked: Callable[[Lane, int], None]) -> None:
        self._later = later
        self._on_blocked = on_blocked
        self._postings: deque[_Posting] = deque()
        self._working = False  # a slice is under way or scheduled
        self._when_empty: list[Callable[[], None]] = []

    def late(self, now: float) -> float:
        """Seconds that the oldest batch has been waiting."""
        return now - self._postings[0].at if self._postings else 0.0

    @property
    def unsent(self) -> float:
        """Index of the first packet that may not have left for everybody; infinite if there is none."""
        return self._postings[0].index if self._postings else float("inf")

    def add(self, parcel: Parcel, index: int, now: float) -> None:
        """Take a batch, whose first packet has that index, for every lane now in its group."""
        self._postings.append(_Posting(parcel, index, now))

    def send_alone(self, parcel: Parcel, index: int, now: float) -> None:
        """Take a batch for a single group, and send it.

        If the queue is empty and the lanes are few, the batch bypasses the queue, which would take 4 of 80 µs.
        """
        audience = parcel.group.audience
        if self._postings or parcel.packets * len(audience.members) > SLICE:
            self.add(parcel, index, now)
            self.send()
            return
        for lane, lacking in fan_out(parcel, index, audience).items():
            self._on_blocked(lane, lacking)

    def send(self) -> None:
        """Send for a while, unless that is under way already; the rest follows later."""
        if not self._working:
            self._send_slice()

    @property
    def empty(self) -> bool:
        """Whether everything that was added has left."""
        return not self._postings

    def when_empty(self, call: Callable[[], None]) -> None:
        """``call`` when everything that was added so far has left: at once, if it has."""
        if self._postings:
            self._when_empty.append(call)
        else:
            call()

    def forget(self, lane: Lane) -> int | None:
        """Send nothing more on a lane. Returns the index of the first packet it did not get, ``None`` if it has all."""
        unsent = None
        for posting in reversed(self._postings):
            if (others := posting.audience.without(lane, posting.done)) is not None:
                posting.audience, posting.done = others, 0
                unsent = posting.index
        return unsent

    def clear(self) -> dict[Lane, int]:
        """Give up what is waiting. Returns the index of the first packet that each lane did not get."""
        unsent: dict[Lane, int] = {}
        for posting in self._postings:
            for lane, _ in posting.audience.members[posting.done :]:
                unsent.setdefault(lane, posting.index)
        self._postings.clear()
        self._when_empty.clear()
        return unsent

    def _send_slice(self) -> None:
        self._working = True
        # Viewers that watch come before those that join: the more pictures wait, the longer the turn.
        room = SLICE * len({posting.index for posting in self._postings})
        try:
            while self._postings and room > 0:
                room -= self._send_some(room)
        finally:  # also after an error, which is the loop's to report: the rest goes on
            self._working = bool(self._postings)
            if self._working:
                self._later(self._send_slice)
        if self._working:
            return
        calls, self._when_empty = self._when_empty, []
        for call in calls:
            call()

    def _send_some(self, room: int) -> int:
        """Send the oldest batch to its next few lanes, all of it to each. Returns the number of packets."""
        posting = self._postings[0]
        size, start, end = posting.parcel.packets, posting.done, len(posting.audience.members)
        posting.done = stop = min(end, start + max(1, room // size))
        if stop == end:
            self._postings.popleft()
        for lane, index in fan_out(posting.parcel, posting.index, posting.audience, start, stop).items():
            self._on_blocked(lane, index)
        return (stop - start) * size
