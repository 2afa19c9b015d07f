"""Offers that wait for an answer: so many characters at most, and each until its deadline."""

from __future__ import annotations

import pytest

from broker.director import offers as module
from broker.director.offers import Offers
from broker.director.state import Session


def session(id: str, offer: str, *, deadline: float = 5.0) -> Session:
    return Session(id, "door", "out-1", offer, deadline)


def test_what_waits_has_a_bound_and_what_is_settled_gives_its_room_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PENDING_CHARACTERS", 10)
    offers, first = Offers(), session("a", "x" * 7)
    assert offers.have_room("x" * 10)
    assert not offers.have_room("x" * 11)
    offers.add(first)
    assert offers.get("a") is first
    assert not offers.have_room("x" * 4)
    offers.settle(first)
    offers.settle(first)
    assert offers.get("a") is None
    assert offers.have_room("x" * 10)
    assert not offers.have_room("x" * 11)


def test_what_nobody_answers_is_overdue_at_its_deadline() -> None:
    offers, early, late = Offers(), session("a", "x", deadline=5.0), session("b", "x", deadline=6.0)
    offers.add(early)
    offers.add(late)
    assert offers.overdue(4.9) == []
    assert offers.overdue(5.0) == [early]
    assert offers.overdue(6.0) == [early, late]
