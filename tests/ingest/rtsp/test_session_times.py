"""When a session has to say something, and how long it waits. Time is an argument."""

from __future__ import annotations

import pytest

from common.cameras import CameraState
from common.errors import CameraError
from ingest.rtsp.message import Headers, Response
from ingest.rtsp.requests import MAX_KEEPALIVE_INTERVAL
from ingest.rtsp.session import (
    HANDSHAKE_TIMEOUT,
    REPLY_TIMEOUT,
    BindPorts,
    RtspSession,
    SessionState,
)
from ingest.rtsp.url import RtspUrl
from tests.fakes.talk import SDP, URL, Talk, everything


@pytest.mark.parametrize(
    ("header", "latest"),
    [
        ("abc", 30.0),
        ("abc;timeout=60", 30.0),
        ("abc; timeout=20", 10.0),
        ("abc ; Timeout = 20 ; x", 10.0),
        ("abc;timeout=0", 30.0),
        ("abc;timeout=1", 1.0),
        ("abc;timeout=86400", MAX_KEEPALIVE_INTERVAL),
        ("abc;timeout=soon", 30.0),
        ("abc;timeout=10s", 5.0),
    ],
)
def test_keepalive_comes_in_time(header: str, latest: float) -> None:
    talk = Talk()
    talk.session_header = header
    talk.until(SessionState.PLAYING)
    due = talk.session.due
    assert due is not None
    assert latest / 2 < due - talk.now <= latest
    assert talk.session.tick(due - 0.1) == []
    talk.do(talk.session.tick(due))
    assert talk.last.method == "GET_PARAMETER"
    assert talk.last.headers.get("Session") == "abc"
    again = talk.session.due
    assert again is not None
    assert due < again <= due + latest
    talk.do(talk.session.tick(again))  # the reply is never waited for
    assert talk.last.headers.get("CSeq") == "7"


@pytest.mark.parametrize(
    ("public", "method"),
    [
        ("OPTIONS, get_parameter", "GET_PARAMETER"),
        ("OPTIONS,SET_PARAMETER", "OPTIONS"),
        ("", "OPTIONS"),
    ],
)
def test_keepalive_uses_what_the_camera_knows(public: str, method: str) -> None:
    talk = Talk()
    talk.public = public
    talk.until(SessionState.PLAYING)
    talk.do(talk.session.tick(talk.now + 100))
    assert talk.last.method == method


def test_keepalive_that_is_refused_is_done_differently() -> None:
    talk = Talk().until(SessionState.PLAYING)
    talk.do(talk.session.tick(talk.now + 100))
    talk.answer(Response(405, "Method Not Allowed"))
    talk.do(talk.session.tick(talk.now + 200))
    assert talk.last.method == "OPTIONS"
    talk.answer(Response(454, "Session Not Found"))
    assert talk.session.state is SessionState.PLAYING


@pytest.mark.parametrize("state", [SessionState.OPTIONS, SessionState.DESCRIBE, SessionState.SETUP, SessionState.PLAY])
def test_reply_that_never_comes(state: SessionState) -> None:
    talk = Talk().until(state)
    due = talk.session.due
    assert due == talk.now + REPLY_TIMEOUT
    assert talk.session.tick(due - 0.1) == []
    with pytest.raises(CameraError, match=f"no reply to {state.name}") as caught:
        talk.session.tick(due)
    assert caught.value.state is CameraState.UNANSWERED
    assert ("port 8554 accepts the connection" in caught.value.detail) is (state is SessionState.OPTIONS)
    with pytest.raises(CameraError, match="did not end") as caught:
        talk.session.tick(due, partial=True)
    assert caught.value.state is CameraState.MALFORMED


def test_slow_replies_have_an_end_too() -> None:
    talk = Talk().start()
    talk.now += REPLY_TIMEOUT - 1
    talk.step()
    talk.now += REPLY_TIMEOUT - 1
    talk.step()
    assert talk.session.due == 100.0 + HANDSHAKE_TIMEOUT


def test_ports_that_are_never_bound() -> None:
    session = RtspSession(RtspUrl.parse(URL), True, everything)
    session.start(0)
    session.receive(Response(200), 0)
    assert session.receive(Response(200, "OK", Headers(), SDP), 0) == [BindPorts()]
    assert session.due == HANDSHAKE_TIMEOUT
