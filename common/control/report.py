"""The report of a worker: what it is and does, once a second and whenever something changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from common.cameras import CameraName, or_else
from common.control.fields import (
    MAX_BUCKETS,
    MAX_MEASURES,
    MAX_TRACKS,
    SHORT,
    NodeName,
    Number,
    Share,
    State,
    Text,
    Tracks,
    Ways,
    of_known_kind,
    of_known_tracks,
)
from common.control.roles import Role
from common.media import Kind, Rendition, Track
from common.sessions import SessionName
from common.wire import UNTOLD, Spoken

REPORT_INTERVAL = 1.0  # seconds between a worker's reports
DEAD_AFTER = 3.0  # seconds of silence after which a worker is dead


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

    camera: Annotated[CameraName, SHORT]
    revision: int
    state: State
    detail: Text = ""  # what was seen, without credentials
    transport: Text = ""  # "tcp" or "udp" once SETUP has succeeded
    tracks: Tracks = ()
    stats: Annotated[tuple[TrackStats, ...], BeforeValidator(of_known_kind), Field(max_length=MAX_TRACKS)] = ()
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

    session: Annotated[SessionName, SHORT]
    camera: Annotated[CameraName, SHORT]  # or rather its stream that is sent
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
    # Bytes of the largest datagram that arrives, to 80, where larger ones do not; 0 where they do, or it is not known.
    # Releases before 0.1 say ``bound``, which is another size.
    datagram: int = 0
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
    """One rendition as the worker that makes it says: of which track and ``revision``, as it was told last.

    ``problem`` says why too little comes of it; empty if enough does, ``None`` while that is not known.
    """

    rendition: Rendition
    track: Track
    problem: Text | None = None
    revision: int = field(default=0, compare=False)


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

    node: Annotated[NodeName, SHORT]
    role: Role
    incarnation: Text
    host: Text = ""
    neighbourhood: Text = ""  # of processes that can be handed connections (``common.neighbourhood``)
    pid: int = 0
    mark: Text = ""  # of the process with this number (``common.onlooker``)
    version: Text = ""
    load: Load = field(default_factory=Load)
    draining: bool = False  # it is ending: what it has may move, and it takes nothing new
    full: bool = False  # transcode: one more conversion would spoil those that run; egress: it takes no further viewer
    served: tuple[StreamReport, ...] = ()  # ingest: every camera it has been assigned
    viewers: tuple[ViewerReport, ...] = ()  # egress: every session it holds
    subscribed: tuple[Rendition, ...] = ()  # egress: renditions that it is subscribed to
    made: Annotated[tuple[Made, ...], BeforeValidator(of_known_tracks)] = ()  # transcode: every rendition that it makes
    counters: dict[str, int] = field(default_factory=dict)  # dropped garbage, gaps and the like, by name
    measured: Annotated[tuple[Measured, ...], Field(max_length=MAX_MEASURES)] = ()
    partial: bool = False  # something of ``served`` and ``viewers`` could not be told: it is as it was
    number: int = 0  # of a report that is sent in parts …
    part: int = 0  # … which of them this is, from 0 …
    parts: int = 1  # … and how many there are
    wire: Spoken = UNTOLD  # the versions that it speaks, and …
    speaks: int = UNTOLD.newest  # … the one that it was told to
    succeeds: Text = ""  # incarnation of this node's that has given it everything
    type: Literal["report"] = "report"
