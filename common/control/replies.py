"""The messages of a worker to its broker, beside its reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from common.control.fields import MAX_TEXT, SHORT, NodeName, Number, Text
from common.control.report import Report, Tried
from common.media import Rendition
from common.sessions import SessionName


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

    session: Annotated[SessionName, SHORT]
    status: int
    code: Text
    message: Text
    type: Literal["refused"] = "refused"


@dataclass(frozen=True, slots=True)
class Ended:
    """A viewer's session ended by itself: hung up by DTLS, consent expired, or never connected; egress to broker."""

    session: Annotated[SessionName, SHORT]
    reason: Text
    tried: Tried | None = None  # of one that never joined
    type: Literal["ended"] = "ended"


@dataclass(frozen=True, slots=True)
class IceRestarted:
    """ICE was restarted; egress to broker. ``ice`` is as in ``ViewerReport``, ``fragment`` our side (RFC 8840)."""

    request: Text
    session: Annotated[SessionName, SHORT]
    ice: Text
    fragment: str = field(repr=False)
    type: Literal["ice_restarted"] = "ice_restarted"


@dataclass(frozen=True, slots=True)
class IceNotRestarted:
    """ICE stays as it is; egress to broker. The last three fields are those of ``RequestError``."""

    request: Text
    session: Annotated[SessionName, SHORT]
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
    """A still could not be drawn; transcode to broker."""

    request: Text
    reason: Text
    type: Literal["snapshot_failed"] = "snapshot_failed"


@dataclass(frozen=True, slots=True)
class Leaving:
    """The worker stops now and gives up everything it has; worker to broker.

    Where there is a ``successor``, this incarnation of the same node has all of it, and reports within ``DEAD_AFTER``.
    """

    node: Annotated[NodeName, SHORT]
    incarnation: Text
    successor: Text = ""
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
