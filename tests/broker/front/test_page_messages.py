"""Messages of pages are read, or refused with a sentence."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.front.page_messages import MAX_ID, Attach, Close, Offer, Report, Show, read
from common.errors import RequestError


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "not_json"),
        ("offer", "not_json"),
        ("{", "not_json"),
        ("[" * 60_000, "not_json"),
        ("[]", "invalid_message"),
        ("7", "invalid_message"),
        ("null", "invalid_message"),
        ("{}", "invalid_message"),
        ('{"type": 7}', "invalid_message"),
        ('{"type": "dance"}', "unknown_type"),
        ('{"type": "answer", "session": "x", "sdp": "y"}', "unknown_type"),
        ('{"type": "offer"}', "invalid_message"),
        ('{"type": "offer", "camera": "door"}', "invalid_message"),
        ('{"type": "offer", "camera": 7, "sdp": "x"}', "invalid_message"),
        ('{"type": "offer", "camera": "door", "sdp": null}', "invalid_message"),
        ('{"type": "offer", "camera": "door", "sdp": "x", "id": {}}', "invalid_message"),
        ('{"type": "offer", "camera": "door", "sdp": "x", "id": NaN}', "not_json"),
        ('{"type": "offer", "camera": "door", "sdp": "x", "id": "' + "x" * 300 + '"}', "invalid_message"),
        ('{"type": "candidate", "session": "x"}', "invalid_message"),
        ('{"type": "restart", "session": "x"}', "invalid_message"),
        ('{"type": "restart", "session": "x", "fragment": "f", "id": null}', "invalid_message"),
        ('{"type": "candidate", "session": "x", "candidate": 7}', "invalid_message"),
        ('{"type": "show", "session": 7}', "invalid_message"),
        ('{"type": "close"}', "invalid_message"),
        ('{"type": "attach", "session": []}', "invalid_message"),
    ],
    ids=lambda value: value[:50],
)
def test_garbage_is_refused_with_a_sentence(text: str, code: str) -> None:
    with pytest.raises(RequestError, match=r"\.$") as caught:
        read(text)
    assert caught.value.code == code


def test_an_offer_says_what_it_wants_and_how_it_is_to_be_answered() -> None:
    offer = read('{"type": "offer", "camera": "door", "sdp": "v=0", "stream": "sub", "height": 7, "id": 3}')
    assert offer == Offer("door", "v=0", ("sub", 7), {"id": 3})
    assert read('{"type": "offer", "camera": "door", "sdp": ""}') == Offer("door", "", (None, None), {})
    assert "v=0" not in repr(offer)


def test_the_longest_id_is_taken() -> None:
    for id in ("x" * MAX_ID, 2**MAX_ID - 1):
        assert read(json.dumps({"type": "offer", "camera": "door", "sdp": "", "id": id})).about == {"id": id}
    for id in ("x" * (MAX_ID + 1), 2**MAX_ID):
        with pytest.raises(RequestError, match="id, if any, is text or a whole number"):
            read(json.dumps({"type": "offer", "camera": "door", "sdp": "", "id": id}))


@pytest.mark.parametrize("message", [Show, Close, Attach, Report])
def test_a_message_of_a_session_names_it(message: type) -> None:
    heard = read(json.dumps({"type": message.__name__.lower(), "session": "one"}))
    assert isinstance(heard, message)
    assert heard.session == "one"


@given(st.dictionaries(st.sampled_from(["type", "camera", "sdp", "session", "id"]), st.none() | st.text()))
def test_any_object_is_read_or_refused(message: dict[str, Any]) -> None:
    with contextlib.suppress(RequestError):
        read(json.dumps(message))
