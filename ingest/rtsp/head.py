"""The head of an RTSP message: its start line and headers, from bytes that arrive piece by piece; no I/O.

Rules:

* Each byte is looked at a fixed number of times, however the bytes are cut.
* Lenient in what it accepts: bare LF, folded and unknown headers, header names of any case.
* No more than ``MAX_HEAD_BYTES`` are waited for, and no body longer than ``MAX_BODY_BYTES`` is announced.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from common.errors import ProtocolError
from ingest.rtsp.message import Headers, Request, Response

MAX_HEAD_BYTES = 16 << 10  # start line and headers; real ones stay under 2 kB
MAX_HEADER_LINES = 256  # real messages have under 20
MAX_BODY_BYTES = 256 << 10  # session descriptions stay under 10 kB, but for servers that list every stream they have

_STATUS_LINE = re.compile(rb"RTSP/[\d.]*[ \t]+(\d{3})(?:[ \t](.*))?", re.IGNORECASE)
_METHOD = re.compile(rb"[A-Z_]{3,20}")
_RTSP_VERSION = re.compile(rb"RTSP/\d\.\d")
_START_OF_LINE = re.compile(
    rb"(?:(?i:RTSP/[\d.]*)|[A-Z_]{1,20}|(?i:R|RT|RTS|RTSP))(?:[ \t][^\x00-\x08\x0a-\x1f]*)?\r*\Z"
)  # what may still become one of the two
_START_LENGTH = 64  # bytes of a line in which that is decided
_NO_TEXT = re.compile(rb"[\x00-\x08\x0a-\x1f]")
_END_OF_HEAD = re.compile(rb"\n\r{0,3}\n")
_LENGTH = re.compile(r"[+\"]?([0-9]+)")  # a unit may stand behind it
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class Head(NamedTuple):
    """A message without its body, and where that is."""

    message: Request | Response
    body: int  # offset from the message's start
    size: int  # of the whole message; the most that we take where the message does not say


class HeadReader:
    """Reads one head after the other; it remembers how far it has looked, and ``restart`` lets it begin with the next.

    Each call has the buffer and the places in it between which a message stands as far as it came, a byte at least.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin with another message."""
        self._subject: Request | Response | None = None  # its start line
        self._headers = 0  # offset from its start at which they begin
        self._looked = 0  # bytes from its start that need no second look

    @property
    def started(self) -> bool:
        """Whether the start line is complete."""
        return self._subject is not None

    def begins(self, buffer: bytearray, start: int, end: int) -> bool:
        """Whether a message may begin at ``start``, by as much as is there of its first line.

        Raises ``ProtocolError`` for a line that does not end.
        """
        if self._subject is not None:
            return True
        newline = buffer.find(b"\n", start + self._looked, end)
        stop = newline if newline >= 0 else end
        if not self._may_be_start_line(buffer, start, stop):
            return False
        if stop - start > MAX_HEAD_BYTES:
            raise ProtocolError(f"a line is longer than {MAX_HEAD_BYTES} bytes")
        self._looked = stop - start
        if newline >= 0:
            self._subject = _parse_start_line(bytes(buffer[start:newline]).rstrip(b"\r"))
            self._headers = newline + 1 - start
        return newline < 0 or self._subject is not None

    def read(self, buffer: bytearray, start: int, end: int, *, describes: bool = False) -> Head | None:
        """The head of what ``begins`` at ``start``; ``None`` while it is incomplete.

        A description that was asked for (``describes``) may be there though no length is said, or 0.
        Raises ``ProtocolError`` for headers that do not end, and for a body that is too long or of no clear length.
        """
        if self._subject is None:
            return None
        ends = self._end(buffer, start, end)
        if ends is None:
            if end - start > MAX_HEAD_BYTES:
                raise ProtocolError(f"headers do not end within {MAX_HEAD_BYTES} bytes")
            return None
        headers = _parse_headers(bytes(buffer[start + self._headers : start + ends]))
        message = replace(self._subject, headers=headers)
        undeclared = MAX_BODY_BYTES if describes and has_description(message) else 0
        return Head(message, ends, ends + (_content_length(headers, most=describes) or undeclared))

    def _may_be_start_line(self, buffer: bytearray, start: int, stop: int) -> bool:
        """Whether the line at ``start``, of which all until ``stop`` is there, may be one that begins a message."""
        if self._looked < _START_LENGTH and not _START_OF_LINE.match(buffer, start, min(stop, start + _START_LENGTH)):
            return False
        control = _NO_TEXT.search(buffer, start + max(self._looked - 1, 0), stop)
        return control is None or not bytes(buffer[control.start() : stop]).strip(b"\r")

    def _end(self, buffer: bytearray, start: int, end: int) -> int | None:
        """Offset from ``start`` after the blank line that ends the headers. CRLF, LF, CRCRLF or mixed."""
        limit = min(end, start + MAX_HEAD_BYTES)
        found = _END_OF_HEAD.search(buffer, start + max(self._headers - 1, self._looked - 5), limit)
        self._looked = limit - start
        return found.end() - start if found else None


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
            fields[-1] = (name, f"{value} {_CONTROL.sub(' ', line).strip()}".rstrip())
            continue
        name, colon, value = _CONTROL.sub(" ", line).partition(":")
        if colon and name.strip():
            fields.append((name.strip(), value.strip()))
    return Headers(fields)


def _content_length(headers: Headers, *, most: bool) -> int:
    """The bytes of the body; 0 where nothing is said that is a number. Of several the least counts, or the ``most``."""
    lengths = [match[1] for value in headers.all("Content-Length") if (match := _LENGTH.match(value))]
    for length in lengths:
        if len(length) > 9 or int(length) > MAX_BODY_BYTES:
            raise ProtocolError(f"a body of {length[:20]} bytes is announced; the limit is {MAX_BODY_BYTES}")
    return (max if most else min)(map(int, lengths), default=0)


def has_description(message: Request | Response) -> bool:
    """Whether a session description may stand behind the headers, whatever they say of its length."""
    kind, said = (message.headers.get(name) for name in ("Content-Type", "Content-Length"))
    return isinstance(message, Response) and message.status == 200 and ("sdp" in (kind or "").lower() or said is None)
