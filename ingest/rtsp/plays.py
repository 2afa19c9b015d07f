"""The ways of asking for PLAY that some camera insists on, one after the other; no I/O.

Most take the URL of the whole with a range (RFC 2326 10.5). Some refuse any range, play at the URL that was typed or
that of their one track, or play each track by itself (459, "aggregate operation not allowed").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ingest.rtsp.url import RtspUrl

_FINAL = {401, 403, 453, 503}  # no other URL helps: the login's, or too many others watch


class PlayRequest(NamedTuple):
    """One PLAY request."""

    url: RtspUrl
    ranged: bool


class Plays:
    """The PLAY requests of one session. ``now`` is the one to ask, until ``refused`` or ``granted`` has another."""

    def __init__(self, base: RtspUrl, typed: RtspUrl, tracks: Sequence[RtspUrl]) -> None:
        others = dict.fromkeys([typed, *(tracks if len(tracks) == 1 else ())])
        self._ways = [
            PlayRequest(base, True),
            PlayRequest(base, False),
            *(PlayRequest(url, True) for url in others if url != base),
        ]
        self._tracks = [PlayRequest(url, True) for url in tracks] if len(tracks) > 1 else []
        self.one_by_one = False  # each track by itself
        self.begun = False  # something plays
        self.now = self._ways.pop(0)

    def refused(self, status: int) -> PlayRequest | None:
        """The present one was refused: the one to try instead, ``None`` if there is none."""
        if self.one_by_one or status in _FINAL:
            return self._next_track() if self.begun else None
        if status != 459 and self._ways:
            self.now = self._ways.pop(0)
            return self.now
        self.one_by_one = True
        return self._next_track()

    def granted(self) -> PlayRequest | None:
        """The present one was granted: the track to ask for next, ``None`` if all play."""
        self.begun = True
        return self._next_track() if self.one_by_one else None

    def _next_track(self) -> PlayRequest | None:
        if not self._tracks:
            return None
        self.now = self._tracks.pop(0)
        return self.now
