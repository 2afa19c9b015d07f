"""RTSP URLs as people write them and cameras answer them (RFC 2326 3.2); no I/O.

``RtspUrl.parse`` reads what a person typed, with a user name and password that may hold anything. ``resolve_base`` and
``resolve_control`` turn what a camera says into URLs to ask for: only path and query are ever taken from the camera, so
that the host, which may be the outside of a NAT, and the credentials stay ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote, urljoin, urlsplit

DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "rtsp+http": 80, "rtsps+http": 443}

_SCHEME = re.compile(r"(rtsps?)(\+http)?://", re.IGNORECASE)
_ANY_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_SCHEMES = re.compile(r"(?:rtsps?://)+", re.IGNORECASE)  # "rtsp://rtsp://host/path" is a known camera's
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?)\]|([\w.-]+))(?::([0-9]{0,5}))?")
_END_OF_AUTHORITY = re.compile(r"[/?#]")
_HOST_AND_PORT = re.compile(
    r"(?:\[[^\]]*\]|[\w.-]*[.:][\w.:-]*)(?=[/?]|\Z)"
)  # what a URL without its scheme begins with
_MAX_NAME = 253  # characters of a host's name (RFC 1035 2.3.4, in text)
_SAFE = "".join(map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True, slots=True)
class RtspUrl:
    """An address and what to ask for there. ``str()`` is the URL without credentials."""

    scheme: str  # "rtsp" or "rtsps"
    host: str  # name (IDNA), IPv4, or IPv6 without brackets
    port: int
    target: str = ""  # path and query as they go on the wire
    username: str | None = None
    password: str = field(default="", repr=False)
    tunnel: bool = False  # inside of HTTP

    @classmethod
    def parse(cls, text: str) -> RtspUrl:
        """Read an absolute URL. Raises ``ValueError`` with a sentence that does not repeat the URL.

        User and password may be percent-encoded or hold ``@ : # ? /`` as they are: they end at the last ``@`` before
        the first ``/``, or, where that leaves no possible host, at the last ``@`` of all. Where both are possible, a
        part of the password could be taken for the host, and be shown as such: that is refused.
        """
        scheme = _SCHEME.match(text)
        if not scheme:
            raise ValueError("the URL does not begin with rtsp:// or rtsps://")
        rest = text[scheme.end() :]
        slash = rest.find("/")
        at = rest.rfind("@", 0, slash if slash >= 0 else len(rest))
        name, tunnel = scheme[1].lower(), scheme[2] is not None
        found, last = cls._at(name, tunnel, rest, at), rest.rfind("@")
        if last != at:
            other = cls._at(name, tunnel, rest, last)
            if found and other and at >= 0:
                raise ValueError("it is unclear where the password ends: write @ in it or in the path as %40, / as %2F")
            found = found or other
        if found is None:
            raise ValueError("the URL has no valid host and port after rtsp://")
        return found

    @classmethod
    def _at(cls, scheme: str, tunnel: bool, rest: str, at: int) -> RtspUrl | None:
        """The URL if its credentials end at the ``@`` at that index (-1: none), or ``None`` if no host follows."""
        end = _END_OF_AUTHORITY.search(rest, at + 1)
        cut = end.start() if end else len(rest)
        authority = _AUTHORITY.fullmatch(rest[at + 1 : cut])
        if not authority:
            return None
        port = int(authority[3]) if authority[3] else DEFAULT_PORTS[_whole(scheme, tunnel)]
        if not 0 < port < 65_536 or len(authority[2] or "") > _MAX_NAME:
            return None
        try:
            # RFC 6874 2 writes %25 before a zone.
            host = authority[1].replace("%25", "%") if authority[1] else authority[2].encode("idna").decode()
        except UnicodeError:
            return None
        user, password = None, ""
        if at > 0:
            raw_user, _, raw_password = rest[:at].partition(":")
            user, password = unquote(raw_user), unquote(raw_password)
        target = rest[cut:].partition("#")[0]
        return cls(scheme, host, port, quote(target, safe=_SAFE, errors="surrogateescape"), user, password, tunnel)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = _whole(self.scheme, self.tunnel)
        port = "" if self.port == DEFAULT_PORTS[scheme] else f":{self.port}"
        return f"{scheme}://{host}{port}{self.target}"

    @property
    def wire(self) -> str:
        """The URL as the camera gets it, without credentials, and without a zone (RFC 6874 4).

        Inside of HTTP it is always ``rtsp``: TLS is the web server's, and the camera's RTSP knows nothing of it.
        """
        scheme = "rtsp" if self.tunnel else self.scheme
        return str(replace(self, host=self.host.partition("%")[0], scheme=scheme, tunnel=False))

    def with_target(self, target: str) -> RtspUrl:
        """The same address, asking for something else: a path, a query, or both."""
        return replace(self, target=quote(target, safe=_SAFE, errors="surrogateescape"))

    def redirected(self, location: str) -> RtspUrl:
        """The URL that a redirect leads to (RFC 2326 10.10 and 11.3): credentials go along to the same host only.

        Raises ``ValueError`` for what is no RTSP URL, and for a way out of TLS.
        """
        location = location.strip(" \t<>\"'")
        if location and not _ANY_SCHEME.match(location):  # of the same address, as RFC 3986 5.2 resolves it
            if not location.startswith("//"):
                parts = urlsplit(urljoin(f"http://host{self.target}", location))
                return self.with_target(parts.path + (f"?{parts.query}" if parts.query else ""))
            location = f"{self.scheme}:{location}"
        if not _SCHEME.match(location):
            raise ValueError(
                "the camera redirects to something that is not an RTSP address; point its URL at the stream itself"
            )
        there = RtspUrl.parse(location)
        same = there.host.lower() == self.host.lower()
        if self.tunnel and same and there.port == self.port:  # it knows nothing of the tunnel
            there = replace(there, scheme=self.scheme, tunnel=True)
        if self.scheme == "rtsps" and there.scheme == "rtsp":
            raise ValueError("the camera redirects from rtsps to rtsp, which would drop encryption")
        if same:
            return replace(there, username=self.username, password=self.password)
        return replace(there, username=None, password="")


def _whole(scheme: str, tunnel: bool) -> str:
    """The scheme as it is written."""
    return f"{scheme}+http" if tunnel else scheme


def resolve_base(requested: RtspUrl, content_base: str | None, session_control: str | None) -> RtspUrl:
    """The URL of the whole presentation (RFC 2326 C.1.1): for PLAY, keepalive, TEARDOWN, and to resolve media against.

    In this order: an absolute ``a=control`` of the session, ``Content-Base``, the URL that was asked for.
    """
    if session_control and (target := _absolute_target(session_control)) is not None:
        return requested.with_target(target)
    if not content_base:
        return requested
    base = content_base.strip().strip('"<>')
    if (target := _absolute_target(base)) is not None:
        return requested.with_target(target)
    if base.startswith("/"):
        return requested.with_target(base)
    if match := _HOST_AND_PORT.match(base):  # "192.168.1.2:554/live/": its scheme was forgotten
        return requested.with_target(base[match.end() :])
    return resolve_control(requested, base)


def resolve_control(base: RtspUrl, control: str | None) -> RtspUrl:
    """The URL of one media section from its ``a=control``.

    Relative ones are appended to the base, behind its query if it has one: that is what cameras expect, and not what
    RFC 3986 would say.
    """
    control = (control or "").strip()
    if control in ("", "*"):
        return base
    if (target := _absolute_target(control)) is not None:
        return base.with_target(target)
    target = base.target
    if control[0] == "/":
        target = target.removesuffix("/")
    elif control[0] != "?" and not target.endswith("/"):
        target += "/"
    return base.with_target(target + control)


def _absolute_target(text: str) -> str | None:
    """Path and query of an absolute URL, whatever its host looks like; ``None`` if it is not absolute."""
    if not (schemes := _SCHEMES.match(text)):
        return None
    start = _END_OF_AUTHORITY.search(text, schemes.end())
    return text[start.start() :].partition("#")[0] if start else ""
