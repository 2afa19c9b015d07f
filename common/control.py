"""Messages of the control plane: worker to broker and back, over DEALER and ROUTER, one msgpack map a message.

State is reconciled, never replayed. A worker sends its whole ``Report`` once a second and whenever something changes;
the broker compares it with what it wants and sends the difference. A lost message is mended by the next report, and a
broker that has just started learns everything from the reports alone.

Releases can be mixed while a cluster is upgraded, one with the one before it (``common.wire``): fields that a receiver
does not know are ignored and missing ones take their default; a value that an enum does not have is taken for one that
says so; tracks of a kind that is not known are left out; a message of a type that is not known is dropped and counted.
What a receiver has to understand is sent only where the wire version is one that has it.

What cameras and viewers say stands in reports, so none of it may make one invalid: ``encode`` bounds texts and numbers,
and a receiver leaves out the item that is wrong instead of the whole report.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from typing import Annotated, Any, Literal, NewType

import msgpack
from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError

from common.cameras import NOTHING, CameraName, CameraSpec, CameraState, or_else
from common.errors import ProtocolError
from common.media import Kind, Rendition, Track
from common.sessions import SessionName
from common.wire import UNTOLD, Spoken

CONVERTERS_FULL = "every transcode worker is full"  # an ``Offer``'s reason that may be gone in a moment
REPORT_INTERVAL = 1.0  # seconds between a worker's reports
DEAD_AFTER = 3.0  # seconds of silence after which a worker is dead
MAX_MESSAGE_BYTES = 8 << 20  # ZMQ_MAXMSGSIZE: larger reports are sent in parts (``common.reports``)
MAX_TEXT = 1_000  # characters of any text in a report: a sentence or an address, and some of them quote a camera
MAX_TRACKS = 16  # of one camera; more than the two that are played, as a newer ingest may list others
MAX_WAYS = 32  # addresses and ports of one viewer that are told: it has 16, and a machine of ours rarely more
MAX_MEASURES = 16  # of one worker, and …
MAX_BUCKETS = 64  # … numbers of each: ``common.histogram`` has a quarter of both
MAX_INTEGER = (1 << 63) - 1  # what is larger, or smaller than its opposite, is sent as this


def _short(tracks: tuple[Track, ...]) -> tuple[Track, ...]:
    if any(len(text) > MAX_TEXT for t in tracks for text in (t.codec, t.profile, t.problem, t.warning, t.convert)):
        raise ValueError("a track's text is too long")
    return tracks


def _of_known_kind(items: object) -> object:
    """Without tracks, or statistics of tracks, of a kind that a newer release has."""
    if not isinstance(items, list | tuple):
        return items
    return [item for item in items if not isinstance(item, dict) or item.get("kind") in _KINDS]


def _of_known_tracks(items: object) -> object:
    """Without renditions of a track of such a kind."""
    if not isinstance(items, list | tuple):
        return items
    return [item for item in items if not isinstance(item, dict) or _of_known_kind([item.get("track")])]


def _known_kinds(kinds: object) -> object:
    return [kind for kind in kinds if kind in _KINDS] if isinstance(kinds, list | tuple) else kinds


_KINDS = frozenset(Kind)
_SHORT = Field(max_length=MAX_TEXT)
Text = Annotated[str, _SHORT]
Ways = Annotated[tuple[Text, ...], Field(max_length=MAX_WAYS)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[Number, AfterValidator(lambda share: max(0.0, share))]
"""A share of one core. One below zero would draw every camera and viewer to the worker that claims it."""
Tracks = Annotated[
    tuple[Track, ...], BeforeValidator(_of_known_kind), Field(max_length=MAX_TRACKS), AfterValidator(_short)
]
OfferedTracks = Annotated[tuple[Track, ...], BeforeValidator(_of_known_kind)]
Kinds = Annotated[tuple[Kind, ...], BeforeValidator(_known_kinds)]
State = Annotated[CameraState, BeforeValidator(or_else(CameraState.UNKNOWN))]


NodeName = NewType("NodeName", str)
"""The name of a worker's process; no other of the cluster has it."""


class Role(StrEnum):
    """The kind of a worker. A new kind of worker begins here: ``docs/development.md`` says how it goes on."""

    INGEST = "ingest"
    EGRESS = "egress"
    TRANSCODE = "transcode"
    RELAY = "relay"  # which only reports: it is given nothing, and there is one


RELAY_NODE = NodeName("relay")
"""The relay's name. No other worker may have it: the real one would be refused, and the broker not ready."""

PUBLISHERS = frozenset({Role.INGEST, Role.TRANSCODE})
"""The roles that make renditions: they may publish."""

SUBSCRIBERS = frozenset({Role.EGRESS, Role.TRANSCODE})
"""The roles that take renditions: they may subscribe, and are told the keys that these are sealed with."""

NEEDED = (Role.INGEST, Role.EGRESS)
"""The roles without which nothing can be watched: the cluster is not ready before it has one of each."""


@dataclass(frozen=True, slots=True)
class Load:
    """The processor and memory that a worker's process uses."""

    cpu: Share = 0.0  # share of one core since the last report, 0..1
    memory: int = 0  # resident bytes
    free: int = 0  # bytes that it could still be given; 0 if it does not say


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
    jitter: Number = 0.0


@dataclass(frozen=True, slots=True)
class StreamReport:
    """One camera as its ingest worker sees it."""

    camera: Annotated[CameraName, _SHORT]
    revision: int
    state: State
    detail: Text = ""  # what was seen, without credentials
    transport: Text = ""  # "tcp" or "udp" once SETUP has succeeded
    tracks: Tracks = ()
    stats: Annotated[tuple[TrackStats, ...], BeforeValidator(_of_known_kind), Field(max_length=MAX_TRACKS)] = ()
    since: Number = 0.0  # Unix time of the last change of state
    reconnects: int = 0
    last_error: Text = ""  # the sentence of the last failure, kept while playing again
    retry_at: Number | None = None  # Unix time of the next attempt
    fence: int = 0  # of its assignment


class ViewerState(StrEnum):
    """Where a viewer's session stands."""

    CONNECTING = "connecting"  # answered; ICE and DTLS are under way
    CONNECTED = "connected"  # media can flow


class Handshake(StrEnum):
    """How far a viewer's DTLS handshake came."""

    NONE = "none"
    BEGUN = "begun"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Tried:
    """How far a viewer came that media does not flow to yet, as its egress sees it. Addresses and ports are text."""

    offered: Ways = ()  # ours, as the answer had them
    heard_from: Ways = ()  # where checks came from
    answered_at: Ways = ()  # of these, where the viewer answered ours
    handshake: Annotated[Handshake, BeforeValidator(or_else(Handshake.BEGUN))] = Handshake.NONE


WEBSOCKET = "websocket"
"""The transport of a viewer whose media goes by the page's own port; of the others it is ICE's."""


@dataclass(frozen=True, slots=True)
class ViewerReport:
    """One viewer as its egress sees it."""

    session: Annotated[SessionName, _SHORT]
    camera: Annotated[CameraName, _SHORT]  # or rather its stream that is sent
    state: Annotated[ViewerState, BeforeValidator(or_else(ViewerState.CONNECTED))]
    started: Number = 0.0  # Unix time of the answer
    remote: Text = ""  # address and port that ICE selected
    srtp: Text = ""  # protection profile
    video: Text = ""  # codec in use, or why there is none
    audio: Text = ""
    waiting: Text = ""  # why nothing is sent right now, empty while media flows
    packets: int = 0
    bytes: int = 0
    dropped: int = 0  # not sent because this viewer's path was full; by ``WEBSOCKET`` fragments, as ``packets`` are
    nacked: int = 0
    retransmitted: int = 0
    plis: int = 0
    lost: int = 0  # as the viewer's receiver reports say
    jitter: Number = 0.0  # seconds
    round_trip: Number | None = None  # seconds
    estimated_bandwidth: int | None = None  # bit/s, as the viewer's feedback says
    capacity: int | None = None  # bit/s that its path carries, as trains of packets arrive
    declined: Text = ""  # the stream that it was to be shown, and of whose picture it takes nothing
    beside: Text = ""  # another stream, of which it still gets something
    principal: Text = ""  # by whose right it is, as the broker said with the offer, so that a new broker knows
    expires: Number | None = None  # Unix time at which that right runs out
    transport: Text = ""  # that media goes by: udp, tcp, or ``WEBSOCKET``
    ice: Text = ""  # the mark of its ICE user fragment (``common.sessions``), once ICE was restarted …
    restarts: int = 0  # … so often
    tried: Tried | None = None  # of one that has not joined


@dataclass(frozen=True, slots=True)
class Made:
    """One rendition as the worker that makes it says: of which track, as it was told last.

    ``problem`` says why too little comes of it; empty if enough does, ``None`` while that is not known.
    """

    rendition: Rendition
    track: Track
    problem: Text | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """Times that a worker measured, in the buckets of ``common.histogram``; all of its process's life."""

    measure: Text
    counts: Annotated[tuple[int, ...], Field(max_length=MAX_BUCKETS)] = ()
    total: Number = 0.0  # seconds


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a worker is and does; worker to broker. ``incarnation`` differs after a restart of the same node.

    The first part of several holds everything but the rest of ``served``, ``viewers`` and ``subscribed``.
    """

    node: Annotated[NodeName, _SHORT]
    role: Role
    incarnation: Text
    host: Text = ""
    neighbourhood: Text = ""  # of processes that can be handed connections (``common.neighbourhood``)
    pid: int = 0
    version: Text = ""
    load: Load = field(default_factory=Load)
    draining: bool = False  # it is ending: what it has may move, and it takes nothing new
    full: bool = False  # transcode: one more conversion would spoil those that run; egress: it takes no further viewer
    served: tuple[StreamReport, ...] = ()  # ingest: every camera it has been assigned
    viewers: tuple[ViewerReport, ...] = ()  # egress: every session it holds
    subscribed: tuple[Rendition, ...] = ()  # egress: renditions that it is subscribed to
    made: Annotated[
        tuple[Made, ...], BeforeValidator(_of_known_tracks)
    ] = ()  # transcode: every rendition that it makes
    counters: dict[str, int] = field(default_factory=dict)  # dropped garbage, gaps and the like, by name
    measured: Annotated[tuple[Measured, ...], Field(max_length=MAX_MEASURES)] = ()
    partial: bool = False  # something of ``served`` and ``viewers`` could not be told: it is as it was
    number: int = 0  # of a report that is sent in parts …
    part: int = 0  # … which of them this is, from 0 …
    parts: int = 1  # … and how many there are
    wire: Spoken = UNTOLD  # the versions that it speaks, and …
    speaks: int = UNTOLD.newest  # … the one that it was told to
    type: Literal["report"] = "report"


@dataclass(frozen=True, slots=True)
class Assign:
    """Pull this camera, or go on with this newer revision of it; broker to ingest.

    ``key`` seals the frames of its renditions (``common.seal``); empty where workers have no keys of their own. What
    is published by an assignment with a higher ``fence`` is newer, whatever the clocks of the machines say; 0 is that
    of a broker that knows of none.
    """

    camera: CameraSpec
    key: bytes = field(default=b"", repr=False)
    fence: int = field(default=0, compare=False)
    type: Literal["assign"] = "assign"


@dataclass(frozen=True, slots=True)
class Release:
    """Stop pulling this camera; broker to ingest."""

    camera: CameraName
    type: Literal["release"] = "release"


@dataclass(frozen=True, slots=True)
class Convert:
    """Make this rendition of its camera's ``track``, or go on with another track; broker to transcode.

    ``key`` seals the rendition's frames, and ``source_key`` opens the camera's; these and ``fence`` as in ``Assign``.
    """

    rendition: Rendition
    track: Track
    key: bytes = field(default=b"", repr=False)
    source_key: bytes = field(default=b"", repr=False)
    fence: int = field(default=0, compare=False)
    type: Literal["convert"] = "convert"


@dataclass(frozen=True, slots=True)
class EndConversion:
    """Make this rendition no more; broker to transcode."""

    rendition: Rendition
    type: Literal["end_conversion"] = "end_conversion"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Draw the newest keyframe of a camera's ``track``; broker to transcode, which replies ``SnapshotTaken`` or
    ``SnapshotFailed``. ``height`` is the most in pixels, 0: as it is. ``source_key`` as in ``Convert``."""

    request: str
    camera: CameraName
    track: Track
    height: int = 0
    source_key: bytes = field(default=b"", repr=False)
    type: Literal["snapshot"] = "snapshot"


@dataclass(frozen=True, slots=True)
class StreamKey:
    """The key that a rendition's frames are sealed with from now on; broker to a worker that takes it."""

    rendition: Rendition
    key: bytes = field(repr=False)
    type: Literal["stream_key"] = "stream_key"


@dataclass(frozen=True, slots=True)
class Offer:
    """A viewer's SDP offer; broker to egress, which replies ``Answered`` or ``Refused``.

    One that ``takes`` codecs by Media Source Extensions has no SDP; the answer then says where its connection is to be
    handed over (``common.handover.Doors``).

    ``tracks`` are the camera's, as last seen; empty when the camera has never played, and the answer then keeps every
    codec open that we can send. Kinds of track that are ``convertible`` may be promised as what a converter makes of
    them; for the others ``unconverted`` says why not.

    The viewer may be moved to the camera's ``other`` stream later on, if there is one, and unless its choice is
    ``fixed`` it may begin with that.
    """

    session: SessionName
    camera: CameraName
    sdp: str = field(repr=False)
    tracks: OfferedTracks = ()
    convertible: Kinds = ()
    unconverted: str = "no transcode worker runs"
    other: CameraName = NOTHING
    other_tracks: OfferedTracks = ()
    fixed: bool = False
    principal: str = ""  # by whose right it is, to be reported
    expires: float | None = None
    takes: tuple[str, ...] = ()
    type: Literal["offer"] = "offer"


@dataclass(frozen=True, slots=True)
class Move:
    """Show a viewer another stream of its camera; broker to egress. ``tracks`` and ``convertible`` as in ``Offer``."""

    session: SessionName
    camera: CameraName
    tracks: OfferedTracks = ()
    convertible: Kinds = ()
    type: Literal["move"] = "move"


@dataclass(frozen=True, slots=True)
class RestartIce:
    """A viewer asks for an ICE restart with these credentials of its own (RFC 8445 9); broker to egress, which replies
    ``IceRestarted`` or ``IceNotRestarted``."""

    request: str
    session: SessionName
    ufrag: str
    password: str = field(repr=False)
    type: Literal["restart_ice"] = "restart_ice"


@dataclass(frozen=True, slots=True)
class HangUp:
    """The viewer's session is over; broker to egress."""

    session: SessionName
    type: Literal["hang_up"] = "hang_up"


@dataclass(frozen=True, slots=True)
class Ping:
    """Nothing is to be done; broker to a worker whose report is overdue. That it can be sent at all is the answer."""

    type: Literal["ping"] = "ping"


@dataclass(frozen=True, slots=True)
class Drain:
    """End in good order: take nothing new, hand over what can be, and leave; broker to any worker."""

    type: Literal["drain"] = "drain"


@dataclass(frozen=True, slots=True)
class Speak:
    """Speak this wire version from now on; broker to a worker that tells of versions (``common.wire``)."""

    version: int
    type: Literal["speak"] = "speak"


@dataclass(frozen=True, slots=True)
class Unfit:
    """This cluster speaks no wire version that the worker does; broker to such a one that tells of versions."""

    sentence: Text
    type: Literal["unfit"] = "unfit"


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to an offer (see there), and the renditions that were promised; egress to broker."""

    session: SessionName
    sdp: str = field(repr=False)
    renditions: tuple[Rendition, ...] = ()
    type: Literal["answered"] = "answered"


@dataclass(frozen=True, slots=True)
class Refused:
    """An offer that cannot be served; egress to broker. The fields are those of ``RequestError``."""

    session: Annotated[SessionName, _SHORT]
    status: int
    code: Text
    message: Text
    type: Literal["refused"] = "refused"


@dataclass(frozen=True, slots=True)
class Ended:
    """A viewer's session ended by itself: hung up by DTLS, consent expired, or never connected; egress to broker."""

    session: Annotated[SessionName, _SHORT]
    reason: Text
    tried: Tried | None = None  # of one that never joined
    type: Literal["ended"] = "ended"


@dataclass(frozen=True, slots=True)
class IceRestarted:
    """ICE was restarted; egress to broker. ``ice`` is as in ``ViewerReport``, ``fragment`` our side (RFC 8840)."""

    request: Text
    session: Annotated[SessionName, _SHORT]
    ice: Text
    fragment: str = field(repr=False)
    type: Literal["ice_restarted"] = "ice_restarted"


@dataclass(frozen=True, slots=True)
class IceNotRestarted:
    """ICE stays as it is; egress to broker. The last three fields are those of ``RequestError``."""

    request: Text
    session: Annotated[SessionName, _SHORT]
    status: int
    code: Text
    message: Text
    type: Literal["ice_not_restarted"] = "ice_not_restarted"


@dataclass(frozen=True, slots=True)
class KeyWanted:
    """Frames of this rendition come that no key opens; worker to broker, which replies ``StreamKey``."""

    rendition: Annotated[Rendition, Field(max_length=MAX_TEXT)]
    type: Literal["key_wanted"] = "key_wanted"


@dataclass(frozen=True, slots=True)
class SnapshotTaken:
    """A still as a JPEG file; transcode to broker. ``captured`` is the Unix time of its capture."""

    request: Text
    jpeg: bytes = field(repr=False)
    captured: Number = 0.0
    type: Literal["snapshot_taken"] = "snapshot_taken"


@dataclass(frozen=True, slots=True)
class SnapshotFailed:
    """There is no still; transcode to broker."""

    request: Text
    reason: Text
    type: Literal["snapshot_failed"] = "snapshot_failed"


@dataclass(frozen=True, slots=True)
class Leaving:
    """The worker stops now and gives up everything it has; worker to broker."""

    node: Annotated[NodeName, _SHORT]
    incarnation: Text
    type: Literal["leaving"] = "leaving"


ToBroker = (
    Report
    | Answered
    | Refused
    | Ended
    | IceRestarted
    | IceNotRestarted
    | KeyWanted
    | SnapshotTaken
    | SnapshotFailed
    | Leaving
)
ToWorker = (
    Assign
    | Release
    | Convert
    | EndConversion
    | Snapshot
    | StreamKey
    | Offer
    | Move
    | RestartIce
    | HangUp
    | Ping
    | Drain
    | Speak
    | Unfit
)

_to_broker: TypeAdapter[ToBroker] = TypeAdapter(Annotated[ToBroker, Field(discriminator="type")])
_to_worker: TypeAdapter[ToWorker] = TypeAdapter(Annotated[ToWorker, Field(discriminator="type")])
_items: dict[str, TypeAdapter[Any]] = {"served": TypeAdapter(StreamReport), "viewers": TypeAdapter(ViewerReport)}
_NEEDED = {"node", "role", "incarnation", "viewers", "served"}  # nothing else is believed of a worker without these
_BOUNDED = {Load, TrackStats, Track, StreamReport, Tried, ViewerReport, Report, Measured} | {
    Refused,
    Ended,
    Leaving,
    Made,
    SnapshotFailed,
    IceNotRestarted,
    Unfit,
}


def encode(message: ToBroker | ToWorker | StreamReport | ViewerReport) -> bytes:
    """One frame, or an item of a report. Raises ``ValueError`` or ``TypeError`` for what is no such message."""
    # Not by pydantic: an egress with a thousand viewers reports every second, and meanwhile its pictures wait.
    packed: bytes = msgpack.packb(message, default=_map, unicode_errors="replace")  # a camera may send lone surrogates
    return packed


def _map(message: Any) -> dict[str, object] | int:
    """A message as msgpack takes it; it asks for integers of more than 64 bits, too."""
    kind = type(message)
    if kind is int:
        return MAX_INTEGER if message > 0 else -MAX_INTEGER
    if kind not in _BOUNDED:
        if not hasattr(kind, "__dataclass_fields__"):
            raise TypeError(f"{kind.__name__} is no part of a control message")
        return {name: getattr(message, name) for name in message.__dataclass_fields__}
    fields = {}
    for name in message.__dataclass_fields__:
        value = getattr(message, name)
        if type(value) is str and len(value) > MAX_TEXT:
            value = value[: MAX_TEXT - 1] + "…"
        elif type(value) is float and not isfinite(value):
            value = 0.0
        fields[name] = value
    return fields


def decode_for_broker(frame: bytes) -> ToBroker:
    """A worker's message. Raises ``ProtocolError``.

    A report loses those of its streams and viewers that are not valid, and whatever else of it may be missing and is
    not valid, as a newer release may say it otherwise; it is then ``partial``.
    """
    message = _unpack(frame)
    try:
        return _to_broker.validate_python(message)
    except ValidationError as exc:
        if not isinstance(message, dict) or message.get("type") != "report":
            raise _garbage(exc) from None
        wrong = {error["loc"][1] for error in exc.errors(include_url=False, include_input=False)}
    valid = {name: _valid(name, message[name]) for name in _items if isinstance(message.get(name), list)}
    rest = {name: value for name, value in message.items() if name in valid or name not in wrong - _NEEDED}
    try:
        return _to_broker.validate_python({**rest, **valid, "partial": True})
    except ValidationError as exc:
        raise _garbage(exc) from None


def decode_for_worker(frame: bytes) -> ToWorker:
    """The broker's message. Raises ``ProtocolError``."""
    try:
        return _to_worker.validate_python(_unpack(frame))
    except ValidationError as exc:
        raise _garbage(exc) from None


def _unpack(frame: bytes) -> Any:
    try:
        return msgpack.unpackb(frame)
    except (ValueError, msgpack.UnpackException) as exc:
        raise _garbage(exc) from None


def _valid(name: str, items: list[object]) -> list[object]:
    """Those items of a damaged report that are valid."""
    valid: list[object] = []
    for item in items:
        with contextlib.suppress(ValidationError):
            valid.append(_items[name].validate_python(item))
    return valid


def _garbage(error: Exception) -> ProtocolError:
    """Without the error's text, which quotes the message, and that may hold a password."""
    return ProtocolError(f"not a control message: {type(error).__name__}")
