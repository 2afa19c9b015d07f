"""Requests as they go on the wire: numbers, the session's id, and how long the camera keeps the session."""

from __future__ import annotations

import pytest

from ingest.rtsp.auth import Pin
from ingest.rtsp.login import Login
from ingest.rtsp.message import Headers
from ingest.rtsp.requests import DEFAULT_SESSION_TIMEOUT, Requests
from ingest.rtsp.url import RtspUrl

URL = RtspUrl.parse("rtsp://camera/live")


def session(text: str) -> Headers:
    return Headers([("session", text)])


def test_each_request_has_a_number_of_its_own_also_when_it_is_sent_again() -> None:
    requests = Requests(Login(URL, Pin()))
    first = requests.ask("OPTIONS", URL)
    assert requests.count == 1
    assert requests.under_way is not None
    again = requests.again(requests.under_way)
    assert [request.headers.get("CSeq") for request in (first, again)] == ["1", "2"]
    assert requests.count == 2
    assert requests.method == "OPTIONS"


def test_the_first_session_id_counts_until_the_other_one_is_asked_for() -> None:
    requests = Requests(Login(URL, Pin()))
    for text in ("one", "two;timeout=5", "one"):
        requests.learn(session(text))
    assert requests.ask("PLAY", URL).headers.get("Session") == "one"
    assert requests.take_other_id()
    assert requests.ask("PLAY", URL).headers.get("Session") == "two"
    assert not requests.take_other_id()


@pytest.mark.parametrize(
    ("text", "timeout"),
    [
        ("a;timeout=30", 30.0),
        ('a ; Timeout = "7"', 7.0),
        ("a;timeout=0", DEFAULT_SESSION_TIMEOUT),
        ("a;timeout=x", 60.0),
    ],
)
def test_how_long_the_camera_keeps_the_session(text: str, timeout: float) -> None:
    requests = Requests(Login(URL, Pin()))
    requests.learn(session(text))
    assert (requests.session_id, requests.timeout) == ("a", timeout)
