"""RTSP messages and interleaved frames (RFC 2326 sections 4 to 7, 10.12), and how they are written; no I/O.

``ingest.rtsp.parser`` reads them. Nothing is written in which a header could start another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

VERSION = "RTSP/1.0"

_LINE_BREAK = re.compile(r"[\r\n\0]")


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


Message = Request | Response | InterleavedFrame


def _serialise(start_line: str, headers: Headers, body: bytes) -> bytes:
    lines = [start_line, *(f"{name}: {value}" for name, value in headers if name.lower() != "content-length")]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    for line in lines:
        if _LINE_BREAK.search(line):
            raise ValueError("a line break in a header would start another one")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body
