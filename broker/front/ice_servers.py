"""STUN and TURN servers that viewers are told of, and who is told of which. No I/O.

A TURN server that shares a secret with us (``http.turn_secret``) takes passwords that we make, one for each viewer
(draft-uberti-behave-turn-rest-00 2.2): the user is the Unix time at which the password ends, a colon, and who it is
for; the password is the base64 of the HMAC-SHA1 of that under the secret. Such a pair is for whoever has a right to
watch, also on pages of other sites. A password that stands in the configuration never ends, so it goes to nobody but
pages of ours and what is no page. Who may watch nothing, such as a monitor, gets neither.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field

from broker.access.principal import Kind, Principal
from common.address import split_ice_server
from common.config import HttpConfig

_PLAIN = re.compile(r"[A-Za-z0-9._@:-]{1,64}")  # what every TURN server and every header takes


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server as a viewer is told of it."""

    url: str
    username: str = ""
    credential: str = field(default="", repr=False)

    @property
    def link(self) -> str:
        """RFC 9725 4.6: as a ``Link`` header's value."""
        link = f'<{self.url}>; rel="ice-server"'
        if self.username:
            link += f'; username="{_quoted(self.username)}"; credential="{_quoted(self.credential)}"'
            link += '; credential-type="password"'
        return link

    @property
    def entry(self) -> dict[str, str]:
        """An RTCIceServer, as a page gives it to its RTCPeerConnection."""
        entry = {"urls": self.url}
        return entry | {"username": self.username, "credential": self.credential} if self.username else entry


@dataclass(frozen=True, slots=True)
class IceServers:
    """All that are configured."""

    servers: tuple[IceServer, ...] = ()
    secret: str = field(default="", repr=False)
    lifetime: float = 0.0  # seconds for which a password that we make is good

    @classmethod
    def of(cls, http: HttpConfig) -> IceServers:
        """The servers that the configuration names."""
        servers = tuple(IceServer(*split_ice_server(each)) for each in http.ice_servers)
        return cls(servers, http.turn_secret, http.turn_hours * 3_600)

    def told(self, principal: Principal | None, address: str | None, *, ours: bool, now: float) -> Iterator[IceServer]:
        """The servers to name to somebody who asks from a page of ours or from none (``ours``), or from another site.

        ``principal`` is ``None`` for one who has not signed in; ``address`` is what limits of one address count it by,
        if any do. ``now`` is Unix time.
        """
        for server in self.servers:
            if not server.url.startswith("turn"):
                yield server
            elif server.username:
                if ours and principal is not None and principal.may_watch_any:
                    yield server
            elif principal is not None and _may_relay(principal, ours=ours):
                yield self._for(server.url, principal, address, now)

    def _for(self, url: str, principal: Principal, address: str | None, now: float) -> IceServer:
        ends = now + self.lifetime
        if principal.expires is not None:
            ends = min(ends, principal.expires)
        label = _plain(principal.label)
        if principal.kind is Kind.OPEN and address is not None:  # else one stranger has the relays of all, by one name
            label += ":" + self._keyed(address, "sha256").hex()[:16]
        username = f"{int(ends)}:{label}"
        return IceServer(url, username, b64encode(self._keyed(username, "sha1")).decode())

    def _keyed(self, text: str, algorithm: str) -> bytes:
        return hmac.digest(self.secret.encode(), text.encode(), algorithm)


def _may_relay(principal: Principal, *, ours: bool) -> bool:
    """Whether somebody may watch anything, by a right of its own or from a page of ours."""
    known = principal.kind is not Kind.OPEN  # where nobody signs in, every page of the world is as good
    return (ours or known) and principal.may_watch_any


def _plain(label: str) -> str:
    """Somebody's name, by which the TURN server's log and quota know it."""
    return label if _PLAIN.fullmatch(label) else hashlib.sha256(label.encode(errors="replace")).hexdigest()[:16]


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
