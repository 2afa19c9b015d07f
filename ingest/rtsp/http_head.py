"""The head of an HTTP answer (RFC 9112 4), as the tunnel through a camera's web server gets it; no I/O."""

from __future__ import annotations

import re
from typing import NamedTuple

from common.errors import ProtocolError
from ingest.rtsp.message import Headers
from ingest.rtsp.strangers import looks_like

MAX_HEAD_BYTES = 16 << 10  # real ones have 200

_BEGIN = b"HTTP/"
_STATUS = re.compile(rb"HTTP/\d\.\d[ \t]+(\d{3})[^\n]*\n")
_END = re.compile(rb"\n\r?\n")


class Answer(NamedTuple):
    """A whole head, and what has come behind it."""

    status: int
    headers: Headers
    rest: bytes


class AnswerReader:
    """Reads one head from bytes that arrive piece by piece."""

    def __init__(self) -> None:
        self._received = b""

    def feed(self, data: bytes) -> Answer | None:
        """The head, when it is complete. Raises ``ProtocolError`` for what is none."""
        looked, self._received = len(self._received), self._received + data
        received = self._received
        if not received.startswith(_BEGIN[: len(received)]):
            raise ProtocolError(f"what answers does not speak HTTP; it looks like {_looks_like(received)}")
        end = _END.search(received, max(looked - 2, 0), MAX_HEAD_BYTES)
        if end is None:
            if len(received) > MAX_HEAD_BYTES:
                raise ProtocolError(f"the answer to GET does not end within {MAX_HEAD_BYTES} bytes")
            return None
        status = _STATUS.match(received)
        if status is None:
            raise ProtocolError("what answers does not speak HTTP; its first line is not HTTP")
        text = received[status.end() : end.end()].decode("utf-8", "surrogateescape")
        lines = (line.partition(":") for line in text.split("\n"))
        headers = Headers((name.strip(), value.strip()) for name, colon, value in lines if colon)
        return Answer(int(status[1]), headers, received[end.end() :])


def _looks_like(begin: bytes) -> str:
    if begin.startswith(b"RTSP/"):
        return "an RTSP server; write rtsp:// instead of rtsp+http://"
    if begin[:1] in (b"\x15", b"\x16"):
        return "a TLS server; write rtsps+http:// instead of rtsp+http://"
    return looks_like(begin)
