"""Somebody who asks: by whom the front door knows it, and what it may do. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from common.access import AccessRole, covers
from common.cameras import CameraName

GRACE = 60.0  # seconds for which a session goes on when its token has run out: clocks differ, and a new one may come
MAX_NAME = 64  # characters of a name in logs and reports


class Kind(StrEnum):
    """The kind of credentials by which somebody is known."""

    OPEN = "open"  # none: nobody has to sign in here
    TOKEN = "token"  # noqa: S105 - a word, no secret
    JWT = "jwt"
    USER = "user"
    PROXY = "proxy"  # a reverse proxy says who it is
    OIDC = "oidc"  # signed in at a provider


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody, by the name that its credentials give it. ``expires`` is the Unix time at which they run out."""

    kind: Kind
    name: str
    role: AccessRole
    cameras: tuple[str, ...] = ()  # patterns, of a viewer
    expires: float | None = None
    proof: str = ""  # tells apart the browsers in which one user is signed in, and tokens that have one name

    @property
    def is_admin(self) -> bool:
        """Whether it may do everything."""
        return self.role is AccessRole.ADMIN

    @property
    def may_monitor(self) -> bool:
        """Whether it may read what is measured of the cluster, cameras' names among it."""
        return self.role in (AccessRole.ADMIN, AccessRole.MONITOR)

    @property
    def label(self) -> str:
        """The name that logs, lists and sessions have for it, such as ``token:wall``."""
        return f"{self.kind}:{self.name}" if self.name else self.kind.value

    @property
    def holder(self) -> str:
        """The label by which its sessions are held, with the proof: what ``Desk.hindrance`` takes."""
        return f"{self.label}#{self.proof}" if self.proof else self.label

    @property
    def may_watch_any(self) -> bool:
        """Whether there may be a camera that it may see."""
        return self.is_admin or (self.role is AccessRole.VIEWER and bool(self.cameras))

    def may_watch(self, camera: CameraName) -> bool:
        """Whether it may see that camera, whether or not there is one of the name."""
        return self.is_admin or (self.role is AccessRole.VIEWER and covers(self.cameras, camera))


EVERYBODY = Principal(Kind.OPEN, "", AccessRole.ADMIN)
"""Everybody, where nobody has to sign in."""
