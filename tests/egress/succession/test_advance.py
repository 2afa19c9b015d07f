"""The last word of a session that was told in advance: what has changed since."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from egress.path.capacity import TRAINS_KEPT
from egress.succession.advance import Advance, changed
from egress.succession.states import SessionChange, SessionState
from egress.succession.words import MAX_CHANGES, SessionChanges, decode, encode
from egress.wire.ice import MAX_PATHS, MAX_SPENT
from tests.fuzz.succession_targets import CHANGE, SESSION_STATE

ICE, SRTP = SESSION_STATE.ice, SESSION_STATE.srtp
SENDER = SESSION_STATE.senders[0]
BY_MEDIA = {
    "ice": replace(ICE, pairs=(replace(ICE.pairs[0], received=901), *ICE.pairs[1:])),
    "srtp": replace(SRTP, sent=((1, 91),), heard=((9, 41),)),
    "senders": (replace(SENDER, following=70_003, packets=SENDER.packets + 3), *SESSION_STATE.senders[1:]),
    "path": (0.2, None, (1e6,), 99.0),
    "round_trip": None,
    "bandwidth": None,
    "counts": (1, 2, 3),
    "watched": not SESSION_STATE.watched,
}
BY_OTHERS = {
    "session": "another",
    "camera": "yard",
    "declined": "yard",
    "principal": "user:ben",
    "expires": 1.8e9,
    "started": 1.6e9,
    "joined_at": 11.0,
    "restarts": 2,
    "ice_mark": "ghijkl",
    "sections": SESSION_STATE.sections[:1],
}


def test_each_part_of_a_session_is_one_that_changes_or_one_that_lasts() -> None:
    assert {each.name for each in fields(SessionState)} == {*BY_MEDIA, *BY_OTHERS, "type"}


@pytest.mark.parametrize("name", BY_MEDIA)
def test_what_media_changes_is_said_alone(name: str) -> None:
    advance = Advance()
    advance.add(replace(SESSION_STATE, session="before it"))
    advance.add(SESSION_STATE)
    now = replace(SESSION_STATE, **{name: BY_MEDIA[name]})  # type: ignore[arg-type]
    said = advance.since(now)
    assert isinstance(said, SessionChange)
    assert said.place == 1
    word = encode(SessionChanges((said,)))
    assert len(word) < len(encode(now))
    assert changed(SESSION_STATE, said) == now
    heard = decode(word)
    assert isinstance(heard, SessionChanges)
    assert changed(SESSION_STATE, heard.changes[0]) == now


@pytest.mark.parametrize("name", BY_OTHERS)
def test_what_became_another_session_is_told_as_a_whole(name: str) -> None:
    advance = Advance()
    advance.add(SESSION_STATE)
    now = replace(SESSION_STATE, **{name: BY_OTHERS[name]})  # type: ignore[arg-type]
    assert advance.since(now) is now


@pytest.mark.parametrize(
    "now",
    [
        replace(SESSION_STATE, srtp=replace(SRTP, ours=b"p" * 28)),
        replace(SESSION_STATE, srtp=replace(SRTP, flight=())),
        replace(SESSION_STATE, senders=(replace(SENDER, rendition="door/sub"), *SESSION_STATE.senders[1:])),
        replace(SESSION_STATE, senders=SESSION_STATE.senders[1:]),
    ],
    ids=["keys", "flight", "stream", "senders"],
)
def test_with_other_keys_or_streams_it_is_another(now: SessionState) -> None:
    advance = Advance()
    advance.add(SESSION_STATE)
    assert advance.since(now) is now


def test_a_word_has_room_for_the_largest_that_there_are() -> None:
    far = ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 65_535, 1 << 31, 1 << 31)
    pair = replace(ICE.pairs[0], remote=far, local=b"l" * 16, transaction=b"t" * 12)
    ice = replace(ICE, pairs=(pair,) * (MAX_PATHS + 2), spent=("u" * 256,) * MAX_SPENT)
    change = replace(CHANGE, ice=None, path=(0.1, 99.0, (1e6,) * TRAINS_KEPT, 99.0))
    encode(SessionChanges((replace(CHANGE, ice=ice),)))  # alone, as each with ICE is
    encode(SessionChanges((change,) * MAX_CHANGES))
