"""Messages that pages send over their WebSocket (``broker.front.signalling`` lists them), read; no I/O.

Every message of a page is untrusted text: it becomes one of these classes, or a ``RequestError``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from broker.front.strict_json import parse_json
from common.cameras import CameraName
from common.errors import RequestError
from common.sessions import SessionName

MAX_MESSAGE = 64 << 10  # characters: an offer has a few thousand
MAX_ID = 256  # characters, or bits, of the id that a page gives an offer

_FORMS = {
    "offer": "camera and sdp, both text; id, if any, is text or a whole number",
    "show": "session, which is text",
    "candidate": "session and candidate, both text",
    "restart": "session and fragment, both text; id, if any, is text or a whole number",
    "close": "session, which is text",
    "attach": "session, which is text",
    "report": "session, which is text",
}


@dataclass(frozen=True, slots=True)
class Offer:
    """``wish`` is its stream and height, ``about`` its id, if it has one: each as the page wrote it."""

    camera: CameraName
    sdp: str = field(repr=False)
    wish: tuple[object, object]
    about: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Show:
    """The page shows the picture otherwise now."""

    session: SessionName
    wish: tuple[object, object]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trickled candidate. Nobody needs it, see ``sdpfrag``."""

    session: SessionName


@dataclass(frozen=True, slots=True)
class Restart:
    """An ICE restart is asked for by a fragment of SDP."""

    session: SessionName
    fragment: str = field(repr=False)
    about: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Close:
    """The page ends a session."""

    session: SessionName


@dataclass(frozen=True, slots=True)
class Attach:
    """The page takes over a session of another socket's."""

    session: SessionName


@dataclass(frozen=True, slots=True)
class Report:
    """How a session goes for the page; ``said`` is read by ``broker.why.evidence``."""

    session: SessionName
    said: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Subscribe:
    """The page wants to hear of all cameras."""


@dataclass(frozen=True, slots=True)
class NameIceServers:
    """The page asks for ICE servers."""


@dataclass(frozen=True, slots=True)
class Ping:
    """The page asks whether somebody listens; WebSocket's own pings are invisible to its script."""


PageMessage = Offer | Show | Candidate | Restart | Close | Attach | Report | Subscribe | NameIceServers | Ping


def read(data: str | bytes) -> PageMessage:
    """A message, from a frame of text. Raises ``RequestError`` for what is none."""
    if not isinstance(data, str):
        raise RequestError(400, "not_json", "Messages must be text: one JSON object each.")
    if len(data) > MAX_MESSAGE:
        raise RequestError(413, "too_large", f"The message is larger than {MAX_MESSAGE >> 10} kB.")
    try:
        message = parse_json(data)
    except ValueError as exc:
        raise RequestError(400, "not_json", f"The message {exc}.") from None
    match message:
        case {"type": "offer", "camera": str(camera), "sdp": str(sdp)} if _valid_id(message.get("id", "")):
            return Offer(CameraName(camera), sdp, _wish(message), _about(message))
        case {"type": "show", "session": str(session)}:
            return Show(SessionName(session), _wish(message))
        case {"type": "candidate", "session": str(session), "candidate": str()}:
            return Candidate(SessionName(session))
        case {"type": "restart", "session": str(session), "fragment": str(fragment)} if _valid_id(
            message.get("id", "")
        ):
            return Restart(SessionName(session), fragment, _about(message))
        case {"type": "close", "session": str(session)}:
            return Close(SessionName(session))
        case {"type": "attach", "session": str(session)}:
            return Attach(SessionName(session))
        case {"type": "report", "session": str(session)}:
            return Report(SessionName(session), message)
        case {"type": "subscribe"}:
            return Subscribe()
        case {"type": "ice_servers"}:
            return NameIceServers()
        case {"type": "ping"}:
            return Ping()
        case {"type": str(kind)} if kind in _FORMS:
            raise RequestError(400, "invalid_message", f"A message of type {kind} needs {_FORMS[kind]}.")
        case {"type": str()}:
            known = ", ".join([*_FORMS, "subscribe", "ice_servers", "ping"])
            raise RequestError(400, "unknown_type", f"There is no such message; known ones are {known}.")
        case _:
            raise RequestError(400, "invalid_message", "The message must be a JSON object with a type.")


def _wish(message: Mapping[str, Any]) -> tuple[object, object]:
    return message.get("stream"), message.get("height")


def _about(message: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"id": message["id"]} if "id" in message else {}


def _valid_id(id: object) -> bool:
    if isinstance(id, str):
        return len(id) <= MAX_ID
    return isinstance(id, int) and id.bit_length() <= MAX_ID
