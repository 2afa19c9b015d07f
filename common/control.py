"""Messages of the control plane: worker to broker and back, over DEALER and ROUTER, one msgpack map a message.

State is reconciled, never replayed. A worker sends its whole ``Report`` once a second and whenever something changes;
the broker compares it with what it wants and sends the difference. A lost message is mended by the next report, and a
broker that has just started learns everything from the reports alone.

Fields that a receiver does not know are ignored and missing ones take their default, so that versions can be mixed
while a cluster is upgraded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar

import msgpack
from pydantic import Field, TypeAdapter, ValidationError

from common.cameras import CameraSpec, CameraState
from common.errors import ProtocolError
from common.media import Kind, Track

REPORT_INTERVAL = 1.0  # seconds between a worker's reports
DEAD_AFTER = 3.0  # seconds of silence after which a worker is dead
MAX_MESSAGE_BYTES = 8 << 20  # a report of some ten thousand viewers; nothing honest is larger


class Role(StrEnum):
    """What a worker does."""

    INGEST = "ingest"
    EGRESS = "egress"


@dataclass(frozen=True, slots=True)
class Load:
    """What a worker's process uses."""

    cpu: float = 0.0  # share of one core since the last report, 0..1
    memory: int = 0  # resident bytes


@dataclass(frozen=True, slots=True)
class TrackStats:
    """Counters of one track since its camera's session started. ``jitter`` is RFC 3550's, in seconds."""

    kind: Kind
    packets: int = 0
    bytes: int = 0
    lost: int = 0
    duplicates: int = 0
    reordered: int = 0
    dropped: int = 0  # arrived, but of no use: damaged, malformed, or of a frame that lost a packet
    frames: int = 0
    keyframes: int = 0
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class StreamReport:
    """One camera as its ingest worker sees it."""

    camera: str
    revision: int
    state: CameraState
    detail: str = ""  # what was seen, without credentials
    transport: str = ""  # "tcp" or "udp" once SETUP has succeeded
    tracks: tuple[Track, ...] = ()
    stats: tuple[TrackStats, ...] = ()
    since: float = 0.0  # Unix time of the last change of state
    reconnects: int = 0
    last_error: str = ""  # the sentence of the last failure, kept while playing again
    retry_at: float | None = None  # Unix time of the next attempt


class ViewerState(StrEnum):
    """Where a viewer's session stands."""

    CONNECTING = "connecting"  # answered; ICE and DTLS are under way
    CONNECTED = "connected"  # media can flow
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class ViewerReport:
    """One viewer as its egress sees it."""

    session: str
    camera: str
    state: ViewerState
    started: float = 0.0  # Unix time of the answer
    remote: str = ""  # address and port that ICE selected
    srtp: str = ""  # protection profile
    video: str = ""  # codec in use, or why there is none
    audio: str = ""
    waiting: str = ""  # why nothing is sent right now, empty while media flows
    packets: int = 0
    bytes: int = 0
    dropped: int = 0  # not sent because this viewer's path was full
    nacked: int = 0
    retransmitted: int = 0
    plis: int = 0
    lost: int = 0  # as the viewer's receiver reports say
    jitter: float = 0.0  # seconds
    round_trip: float | None = None  # seconds
    estimated_bandwidth: int | None = None  # bit/s, as the viewer's feedback says


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a worker is and does; worker to broker. ``incarnation`` differs after a restart of the same node."""

    node: str
    role: Role
    incarnation: str
    host: str = ""
    pid: int = 0
    version: str = ""
    load: Load = field(default_factory=Load)
    draining: bool = False
    streams: tuple[StreamReport, ...] = ()  # ingest: every camera it has been assigned
    viewers: tuple[ViewerReport, ...] = ()  # egress: every session it holds
    cameras: tuple[str, ...] = ()  # egress: streams it is subscribed to
    counters: dict[str, int] = field(default_factory=dict)  # dropped garbage, gaps and the like, by name
    type: Literal["report"] = "report"


@dataclass(frozen=True, slots=True)
class Assign:
    """Pull this camera, or go on with this newer revision of it; broker to ingest.

    ``key`` seals the camera's frames (``common.seal``); empty where workers have no keys of their own.
    """

    camera: CameraSpec
    key: bytes = field(default=b"", repr=False)
    type: Literal["assign"] = "assign"


@dataclass(frozen=True, slots=True)
class Release:
    """Stop pulling this camera; broker to ingest."""

    camera: str
    type: Literal["release"] = "release"


@dataclass(frozen=True, slots=True)
class StreamKey:
    """The key that a camera's frames are sealed with from now on; broker to egress."""

    camera: str
    key: bytes = field(repr=False)
    type: Literal["stream_key"] = "stream_key"


@dataclass(frozen=True, slots=True)
class Offer:
    """A viewer's SDP offer; broker to egress, which replies ``Answered`` or ``Refused``.

    ``tracks`` are the camera's, as last seen; empty when the camera has never played, and the answer then keeps every
    codec open that we can send.
    """

    session: str
    camera: str
    sdp: str = field(repr=False)
    tracks: tuple[Track, ...] = ()
    type: Literal["offer"] = "offer"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A viewer's trickled ICE candidate (RFC 8840); broker to egress. Empty text ends the candidates."""

    session: str
    candidate: str
    type: Literal["candidate"] = "candidate"


@dataclass(frozen=True, slots=True)
class HangUp:
    """The viewer's session is over; broker to egress."""

    session: str
    type: Literal["hang_up"] = "hang_up"


@dataclass(frozen=True, slots=True)
class Drain:
    """Take no new viewers or cameras and end when the last one has gone; broker to worker."""

    type: Literal["drain"] = "drain"


@dataclass(frozen=True, slots=True)
class Ping:
    """Nothing is to be done; broker to a worker whose report is overdue. That it can be sent at all is the answer."""

    type: Literal["ping"] = "ping"


@dataclass(frozen=True, slots=True)
class Answered:
    """The SDP answer to an offer; egress to broker."""

    session: str
    sdp: str = field(repr=False)
    type: Literal["answered"] = "answered"


@dataclass(frozen=True, slots=True)
class Refused:
    """An offer that cannot be served; egress to broker. The fields are those of ``ViewerError``."""

    session: str
    status: int
    code: str
    message: str
    type: Literal["refused"] = "refused"


@dataclass(frozen=True, slots=True)
class Ended:
    """A viewer's session ended by itself: hung up by DTLS, consent expired, or never connected; egress to broker."""

    session: str
    reason: str
    type: Literal["ended"] = "ended"


@dataclass(frozen=True, slots=True)
class KeyWanted:
    """Frames of this camera come that no key opens; egress to broker, which replies ``StreamKey``."""

    camera: str
    type: Literal["key_wanted"] = "key_wanted"


@dataclass(frozen=True, slots=True)
class Leaving:
    """The worker stops now and gives up everything it has; worker to broker."""

    node: str
    incarnation: str
    type: Literal["leaving"] = "leaving"


ToBroker = Report | Answered | Refused | Ended | KeyWanted | Leaving
ToWorker = Assign | Release | StreamKey | Offer | Candidate | HangUp | Drain | Ping

_to_broker: TypeAdapter[ToBroker] = TypeAdapter(Annotated[ToBroker, Field(discriminator="type")])
_to_worker: TypeAdapter[ToWorker] = TypeAdapter(Annotated[ToWorker, Field(discriminator="type")])


def encode(message: ToBroker | ToWorker) -> bytes:
    """One frame."""
    # Not by pydantic: an egress with a thousand viewers reports every second, and meanwhile its pictures wait.
    packed: bytes = msgpack.packb(message, default=_map, unicode_errors="replace")  # a camera may send lone surrogates
    return packed


def _map(message: Any) -> dict[str, object]:
    return {name: getattr(message, name) for name in message.__dataclass_fields__}


def decode_for_broker(frame: bytes) -> ToBroker:
    """A worker's message. Raises ``ProtocolError``."""
    return _decode(_to_broker, frame)


def decode_for_worker(frame: bytes) -> ToWorker:
    """The broker's message. Raises ``ProtocolError``."""
    return _decode(_to_worker, frame)


T = TypeVar("T")


def _decode(adapter: TypeAdapter[T], frame: bytes) -> T:
    try:
        return adapter.validate_python(msgpack.unpackb(frame))
    except (ValueError, msgpack.UnpackException, ValidationError) as exc:
        raise ProtocolError(f"not a control message: {type(exc).__name__}") from None
