"""The habits of a camera that cost it a connection, so that the next one goes round them; no I/O.

Some cameras hang up at a request that others want, or never answer it: OPTIONS, or the SETUP of their sound. Who asks
again and again never gets the picture.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

FATAL = 2  # connections that ended at the SETUP of a track, after which it is left out: one may have been an accident


@dataclass(slots=True)
class Habits:
    """One camera's, for all of its sessions."""

    skips_options: bool = False  # a session begins with DESCRIBE
    _ended: Counter[str] = field(default_factory=Counter)  # connections that ended at a SETUP, by kind of track

    def failed(self, method: str, kind: str, *, began: bool) -> None:
        """The camera hung up at this request, or did not answer it. ``kind`` is that of the track, of a SETUP
        beside another one; ``began``: it was one of the first two of its connection."""
        if began and method in ("OPTIONS", "DESCRIBE"):
            self.skips_options = not self.skips_options
        elif method == "SETUP" and kind:
            self._ended[kind] += 1

    def forbids(self, kind: str) -> bool:
        """Whether a track of that kind is not to be set up beside others."""
        return self._ended[kind] >= FATAL
