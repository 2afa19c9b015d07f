"""The text by which a worker joins."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ProtocolError
from common.token import KEY_BYTES, PREFIX, WorkerToken

TOKEN = WorkerToken.make(secrets.token_bytes(KEY_BYTES))


def test_comes_back_as_it_was_also_with_blanks_around_it() -> None:
    assert WorkerToken.parse(str(TOKEN)) == TOKEN
    assert WorkerToken.parse(f"  {TOKEN}\n") == TOKEN


def test_each_is_unlike_all_others_and_can_be_typed() -> None:
    other = WorkerToken.make(TOKEN.broker)
    assert other.id != TOKEN.id
    assert other.secret != TOKEN.secret
    assert TOKEN.id.isalnum()
    assert len(TOKEN.id) == 8


def test_its_secret_is_not_in_its_repr_and_not_in_its_digest() -> None:
    assert repr(TOKEN.secret) not in repr(TOKEN)
    assert TOKEN.secret not in TOKEN.digest


@given(place=st.integers(len(PREFIX), len(str(TOKEN)) - 2), letter=st.sampled_from("abcXYZ019-_"))
def test_a_wrong_character_is_seen_at_once(place: int, letter: str) -> None:
    text = str(TOKEN)
    wrong = text[:place] + letter + text[place + 1 :]
    if wrong != text:
        with pytest.raises(ProtocolError):
            WorkerToken.parse(wrong)


@given(st.text() | st.text().map(lambda text: PREFIX + text) | st.integers(0, 90).map(lambda n: str(TOKEN)[:n]))
def test_anything_else_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ProtocolError, match="copy everything that `camshaft token worker` printed") as caught:
        WorkerToken.parse(text)
    assert len(str(caught.value)) < 100
