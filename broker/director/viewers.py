"""Which egress serves which viewer, from the offer to the end of the session.

A session is in one of four states, and no method but those named here moves it:

=========  =====================================================  =========  ==========================================
from       when                                                   to         by
=========  =====================================================  =========  ==========================================
unknown    its viewer's offer goes to an egress                   pending    ``_enter``
unknown    an egress reports it: a new broker learns of it so     answered   ``_enter``
pending    its egress takes no more, or stops in good order       pending    ``offer_elsewhere``, at another egress
pending    its egress answers                                     answered   ``answered``
pending    it is refused by all, expires, or its egress dies      over       ``_refuse``
answered   its egress ends it, dies, or reports without it        over       ``_end``
answered   its viewer may not watch any more, or is not to        over       ``_end``
pending    its viewer leaves, or the camera is removed            over       ``_leave``
answered   its viewer leaves, or the camera is removed            over       ``_leave``
over       ``ENDED_KEPT`` has passed                              unknown    ``expire``
=========  =====================================================  =========  ==========================================

One that is over is kept in mind, and hung up again for as long as its egress still reports it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from broker.director.commands import OfferAnswered, OfferRefused, SessionEnded
from broker.director.conversions import Conversions
from broker.director.egresses import Egresses
from broker.director.ended import EndedSessions
from broker.director.events import EndReason, Holder, StreamWish, ViewerOffered, Wish
from broker.director.moves import Moves
from broker.director.offers import OFFER_TIMEOUT, Offers
from broker.director.state import Session, State, Worker
from broker.director.suspects import Suspects
from common.cameras import SUB, CameraName, split_stream, stream_of
from common.control import HangUp, NodeName, Refused
from common.media import Rendition, as_it_came
from common.sessions import SessionName

_NO_EGRESS = "no_egress", "No egress process can take a viewer right now; try again in a moment."
_BUSY = "busy", "Too many viewers are joining at once; try again in a moment."
_TIMEOUT = "egress_timeout", f"The egress process did not answer within {OFFER_TIMEOUT:.0f} s; try again."
_GAVE_UP = "egress_gave_up", "The egress process gave up before it answered; try again in a moment."
_SUSPECT = "camera_waits", "Each egress process that sent this camera died soon after; try again in a moment."
_DIED = "egress_died", "The egress process died before it answered; try again in a moment."


class Viewers:
    """The director's part for viewers."""

    def __init__(self, state: State, conversions: Conversions, moves: Moves, suspects: Suspects) -> None:
        self._state = state
        self._conversions = conversions
        self._moves = moves
        self._sessions = state.sessions
        self._offers = Offers()
        self._ended = EndedSessions(state)
        self._egresses = Egresses(state, suspects)

    def offer(self, offered: ViewerOffered) -> None:
        """Pass a viewer's offer to an egress."""
        id, camera_id, sdp, wish = offered.session, offered.camera, offered.sdp, offered.wish
        session = _session(offered, self._state.now + OFFER_TIMEOUT)
        known = camera_id in self._state.cameras
        if known:
            session.camera = self._moves.choose(session)
        worker = self._egresses.choose(session)
        if not known:
            self._state.command(OfferRefused(id, 404, *_unknown(camera_id)))
        elif wish.stream is StreamWish.SUB and stream_of(camera_id, SUB) not in self._state.cameras:
            self._state.command(OfferRefused(id, 404, *_no_sub(camera_id)))
        elif not self._offers.have_room(sdp):
            self._state.command(OfferRefused(id, 503, *_BUSY))
        elif worker is None:
            why = _SUSPECT if self._egresses.suspended(session.camera) else _NO_EGRESS
            self._state.command(OfferRefused(id, 503, *why))
        else:
            self._egresses.given(session, worker)
            session.node = worker.node
            self._offers.add(session)
            self._enter(session)
            self._pass_on(session, worker)

    def offer_elsewhere(self, node: NodeName, id: SessionName, because: str = "") -> None:
        """``node`` cannot take this viewer, ``because`` it says so: ask the next egress."""
        session, before = self._offers.get(id), self._state.workers.get(node)
        if session is None or session.offer is None or session.node != node or (before is not None and before.heir):
            return  # or its successor gets it, when that reports
        session.refused_by.add(node)
        self._egresses.declined(session, before)
        worker = self._egresses.choose(session)
        if worker is None:
            code, message = _NO_EGRESS
            self._refuse(session, 503, code, f"{message} {because}".strip())
            return
        self._state.workers[node].leave(id, session.camera)
        self._egresses.given(session, worker)
        worker.join(id, session.camera)
        session.node = worker.node
        self._pass_on(session, worker)

    def succeeded(self, worker: Worker) -> None:
        """Pass on again the offers that a worker which goes on, in this process or another, has perhaps not seen."""
        for session in _all(self._sessions, worker.sessions):
            if session.pending:
                self._pass_on(session, worker)

    def answered(self, node: NodeName, id: SessionName, sdp: str, renditions: tuple[Rendition, ...] = ()) -> None:
        """Answer a viewer whose offer an egress has accepted."""
        self._conversions.promised(node, renditions)
        session = self._sessions.get(id)
        if session is None or session.node != node:
            self._discard(node, id)  # too late, or answered by another
        elif session.pending:
            self._offers.settle(session)
            session.offer, session.renditions = None, renditions
            self._state.command(OfferAnswered(id, sdp))

    def refused(self, node: NodeName, refused: Refused) -> None:
        """Take an egress's refusal of an offer: for good, or (503) because it can take nobody now."""
        session = self._offers.get(refused.session)
        if session is None or session.node != node:
            return
        if refused.status == 503:
            self.offer_elsewhere(node, session.id, refused.message)
        elif 400 <= refused.status < 500:
            self._refuse(session, refused.status, refused.code, refused.message)
        else:  # of no viewer's concern
            self._refuse(session, 503, *_GAVE_UP)

    def wishes(self, id: SessionName, wish: Wish) -> None:
        """Note what a viewer wants of its camera now."""
        session = self._sessions.get(id)
        if session is not None:
            session.wish = wish
            self._moves.see_to(session)

    def left(self, id: SessionName) -> None:
        """End the session of a viewer that hung up, or gave up waiting for the answer."""
        session = self._sessions.get(id)
        if session is not None:
            self._leave(session)
            self._discard(session.node, id)
        elif self._state.starting:
            self._ended.add(id)  # its egress has yet to report it

    def end(self, id: SessionName, reason: EndReason, detail: str) -> None:
        """End the session of a viewer that may not watch any more, or is not to."""
        session = self._sessions.get(id)
        if session is not None and not session.pending:
            self._end(session, reason, detail)
            self._discard(session.node, id, reason)

    def ended(self, node: NodeName, id: SessionName, reason: str) -> None:
        """End a session that its egress says is over."""
        session = self._sessions.get(id)
        if session is not None and session.node == node:
            self._end(session, EndReason.EGRESS, reason)

    def convert(self, cameras: Iterable[CameraName]) -> None:
        """Have the sessions that get these as they come go on with what a converter makes.

        Where none has room now each keeps what it takes as it comes.
        """
        for id in cameras:
            for session in _all(self._sessions, self._state.cameras[id].sessions):
                moved = not session.renditions and session.report is not None and session.report.camera == id
                if (moved or as_it_came(id) in session.renditions) and not session.pending:
                    self._moves.order(session)

    def remove_camera(self, id: CameraName, remaining: Container[CameraName] = ()) -> None:
        """End a camera's sessions; those of a sub-stream go to its main stream where that is of the ``remaining``."""
        main, _ = split_stream(id)
        for session in _all(self._sessions, self._state.cameras[id].sessions):
            if main in remaining:
                self._moves.move_to(session, main)
                continue
            if session.pending:
                self._refuse(session, 404, *_unknown(id))
            else:
                self._end(session, EndReason.CAMERA_REMOVED)
            self._discard(session.node, session.id, EndReason.CAMERA_REMOVED)

    def reconcile(self, worker: Worker) -> None:
        """Compare the sessions an egress reports with those that it should have."""
        missing = {id for id in worker.sessions if not self._sessions[id].pending and not worker.report.partial}
        for viewer in worker.report.viewers:
            session = self._sessions.get(viewer.session)
            missing.discard(viewer.session)
            if session is not None and session.node == worker.node:
                self._moves.hear(session, viewer)
                if not self._moves.see_to(session) and viewer.camera != session.camera:  # a move may have been lost
                    self._moves.order(session)
            elif session is not None or viewer.session in self._ended or viewer.camera not in self._state.cameras:
                self._discard(worker.node, viewer.session)
            elif len(worker.sessions) >= self._state.sessions_each:  # it makes them up: no egress takes so many
                self._state.counters["sessions_not_believed"] += 1
            else:
                holder = Holder(viewer.principal, viewer.expires)
                session = Session(viewer.session, viewer.camera, worker.node, home=viewer.camera, holder=holder)
                self._enter(session)
                self._moves.hear(session, viewer)
        for id in sorted(missing):
            self._end(self._sessions[id], EndReason.MISSING)

    def bury(self, worker: Worker, reason: EndReason) -> None:
        """End a dead worker's answered sessions.

        Its unanswered offers go elsewhere if it was stopped in good order. Otherwise one of them may be what killed
        it, and the next egress is not to be killed too: they are refused, and honest viewers ask again.
        """
        worker.heir, sessions = "", _all(self._sessions, worker.sessions)  # no successor comes any more
        self._egresses.ended(worker, reason)
        for session in sessions:
            if session.pending and reason is EndReason.WORKER_STOPPED:
                self.offer_elsewhere(worker.node, session.id)
            elif session.pending:
                self._refuse(session, 503, *_DIED)
            else:
                self._end(session, reason)

    def expire(self) -> None:
        """Give up offers that nobody answers, and forget sessions that ended long ago."""
        for session in self._offers.overdue(self._state.now):
            self._refuse(session, 503, *_TIMEOUT)
            self._discard(session.node, session.id)
        self._ended.forget()
        self._egresses.settle()

    def may_appear(self, id: SessionName) -> bool:
        """Whether a session that is unknown may yet be reported."""
        return self._state.starting and id not in self._ended

    def _pass_on(self, session: Session, worker: Worker) -> None:
        """Send its offer, but to none that is taken over: the successor gets it, when it reports."""
        if not worker.heir:
            self._state.send(worker.node, self._conversions.offer(session, self._moves.other(session)))

    def _refuse(self, session: Session, status: int, code: str, message: str) -> None:
        self._leave(session)
        self._state.command(OfferRefused(session.id, status, code, message))

    def _end(self, session: Session, reason: EndReason, detail: str = "") -> None:
        self._leave(session)
        if session.pending:
            self._state.command(OfferRefused(session.id, 503, *_GAVE_UP))
        else:
            self._state.command(SessionEnded(session.id, session.camera, reason, detail))

    def _enter(self, session: Session) -> None:
        self._sessions[session.id] = session
        self._moves.enter(session)

    def _leave(self, session: Session) -> None:
        del self._sessions[session.id]
        self._offers.settle(session)
        self._ended.add(session.id)
        self._moves.depart(session)

    def _discard(self, node: NodeName, id: SessionName, reason: EndReason | None = None) -> None:
        """Tell an egress that a session is over, and keep in mind to tell it again."""
        self._ended.add(id)
        self._state.send(node, HangUp(id, reason.value if reason else ""))


def _all(sessions: Mapping[SessionName, Session], ids: Iterable[SessionName]) -> list[Session]:
    return [sessions[id] for id in sorted(ids)]


def _session(offered: ViewerOffered, deadline: float) -> Session:
    id, camera, sdp, holder = offered.session, offered.camera, offered.sdp, offered.holder
    return Session(id, camera, NodeName(""), sdp, deadline, wish=offered.wish, holder=holder, takes=offered.takes)


def _no_sub(camera: CameraName) -> tuple[str, str]:
    return "unknown_stream", f"Camera {camera!r} has no sub-stream; leave `stream` out, or give the camera one."


def _unknown(camera: CameraName) -> tuple[str, str]:
    return "unknown_camera", f"There is no camera {camera!r}."
