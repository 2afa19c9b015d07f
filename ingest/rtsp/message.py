"""RTSP messages and interleaved frames (RFC 2326 sections 4 to 7, 10.12): bytes in, messages out; no I/O.

Rules:

* One ``Parser`` for each connection and direction; it serves a client as well as a server. It owns its receive buffer,
  so a ``BufferedProtocol`` can have the kernel write right into it, and its memory is bounded by ``CAPACITY``.
* Lenient in what it accepts: bare LF, blank lines before a message, folded and unknown headers, header names of any
  case.
* Bytes between two messages that belong to neither are skipped up to the next thing that looks like a frame or a
  message, and counted. Bytes that are no RTSP before the first message are an error at once: the peer is something
  else.
* After a ``ProtocolError`` the parser is of no more use, nor is the connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from common.errors import ProtocolError

MAX_HEAD_BYTES = 16 << 10  # start line and headers; real ones stay under 2 kB
MAX_BODY_BYTES = 64 << 10  # real session descriptions stay under 10 kB
MAX_JUNK_BYTES = 64 << 10  # skipped in a row before we give up: a camera's whole lost frame may be in it
CAPACITY = MAX_HEAD_BYTES + MAX_BODY_BYTES  # holds the largest message, and the largest frame too

VERSION = "RTSP/1.0"
_DOLLAR = 0x24
_BLANKS = (0x0D, 0x0A)
_MIN_ROOM = 16 << 10  # bytes offered to the kernel at least, so that a busy camera costs few system calls

_STATUS_LINE = re.compile(rb"RTSP/\d\.\d +(\d{3})(?: (.*))?")
_REQUEST_LINE = re.compile(rb"([A-Z_]{3,20}) +(\S.*?) +RTSP/\d\.\d")
_START_OF_LINE = re.compile(
    rb"(?:RTSP/[\d.]*|[A-Z_]{1,20})(?: [^\x00-\x1f]*)?\r?\Z"
)  # what may still become one of the two
_SYNC = re.compile(rb"\$(.)..[\x80-\xbf]|RTSP/\d\.\d +\d{3}|[A-Z_]{3,20} +rtsps?://", re.DOTALL)
_SYNC_TAIL = 31  # bytes kept when nothing was found: a sync point may have been cut by the end of the data
_LINE_BREAK = re.compile(r"[\r\n\0]")
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


class Frame(NamedTuple):
    """An interleaved packet (RFC 2326 10.12). A tuple, because there are thousands a second."""

    channel: int
    payload: bytes

    def __bytes__(self) -> bytes:
        return b"$%c%b%b" % (self.channel, len(self.payload).to_bytes(2, "big"), self.payload)


Message = Request | Response | Frame


class Parser:
    """Incremental parser of one direction of an RTSP connection.

    Either ``feed`` it, or write into ``buffer()`` and tell it by ``advance`` how much was written. Both return the
    messages that are now complete, and raise ``ProtocolError`` for what cannot be read past.
    """

    def __init__(self) -> None:
        self.junk = 0  # bytes skipped in all
        self.channels: frozenset[int] | None = None
        """Interleaved channels in use, once known: makes resynchronising more certain."""
        self._buffer = bytearray(CAPACITY)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0  # of what has been received and not yet parsed
        self._synchronised = False  # something of RTSP was seen: junk is skipped from then on
        self._adrift = False  # in junk
        self._junk_in_a_row = 0

    @property
    def partial(self) -> int:
        """Bytes of a message that has not come to its end."""
        return self._end - self._start

    @property
    def synchronised(self) -> bool:
        """Whether the peer has ever sent something that is RTSP."""
        return self._synchronised

    def buffer(self) -> memoryview:
        """Where to write next; never empty."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._start and CAPACITY - self._end < _MIN_ROOM:
            rest = self._buffer[self._start : self._end]
            self._start, self._end = 0, len(rest)
            self._view[: self._end] = rest
        return self._view[self._end :]

    def feed(self, data: bytes) -> list[Message]:
        """Parse ``data``, of any size."""
        messages: list[Message] = []
        rest = memoryview(data)
        while rest:
            room = self.buffer()
            count = min(len(room), len(rest))
            room[:count] = rest[:count]
            rest = rest[count:]
            messages += self.advance(count)
        return messages

    def advance(self, count: int) -> list[Message]:
        """Parse the ``count`` bytes that were written into ``buffer()``."""
        self._end += count
        messages: list[Message] = []
        buffer, view = self._buffer, self._view
        start, end = self._start, self._end
        while start < end:
            if buffer[start] == _DOLLAR and not self._adrift:
                stop = start + 4 + (buffer[start + 2] << 8 | buffer[start + 3]) if end - start >= 4 else CAPACITY + 1
                if stop > end:
                    break
                messages.append(Frame(buffer[start + 1], bytes(view[start + 4 : stop])))
                start = stop
                continue
            self._start = start
            if messages:
                self._settle()
            if self._adrift:
                found = self._resynchronise()
                start = self._start
                if not found:
                    break
                continue
            message = self._message()
            if message is not None:
                messages.append(message)
            elif self._start == start:
                break
            start = self._start
        if messages:
            self._settle()
        self._start = start
        return messages

    def _settle(self) -> None:
        self._synchronised = True
        self._junk_in_a_row = 0

    def _message(self) -> Request | Response | None:
        """The message at ``_start``. ``None`` if it is incomplete, or if only junk or blank lines were skipped."""
        buffer, start, end = self._buffer, self._start, self._end
        while start < end and buffer[start] in _BLANKS:
            start += 1
        if start != self._start:
            self._start = start
            return None
        newline = buffer.find(b"\n", start, end)
        line = bytes(buffer[start : newline if newline >= 0 else end])
        if not _START_OF_LINE.match(line):
            self._skip_junk(line)
            return None
        if newline < 0:
            if len(line) > MAX_HEAD_BYTES:
                raise ProtocolError(f"a line is longer than {MAX_HEAD_BYTES} bytes")
            return None
        status, request = _STATUS_LINE.match(line.rstrip(b"\r")), _REQUEST_LINE.fullmatch(line.rstrip(b"\r"))
        if not status and not request:
            self._skip_junk(line)
            return None
        self._synchronised = True
        head_end = self._head_end(newline)
        if head_end is None:
            if end - start > MAX_HEAD_BYTES:
                raise ProtocolError(f"headers do not end within {MAX_HEAD_BYTES} bytes")
            return None
        headers = _parse_headers(bytes(buffer[newline + 1 : head_end]))
        length = _content_length(headers)
        if end - head_end < length:
            return None
        self._start = head_end + length
        body = bytes(buffer[head_end : self._start])
        if status:
            return Response(int(status[1]), (status[2] or b"").decode("latin-1").strip(), headers, body)
        assert request is not None
        return Request(request[1].decode(), request[2].decode("latin-1"), headers, body)

    def _head_end(self, newline: int) -> int | None:
        """Offset after the blank line that ends the headers; ``newline`` ends their start line. CRLF, LF or mixed."""
        ends = [
            at + len(mark)
            for mark in (b"\n\r\n", b"\n\n")
            if (at := self._buffer.find(mark, newline, min(self._end, self._start + MAX_HEAD_BYTES))) >= 0
        ]
        return min(ends, default=None)

    def _skip_junk(self, line: bytes) -> None:
        if not self._synchronised:
            raise ProtocolError(f"what answers does not speak RTSP; it begins with {line[:40]!r}")
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
        self._start = offset
        if self._junk_in_a_row > MAX_JUNK_BYTES:
            raise ProtocolError(f"{MAX_JUNK_BYTES} bytes in a row are neither RTSP nor interleaved frames")


def printable(text: str) -> str:
    """What a camera wrote, cut and cleaned for a log line or an API answer."""
    return "".join(c if c.isprintable() else "?" for c in text[:80])


def _parse_headers(head: bytes) -> Headers:
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
    values = set(headers.all("Content-Length"))
    if not values:
        return 0
    value = values.pop()
    if values or not (value.isascii() and value.isdigit()):
        raise ProtocolError(f"Content-Length is not one number: {value[:40]!r}")
    if len(value) > 9 or int(value) > MAX_BODY_BYTES:
        raise ProtocolError(f"a body of {value[:20]} bytes is announced; {MAX_BODY_BYTES} is the most we take")
    return int(value)


def _serialise(start_line: str, headers: Headers, body: bytes) -> bytes:
    lines = [start_line, *(f"{name}: {value}" for name, value in headers if name.lower() != "content-length")]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    for line in lines:
        if _LINE_BREAK.search(line):
            raise ValueError("a line break in a header would start another one")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body
