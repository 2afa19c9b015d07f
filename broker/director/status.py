"""Cameras and sessions as the director sees them, for whoever shows them. No I/O, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field

from broker.director.events import Holder
from common.cameras import CameraName, CameraSpec, CameraState
from common.control import NodeName, StreamReport, ViewerReport
from common.media import Track
from common.sessions import SessionName


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """A stream of a camera as the director sees it now; state and viewers of the main one are those of the camera."""

    spec: CameraSpec
    state: CameraState
    detail: str
    video: str
    sound: str  # why it is not heard
    tracks: tuple[Track, ...]
    viewers: int
    worker: NodeName | None
    stream: StreamReport | None
    itself: tuple[CameraState, str, str]  # state, detail and video of the stream alone
    shown: int  # viewers of the stream alone
    for_all: bool  # see ``CameraChanged``


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """A viewer's session as the director sees it now; ``report`` is ``None`` until its egress first reports it."""

    session: SessionName
    camera: CameraName
    node: NodeName
    answered: bool
    report: ViewerReport | None
    holder: Holder = field(default_factory=Holder)
