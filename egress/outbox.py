"""What is on its way to live viewers. A keyframe to some hundred of them takes a tenth of a second to encrypt and send:
it is done in slices, between which the process hears its sockets and other streams get their turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from egress.fanout import Group, Lane, fan_out
from egress.history import Packet

SLICE = 1_000  # packets, each to one viewer, that are sent without a pause: 2 to 3 ms
MAX_RUNS = 1_000  # that may wait for their turn; then the next batch waits for them

Later = Callable[[Callable[[], None]], object]
"""Calls what it is given, after everything else had its turn."""


def at_once(work: Callable[[], None]) -> None:
    """A ``Later`` for those who have nothing else to do."""
    work()


class _Posting:
    """A run on its way to the lanes that were live when it came."""

    __slots__ = ("done", "group", "index", "lanes", "run")

    def __init__(self, run: Sequence[Packet], index: int, group: Group) -> None:
        self.run = run
        self.index = index  # of the run's first packet
        self.group = group
        self.lanes = list(group.lanes.items())
        self.done = 0  # lanes that have it


class Outbox:
    """Runs in the order they came. ``on_blocked`` is told of a lane that got nothing of the run at an index."""

    def __init__(self, later: Later, on_blocked: Callable[[Lane, int], None]) -> None:
        self._later = later
        self._on_blocked = on_blocked
        self._postings: deque[_Posting] = deque()
        self._working = False  # a slice is under way or scheduled
        self._when_empty: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self._postings)

    def add(self, run: Sequence[Packet], index: int, group: Group) -> None:
        """Take a run, whose first packet has that index, for every lane that is in the group now."""
        self._postings.append(_Posting(run, index, group))

    def send(self) -> None:
        """Send for a while, unless that is under way; what is left goes on later."""
        if not self._working:
            self._send_slice()
        while len(self._postings) > MAX_RUNS:
            self._send_some(SLICE)

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
        """Send the oldest run to its next few lanes. Returns the number of packets."""
        posting = self._postings[0]
        run = posting.run
        lanes = posting.lanes[posting.done : posting.done + max(1, room // len(run))]
        posting.done += len(lanes)
        if posting.done == len(posting.lanes):
            self._postings.popleft()
        for lane in fan_out(run, posting.index, posting.group, lanes):
            self._on_blocked(lane, posting.index)
        return len(lanes) * len(run)
