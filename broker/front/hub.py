"""Everybody who listens to what happens to cameras, by WebSocket or as an event stream, and what each is told.

Each hears of the cameras that it may watch, and nobody but an admin of what was seen of one: that may name addresses.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Protocol

from aiohttp import web

from broker.access.desk import Desk
from broker.access.principal import Principal
from broker.catalogue import Catalogue
from broker.director.commands import CameraChanged, CameraRemoved, Notice, RenewSession, SessionEnded
from broker.director.director import Director
from broker.director.status import CameraStatus
from broker.front.backlog import Backlog
from broker.front.context import CONTEXT
from broker.front.views import CameraSummary, camera_summary, summary_for_viewer
from common.access import AccessRole
from common.cameras import MAIN, CameraName, split_stream
from common.sessions import SessionName

RIGHT_ENDED = 4401  # close code: sign in again
MOST_LISTS = 64  # that are kept: one of a thousand cameras has 250 kB, and takes 10 ms to make

_Rights = tuple[AccessRole, tuple[str, ...]]  # of those who see the same


class Listener(Protocol):
    """Somebody who is told."""

    @property
    def principal(self) -> Principal:
        """By whom the connection was opened."""

    @property
    def subscribed(self) -> bool:
        """Whether it hears of all cameras that it may watch."""

    def watches(self, camera: CameraName) -> bool:
        """Whether it wants to hear of this camera."""

    def push(self, message: str) -> None:
        """Send an encoded message without waiting."""

    async def leave(self, code: int, reason: str) -> None:
        """Close the connection."""


class Owner(Protocol):
    """Somebody whose sessions end with a message."""

    def disown(self, session: SessionName) -> None:
        """Forget a session that is over, or another's now."""

    def tell(self, type: str, **fields: Any) -> None:
        """Send a message without waiting."""


class Hub:
    """All who listen, and which of them each session belongs to."""

    def __init__(self, catalogue: Catalogue, director: Director) -> None:
        self._catalogue = catalogue
        self._director = director
        self._labels = self._read_labels()
        self._lists: dict[_Rights, str] = {}  # the messages until a camera changes: long, and asked for often
        self.listeners: set[Listener] = set()
        self.owners: dict[SessionName, Owner] = {}
        self.backlog = Backlog()

    def notice(self, notice: Notice) -> None:
        """Tell the pages that it concerns."""
        if not isinstance(notice, SessionEnded | RenewSession):
            if split_stream(notice.camera)[1] != MAIN:  # pages hear of the camera as a whole
                return
            self._lists.clear()
        match notice:
            case SessionEnded(session, _, reason, detail):
                if owner := self.owners.get(session):
                    owner.disown(session)
                    owner.tell("close", session=session, reason=reason, sentence=detail or reason.sentence)
            case RenewSession(session, camera):
                if owner := self.owners.get(session):
                    owner.tell("renew", session=session, camera=camera)
            case CameraChanged():
                self._tell_of(notice.camera, notice)
            case CameraRemoved(camera):
                message = encode("removed", camera=camera)
                for listener in self.listeners:
                    if listener.subscribed and listener.principal.may_watch(camera):
                        listener.push(message)

    def relabel(self) -> None:
        """Tell of cameras that have another name, group or place now: the catalogue has changed."""
        before, self._labels = self._labels, self._read_labels()
        for camera in before.keys() & self._labels.keys():
            if before[camera] != self._labels[camera] and (status := self._director.camera(camera)) is not None:
                self._lists.clear()
                self._tell_of(camera, status)

    def _tell_of(self, camera: CameraName, how: CameraChanged | CameraStatus) -> None:
        entry = self._catalogue.get(camera)
        if entry is None:
            return
        summary = camera_summary(entry, how)
        messages = {admin: of_camera(summary, admin=admin) for admin in (True, False)}
        for listener in self.listeners:
            if listener.watches(camera):
                listener.push(messages[listener.principal.is_admin])

    def _read_labels(self) -> dict[CameraName, tuple[str, str, int]]:
        entries = {name: self._catalogue.get(name) for name in self._catalogue.names}
        configs = {name: entry.config for name, entry in entries.items() if entry is not None}
        return {name: (config.name, config.group, config.order) for name, config in configs.items()}

    def list_for(self, principal: Principal) -> str:
        """The message with all cameras that somebody may watch."""
        rights = principal.role, principal.cameras
        if rights not in self._lists:
            if len(self._lists) >= MOST_LISTS:
                del self._lists[next(iter(self._lists))]
            self._lists[rights] = self._summaries(principal)
        return self._lists[rights]

    async def close_without_right(self, desk: Desk) -> None:
        """Send away those whose rights are not any more what they were: they ask anew."""
        gone = [each for each in self.listeners if not desk.still(each.principal)]
        await asyncio.gather(*(each.leave(RIGHT_ENDED, "rights changed") for each in gone))

    def _summaries(self, principal: Principal) -> str:
        summaries = []
        for camera in self._catalogue.names:
            status, entry = self._director.camera(camera), self._catalogue.get(camera)
            if status is not None and entry is not None and principal.may_watch(camera):
                summary = camera_summary(entry, status)
                summary = summary if principal.is_admin else summary_for_viewer(summary)
                summaries.append(summary.model_dump(mode="json"))
        return encode("cameras", cameras=summaries)


HUB = web.AppKey("hub", Hub)


def prepare(app: web.Application) -> None:
    """Give the application its hub."""
    control = app[CONTEXT].control
    hub = app[HUB] = Hub(control.catalogue, control.director)
    control.catalogue.on_change(hub.relabel)
    app.cleanup_ctx.append(_listening)


def of_camera(summary: CameraSummary, *, admin: bool) -> str:
    """The message that tells of a camera."""
    shown = summary if admin else summary_for_viewer(summary)
    return encode("camera", **shown.model_dump(mode="json"))


def encode(type: str, **fields: Any) -> str:
    """A message: one JSON object with a ``type``."""
    return json.dumps({"type": type} | fields)


async def _listening(app: web.Application) -> AsyncIterator[None]:
    with app[CONTEXT].control.notices.listening(app[HUB].notice):
        yield
