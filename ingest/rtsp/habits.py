"""The habits of a camera that cost it a connection, so that the next one goes round them; no I/O, time is an argument.

Some cameras hang up at a request that others want, or never answer it: OPTIONS, or the SETUP of their sound. Who asks
again and again never gets the picture. But a camera may also have been restarted, or set up anew: what was left out is
asked for again after a while, and what works once is forgiven.
"""

from __future__ import annotations

from dataclasses import dataclass, field

FATAL = 2  # connections that ended at the SETUP of a track, after which it is left out: one may have been an accident
LEFT_OUT = 600.0  # seconds for which it is left out then; twice as long each time that it does not help …
LEFT_OUT_MOST = 86_400.0  # … and this at most


@dataclass(slots=True)
class Habits:
    """The habits of one camera, for all of its sessions."""

    skips_options: bool = False  # a session begins with DESCRIBE
    learnt: int = 0  # connections that it cost to know them
    _ended: dict[str, int] = field(default_factory=dict)  # connections that ended at a SETUP, by kind of track …
    _until: dict[str, float] = field(default_factory=dict)  # … and when such a track may be asked for again

    def failed(self, method: str, kind: str, now: float, *, began: bool) -> None:
        """Note that the camera hung up at this request, or did not answer it. ``kind`` is that of the track, of a SETUP
        beside another one; ``began``: it was one of the first two of its connection."""
        if began and method in ("OPTIONS", "DESCRIBE"):
            self.skips_options = not self.skips_options
            self.learnt += 1
        elif method == "SETUP" and kind:
            self.learnt += 1
            ended = self._ended[kind] = self._ended.get(kind, 0) + 1
            if ended >= FATAL:
                self._until[kind] = now + min(LEFT_OUT * 2.0 ** min(ended - FATAL, 32), LEFT_OUT_MOST)

    def answered(self, kind: str) -> None:
        """Note that the camera answered the SETUP of a track of that kind, whatever it said."""
        self._ended.pop(kind, None)
        self._until.pop(kind, None)

    def forbids(self, kind: str, now: float) -> bool:
        """Whether a track of that kind is not to be set up beside others."""
        return now < self._until.get(kind, now)
