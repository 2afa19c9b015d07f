"""What is on its way to live viewers. A keyframe to some hundred of them takes a tenth of a second to encrypt and send:
it is done in slices, between which the process hears its sockets and other streams get their turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from egress.fanout import Group, Lane, fan_out
from egress.history import Packet

SLICE = 1_000  # packets, each to one viewer, that are sent without a pause: 2 to 3 ms

Later = Callable[[Callable[[], None]], object]
"""Calls what it is given, after everything else had its turn."""


def at_once(work: Callable[[], None]) -> None:
    """A ``Later`` for those who have nothing else to do."""
    work()


class _Posting:
    """A batch on its way to the lanes that were live when it came."""

    __slots__ = ("at", "done", "group", "index", "lanes", "runs", "size")

    def __init__(self, runs: Sequence[Sequence[Packet]], index: int, group: Group, at: float) -> None:
        self.at = at  # monotonic seconds
        self.runs = runs
        self.index = index  # of the first packet
        self.group = group
        self.size = sum(map(len, runs))
        self.lanes = list(group.lanes.items())
        self.done = 0  # lanes that have it


class Outbox:
    """Batches in the order they came. ``on_blocked`` is told of a lane that got nothing from an index on."""

    def __init__(self, later: Later, on_blocked: Callable[[Lane, int], None]) -> None:
        self._later = later
        self._on_blocked = on_blocked
        self._postings: deque[_Posting] = deque()
        self._working = False  # a slice is under way or scheduled
        self._when_empty: list[Callable[[], None]] = []

    def late(self, now: float) -> float:
        """Seconds that the oldest batch has been waiting."""
        return now - self._postings[0].at if self._postings else 0.0

    def add(self, runs: Sequence[Sequence[Packet]], index: int, group: Group, now: float) -> None:
        """Take a batch, whose first packet has that index, for every lane that is in the group now."""
        self._postings.append(_Posting(runs, index, group, now))

    def send(self) -> None:
        """Send for a while, unless that is under way; what is left goes on later."""
        if not self._working:
            self._send_slice()

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
            for at in range(posting.done, len(posting.lanes)):
                if posting.lanes[at][0] is lane:
                    del posting.lanes[at]
                    unsent = posting.index
                    break
        return unsent

    def clear(self) -> dict[Lane, int]:
        """Give up what is waiting. Returns the index of the first packet that each lane did not get."""
        unsent: dict[Lane, int] = {}
        for posting in self._postings:
            for lane, _ in posting.lanes[posting.done :]:
                unsent.setdefault(lane, posting.index)
        self._postings.clear()
        self._when_empty.clear()
        return unsent

    def _send_slice(self) -> None:
        self._working = True
        room = SLICE
        while self._postings and room > 0:
            room -= self._send_some(room)
        self._working = bool(self._postings)
        if self._working:
            self._later(self._send_slice)
            return
        calls, self._when_empty = self._when_empty, []
        for call in calls:
            call()

    def _send_some(self, room: int) -> int:
        """Send the oldest batch to its next few lanes, all of it to each. Returns the number of packets."""
        posting = self._postings[0]
        lanes = posting.lanes[posting.done : posting.done + max(1, room // posting.size)]
        sent = len(lanes) * posting.size
        posting.done += len(lanes)
        if posting.done == len(posting.lanes):
            self._postings.popleft()
        index = posting.index
        for run in posting.runs:
            if blocked := fan_out(run, index, posting.group, lanes):
                lanes = [each for each in lanes if each[0] not in blocked]
                for lane in blocked:
                    self._on_blocked(lane, index)
            index += len(run)
        return sent
