"""Sessions that are told in advance, while media of them goes on; pure.

To make a session out of words takes many times as long as to bring one up to date, and all viewers wait for the last.
So the successor has them made by the time that nothing is sent any more, and hears then what has changed.
"""

from __future__ import annotations

from dataclasses import replace

from egress.succession.states import SessionChange, SessionState

_LASTING = (
    "session",
    "camera",
    "declined",
    "principal",
    "expires",
    "started",
    "joined_at",
    "restarts",
    "ice_mark",
    "sections",
)
"""All of a session that its media does not change. A new one, or one that was moved, is told as a whole."""


class Advance:
    """The sessions that a predecessor has told in advance."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[int, SessionState]] = {}  # by session: its place, and what was told

    def __len__(self) -> int:
        return len(self._told)

    def add(self, state: SessionState) -> None:
        """Take note of one that was just told."""
        self._told[state.session] = len(self._told), state

    def since(self, state: SessionState) -> SessionState | SessionChange:
        """The shortest that has to be said of a session now."""
        place, before = self._told.get(state.session, (0, None))
        if before is None or _lasting(before) != _lasting(state):
            return state
        return SessionChange(
            place=place,
            ice=state.ice if state.ice != before.ice else None,
            sent=state.srtp.sent,
            heard=state.srtp.heard,
            senders=state.senders if state.senders != before.senders else None,
            path=state.path if state.path != before.path else None,
            round_trip=state.round_trip,
            bandwidth=state.bandwidth,
            counts=state.counts,
            watched=state.watched,
        )


def changed(before: SessionState, change: SessionChange) -> SessionState:
    """The session as it is now."""
    return replace(
        before,
        ice=change.ice or before.ice,
        srtp=replace(before.srtp, sent=change.sent, heard=change.heard),
        senders=before.senders if change.senders is None else change.senders,
        path=change.path or before.path,
        round_trip=change.round_trip,
        bandwidth=change.bandwidth,
        counts=change.counts,
        watched=change.watched,
    )


def _lasting(state: SessionState) -> list[object]:
    """All that makes it the same session, with the same keys and the same streams."""
    srtp = state.srtp
    streams = [(sender.kind, sender.rendition) for sender in state.senders]
    return [*(getattr(state, name) for name in _LASTING), srtp.profile, srtp.ours, srtp.theirs, srtp.flight, streams]
