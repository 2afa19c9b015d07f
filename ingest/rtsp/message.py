"""RTSP messages and interleaved frames (RFC 2326 sections 4 to 7, 10.12): bytes in, messages out; no I/O.

Rules:

* One ``Parser`` for each connection and direction; it serves a client as well as a server. It owns its receive buffer,
  so a ``BufferedProtocol`` can have the kernel write right into it. That holds ``CAPACITY``, and more only while a
  larger message comes.
* Each byte is looked at a fixed number of times, however the bytes are cut, and one call of ``advance`` does a bounded
  amount of work: what a hostile peer sends takes no longer than its length says.
* Lenient in what it accepts: bare LF, blank lines before a message, folded and unknown headers, header names of any
  case.
* Bytes between two messages that belong to neither are skipped up to the next thing that looks like a frame or a
  message, and counted. Bytes that are no RTSP before the first message are an error at once: the peer is something
  else.
* After a ``ProtocolError`` the parser is of no more use, nor is the connection.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from common.errors import ProtocolError
from ingest.rtsp.strangers import FIRST_BYTES, looks_like

MAX_HEAD_BYTES = 16 << 10  # start line and headers; real ones stay under 2 kB
MAX_HEADER_LINES = 256  # real messages have under 20
MAX_BODY_BYTES = 256 << 10  # session descriptions stay under 10 kB, but for servers that list every stream they have
MAX_MESSAGE_BYTES = MAX_HEAD_BYTES + MAX_BODY_BYTES
MAX_JUNK_BYTES = 64 << 10  # skipped in a row before we give up: a camera's whole lost frame may be in it
CAPACITY = 80 << 10  # bytes of the buffer while nothing larger comes: the largest frame and some more
MAX_ROOM = 64 << 10  # bytes offered to the kernel at once: what one camera may bring in before others have their turn
MAX_FRAMES = 256  # that one call takes, for the same reason: 64 kB of a real camera are some 50
MAX_PICTURES = 16  # that are handed over whole by one call, likewise: each costs as much as some 20 frames
MAX_EVENTS = 16  # messages and losses of synchronism that one call takes: each costs as much as many frames

VERSION = "RTSP/1.0"
_DOLLAR = 0x24
_MIN_ROOM = 16 << 10  # bytes offered to the kernel at least, so that a busy camera costs few system calls

_BLANK_LINES = re.compile(rb"[\r\n]*")
_STATUS_LINE = re.compile(rb"RTSP/\d\.\d +(\d{3})(?: (.*))?")
_METHOD = re.compile(rb"[A-Z_]{3,20}")
_RTSP_VERSION = re.compile(rb"RTSP/\d\.\d")
_START_OF_LINE = re.compile(
    rb"(?:RTSP/[\d.]*|[A-Z_]{1,20})(?: [^\x00-\x1f]*)?\r?\Z"
)  # what may still become one of the two
_START_LENGTH = 64  # bytes of a line in which that is decided
_NO_TEXT = re.compile(rb"[\x00-\x1f]")
_SYNC = re.compile(rb"\$(.)..[\x80-\xbf]|RTSP/\d\.\d {1,4}\d{3}|(?<![A-Z_])[A-Z_]{3,20} {1,4}rtsps?://", re.DOTALL)
_SYNC_TAIL = 34  # bytes kept when nothing was found: a sync point may have been cut by the end of the data
_LINE_BREAK = re.compile(r"[\r\n\0]")
_LENGTH = re.compile(r"[0-9]+")  # a unit may stand behind it
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class Headers:
    """Header fields in order, looked up without regard to case; immutable.

    Bytes that are not UTF-8 are kept as surrogates, so that what a camera wants to have echoed is echoed exactly.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields = tuple(fields)

    def get(self, name: str) -> str | None:
        """The first value of that name, ``None`` if there is none."""
        return next(iter(self.all(name)), None)

    def all(self, name: str) -> list[str]:
        """Every value of that name: ``WWW-Authenticate`` may come several times."""
        name = name.lower()
        return [value for key, value in self._fields if key.lower() == name]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    def __hash__(self) -> int:
        return hash(self._fields)

    def __repr__(self) -> str:
        shown = ((key, "***" if key.lower() == "authorization" else value) for key, value in self._fields)
        return f"Headers({list(shown)})"


@dataclass(frozen=True, slots=True)
class Request:
    """A request (RFC 2326 6). ``Content-Length`` is written for a body and need not be among the headers."""

    method: str
    url: str  # absolute, or "*"; never with credentials
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    def __bytes__(self) -> bytes:
        return _serialise(f"{self.method} {self.url} {VERSION}", self.headers, self.body)


@dataclass(frozen=True, slots=True)
class Response:
    """A response (RFC 2326 7). ``Content-Length`` is written for a body and need not be among the headers."""

    status: int
    reason: str = ""
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    def __bytes__(self) -> bytes:
        return _serialise(f"{VERSION} {self.status} {self.reason}", self.headers, self.body)


class InterleavedFrame(NamedTuple):
    """An interleaved packet (RFC 2326 10.12). A tuple, because there are thousands a second."""

    channel: int
    payload: bytes

    def __bytes__(self) -> bytes:
        return b"$%c%b%b" % (self.channel, len(self.payload).to_bytes(2, "big"), self.payload)


class FrameRun(NamedTuple):
    """Interleaved packets of one channel that came one after the other, still where they were received."""

    channel: int
    data: memoryview  # what was received; another call of the parser may write over it
    bounds: list[tuple[int, int]]  # where each packet begins and ends in it


TakePicture = Callable[[bytearray, int, int, int], tuple[int, int] | None]
"""Takes the picture that stands between two places of what was received, and came at a time. Returns its bytes and its
packets; ``None`` if there is none that it can take."""

Message = Request | Response | InterleavedFrame
Read = Request | Response | FrameRun


class _Head(NamedTuple):
    """A message without its body, and where that is."""

    message: Request | Response
    body: int  # offset from the message's start
    size: int  # of the whole message; the most that we take where the message does not say


class Parser:
    """Incremental parser of one direction of an RTSP connection.

    Either ``feed`` it, or write into ``buffer()`` and tell it by ``advance`` how much was written. Both return the
    messages that are now complete, and raise ``ProtocolError`` for what cannot be read past. ``advance`` leaves packets
    where they are, so that nobody copies those of which only a part is needed.
    """

    def __init__(self) -> None:
        self.junk = 0  # bytes skipped in all
        self.channels: frozenset[int] | None = None
        """Interleaved channels in use, once known: makes resynchronising more certain."""
        self.more = False
        """``advance`` has stopped before the end: call ``advance(0)`` before anything more is written."""
        self.stopped = False
        """``advance`` has stopped before a packet, as it was told."""
        self.events = 0
        """Messages and losses of synchronism that the last ``advance`` took."""
        self.room = MAX_ROOM
        """Bytes that ``buffer`` offers at most."""
        self._buffer = bytearray(CAPACITY)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0  # of what has been received and not yet parsed
        self._synchronised = False  # something of RTSP was seen: junk is skipped from then on
        self._adrift = False  # in junk
        self._junk_in_a_row = 0
        # The message that is arriving.
        self._subject: Request | Response | None = None  # its start line
        self._headers = 0  # offset from its start at which they begin
        self._looked = 0  # bytes from its start that need no second look
        self._head: _Head | None = None

    @property
    def partial(self) -> int:
        """Bytes of a message that has not come to its end."""
        return self._end - self._start

    @property
    def synchronised(self) -> bool:
        """Whether the peer has ever sent something that is RTSP."""
        return self._synchronised

    def buffer(self) -> memoryview:
        """The room to write into next; never empty."""
        if self._start == self._end:
            self._start = self._end = 0
            if len(self._buffer) > CAPACITY:
                self._allocate(CAPACITY)
        elif self._start and len(self._buffer) - self._end < _MIN_ROOM:
            self._allocate(len(self._buffer))
        return self._view[self._end : self._end + self.room]

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

    def hand_over(self, count: int, take: TakePicture, arrival_ns: int) -> int:
        """The ``count`` bytes were written into ``buffer()``, at that time: let ``take`` have what is there as long as
        it takes pictures. Returns how many packets it took; the rest, if there is ``partial``, is for ``advance(0)``.
        """
        start, end, packets = self._start, self._end + count, 0
        self._end, self.more = end, False
        if not self._adrift:
            for _ in _PICTURES:
                if start == end or (taken := take(self._buffer, start, end, arrival_ns)) is None:
                    break
                start += taken[0]
                packets += taken[1]
            if packets:
                self._start = start
                self._settle()
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
        blanks = _BLANK_LINES.match(self._buffer, self._start, self._end)
        if blanks and blanks.end() > self._start:
            self._start = blanks.end()
            return None
        if self._head is None:
            self._head = self._read_head()
        if self._head is None or self._end - self._start < self._head.size:
            return None
        message, at, size = self._head
        body = bytes(self._view[self._start + at : self._start + size])
        self._leave(self._start + size)
        return replace(message, body=body) if body else message

    def _read_head(self) -> _Head | None:
        """Start line and headers at ``_start``; ``None`` while they are incomplete, or if junk was skipped instead."""
        buffer, start, end = self._buffer, self._start, self._end
        if self._subject is None:
            newline = buffer.find(b"\n", start + self._looked, end)
            stop = newline if newline >= 0 else end
            if not self._may_be_start_line(stop):
                self._skip_junk()
                return None
            if stop - start > MAX_HEAD_BYTES:
                raise ProtocolError(f"a line is longer than {MAX_HEAD_BYTES} bytes")
            self._looked = stop - start
            if newline < 0:
                return None
            self._subject = _parse_start_line(bytes(buffer[start:newline]).rstrip(b"\r"))
            if self._subject is None:
                self._skip_junk()
                return None
            self._synchronised = True
            self._headers = newline + 1 - start
        ends = self._head_end()
        if ends is None:
            if end - start > MAX_HEAD_BYTES:
                raise ProtocolError(f"headers do not end within {MAX_HEAD_BYTES} bytes")
            return None
        headers = _parse_headers(bytes(buffer[start + self._headers : start + ends]))
        message = replace(self._subject, headers=headers)
        size = ends + (_content_length(headers) or (MAX_BODY_BYTES if _has_description(message) else 0))
        if size > len(buffer):
            self._allocate(size)
        return _Head(message, ends, size)

    def _may_be_start_line(self, stop: int) -> bool:
        """Whether the line at ``_start``, of which all until ``stop`` is there, may be one that begins a message."""
        buffer, start = self._buffer, self._start
        if self._looked < _START_LENGTH and not _START_OF_LINE.match(buffer, start, min(stop, start + _START_LENGTH)):
            return False
        control = _NO_TEXT.search(buffer, start + max(self._looked - 1, 0), stop)
        return control is None or (control.start() == stop - 1 and control[0] == b"\r")

    def _head_end(self) -> int | None:
        """Offset from ``_start`` after the blank line that ends the headers. CRLF, LF or mixed."""
        limit = min(self._end, self._start + MAX_HEAD_BYTES)
        begin = self._start + max(self._headers - 1, self._looked - 2)
        ends = [
            at + len(mark) - self._start
            for mark in (b"\n\r\n", b"\n\n")
            if (at := self._buffer.find(mark, begin, limit)) >= 0
        ]
        self._looked = limit - self._start
        return min(ends, default=None)

    def _skip_junk(self) -> None:
        if not self._synchronised:
            begin = bytes(self._buffer[self._start : min(self._end, self._start + FIRST_BYTES)])
            raise ProtocolError(f"what answers does not speak RTSP; it looks like {looks_like(begin)}")
        self._adrift = True
        self._skip_to(self._start + 1)

    def _resynchronise(self) -> bool:
        """Go to what looks like a frame or a message. ``False``, and still adrift, if none has come."""
        for match in _SYNC.finditer(self._buffer, self._start, self._end):
            if match[1] is None or self.channels is None or match[1][0] in self.channels:
                self._adrift = False
                self._skip_to(match.start())
                return True
        self._skip_to(max(self._start, self._end - _SYNC_TAIL))
        return False

    def _skip_to(self, offset: int) -> None:
        self.junk += offset - self._start
        self._junk_in_a_row += offset - self._start
        self._leave(offset)
        if self._junk_in_a_row > MAX_JUNK_BYTES:
            raise ProtocolError(f"{MAX_JUNK_BYTES} bytes in a row are neither RTSP nor interleaved frames")

    def _leave(self, offset: int) -> None:
        """Begin with what stands at ``offset``."""
        self._start = offset
        self._subject = self._head = None
        self._headers = self._looked = 0

    def _allocate(self, size: int) -> None:
        """Move what is left to the beginning of a buffer of that size."""
        rest = self._buffer[self._start : self._end]
        if size != len(self._buffer):
            self._buffer = bytearray(size)
            self._view = memoryview(self._buffer)
        self._start, self._end = 0, len(rest)
        self._view[: self._end] = rest


_TURN, _PICTURES = range(MAX_FRAMES), range(MAX_PICTURES)


def _copied(messages: Iterable[Read]) -> Iterator[Message]:
    for message in messages:
        if isinstance(message, FrameRun):
            for start, stop in message.bounds:
                yield InterleavedFrame(message.channel, bytes(message.data[start:stop]))
        else:
            yield message


def printable(text: str) -> str:
    """A camera's own words, cut and cleaned for a log line or an API answer."""
    return "".join(c if c.isprintable() else "?" for c in text[:80])


def _parse_start_line(line: bytes) -> Request | Response | None:
    if match := _STATUS_LINE.match(line):
        return Response(int(match[1]), (match[2] or b"").decode("latin-1").strip())
    method, _, rest = line.partition(b" ")
    url, _, version = rest.rpartition(b" ")
    if _METHOD.fullmatch(method) and url.strip() and _RTSP_VERSION.fullmatch(version):
        return Request(method.decode(), url.strip(b" ").decode("latin-1"))
    return None


def _parse_headers(head: bytes) -> Headers:
    if head.count(b"\n") > MAX_HEADER_LINES:
        raise ProtocolError(f"a message has more than {MAX_HEADER_LINES} lines of headers")
    fields: list[tuple[str, str]] = []
    for line in head.decode("utf-8", "surrogateescape").split("\n"):
        if line[:1] in (" ", "\t") and fields:  # folded (RFC 2326 4.2 by way of RFC 2616 2.2)
            name, value = fields[-1]
            fields[-1] = (name, f"{value} {_CONTROL.sub(' ', line).strip()}")
            continue
        name, colon, value = _CONTROL.sub(" ", line).partition(":")
        if colon and name.strip():
            fields.append((name.strip(), value.strip()))
    return Headers(fields)


def _content_length(headers: Headers) -> int:
    values = set(filter(None, headers.all("Content-Length")))
    lengths = {match[0] if (match := _LENGTH.match(value)) else "" for value in values}
    if len(lengths) > 1 or "" in lengths:
        raise ProtocolError(f"Content-Length is not one number: {', '.join(sorted(values))[:40]!r}")
    length = lengths.pop() if lengths else "0"
    if len(length) > 9 or int(length) > MAX_BODY_BYTES:
        raise ProtocolError(f"a body of {length[:20]} bytes is announced; {MAX_BODY_BYTES} is the most we take")
    return int(length)


def _has_description(message: Request | Response) -> bool:
    """Whether a session description stands behind the headers, whatever they say of its length."""
    kind = (message.headers.get("Content-Type") or "").lower()
    return isinstance(message, Response) and message.status == 200 and kind.startswith("application/sdp")


def _serialise(start_line: str, headers: Headers, body: bytes) -> bytes:
    lines = [start_line, *(f"{name}: {value}" for name, value in headers if name.lower() != "content-length")]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    for line in lines:
        if _LINE_BREAK.search(line):
            raise ValueError("a line break in a header would start another one")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body
