"""Gathers the evidence of each session while it lasts, and keeps it when it is over. No I/O.

It looks at the director's events before the director does: afterwards nothing is left of a session that they end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from broker.director.commands import SessionEnded
from broker.director.director import Director
from broker.director.events import EndSession, Event, FromWorker, ViewerLeft
from broker.director.status import SessionStatus
from broker.why.cases import Cases
from broker.why.evidence import CameraEvidence, Evidence
from broker.why.flow import speaks_for_itself
from common.cameras import CameraName, redact, split_stream
from common.control import Ended, Tried, ViewerReport, ViewerState
from common.errors import RequestError
from common.sessions import SessionName, public_name

LEFT = "left", "The viewer left."


class Clerk:
    """``clock`` gives Unix time."""

    def __init__(self, director: Director, clock: Callable[[], float]) -> None:
        self.cases = Cases()
        self._director = director
        self._clock = clock

    def before(self, event: Event) -> None:
        """Take note of a session that the event will end."""
        match event:
            case ViewerLeft(session):
                self._close(session, *LEFT)
            case EndSession(session, reason, detail):
                self._close(session, reason.value, detail or reason.sentence)
            case FromWorker(node, Ended(session, reason, tried)):
                status = self._director.session(session)
                if status is not None and status.node == node:
                    self._close(session, "ended_by_egress", reason, tried)

    def ended(self, notice: SessionEnded) -> None:
        """Note that a session is over in whatever way; of those that ``before`` has seen nothing new is learnt."""
        name, _ = split_stream(notice.camera)
        found = self._evidence(SessionName(notice.session), name)
        reason = notice.detail or notice.reason.sentence
        self.cases.close(notice.session, replace(found, over=True, code=notice.reason.value, reason=reason))

    def refused(self, session: SessionName, camera: CameraName, refusal: RequestError) -> None:
        """Note that an offer for a camera was refused. Of cameras that there are not anybody can make up any number."""
        if self._director.camera(camera) is not None:
            found = self._evidence(session, camera)
            over = replace(found, over=True, refused=True, code=refusal.code, reason=refusal.message)
            self.cases.close(session, over)

    def turned_away(self, camera: CameraName, address: str, refusal: RequestError) -> None:
        """Note that a limit of the front door refused an offer for a camera, which came from this address."""
        alike = SessionName(f"{refusal.code} {camera} {address}")  # no session's name: these have no spaces
        found = replace(self._evidence(alike, camera), address=address)
        self.cases.turned_away(replace(found, over=True, refused=True, code=refusal.code, reason=refusal.message))

    def find(self, name: str) -> Evidence | None:
        """The evidence of the session with this public name, whether or not it is over."""
        for session in self._director.sessions:
            if public_name(session) == name and (status := self._director.session(session)) is not None:
                return self._of(status)
        return self.cases.find(name)

    def doubtful(self) -> Iterator[Evidence]:
        """The evidence of sessions to which no media is known to flow, and then of the last that were over.

        The newest come first. Of ten thousand that are well it costs 10 ms to pass over them.
        """
        for session in reversed(tuple(self._director.sessions)):
            status = self._director.session(session)
            if status is None:
                continue
            flows = status.report is not None and speaks_for_itself(status.report)
            if not flows or self.cases.sight(session).page is not None:
                yield self._of(status)
        yield from self.cases.over

    def _close(self, session: SessionName, code: str, reason: str, tried: Tried | None = None) -> None:
        status = self._director.session(session)
        if status is None or not status.answered:
            return
        found = self._of(status)
        if tried is not None:
            report = found.report or ViewerReport(session, status.camera, ViewerState.CONNECTING)
            found = replace(found, report=replace(report, tried=tried))
        self.cases.close(session, replace(found, over=True, code=code, reason=reason))

    def _of(self, status: SessionStatus) -> Evidence:
        name, _ = split_stream(status.camera)
        found = self._evidence(status.session, name)
        since = found.since or (status.report.started if status.report is not None else 0.0)
        return replace(found, since=since, node=status.node, report=status.report)

    def _evidence(self, session: SessionName, camera: CameraName) -> Evidence:
        status, sight = self._director.camera(camera), self.cases.sight(session)
        seen = None
        if status is not None:
            seen = CameraEvidence(status.state, status.state.sentence, redact(status.detail), status.video)
        return Evidence(
            public_name(session), camera, self._clock(), sight.since, address=sight.address, seen=seen, page=sight.page
        )
