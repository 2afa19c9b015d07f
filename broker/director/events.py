"""Events that the director is told: one frozen dataclass each. No I/O, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from common.cameras import CameraName, CameraSpec
from common.control import RIGHT_ENDED, NodeName, ToBroker, ToWorker
from common.onlooker import Condition
from common.sessions import SessionName


@dataclass(frozen=True, slots=True)
class FromWorker:
    """A worker's message, with the name it is connected under."""

    node: NodeName
    message: ToBroker


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A message of ours could not be handed to ``node``: its connection is gone or stuck."""

    node: NodeName
    message: ToWorker


@dataclass(frozen=True, slots=True)
class CamerasWanted:
    """The whole list of cameras, after every change of it."""

    cameras: Mapping[CameraName, CameraSpec]


class StreamWish(StrEnum):
    """The stream of a camera that a viewer asks for."""

    AUTO = "auto"  # what suits the height that it shows, and its bandwidth
    MAIN = "main"
    SUB = "sub"
    UNKNOWN = ""  # an earlier broker was told: it stays where it is


@dataclass(frozen=True, slots=True)
class Wish:
    """The part of a camera that a viewer wants. ``height`` is its picture's on the screen, in pixels; 0: unknown."""

    stream: StreamWish = StreamWish.AUTO
    height: int = 0


@dataclass(frozen=True, slots=True)
class Holder:
    """By whose right a session is, as the front door calls it, and the Unix time at which that runs out."""

    principal: str = ""
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class ViewerOffered:
    """A viewer wants to watch; the answer is ``OfferAnswered`` or ``OfferRefused``. ``takes``: see ``Offer``."""

    session: SessionName
    camera: CameraName
    sdp: str = field(repr=False)
    wish: Wish = Wish()
    holder: Holder = Holder()
    takes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ViewerWishes:
    """A viewer wants something else of its camera now: it shows the picture with another height."""

    session: SessionName
    wish: Wish


@dataclass(frozen=True, slots=True)
class StillWanted:
    """Somebody asks for one picture; the answer is ``StillTaken`` or ``StillRefused``."""

    request: str
    camera: CameraName
    wish: Wish


@dataclass(frozen=True, slots=True)
class StillGivenUp:
    """Nobody waits for that picture any more."""

    request: str


@dataclass(frozen=True, slots=True)
class ViewerLeft:
    """A viewer ended its session."""

    session: SessionName


@dataclass(frozen=True, slots=True)
class RestartWanted:
    """A viewer restarts ICE with these credentials; the answer is ``RestartAnswered`` or ``RestartRefused``."""

    request: str
    session: SessionName
    ufrag: str
    password: str = field(repr=False)


class EndReason(StrEnum):
    """Why a worker, or a session, is over. The value is for programs, ``sentence`` for people."""

    EGRESS = "ended_by_egress"  # which says itself why: ``SessionEnded.detail``
    MISSING = "lost"
    CAMERA_REMOVED = "camera_removed"
    WORKER_STOPPED = "worker_stopped"
    WORKER_LOST = "worker_lost"
    WORKER_RESTARTED = "worker_restarted"
    MEANWHILE = "ended"
    NO_RIGHT = RIGHT_ENDED  # whose sentence is ``SessionEnded.detail``
    OPERATOR = "closed_by_operator"

    @property
    def sentence(self) -> str:
        """One sentence for people that says what happened."""
        return _END_SENTENCES[self]


_END_SENTENCES = {
    EndReason.EGRESS: "The egress process ended the session.",
    EndReason.MISSING: "The egress process no longer has the session.",
    EndReason.CAMERA_REMOVED: "The camera was removed.",
    EndReason.WORKER_STOPPED: "The process was stopped.",
    EndReason.WORKER_LOST: "The process no longer answers.",
    EndReason.WORKER_RESTARTED: "The process was started again.",
    EndReason.MEANWHILE: "The session ended before its answer arrived.",
    EndReason.OPERATOR: "An operator closed this session.",
    EndReason.NO_RIGHT: "The right to watch has ended.",
}


@dataclass(frozen=True, slots=True)
class EndSession:
    """A viewer's session is to end; ``detail`` is a sentence that says why, where the reason's own says less."""

    session: SessionName
    reason: EndReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class DrainWorker:
    """A worker is to end in good order."""

    node: NodeName


@dataclass(frozen=True, slots=True)
class Probed:
    """Every worker's connection was tried; those of the nodes ``missing`` are gone."""

    missing: frozenset[NodeName]


@dataclass(frozen=True, slots=True)
class Witnessed:
    """Workers that are not heard were looked at, and these are in these conditions."""

    conditions: Mapping[NodeName, Condition]


@dataclass(frozen=True, slots=True)
class StoodStill:
    """The broker itself did nothing for so long: what workers said meanwhile is still to be read."""

    seconds: float


@dataclass(frozen=True, slots=True)
class EvenOut:
    """Players are to be asked to come again where fewer viewers are."""


Event = (
    FromWorker
    | Undelivered
    | CamerasWanted
    | ViewerOffered
    | ViewerWishes
    | ViewerLeft
    | RestartWanted
    | EndSession
    | StillWanted
    | StillGivenUp
    | Tick
    | DrainWorker
    | EvenOut
    | Probed
    | Witnessed
    | StoodStill
)
