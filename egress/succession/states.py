"""An egress's sessions and feeds, as its successor is told of them: frozen dataclasses; pure.

Times are monotonic seconds, which both processes share as they are on one machine; ``None`` is never. All is bounded:
who reads it takes nothing for granted, though none but a process of our own user can have said it.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from common.media import Kind
from egress.formats import Format
from egress.offer import MAX_LINE
from egress.path.capacity import TRAINS_KEPT
from egress.wire.ice import MAX_PATHS, MAX_SPENT

MAX_NAMES = 64  # that an operator has viewers told, and addresses of each: of all these viewers are told 16
_MAX_TEXT = 1_000  # characters

U32 = Annotated[int, Field(ge=0, lt=1 << 32)]
U48 = Annotated[int, Field(ge=0, lt=1 << 48)]
Count = Annotated[int, Field(ge=0, lt=1 << 62)]
Index = Annotated[int, Field(gt=-(1 << 62), lt=1 << 62)]
Text = Annotated[str, Field(max_length=_MAX_TEXT)]
Secret = Annotated[bytes, Field(max_length=256)]
Time = Annotated[float, Field(allow_inf_nan=False)]
When = Time | None
Port = Annotated[int, Field(gt=0, lt=1 << 16)]
Indices = Annotated[tuple[tuple[U32, U32], ...], Field(max_length=16)]  # of SRTCP, by SSRC


def _address(host: str) -> str:
    ipaddress.ip_address(host.partition("%")[0])
    return host


Host = Annotated[str, Field(max_length=64), AfterValidator(_address)]
Hosts = Annotated[tuple[Host, ...], Field(max_length=MAX_NAMES)]
Remote = tuple[Host, Port] | tuple[Host, Port, U32, U32] | tuple[Host, Port, Count]
"""UDP by IPv4, UDP by IPv6 with flow and scope, and TCP with the number of its connection."""


@dataclass(frozen=True, slots=True)
class GenerationState:
    """See ``egress.wire.ice.Generation``."""

    remote_ufrag: Text
    remote_password: Secret = field(repr=False)
    ufrag: Text
    password: Text = field(repr=False)


@dataclass(frozen=True, slots=True)
class PairState:
    """See ``egress.wire.ice.Pair``; ``former`` tells that it is of the generation before."""

    remote: Remote
    local: Annotated[bytes, Field(max_length=16)]
    former: bool
    received: Count
    sent: Count
    proved_at: When
    by_handshake: bool
    transaction: Annotated[bytes, Field(max_length=12)]
    checked_at: When
    round_trip: When


@dataclass(frozen=True, slots=True)
class IceState:
    """See ``egress.wire.ice.IceAgent``. ``selected`` is the remote address of a pair."""

    created: Time
    current: GenerationState
    former: GenerationState | None
    spent: Annotated[tuple[Text, ...], Field(max_length=MAX_SPENT)]
    pairs: Annotated[tuple[PairState, ...], Field(min_length=1, max_length=MAX_PATHS + 2)]
    nominated: Remote | None
    selected: Remote
    selected_local: Annotated[bytes, Field(max_length=16)]
    answers: bool
    renewed: bool
    tie_breaker: Annotated[bytes, Field(min_length=8, max_length=8)]


@dataclass(frozen=True, slots=True)
class SrtpState:
    """Master keys with salts, and the last indices of SRTCP. ``flight`` is the handshake's last one of ours."""

    profile: Text
    ours: Secret = field(repr=False)
    theirs: Secret = field(repr=False)
    sent: Indices
    heard: Indices
    flight: Annotated[tuple[Annotated[bytes, Field(max_length=1_500)], ...], Field(max_length=16)] = field(repr=False)


@dataclass(frozen=True, slots=True)
class SectionState:
    """See ``egress.negotiation.Section``. The viewer chose ``mid``, and its offer is bounded by the line."""

    mid: Annotated[str, Field(max_length=MAX_LINE)]
    kind: Kind
    formats: Annotated[tuple[Format, ...], Field(max_length=160)]
    transport_cc: Annotated[int, Field(ge=0, lt=15)]
    playout_delay: Annotated[int, Field(ge=0, lt=15)]
    converted: bool
    convertible: bool
    other: bool
    made: Annotated[str, Field(max_length=16)] = ""  # not said by a release that makes the usual alone


@dataclass(frozen=True, slots=True)
class ReceptionState:
    """See ``egress.wire.rtcp.ReceptionReport``: the newest, and the packets that were ``sent`` and ``missed`` then."""

    fraction_lost: Annotated[float, Field(ge=0, le=1)]
    lost: Annotated[int, Field(ge=-(1 << 23), lt=1 << 23)]
    highest: U32
    jitter: U32
    last_report: U32
    delay: U32
    sent: Count
    missed: Count


@dataclass(frozen=True, slots=True)
class RepeatState:
    """Packets that were sent again. ``next`` is the next number on their SSRC, ``asked`` the highest that was asked
    for, -1 for none."""

    next: U48
    asked: Annotated[int, Field(ge=-1, lt=1 << 48)]
    nacked: Count
    missed: Count
    retransmitted: Count
    withheld: Count


@dataclass(frozen=True, slots=True)
class SenderState:
    """One kind of media to one viewer. ``following`` is its next extended sequence number, ``None`` before the first.

    ``next`` is the index in the predecessor's history of the packet that gets it, ``None`` if a start is waited for;
    numbers from ``first`` on were given to the indices before, without a gap.
    """

    kind: Kind
    rendition: Text
    following: U48 | None
    first: U48
    next: Index | None
    packets: Count
    octets: Count
    pictured_at: When
    playout: tuple[
        Annotated[Time, Field(ge=0)], Count
    ]  # seconds that the receiver is told, and packets when it was told last
    counts: tuple[Count, Count, Count]  # blocked, stuck, plis
    repeats: RepeatState
    reception: ReceptionState | None


@dataclass(frozen=True, slots=True)
class SessionState:
    """One viewer's session: all that is needed to go on with it."""

    session: Annotated[str, Field(min_length=1, max_length=_MAX_TEXT)] = field(repr=False)
    camera: Text
    declined: Text
    principal: Text
    expires: When  # Unix time
    started: Time  # Unix time
    joined_at: Time
    restarts: Count
    ice_mark: Text
    ice: IceState
    srtp: SrtpState
    sections: Annotated[tuple[SectionState, ...], Field(min_length=1, max_length=2)]
    senders: Annotated[tuple[SenderState, ...], Field(max_length=2)]
    path: tuple[When, When, Annotated[tuple[Time, ...], Field(max_length=TRAINS_KEPT)], When]
    """The path: its round trip, lossy until, rates in bytes/s, and when the newest of them was seen."""
    round_trip: When
    bandwidth: Count | None
    counts: tuple[Count, Count, Count]
    """Packets lost, datagrams of SRTCP that were none, and datagrams that were too many."""
    watched: bool = False
    type: Literal["session"] = "session"


@dataclass(frozen=True, slots=True)
class FeedState:
    """The predecessor's place in one track of a rendition. The packet with index ``end`` has number ``sequence``
    in its epoch; ``offset`` is that of the epoch's timestamps."""

    rendition: Annotated[str, Field(min_length=1, max_length=_MAX_TEXT)]
    kind: Kind
    codec: Text
    profile: Text
    clock_rate: Annotated[int, Field(gt=0, lt=1 << 20)]
    epoch: Count | None
    offset: Index
    timestamp: Index
    capture_ns: Count
    end: Count
    sequence: Count | None
    flows: bool  # something came of late
    key: Secret = field(default=b"", repr=False)  # that its frames are sealed with, if they are
    revision: Count = 0  # of the camera's stream; 0 where it is not known
    type: Literal["feed"] = "feed"


@dataclass(frozen=True, slots=True)
class SessionChange:
    """One of the sessions that were told in advance, by its place among them, and what of it may be other than it was.

    ``None`` is as it was, but for the two of which that is a value: ``round_trip`` and ``bandwidth``.
    """

    place: Count
    ice: IceState | None
    sent: Indices
    heard: Indices
    senders: Annotated[tuple[SenderState, ...], Field(max_length=2)] | None
    path: tuple[When, When, Annotated[tuple[Time, ...], Field(max_length=TRAINS_KEPT)], When] | None
    round_trip: When
    bandwidth: Count | None
    counts: tuple[Count, Count, Count]
    watched: bool


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """A viewer's TCP connection, whose socket comes along: bytes of a frame that has begun, each way."""

    remote: tuple[Host, Port, Count]
    read: Annotated[bytes, Field(max_length=4_096)] = field(repr=False)
    unsent: Annotated[bytes, Field(max_length=64 << 10)] = field(repr=False)
    type: Literal["connection"] = "connection"
