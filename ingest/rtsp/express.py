"""Ordinary pictures and sound from a read to the one who takes them: what is on their way now, the books later.

Nearly all reads bring one whole picture, or one packet of sound, that is the next one, and few cameras are taken by
more than one egress. One compiled call writes the frame of such a one, and another sends it. What is to be remembered
of it (numbers, clocks, jitter, the group of pictures, what the budget is told) is entered for several of them at once,
by the functions through which all else goes: with few pictures a second the processor's caches are cold, and some
thirty functions and what they touch have to be fetched from memory, for one picture as for eight.

Rules:

* ``begin`` foretells what the next packet of each track has to be, and what will be said of it. That holds while
  nothing but that comes.
* ``end`` enters what has left, and begins nothing again. It is called before anything else comes to a track, anybody
  looks at one, or the one who takes it or what he is sent changes.
* What waits to be entered is bounded: ``MOST`` of them, and the time to the connection's next tick.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

from common.clock import unix_ns
from common.worker.straight import Books, Straight
from ingest import native
from ingest.rtp.shortcut import Shortcut
from ingest.rtsp.interleaved import Interleaved
from ingest.rtsp.parser import Parser
from ingest.rtsp.turns import Turns

MOST = 8  # pictures and pieces of sound that wait
FRAMING = 4  # bytes before an interleaved packet (RFC 2326 10.12)

Way = Callable[[Books], Straight | None]
"""The way straight to the only one who takes what is published, until the books are told that it ends."""


def no_way(_books: Books) -> Straight | None:
    """The ``Way`` of what has none."""
    return None


class _Track(NamedTuple):
    course: native.Course
    shortcut: Shortcut


_Passed = tuple[Shortcut, native.Said, bytes, bytes, int, int, int]
"""A picture, or a piece of sound, that has left and is not entered yet: by which shortcut, what is said of it, the end
of what came, its encoded batch, the Unix time at which it came and what it took, in nanoseconds, and the bytes read."""


class Express:
    """The express way of one connection."""

    __slots__ = (
        "_data",
        "_interleaved",
        "_parser",
        "_passed",
        "_received",
        "_straight",
        "_tracks",
        "_turns",
        "_way",
        "vain",
    )

    def __init__(self, parser: Parser, interleaved: Interleaved, turns: Turns, way: Way) -> None:
        self._parser, self._interleaved, self._turns, self._way = parser, interleaved, turns, way
        self.vain = False  # the last ``begin`` began nothing: the next one is a tick's
        self._tracks: dict[int, _Track] = {}  # by interleaved channel
        self._straight: Straight | None = None
        self._passed: list[_Passed] = []
        self._received = bytearray()
        self._data: object = None
        interleaved.before = self.end

    @property
    def begun(self) -> bool:
        """Whether ``take`` may take something."""
        return bool(self._tracks)

    def take(self, size: int, arrival_ns: int) -> bool:
        """Send what a read brought, if it is one ordinary picture or piece of sound; ``False`` if nothing has happened.

        To be called before anything else is done with the read, where this has ``begun``.
        """
        received, straight = self._received, self._straight
        track = self._tracks.get(received[1])
        if track is None or straight is None:  # of a track that has no course, or of none
            if int.from_bytes(received[2:4]) != size - FRAMING:  # what is behind it may be of one that has
                self.end()
            return False
        said = track.course.take(self._data, size, arrival_ns) if size < self._parser.offered else None
        if said is None:
            self.end()
            return False
        frame = native.framed(said)
        straight.send(frame)
        end, encoded = track.shortcut.end(received, size), bytes(frame[said.batch :])
        passed = self._passed
        passed.append((track.shortcut, said, end, encoded, arrival_ns, unix_ns() - arrival_ns, size))
        if len(passed) >= MOST:
            self._settle(straight)
        return True

    def begin(self, arrival_ns: int) -> None:
        """Look whether what comes next may go this way: what came last was whole, and nothing waits for its rest."""
        self.end()
        shortcuts = self._interleaved.shortcuts
        parser, self.vain = self._parser, True
        whole = parser.synchronised and not parser.partial  # else the next packet does not begin where it is written
        straight = self._way(self) if native.BUILT and shortcuts and whole else None
        if straight is None:
            return
        for channel, shortcut in shortcuts.items():
            course = shortcut.course(straight.topic, arrival_ns)
            if course is not None:
                self._tracks[channel] = _Track(course, shortcut)
        self.vain = not self._tracks
        self._straight, self._received = straight, cast(bytearray, parser.buffer().obj)
        self._data = native.place(self._received)

    def end(self) -> None:
        """Enter what has left, and take nothing before it ``begin``s again."""
        straight, self._straight = self._straight, None
        self._tracks.clear()
        if straight is not None:
            self._settle(straight)

    def _settle(self, straight: Straight) -> None:
        passed, self._passed = self._passed, []
        for shortcut, said, end, encoded, arrival_ns, passed_ns, size in passed:
            straight.keep(shortcut.enter(said, end, arrival_ns), encoded)
            self._turns.spend(size, said.packets, 1, passed_ns)  # each was a turn of its own
