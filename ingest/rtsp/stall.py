"""Tells when a message that has begun does not go on, as the camera said more would come than it sends; no I/O."""

from __future__ import annotations

from ingest.rtsp.message import Request, Response
from ingest.rtsp.parser import Parser

PATIENCE = 3.0  # seconds in which no byte of it came: Wi-Fi stalls for as long, and sends what is missing again


class Stall:
    """The judge of one connection; ``look`` a few times a second."""

    def __init__(self) -> None:
        self._partial = 0
        self._since = 0.0

    def look(self, parser: Parser, now: float) -> Request | Response | None:
        """The message of which nothing has come for long, as far as it is there; ``None`` if there is none."""
        if parser.partial != self._partial:
            self._partial, self._since = parser.partial, now
        return parser.cut_short() if self._partial and now - self._since >= PATIENCE else None
