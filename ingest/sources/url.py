"""Addresses of sources beside RTSP, taken apart; no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urljoin, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443, "rtmp": 1935, "rtmps": 443, "srt": 0, "udp": 0}
LOCAL = frozenset({"file", "device"})  # schemes whose address is a path of the machine that ingest runs on

_SAFE = "".join(map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True, slots=True)
class SourceUrl:
    """An address and what to ask for there."""

    scheme: str
    host: str  # without brackets; empty for a path of this machine, and for UDP of any address
    port: int
    target: str  # path and query as they go on the wire; of ``LOCAL`` the path itself
    username: str | None = None
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str) -> SourceUrl:
        """Read an absolute URL. Raises ``ValueError`` with a sentence that does not repeat it.

        User and password end at the last ``@`` before the first ``/``.
        """
        scheme, found, rest = text.partition("://")
        scheme = scheme.lower()
        if not found or scheme not in DEFAULT_PORTS.keys() | LOCAL:
            raise ValueError("the URL does not begin with a known scheme")
        if scheme in LOCAL:
            path, _, query = rest.partition("?")
            if not path.startswith("/"):
                raise ValueError(f"a {scheme} needs its whole path, such as {scheme}:///{_EXAMPLES[scheme]}")
            if scheme == "file":  # whose name may hold a ?
                return cls(scheme, "", 0, unquote(path))
            return cls(scheme, "", 0, unquote(path) + (f"?{query}" if query else ""))
        cut = next((at for at, character in enumerate(rest) if character in "/?#"), len(rest))
        credentials, _, authority = rest[:cut].rpartition("@")
        try:
            parts = urlsplit(f"//{authority}")
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError("the URL has no valid host and port") from None
        if " " in host or not host.isprintable():
            raise ValueError("the URL has no valid host and port; there is a blank or a control character in it")
        port = DEFAULT_PORTS[scheme] if port is None else port
        if not port:
            raise ValueError(f"the URL needs a port: {scheme}://host:port")
        if not host and scheme != "udp":
            raise ValueError("the URL has no valid host and port; in a password write / as %2F, ? as %3F and # as %23")
        user, _, password = credentials.partition(":")
        target = quote(rest[cut:].partition("#")[0], safe=_SAFE, errors="surrogateescape")
        return cls(scheme, host, port, target, unquote(user) if user else None, unquote(password))

    @property
    def authority(self) -> str:
        """Host and port."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def request_target(self) -> str:
        """Path and query as a request has them, where a path is never empty (RFC 9112 3.2.1)."""
        return self.target if self.target.startswith("/") else f"/{self.target}"

    def __str__(self) -> str:
        """The URL without credentials."""
        return f"{self.scheme}://{self.authority}{self.target}"

    def leading(self, location: str) -> SourceUrl:
        """The URL that a redirect, or a playlist, leads to: credentials go along to the same host and port alone.

        Raises ``ValueError`` for what is not HTTP, and for a way out of TLS.
        """
        there = SourceUrl.parse(urljoin(str(self), location.strip()))
        if there.scheme not in ("http", "https"):
            raise ValueError(f"it leads from {self.scheme} to {there.scheme}, which is not allowed")
        if self.scheme == "https" and there.scheme == "http":
            raise ValueError("it redirects from https to http, which would drop encryption")
        if (there.host, there.port) == (self.host, self.port):
            return SourceUrl(there.scheme, there.host, there.port, there.target, self.username, self.password)
        return SourceUrl(there.scheme, there.host, there.port, there.target)


_EXAMPLES = {"file": "srv/clip.mp4", "device": "dev/video0"}
