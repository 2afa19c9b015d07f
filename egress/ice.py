"""ICE-lite (RFC 8445 2.5): we offer host candidates and answer checks; the browser does the rest.

One agent a viewer, no task and no timer: the port hands it verified checks, the worker's sweep asks whether its
consent is still fresh (RFC 7675).
"""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field
from typing import NamedTuple

from egress.stun import BindingRequest

CONSENT_TIMEOUT = 30.0  # seconds without a check after which nothing may be sent any more (RFC 7675 5.1)
CONNECT_TIMEOUT = 20.0  # seconds from the answer to a nominated pair and a DTLS handshake; browsers give up at about 15
MAX_PATHS = 16  # addresses of one viewer that are remembered: a laptop has a few
_ICE_CHARS = string.ascii_letters + string.digits

Address = tuple[str, int] | tuple[str, int, int, int]


def _random(length: int) -> str:
    return "".join(secrets.choice(_ICE_CHARS) for _ in range(length))


class Path(NamedTuple):
    """One way to a viewer: its address, and which of ours it used, so that we answer from the same.

    A tuple, as one is made for every datagram: a frozen dataclass takes three times as long.
    """

    remote: Address
    local: bytes = b""  # our packed IP address; empty where the system does not tell


@dataclass(slots=True)
class IceAgent:
    """The ICE state of one viewer. All times are monotonic seconds."""

    created: float
    ufrag: str = field(default_factory=lambda: _random(8))
    password: str = field(default_factory=lambda: _random(24), repr=False)
    paths: dict[Address, Path] = field(default_factory=dict)  # every address that passed a check
    selected: Path | None = None  # what the browser nominated; media goes there
    last_check: float = 0.0

    def check(self, request: BindingRequest, path: Path, now: float) -> bool:
        """Take note of a verified check. ``True`` if the path has become the selected one."""
        self.last_check = now
        self.paths.setdefault(path.remote, path)
        # The last nomination counts: browsers renominate when a better path appears (a cable after Wi-Fi).
        if not request.use_candidate or self.selected == path:
            return False
        self.selected = self.paths[path.remote] = path
        return True

    def forget_paths(self) -> list[Address]:
        """Forget the oldest paths beyond MAX_PATHS and return their addresses."""
        candidates = (a for a in tuple(self.paths) if self.selected is None or a != self.selected.remote)
        forgotten = [next(candidates) for _ in range(len(self.paths) - MAX_PATHS)]
        for address in forgotten:
            del self.paths[address]
        return forgotten

    def expired(self, now: float) -> str:
        """Why this viewer must be given up, empty while it need not be."""
        if self.selected is None:
            return "ICE never connected" if now - self.created > CONNECT_TIMEOUT else ""
        return "consent expired" if now - self.last_check > CONSENT_TIMEOUT else ""
