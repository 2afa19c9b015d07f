import re

from hypothesis import given
from hypothesis import strategies as st

from common.sessions import is_same_ice, names_ice, new_session, public_name
from tests.fakes.cost import assert_linear

ufrags = st.from_regex(r"[A-Za-z0-9+/]{4,32}", fullmatch=True)


def test_no_two_sessions_share_a_name_and_a_url_can_hold_it() -> None:
    names = {new_session("v=0") for _ in range(100)}
    assert len(names) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{38}", name) for name in names)


def test_the_public_name_is_always_the_same_and_not_a_part_of_the_secret_one() -> None:
    secret = new_session("v=0")
    assert public_name(secret) == public_name(secret)
    assert public_name(secret) not in secret
    assert public_name(secret) != public_name(new_session("v=0"))


@given(own=ufrags, other=ufrags)
def test_a_fragment_is_of_the_same_ice_session_if_its_user_fragment_is(own: str, other: str) -> None:
    session = new_session(f"v=0\r\na=ice-ufrag:{own}\r\na=ice-ufrag:second\r\n")
    assert is_same_ice(session, f"a=ice-ufrag:{own}\r\na=ice-pwd:x\r\n")
    assert is_same_ice(session, f"m=x\r\na=ice-ufrag:another\r\na=ice-ufrag:{own}\n")
    assert is_same_ice(session, f"a=ice-ufrag:{other}\n") is (own == other)


def test_a_fragment_without_user_fragment_names_no_ice_session() -> None:
    assert not names_ice("a=mid:0\r\n")
    assert not is_same_ice(new_session("v=0"), "a=mid:0\r\n")


def test_it_takes_time_in_proportion_to_the_text() -> None:
    for piece in ("a=ice-ufrag:", "a=ice-ufrag:x\n", "\na=ice-ufrag:", "x"):
        assert_linear(new_session, piece)
        assert_linear(lambda text: is_same_ice("x" * 38, text), piece)
