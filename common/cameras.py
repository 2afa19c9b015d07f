"""A camera as every process knows it: its specification, its connection state, and its URL without the password.

A camera has a main stream, and perhaps a sub-stream: smaller pictures of the same. Each is pulled, assigned and watched
by itself, so between processes a stream's name stands where a camera's may. The main stream has the camera's own.

Passwords live in ``CameraSpec.url`` alone, which ``repr`` leaves out. Everything shown to people goes through
``redact``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, NewType

from pydantic import BeforeValidator

CameraName = NewType("CameraName", str)
"""The name that an operator gave a camera, or the name of its sub-stream: ``CAMERA/sub``."""

NOTHING = CameraName("")
"""The name of no camera."""

CAMERA_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""A camera's id: it stands in URLs, ZeroMQ topics and metrics, so it keeps to characters that need no quoting."""

MAIN, SUB = "main", "sub"
"""The streams of a camera."""

_BEFORE_CREDENTIALS = re.compile(r"://|\bturns?:")
_WHITE_SPACE = re.compile(r"\s")
# Xiongmai and others: rtsp://host/user=admin&password=x or user=admin_password=x. Each maker has names of its own
# (psw, passw, loginpas, authbasic), so a part of the name is enough.
_SECRET_PARAMETERS = re.compile(
    r"((?:(?:(?<!com)(?<!by)pas|pwd|psw|secret|token|auth|key(?!frame))[\w.-]{0,32}+|(?<![a-z0-9])pw?)=)[^&\s\"'<>?#]+",
    re.IGNORECASE,
)


def stream_of(camera: CameraName, stream: str) -> CameraName:
    """The name of a camera's stream."""
    return camera if stream == MAIN else CameraName(f"{camera}/{stream}")


def split_stream(name: CameraName) -> tuple[CameraName, str]:
    """The camera of a stream's name, and which of its streams that is."""
    camera, _, stream = name.partition("/")
    return CameraName(camera), stream or MAIN


def redact(text: str) -> str:
    """``text`` with user and password of every URL in it, and secrets given as parameters, replaced by ``***``.

    Takes time in proportion to the text, whatever it holds: strangers write some of what is redacted.
    """
    text = _without_credentials(text)
    return _SECRET_PARAMETERS.sub(r"\1***", text) if "=" in text else text


def _without_credentials(text: str) -> str:
    """To the last @ before white space: a password may hold any other character, and hiding too much harms nobody."""
    parts: list[str] = []
    done = 0
    start = _BEFORE_CREDENTIALS.search(text) if "@" in text else None
    while start is not None:
        space = _WHITE_SPACE.search(text, start.end())
        end = space.start() if space else len(text)
        if (at := text.rfind("@", start.end(), end)) >= 0:
            parts += text[done : start.end()], "***"
            done = at
        start = _BEFORE_CREDENTIALS.search(text, end)  # no word is looked at twice
    return "".join(parts) + text[done:]


def or_else(other: StrEnum) -> Callable[[object], object]:
    """A validator's part: a text that the enum does not have, because a newer release says it, is ``other``."""
    known = frozenset(type(other))
    return lambda value: other if isinstance(value, str) and value not in known else value


class Transport(StrEnum):
    """How RTP is asked for. ``auto`` tries TCP, then UDP unless the camera is ``rtsps``: UDP is not encrypted. It tries
    multicast where the camera refuses one of them. ``udp`` falls back to TCP; ``tcp`` and ``multicast`` to nothing."""

    AUTO = "auto"
    TCP = "tcp"
    UDP = "udp"
    MULTICAST = "multicast"


class CameraState(StrEnum):
    """Where a camera's connection stands. Everything from ``UNAUTHORIZED`` on is a failure that is being retried."""

    IDLE = "idle"
    WAITING = "waiting"
    CONNECTING = "connecting"
    PLAYING = "playing"
    UNAUTHORIZED = "unauthorized"
    INVALID_URL = "invalid_url"
    HOST_UNKNOWN = "host_unknown"
    CONNECTION_REFUSED = "connection_refused"
    UNREACHABLE = "unreachable"
    UNANSWERED = "unanswered"
    TLS_FAILED = "tls_failed"
    NOT_RTSP = "not_rtsp"
    NOT_MEDIA = "not_media"
    NOT_FOUND = "not_found"
    REJECTED = "rejected"
    FULL = "full"
    NO_PLAYABLE_TRACK = "no_playable_track"
    NO_PICTURE = "no_picture"
    SILENT = "silent"
    CLOSED = "closed"
    MALFORMED = "malformed"
    OVER_LIMIT = "over_limit"
    NOT_ALLOWED = "not_allowed"
    UNKNOWN = "unknown"

    @property
    def sentence(self) -> str:
        """One sentence for a person: what is wrong, and what to look at."""
        return _SENTENCES[self]

    @property
    def failed(self) -> bool:
        """Whether the camera gives no picture because of an error."""
        return self not in _HEALTHY


_HEALTHY = {CameraState.IDLE, CameraState.WAITING, CameraState.CONNECTING, CameraState.PLAYING}

_SENTENCES = {
    CameraState.IDLE: "Nobody is watching; the camera is pulled as soon as somebody does.",
    CameraState.WAITING: "There is no ingest process to pull the camera.",
    CameraState.CONNECTING: "Connecting to the camera.",
    CameraState.PLAYING: "The camera is playing.",
    CameraState.UNAUTHORIZED: "The camera refused the user name or password; check them in the camera's URL.",
    CameraState.INVALID_URL: "The camera's URL cannot be understood; correct it.",
    CameraState.HOST_UNKNOWN: "The camera's host name is unknown; check it, or use an IP address.",
    CameraState.CONNECTION_REFUSED: "The camera's host refused the connection; check the port, and that RTSP is on.",
    CameraState.UNREACHABLE: "The camera's host cannot be reached; check its power, its address and the network.",
    CameraState.UNANSWERED: "The camera accepts the connection but does not answer; check the port, or restart it.",
    CameraState.TLS_FAILED: "The camera's TLS certificate or cipher was not accepted.",
    CameraState.NOT_RTSP: "Something answers at the camera's address, but it does not speak RTSP.",
    CameraState.NOT_MEDIA: "Something answers at the camera's address, but it is not video or audio that can be read.",
    CameraState.NOT_FOUND: "The camera has no such stream; check the path in its URL.",
    CameraState.REJECTED: "The camera rejected the request.",
    CameraState.FULL: "The camera has as many connections as it can serve; close another one.",
    CameraState.NO_PLAYABLE_TRACK: "The camera offers no track that a browser can play.",
    CameraState.NO_PICTURE: "The camera's picture cannot be shown.",
    CameraState.SILENT: "The camera is connected but sends no media; restart it if this continues.",
    CameraState.CLOSED: "The camera closed the connection; restart it if this continues.",
    CameraState.MALFORMED: "The camera sent invalid RTSP or SDP; restart it, or update its firmware.",
    CameraState.OVER_LIMIT: "The camera sends more than this server accepts; set a lower bitrate in the camera.",
    CameraState.UNKNOWN: "A newer release pulls the camera and reports a state that this one does not know.",
    CameraState.NOT_ALLOWED: "This server does not allow cameras of that kind, or at that address.",
}


@dataclass(frozen=True, slots=True)
class TlsSpec:
    """How an ``rtsps`` camera's certificate is judged. The default is full verification."""

    verify: bool = True
    fingerprint: str | None = None  # SHA-256 of the certificate, hex, colons allowed; replaces verification
    legacy: bool = False  # allow old ciphers and protocol versions


@dataclass(frozen=True, slots=True)
class CameraSpec:
    """One stream of a camera as the operator wants it.

    ``revision`` grows with each change, so that a worker sees it is stale. ``networks`` are those that it may be in, it
    and whatever it leads to; none: all.
    """

    id: CameraName
    url: str = field(repr=False)
    transport: Annotated[Transport, BeforeValidator(or_else(Transport.AUTO))] = Transport.AUTO
    on_demand: bool = False
    keep_after: float = 10.0  # seconds an on-demand camera is kept after its last viewer left
    tls: TlsSpec = field(default_factory=TlsSpec)
    revision: int = 0
    networks: tuple[str, ...] = ()
    one_session: bool = False  # it serves one client at a time: let go by one worker before another takes it

    @property
    def scheme(self) -> str:
        """The URL's scheme, in lower case."""
        return self.url.partition(":")[0].lower()

    @property
    def encrypted(self) -> bool:
        """Whether an RTSP URL asks for TLS."""
        return self.url.lower().startswith(("rtsps:", "rtsps+http:"))

    @property
    def tcp_alone(self) -> bool:
        """Whether its media comes over the connection to the URL, whatever ``transport`` says: inside of HTTP."""
        return self.scheme.endswith("+http")
