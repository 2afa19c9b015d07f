"""Notices of the director's: what changed of cameras, sessions and workers, told to listeners and to the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from broker.director.commands import (
    CameraChanged,
    CameraRemoved,
    NodeNameTwice,
    Notice,
    SessionEnded,
    WireChanged,
    WorkerJoined,
    WorkerLost,
    WorkerUnfit,
)
from broker.director.events import EndReason
from broker.why.clerk import Clerk
from common.log import LINES_A_MINUTE, Quiet, get_logger
from common.sessions import public_name

STATES_LOGGED = 60  # lines a minute about one camera: that of one pulled on demand changes as viewers like

log = get_logger()


class Notices:
    """Tells the log, the ``clerk`` of sessions, and whoever listens. ``clock`` gives monotonic seconds."""

    def __init__(self, clerk: Clerk, clock: Callable[[], float]) -> None:
        self._clerk = clerk
        self._states = Quiet(log, clock, STATES_LOGGED)
        self._ends = Quiet(log, clock, LINES_A_MINUTE)
        self._listeners: list[Callable[[Notice], None]] = []

    @contextmanager
    def listening(self, listener: Callable[[Notice], None]) -> Iterator[None]:
        """While open, ``listener`` is called with every notice."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def tell(self, notice: Notice) -> None:
        """Log a change of a camera or a session, and tell the listeners."""
        match notice:
            case CameraChanged(camera, state, detail):
                self._states.info("camera state", about=camera, camera=camera, state=state.value, detail=detail)
            case CameraRemoved(camera):
                log.info("camera removed", camera=camera)
            case SessionEnded(session, camera, reason, detail):
                self._clerk.ended(notice)
                name = public_name(session)
                self._ends.info("session ended", session=name, camera=camera, reason=reason.value, detail=detail)
        for listener in list(self._listeners):
            listener(notice)

    def log_worker(self, told: WorkerJoined | WorkerLost | WorkerUnfit | WireChanged | NodeNameTwice) -> None:
        """Log a change of the workers, which nobody else is told."""
        match told:
            case WorkerJoined(node, role):
                log.info("worker joined", worker=node, role=role.value)
            case WorkerLost(node, role, EndReason.WORKER_STOPPED):
                log.info("worker left in good order", worker=node, role=role.value)
            case WorkerLost(node, role, reason):
                log.warning("worker lost", worker=node, role=role.value, reason=reason.value)
            case WorkerUnfit(node, role, sentence):
                log.warning(
                    "worker refused: its release is not compatible", worker=node, role=role.value, reason=sentence
                )
            case WireChanged(version):
                log.info("wire version has changed: releases are mixed, or no longer mixed", version=version)
            case NodeNameTwice(node, where):
                log.warning("two processes run under one --node name; give each its own", worker=node, processes=where)

    def sweep(self) -> None:
        """Let go what is kept of lines that were left out; to be called all the time."""
        self._states.sweep()
        self._ends.sweep()
