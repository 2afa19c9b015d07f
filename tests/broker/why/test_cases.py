"""Sessions that go on, and those that were over last."""

from __future__ import annotations

import pytest

from broker.why import cases as module
from broker.why.cases import Cases, Sight
from broker.why.evidence import Evidence, PageReport
from common.sessions import SessionName


def evidence(name: str, reason: str = "") -> Evidence:
    return Evidence(name, "yard", 0.0, over=True, reason=reason)


def test_what_the_front_door_sees_is_there_while_a_session_goes_on() -> None:
    cases, session, page = Cases(), SessionName("s"), PageReport(octets=1)
    assert cases.sight(session) == Sight()
    cases.asked(session, "192.0.2.7", 5.0)
    cases.told(session, page)
    assert cases.sight(session) == Sight("192.0.2.7", 5.0, page)
    cases.close(session, evidence("public"))
    assert cases.sight(session) == Sight()


def test_the_first_end_counts() -> None:
    cases = Cases()
    cases.close(SessionName("s"), evidence("a", "the first"))
    cases.close(SessionName("s"), evidence("a", "the second"))
    found = cases.find("a")
    assert found is not None
    assert found.reason == "the first"
    assert cases.find("b") is None


def test_refusals_of_one_kind_are_one_case_and_push_away_none_that_was_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TURNED_AWAY", 2)
    cases = Cases()
    cases.close(SessionName("s"), evidence("over"))
    for number in range(3):
        cases.turned_away(Evidence("flood", "yard", float(number)))
    for number in (4, 5):
        cases.turned_away(Evidence(f"other{number}", "yard", float(number)))
        cases.turned_away(Evidence("flood", "yard", number + 0.5))
    assert [(each.session, each.times) for each in cases.over] == [("flood", 5), ("other5", 1), ("over", 1)]
    assert cases.find("other4") is None
    found = cases.find("flood")
    assert found is not None
    assert found.at == 5.5


def test_who_goes_through_them_is_not_disturbed_by_those_that_come() -> None:
    cases = Cases()
    for name in "ab":
        cases.close(SessionName(name), evidence(name))
    found = []
    for number, each in enumerate(cases.over):
        found.append(each.session)
        cases.close(SessionName(f"s{number}"), evidence(f"later{number}"))
    assert found == ["b", "a"]


def test_what_pages_tell_is_bounded_in_bytes_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    page = PageReport.parse({"state": "failed", "errors": ["Ü" * 200] * 100})
    assert page.size == 6 + 16 * 100
    assert page.errors[0] == "?" * 100
    monkeypatch.setattr(module, "MAX_TOLD", 3 * page.size)
    cases = Cases()
    for number in (0, 1, 2, 0, 0, 3):
        cases.asked(SessionName(f"{number}"), "192.0.2.7", 5.0)
        cases.told(SessionName(f"{number}"), page)
    assert [cases.sight(SessionName(f"{number}")).page for number in range(4)] == [page, None, page, page]
    assert cases.sight(SessionName("1")).address == "192.0.2.7"
    cases.close(SessionName("2"), evidence("over"))
    cases.told(SessionName("1"), page)
    assert [cases.sight(SessionName(f"{number}")).page for number in range(4)] == [page, page, None, page]


def test_both_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OPEN", 3)
    monkeypatch.setattr(module, "MAX_OVER", 3)
    cases = Cases()
    for number in range(5):
        cases.asked(SessionName(f"asked {number}"), "192.0.2.7", 5.0)
        cases.told(SessionName(f"told {number}"), PageReport())
        cases.close(SessionName("s"), evidence(f"over {number}"))
    known = [n for n in range(5) for word in ("asked", "told") if cases.sight(SessionName(f"{word} {n}")) != Sight()]
    assert len(known) == 3
    assert [each.session for each in cases.over] == ["over 4", "over 3", "over 2"]
