"""The rules of who may be a user, and that somebody may do everything at any time."""

from __future__ import annotations

import pytest

from broker.access.users import MAX_USERS, User, Users
from common.access import AccessRole
from common.errors import RequestError

ADMIN, VIEWER, MONITOR = AccessRole.ADMIN, AccessRole.VIEWER, AccessRole.MONITOR
ANNA = User("anna", "a", ADMIN, (), 1.0)
BEN = User("ben", "b", VIEWER, ("*",), 2.0)
BOTH = Users([BEN, ANNA])


def code(name: str, role: AccessRole, cameras: tuple[str, ...], users: Users = BOTH, *, elsewhere: bool = False) -> str:
    try:
        users.check_new(name, role, cameras, admin_elsewhere=elsewhere)
    except RequestError as exc:
        return exc.code
    return ""


def test_users_are_told_by_name() -> None:
    assert list(BOTH) == [ANNA, BEN]
    assert (BOTH.get("ben"), BOTH.get("carl")) == (BEN, None)
    assert (BOTH.hash_of("ben"), BOTH.hash_of("carl")) == ("b", "")
    with pytest.raises(RequestError, match="no user 'carl'"):
        BOTH.known("carl")


@pytest.mark.parametrize("written", ["ben", "Ben", "BEN", "\uff22\uff45\uff4e"])
def test_a_user_is_meant_however_a_keyboard_writes_the_name(written: str) -> None:
    assert BOTH.meant(written) == BEN


def test_who_is_meant_has_one_name() -> None:
    """An earlier release made users whose names differ by case alone: each goes by its own, nobody by a third."""
    loud = User("BEN", "c", VIEWER, ("*",), 3.0)
    three = Users([ANNA, BEN, loud])
    assert (three.meant("ben"), three.meant("BEN"), three.meant("Ben")) == (BEN, loud, None)
    assert three.meant("carl") is None
    decomposed, composed = User("jos\u00e9", "", VIEWER, ("*",), 0.0), "JOSE\u0301"  # an accent of its own
    assert Users([decomposed]).meant(composed) == decomposed


def test_a_change_makes_others_and_leaves_these_as_they_are() -> None:
    promoted = User("ben", "b", ADMIN, (), 2.0)
    assert list(BOTH.having(promoted)) == [ANNA, promoted]
    assert list(BOTH.without("anna")) == [BEN]
    assert list(BOTH) == [ANNA, BEN]


@pytest.mark.parametrize(
    ("name", "role", "cameras", "refusal"),
    [
        ("carl", VIEWER, ("yard",), ""),
        ("a b", VIEWER, ("*",), "invalid_name"),
        ("ben", VIEWER, ("*",), "user_exists"),
        ("Ben", VIEWER, ("*",), "user_exists"),
        ("\uff22\uff45\uff4e", VIEWER, ("*",), "user_exists"),  # as East Asian keyboards write Ben
        ("carl", VIEWER, (), "no_cameras"),
        ("carl", MONITOR, ("*",), "no_viewer"),
        ("carl", MONITOR, (), ""),
    ],
)
def test_a_new_user(name: str, role: AccessRole, cameras: tuple[str, ...], refusal: str) -> None:
    assert code(name, role, cameras) == refusal


def test_the_first_user_is_an_admin_where_nobody_else_is() -> None:
    assert code("carl", VIEWER, ("*",), Users([BEN])) == "no_admin"
    assert code("carl", VIEWER, ("*",), Users([BEN]), elsewhere=True) == ""
    assert code("carl", ADMIN, (), Users()) == ""


def test_users_have_an_end() -> None:
    full = Users([ANNA, *(User(f"u{number}", "", VIEWER, ("*",), 0.0) for number in range(MAX_USERS - 1))])
    assert code("carl", VIEWER, ("*",), full) == "too_many_users"


@pytest.mark.parametrize("role", [None, VIEWER])
def test_the_last_admin_stays_one(role: AccessRole | None) -> None:
    with pytest.raises(RequestError, match="anna is the only admin"):
        BOTH.check_last_admin(ANNA, role, admin_elsewhere=False)
    BOTH.check_last_admin(ANNA, role, admin_elsewhere=True)
    BOTH.check_last_admin(BEN, role, admin_elsewhere=False)
    BOTH.having(User("carl", "", ADMIN, (), 0.0)).check_last_admin(ANNA, role, admin_elsewhere=False)


def test_a_password_that_was_changed_meanwhile_is_wrong() -> None:
    BOTH.check_password("ben", "b")
    BOTH.check_password("ben", None)
    for name, shown in [("ben", "old"), ("carl", "b")]:
        with pytest.raises(RequestError, match="is wrong"):
            BOTH.check_password(name, shown)
    with pytest.raises(RequestError, match="no user"):
        BOTH.check_password("carl", None)
