"""Commands by which the director says what is to be done: one frozen dataclass each. No I/O, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field

from broker.director.events import EndReason
from common.cameras import CameraName, CameraState
from common.control import NodeName, Role, ToWorker
from common.demand import Demand
from common.media import Track
from common.sessions import SessionName


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message to a worker."""

    node: NodeName
    message: ToWorker


@dataclass(frozen=True, slots=True)
class OfferAnswered:
    """The egress answered a viewer's offer."""

    session: SessionName
    sdp: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OfferRefused:
    """A viewer's offer cannot be served. The fields are those of ``RequestError``."""

    session: SessionName
    status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class StillTaken:
    """A picture as a JPEG file, and the Unix time of its capture."""

    request: str
    jpeg: bytes = field(repr=False)
    captured: float


@dataclass(frozen=True, slots=True)
class StillRefused:
    """There is no picture. The fields are those of ``RequestError``."""

    request: str
    status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class RestartAnswered:
    """ICE was restarted. ``ice`` is the mark of the viewer's user fragment, ``fragment`` our side of it (RFC 8840)."""

    request: str
    ice: str
    fragment: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RestartRefused:
    """ICE was not restarted. The fields are those of ``RequestError``."""

    request: str
    status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """An answered session is over, and its viewer did not ask for that. ``detail`` is what its egress says of it."""

    session: SessionName
    camera: CameraName
    reason: EndReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RenewSession:
    """A session's player is to make a new session and then leave this one, whose egress is about to end."""

    session: SessionName
    camera: CameraName


@dataclass(frozen=True, slots=True)
class CameraChanged:
    """A camera is new, or something of this changed. ``video`` is the codec of its picture, empty if it has none.

    ``sound`` is a sentence that says why its sound is not heard. ``for_all``: browsers that do not take that codec have
    a picture, too: converted, or of the other stream. Of a sub-stream it is told as well, under its name.
    """

    camera: CameraName
    state: CameraState
    detail: str
    video: str = ""
    sound: str = ""
    for_all: bool = True


@dataclass(frozen=True, slots=True)
class CameraRemoved:
    """A camera is no longer wanted by the operator."""

    camera: CameraName


@dataclass(frozen=True, slots=True)
class RememberTracks:
    """Keep a camera's tracks across restarts, for offers that come while it is down."""

    camera: CameraName
    tracks: tuple[Track, ...]


@dataclass(frozen=True, slots=True)
class RememberWorker:
    """Keep which worker has a camera across restarts, so that a new broker waits for it; ``None``: nobody."""

    camera: CameraName
    node: NodeName | None


@dataclass(frozen=True, slots=True)
class WorkerJoined:
    """A worker reported for the first time, or again after it was given up."""

    node: NodeName
    role: Role


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker left, died, or was replaced by a new incarnation of itself."""

    node: NodeName
    role: Role
    reason: EndReason


@dataclass(frozen=True, slots=True)
class NodeNameTwice:
    """Two workers that both live have one name, and push each other out; ``where`` is host and process of each."""

    node: NodeName
    where: tuple[str, str]


@dataclass(frozen=True, slots=True)
class WorkerUnfit:
    """A worker speaks no wire version of this cluster's, and is not taken."""

    node: NodeName
    role: Role
    sentence: str


@dataclass(frozen=True, slots=True)
class WireChanged:
    """Another wire version is spoken from now on."""

    version: int


Notice = CameraChanged | CameraRemoved | SessionEnded | RenewSession
"""The commands that the front door tells people of."""

Command = (
    Send
    | OfferAnswered
    | OfferRefused
    | StillTaken
    | StillRefused
    | RestartAnswered
    | RestartRefused
    | RememberTracks
    | RememberWorker
    | WorkerJoined
    | WorkerLost
    | NodeNameTwice
    | WorkerUnfit
    | WireChanged
    | Demand  # on transcode workers in reserve
    | Notice
)
