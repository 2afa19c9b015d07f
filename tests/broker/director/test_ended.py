"""Sessions that are over are kept in mind for a time, and no more of them than memory has room for."""

from __future__ import annotations

import pytest

from broker.director import ended as module
from broker.director.ended import ENDED_KEPT, EndedSessions
from broker.director.state import State
from common.sessions import SessionName

ONE, OTHER, THIRD = (SessionName(name) for name in ("one", "other", "third"))


def test_a_session_is_kept_in_mind_for_a_time() -> None:
    state = State(0.0, None, sessions_each=1)
    ended = EndedSessions(state)
    ended.add(ONE)
    state.now = ENDED_KEPT / 2
    ended.add(OTHER)
    ended.forget()
    assert ONE in ended
    state.now = ENDED_KEPT
    ended.forget()
    assert [each in ended for each in (ONE, OTHER)] == [False, True]


def test_of_too_many_the_first_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENDED", 2)
    ended = EndedSessions(State(0.0, None, sessions_each=1))
    for each in (ONE, OTHER, THIRD):
        ended.add(each)
    assert [each in ended for each in (ONE, OTHER, THIRD)] == [False, True, True]
