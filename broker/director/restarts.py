"""ICE restarts that viewers wait for: led to the egress that has the session, and each one answered or refused.

An egress that has restarted ICE says so in its reports as well, so what is lost here is only an answer: its viewer asks
again, and gets the same one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from broker.director.commands import RestartAnswered, RestartRefused
from broker.director.events import RestartWanted
from broker.director.state import State
from common.control import IceNotRestarted, IceRestarted, NodeName, RestartIce
from common.sessions import SessionName

WITHIN = 3.0  # seconds for an egress to answer: it takes milliseconds, and a viewer without a picture waits
MOST_WANTED = 1_000  # at a time: a whole site that changed its network

_UNKNOWN = "unknown_session", "There is no such session; it may have ended."
_BUSY = "busy", "Too many viewers restart ICE at once; try again in a moment."
_TIMEOUT = "egress_timeout", f"The egress process did not answer within {WITHIN:.0f} s; start a new session."


@dataclass(frozen=True, slots=True)
class _Restart:
    session: SessionName
    node: NodeName
    deadline: float


class Restarts:
    """The director's part for ICE restarts."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._wanted: dict[str, _Restart] = {}  # by request

    def want(self, wanted: RestartWanted) -> None:
        """Ask the session's egress for what a viewer wants."""
        session, request = self._state.sessions.get(wanted.session), wanted.request
        if session is None or session.pending:
            self._state.command(RestartRefused(request, 404, *_UNKNOWN))
        elif len(self._wanted) >= MOST_WANTED:
            self._state.command(RestartRefused(request, 503, *_BUSY))
        else:
            self._wanted[request] = _Restart(session.id, session.node, self._state.now + WITHIN)
            self._state.send(session.node, RestartIce(request, session.id, wanted.ufrag, wanted.password))

    def restarted(self, node: NodeName, restarted: IceRestarted) -> None:
        """Answer the viewer: its egress has restarted ICE."""
        asked = self._asked(node, restarted.request)
        session = self._state.sessions.get(asked.session) if asked is not None else None
        if session is None or session.id != restarted.session:
            return
        del self._wanted[restarted.request]
        if session.report is not None:  # the next one says it, too
            session.report = replace(session.report, ice=restarted.ice)
        self._state.command(RestartAnswered(restarted.request, restarted.ice, restarted.fragment))

    def refused(self, node: NodeName, refused: IceNotRestarted) -> None:
        """Refuse the viewer: its egress has not restarted ICE."""
        if self._asked(node, refused.request) is not None:
            known = 400 <= refused.status < 500
            self._refuse(
                refused.request, *((refused.status, refused.code, refused.message) if known else (404, *_UNKNOWN))
            )

    def undelivered(self, node: NodeName, request: str) -> None:
        """Refuse the viewer: its egress was not reached."""
        if self._asked(node, request) is not None:
            self._refuse(request, 503, *_TIMEOUT)

    def settle(self) -> None:
        """Refuse those whose session is over, and those that nobody answers."""
        for request, asked in list(self._wanted.items()):
            if asked.session not in self._state.sessions:
                self._refuse(request, 404, *_UNKNOWN)
            elif self._state.now >= asked.deadline:
                self._refuse(request, 503, *_TIMEOUT)

    def _asked(self, node: NodeName, request: str) -> _Restart | None:
        asked = self._wanted.get(request)
        return asked if asked is not None and asked.node == node else None

    def _refuse(self, request: str, status: int, code: str, message: str) -> None:
        del self._wanted[request]
        self._state.command(RestartRefused(request, status, code, message))
