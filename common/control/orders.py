"""The messages of the broker to its workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from common.cameras import NOTHING, CameraName, CameraSpec
from common.control.fields import Kinds, OfferedTracks, Text
from common.media import Rendition, Track
from common.sessions import SessionName

RIGHT_ENDED = "right_ended"  # a ``HangUp``'s reason after which the viewer has to show anew who it is
CONVERTERS_FULL = "every transcode worker is full"  # an ``Offer``'s reason that may be gone in a moment


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
    What was made of another ``revision`` of the camera's stream is kept no longer; 0 says nothing.
    """

    rendition: Rendition
    track: Track
    key: bytes = field(default=b"", repr=False)
    source_key: bytes = field(default=b"", repr=False)
    fence: int = field(default=0, compare=False)
    revision: int = field(default=0, compare=False)
    type: Literal["convert"] = "convert"


@dataclass(frozen=True, slots=True)
class EndConversion:
    """Make this rendition no more; broker to transcode."""

    rendition: Rendition
    type: Literal["end_conversion"] = "end_conversion"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Draw the newest keyframe of a camera's ``track``; broker to transcode, which replies ``SnapshotTaken`` or
    ``SnapshotFailed``. ``height`` is the most in pixels, 0: as it is. ``source_key`` and ``revision`` as in
    ``Convert``."""

    request: str
    camera: CameraName
    track: Track
    height: int = 0
    source_key: bytes = field(default=b"", repr=False)
    revision: int = field(default=0, compare=False)
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
    unconverted: str = "no transcode worker is running"
    other: CameraName = NOTHING
    other_tracks: OfferedTracks = ()
    fixed: bool = False
    principal: str = ""  # by whose right it is, to be reported
    expires: float | None = None
    takes: tuple[str, ...] = ()
    revision: int = 0  # of the stream: pictures that are kept of another are perhaps of another camera …
    other_revision: int = 0  # … and that of the other one
    type: Literal["offer"] = "offer"


@dataclass(frozen=True, slots=True)
class Move:
    """Show a viewer another stream of its camera; broker to egress. ``tracks``, ``convertible`` and ``revision`` as in
    ``Offer``."""

    session: SessionName
    camera: CameraName
    tracks: OfferedTracks = ()
    convertible: Kinds = ()
    revision: int = field(default=0, compare=False)
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
    """The viewer's session is over; broker to egress. ``reason`` is a word for programs; empty if the viewer left."""

    session: SessionName
    reason: str = field(default="", compare=False)
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
    """The cluster speaks no wire version that the worker does; broker to a worker that tells of versions."""

    sentence: Text
    type: Literal["unfit"] = "unfit"


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
