"""The words between an egress and its successor, most with what ``egress.succession.states`` has: one msgpack map a
message; pure."""

from __future__ import annotations

from dataclasses import dataclass, field, is_dataclass
from typing import Annotated, Any, Literal

import msgpack
from pydantic import Field, TypeAdapter, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from common.errors import ProtocolError
from common.media import Kind
from egress.succession.states import (
    MAX_NAMES,
    U32,
    ConnectionState,
    Count,
    FeedState,
    Hosts,
    Secret,
    SessionChange,
    SessionState,
    Text,
    Time,
)

VERSION = 2  # of these words; a successor of another release may say others, and then nothing is handed over
MAX_MESSAGE = 96 << 10  # bytes; a session with every path and format that it may have takes a third of it
MAX_FEEDS = 20_000  # of a process: each of its renditions has two
MAX_SESSIONS = 50_000  # more than any process takes (limits.egress_viewers)
MAX_LEFT = 10_000  # sessions that a successor does not take: none, as long as nobody has made a mistake
MAX_CHANGES = 25  # in one message: each takes 500 bytes, and up to 13 kB where its ICE has changed
MAX_CONNECTIONS = 5 * MAX_SESSIONS  # of TCP: a viewer may have some to choose from
MAX_SOCKETS = 4  # of UDP and listening for TCP: of IPv4 and of IPv6


@dataclass(frozen=True, slots=True)
class Hello:
    """The first word of the successor, which is to be ``node``."""

    version: int
    node: Text
    ahead: bool = False  # it takes sessions in advance
    type: Literal["hello"] = "hello"


@dataclass(frozen=True, slots=True)
class Ahead:
    """The end of what is told in advance: so many sessions, as they were then. Media of them goes on."""

    sessions: Count
    type: Literal["ahead"] = "ahead"


def _or_none(value: object, read: ValidatorFunctionWrapHandler) -> SessionChange | None:
    try:
        found: SessionChange = read(value)
    except ValidationError:
        return None
    return found


Readable = Annotated[SessionChange | None, WrapValidator(_or_none)]
"""``None`` for one that cannot be read: its session alone is left behind."""


@dataclass(frozen=True, slots=True)
class SessionChanges:
    """Several of them at once: a word has its price, and all viewers wait."""

    changes: Annotated[tuple[Readable, ...], Field(max_length=MAX_CHANGES)]
    type: Literal["changes"] = "changes"


SourceState = tuple[Kind, U32, U32, Count]


@dataclass(frozen=True, slots=True)
class Prelude:
    """All that a successor needs to get ready but the ``feeds``, so many of which follow: sources by kind as SSRC,
    that of RTX and origin of time, and the keys of the bus where the worker has its own; and the
    addresses of names that viewers are told, which may not resolve just now."""

    version: int
    node: Text
    incarnation: Text  # by which the broker knows the predecessor
    cname: Annotated[str, Field(min_length=1, max_length=64)]
    sources: tuple[SourceState, SourceState]
    keys: tuple[Secret, Secret, Secret] | None = field(repr=False)  # the broker's public key, and our pair
    feeds: Annotated[int, Field(ge=0, le=MAX_FEEDS)] = 0
    resolved: Annotated[tuple[tuple[Text, Hosts], ...], Field(max_length=MAX_NAMES)] = ()
    type: Literal["prelude"] = "prelude"


@dataclass(frozen=True, slots=True)
class Ready:
    """The successor reads so many tracks; ``incarnation`` is what the broker knows it by."""

    count: Count
    incarnation: Text
    type: Literal["ready"] = "ready"


@dataclass(frozen=True, slots=True)
class Taken:
    """The successor has so many sessions; ``without`` those, by their places among all that were told."""

    count: Count
    without: Annotated[tuple[Count, ...], Field(max_length=MAX_LEFT)] = ()
    type: Literal["taken"] = "taken"


@dataclass(frozen=True, slots=True)
class Told:
    """All feeds and sessions were told, so many of each, as they are since nothing is sent any more."""

    feeds: Count
    sessions: Count
    since: Time
    type: Literal["told"] = "told"


@dataclass(frozen=True, slots=True)
class Sockets:
    """The sockets that come along: so many of UDP, and then so many that listen for TCP. It is no leave to use them."""

    udp: Annotated[int, Field(ge=1, le=MAX_SOCKETS)]
    tcp: Annotated[int, Field(ge=0, le=MAX_SOCKETS)]
    type: Literal["sockets"] = "sockets"


@dataclass(frozen=True, slots=True)
class Go:
    """All of it is the successor's from here on."""

    type: Literal["go"] = "go"


Message = (
    Hello
    | Prelude
    | FeedState
    | Ready
    | Taken
    | Ahead
    | SessionState
    | SessionChanges
    | ConnectionState
    | Sockets
    | Told
    | Go
)

_message: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])


def encode(message: Message) -> bytes:
    """One message. Raises ``ProtocolError`` where none can hold it."""
    try:
        packed: bytes = msgpack.packb(message, default=_map)
    except (TypeError, ValueError, OverflowError) as exc:
        raise ProtocolError(f"it cannot be said: {type(exc).__name__}") from None
    if len(packed) > MAX_MESSAGE:
        raise ProtocolError(f"{len(packed)} bytes are more than a message has")
    return packed


def decode(data: bytes) -> Message:
    """One message. Raises ``ProtocolError``, whose text quotes nothing: there are keys in it."""
    if len(data) > MAX_MESSAGE:
        raise ProtocolError(f"{len(data)} bytes are more than a message has")
    try:
        return _message.validate_python(msgpack.unpackb(data))
    except (ValueError, msgpack.UnpackException, ValidationError) as exc:
        raise ProtocolError(f"not a word of a predecessor's or successor's: {type(exc).__name__}") from None


def _map(message: Any) -> dict[str, object]:
    if not is_dataclass(message):
        raise TypeError("neither a word nor what one is made of")
    return {name: getattr(message, name) for name in message.__dataclass_fields__}
