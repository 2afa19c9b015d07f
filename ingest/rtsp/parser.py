"""One direction of an RTSP connection (RFC 2326 4, 10.12): bytes in, messages and interleaved frames out; no I/O.

Rules:

* One ``Parser`` for each connection and direction; it serves a client as well as a server. It owns its receive buffer,
  so a ``BufferedProtocol`` can have the kernel write right into it. That holds ``CAPACITY``, and more only while a
  larger message comes.
* Each byte is looked at a fixed number of times, however the bytes are cut, and one call of ``advance`` does a bounded
  amount of work: what a hostile peer sends takes no longer than its length says.
* Blank lines may stand before a message; what else is taken of one that is odd, ``ingest.rtsp.head`` says.
* Bytes between two messages that belong to neither are skipped up to the next thing that looks like a frame or a
  message, and counted. Bytes that are no RTSP before the first message are an error at once: the peer is something
  else.
* After a ``ProtocolError`` the parser is of no more use, nor is the connection.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from common.errors import ProtocolError
from ingest.rtsp.head import MAX_BODY_BYTES, MAX_HEAD_BYTES, Head, HeadReader, has_description
from ingest.rtsp.message import InterleavedFrame, Message, Request, Response
from ingest.rtsp.strangers import FIRST_BYTES, looks_like

MAX_MESSAGE_BYTES = MAX_HEAD_BYTES + MAX_BODY_BYTES
MAX_JUNK_BYTES = 64 << 10  # skipped in a row before we give up: a camera's whole lost frame may be in it
CAPACITY = 80 << 10  # bytes of the buffer while nothing larger comes: the largest frame and some more
MAX_ROOM = 64 << 10  # bytes offered to the kernel at once: what one camera may bring in before others have their turn
MAX_FRAMES = 256  # that one call takes, for the same reason: 64 kB of a real camera are some 50
MAX_TAKEN = 16  # pictures and packets that are handed over by one call, likewise: one costs as much as 20 frames
MAX_EVENTS = 16  # messages and losses of synchronism that one call takes: each costs as much as many frames

_DOLLAR = 0x24
_MIN_ROOM = 16 << 10  # bytes offered to the kernel at least, so that a busy camera costs few system calls

_BLANK_LINES = re.compile(rb"[\r\n]*")
_BLANKS = re.compile(rb"[\r\n\t ]*")  # before the first message
_SYNC = re.compile(rb"\$(.)..[\x80-\xbf]|RTSP/\d\.\d {1,4}\d{3}|(?<![A-Z_])[A-Z_]{3,20} {1,4}rtsps?://", re.DOTALL)
_SYNC_TAIL = 34  # bytes kept when nothing was found: a sync point may have been cut by the end of the data


class FrameRun(NamedTuple):
    """Interleaved packets of one channel that came one after the other, still where they were received."""

    channel: int
    data: memoryview  # what was received; another call of the parser may write over it
    bounds: list[tuple[int, int]]  # where each packet begins and ends in it


Take = Callable[[bytearray, int, int, int], tuple[int, int] | None]
"""Takes the whole picture, or the packet of sound, that stands first between two places of what was received, and came
at a time. Returns its bytes and its packets; ``None`` if there is none that it can take."""

Read = Request | Response | FrameRun


class Parser:
    """Incremental parser of one direction of an RTSP connection.

    Either ``feed`` it, or write into ``buffer()`` and tell it by ``advance`` how much was written. Both return the
    messages that are now complete, and raise ``ProtocolError`` for what cannot be read past. ``advance`` leaves packets
    where they are, so that nobody copies those of which only a part is needed.
    """

    def __init__(self) -> None:
        self.junk = 0  # bytes skipped in all
        self.channels: frozenset[int] | None = None  # interleaved ones, once known: then it resynchronises more surely
        self.more = False  # ``advance`` stopped before the end: call ``advance(0)`` before anything more is written
        self.stopped = False  # ``advance`` stopped before a packet, as it was told
        self.events = 0  # messages and losses of synchronism that the last ``advance`` took
        self.describes = False  # a description was asked for: it may be there though no length is said, or 0
        self.room = MAX_ROOM  # bytes that ``buffer`` offers at most, and …
        self.offered = 0  # … has offered last
        self._buffer = bytearray(CAPACITY)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0  # of what has been received and not yet parsed
        self._synchronised = False  # something of RTSP was seen: junk is skipped from then on
        self._adrift = False  # in junk
        self._junk_in_a_row = 0
        self._reader = HeadReader()
        self._head: Head | None = None  # of the message that is arriving

    @property
    def partial(self) -> int:
        """Bytes of a message that has not come to its end."""
        return self._end - self._start

    @property
    def synchronised(self) -> bool:
        """Whether the peer has ever sent something that is RTSP."""
        return self._synchronised

    def buffer(self, sizehint: int = -1) -> memoryview:
        """The room to write into next; never empty. What asyncio hints at says nothing."""
        if self._start == self._end:
            self._start = self._end = 0
            if len(self._buffer) > CAPACITY:
                self._allocate(CAPACITY)
        elif self._start and len(self._buffer) - self._end < _MIN_ROOM:
            self._allocate(len(self._buffer))
        room = self._view[self._end : self._end + self.room]
        self.offered = len(room)
        return room

    def feed(self, data: bytes) -> list[Message]:
        """Parse ``data``, of any size."""
        messages: list[Message] = []
        rest = memoryview(data)
        while rest:
            room = self.buffer()
            count = min(len(room), len(rest))
            room[:count] = rest[:count]
            rest = rest[count:]
            messages += _copied(self.advance(count))
            while self.more:
                messages += _copied(self.advance(0))
        return messages

    def hand_over(self, count: int, takes: Mapping[int, Take], arrival_ns: int) -> int:
        """The ``count`` bytes were written into ``buffer()``, at that time: let the channels' ``takes`` have what they
        take. Returns how many packets they took; the rest, if there is ``partial``, is for ``advance(0)``.
        """
        start, end, packets = self._start, self._end + count, 0
        buffer, self._end, self.more = self._buffer, end, False
        if not self._adrift:
            for _ in _TAKEN:
                take = takes.get(buffer[start + 1]) if end - start > 1 else None
                if take is None or (taken := take(buffer, start, end, arrival_ns)) is None:
                    break
                start += taken[0]
                packets += taken[1]
            if packets:
                self._start, self._synchronised, self._junk_in_a_row = start, True, 0
        return packets

    def advance(self, count: int, before: int = -1, most: int = MAX_EVENTS) -> list[Read]:
        """Parse the ``count`` bytes that were written into ``buffer()``. See ``more``.

        After something else it stops before a packet of the channel ``before``, and has ``stopped`` then. It takes
        ``most`` messages and losses of synchronism, and counts them in ``events``.
        """
        self._end += count
        messages: list[Read] = []
        buffer, view = self._buffer, self._view
        start, end = self._start, self._end
        events = 0
        channel = -1  # of the run of frames that goes on …
        bounds: list[tuple[int, int]] = []  # … and where they are
        self.more = self.stopped = False
        for _ in _TURN:
            if start >= end:
                break
            if buffer[start] == _DOLLAR and not self._adrift:
                stop = start + 4 + (buffer[start + 2] << 8 | buffer[start + 3]) if end - start >= 4 else end + 1
                if stop > end:
                    break
                if buffer[start + 1] != channel:
                    if buffer[start + 1] == before and messages:
                        self.stopped = True
                        break
                    channel, bounds = buffer[start + 1], []
                    messages.append(FrameRun(channel, view, bounds))
                bounds.append((start + 4, stop))
                start = stop
                continue
            self._start = start
            channel = -1
            if messages:
                self._settle()
            if events == most:
                self.more = True
                break
            events += 1
            if not self._advance_by_event(messages):
                start = self._start
                break
            buffer, view = self._buffer, self._view  # it may have been made larger
            start, end = self._start, self._end
        else:
            self.more = start < end
        if messages:
            self._settle()
        self._start, self.events = start, events
        return messages

    def cut_short(self) -> Request | Response | None:
        """The message that has begun with as much of its body as has come, and nothing more is expected of it; ``None``
        while its headers are incomplete. What comes of it after all is junk.
        """
        if self._head is None:
            return None
        message, at, _ = self._head
        body = bytes(self._view[self._start + at : self._end])
        self._leave(self._end)
        return replace(message, body=body)

    def _advance_by_event(self, messages: list[Read]) -> bool:
        """Read or skip what is no frame. Whether that led any further."""
        if self._adrift:
            return self._resynchronise()
        start = self._start
        message = self._message()
        if message is not None:
            messages.append(message)
        return self._start != start

    def _settle(self) -> None:
        self._synchronised = True
        self._junk_in_a_row = 0

    def _message(self) -> Request | Response | None:
        """The message at ``_start``. ``None`` if it is incomplete, or if only junk or blank lines were skipped."""
        blank = _BLANK_LINES if self._synchronised else _BLANKS
        blanks = blank.match(self._buffer, self._start, self._end)
        if blanks and blanks.end() > self._start:
            self._start = blanks.end()
            return None
        if self._head is None:
            self._head = self._read_head()
        if self._head is None or self._end - self._start < self._head.size:
            return None
        message, at, size = self._head
        if self.describes and has_description(message):  # some count too few bytes, and nothing else is expected
            rest = _SYNC.search(self._buffer, self._start + size, self._end)
            size = (rest.start() if rest else self._end) - self._start
        body = bytes(self._view[self._start + at : self._start + size])
        self._leave(self._start + size)
        return replace(message, body=body) if body else message

    def _read_head(self) -> Head | None:
        """The head of the message at ``_start``; ``None`` while it is incomplete, or if junk was skipped instead."""
        reader, at = self._reader, (self._buffer, self._start, self._end)
        if not reader.begins(*at):
            self._skip_junk()
            return None
        self._synchronised = self._synchronised or reader.started
        head = reader.read(*at, describes=self.describes)
        if head is not None and head.size > len(self._buffer):
            self._allocate(head.size)
        return head

    def _skip_junk(self) -> None:
        if not self._synchronised:
            begin = bytes(self._buffer[self._start : min(self._end, self._start + FIRST_BYTES)])
            raise ProtocolError(f"what answers does not speak RTSP; it looks like {looks_like(begin)}")
        self._adrift = True
        self._skip_to(self._start + 1)

    def _resynchronise(self) -> bool:
        """Go to what looks like a frame or a message. ``False``, and still adrift, if none has come."""
        at = _sync_point(self._buffer, self._start, self._end, self.channels)
        self._adrift = at is None
        self._skip_to(max(self._start, self._end - _SYNC_TAIL) if at is None else at)
        return not self._adrift

    def _skip_to(self, offset: int) -> None:
        self.junk += offset - self._start
        self._junk_in_a_row += offset - self._start
        self._leave(offset)
        if self._junk_in_a_row > MAX_JUNK_BYTES:
            raise ProtocolError(f"{MAX_JUNK_BYTES} bytes in a row are neither RTSP nor interleaved frames")

    def _leave(self, offset: int) -> None:
        """Begin with what stands at ``offset``."""
        self._start = offset
        self._head = None
        self._reader.restart()

    def _allocate(self, size: int) -> None:
        """Move what is left to the beginning of a buffer of that size."""
        rest = self._buffer[self._start : self._end]
        if size != len(self._buffer):
            self._buffer = bytearray(size)
            self._view = memoryview(self._buffer)
        self._start, self._end = 0, len(rest)
        self._view[: self._end] = rest


_TURN, _TAKEN = range(MAX_FRAMES), range(MAX_TAKEN)


def _sync_point(buffer: bytearray, start: int, end: int, channels: frozenset[int] | None) -> int | None:
    """The first place that looks like a frame, of one of ``channels`` if they are known, or like a message."""
    for match in _SYNC.finditer(buffer, start, end):
        if match[1] is None or channels is None or match[1][0] in channels:
            return match.start()
    return None


def _copied(messages: Iterable[Read]) -> Iterator[Message]:
    for message in messages:
        if isinstance(message, FrameRun):
            for start, stop in message.bounds:
                yield InterleavedFrame(message.channel, bytes(message.data[start:stop]))
        else:
            yield message
