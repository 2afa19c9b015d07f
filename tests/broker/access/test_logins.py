"""The table of who is signed in, and what is in memory of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from broker.access import logins as module
from broker.access.logins import MAX_LOGINS_EACH, LoginTable
from broker.access.people import FORMAT


@pytest.fixture
def logins() -> Iterator[LoginTable]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        database.executescript(FORMAT.schema)
        yield LoginTable(database)


def sign_in(
    logins: LoginTable, cookie: str, user: str, *, at: float = 1.0, groups: tuple[str, ...] | None = None
) -> str:
    logins.add(cookie, user, groups, now=at, expires=at + 10)
    logins.read()
    login = logins.of(cookie)
    return "" if login is None else login.proof


def test_a_login_is_found_by_its_cookie_and_by_its_proof(logins: LoginTable) -> None:
    proof = sign_in(logins, "cookie", "ben", groups=("staff", "shop"))
    login = logins.proved(proof)
    assert login == logins.of("cookie")
    assert login is not None
    assert (login.user, login.groups, login.expires) == ("ben", ("staff", "shop"), 11.0)
    assert logins.of("another") is logins.proved("0" * 12) is None


def test_memory_is_as_it_was_until_the_table_is_read(logins: LoginTable) -> None:
    sign_in(logins, "cookie", "ben")
    logins.remove("cookie")
    assert logins.of("cookie") is not None
    logins.read()
    assert logins.of("cookie") is None


def test_all_logins_of_a_user_end_but_one_and_none_of_who_signed_in_elsewhere_under_that_name(
    logins: LoginTable,
) -> None:
    kept = sign_in(logins, "here", "ben")
    for cookie, user, groups in [("there", "ben", None), ("his", "carl", None), ("elsewhere", "ben", ())]:
        sign_in(logins, cookie, user, groups=groups)
    logins.remove_all("ben", keep=kept)
    logins.read()
    assert [bool(logins.of(cookie)) for cookie in ("here", "there", "his", "elsewhere")] == [True, False, True, True]


def test_what_has_run_out_goes_when_somebody_signs_in(logins: LoginTable) -> None:
    sign_in(logins, "old", "ben", at=1.0)
    sign_in(logins, "new", "carl", at=12.0)
    assert logins.of("old") is None


def test_of_too_many_the_oldest_go(logins: LoginTable, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(MAX_LOGINS_EACH + 1):
        sign_in(logins, f"ben {number}", "ben", at=1 + number / 1_000)
    assert [bool(logins.of(f"ben {number}")) for number in (0, 1)] == [False, True]
    monkeypatch.setattr(module, "MAX_LOGINS", 2)
    sign_in(logins, "carl's", "carl", at=2.0)
    assert [bool(logins.of(cookie)) for cookie in ("carl's", f"ben {MAX_LOGINS_EACH}", "ben 1")] == [True, True, False]
