"""The session's conversation, without sockets and without waiting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.cameras import CameraState
from common.errors import CameraError
from ingest.rtsp.message import Headers, Request, Response
from ingest.rtsp.session import (
    Playing,
    Punch,
    RedirectedError,
    Send,
    SessionState,
)
from ingest.sdp import MediaSection, SessionDescription
from tests.fakes.talk import SDP, Talk


def test_conversation_over_tcp() -> None:
    talk = Talk().until(SessionState.PLAYING)
    assert talk.lines == [
        ("OPTIONS", "rtsp://camera:8554/live"),
        ("DESCRIBE", "rtsp://camera:8554/live"),
        ("SETUP", "rtsp://camera:8554/live/trackID=1"),
        ("SETUP", "rtsp://camera:8554/live/trackID=2"),
        ("PLAY", "rtsp://camera:8554/live"),
    ]
    assert [request.headers.get("Transport") for request in talk.sent[2:4]] == [
        "RTP/AVP/TCP;unicast;interleaved=0-1",
        "RTP/AVP/TCP;unicast;interleaved=2-3",
    ]
    assert talk.last.headers.get("Range") == "npt=0-"
    assert talk.last.headers.get("Session") == "abc"
    assert talk.events == [Punch(), Playing()]
    assert [setup.spec.interleaved for setup in talk.session.setups] == [(0, 1), (2, 3)]
    assert [request.headers.get("CSeq") for request in talk.sent] == ["1", "2", "3", "4", "5"]
    assert all(("CSeq", str(n)) in list(request.headers) for n, request in enumerate(talk.sent, 1))
    assert all(request.headers.get("User-Agent") for request in talk.sent)
    assert "secret" not in repr(talk.session) + "".join(map(repr, talk.sent))


def test_conversation_over_udp() -> None:
    talk = Talk(udp=True).until(SessionState.PLAYING)
    assert [request.headers.get("Transport") for request in talk.sent[2:4]] == [
        "RTP/AVP;unicast;client_port=5000-5001",
        "RTP/AVP;unicast;client_port=5002-5003",
    ]
    assert talk.events == [Punch(), Playing()]


def test_only_what_is_selected_is_set_up() -> None:
    talk = Talk(select=lambda description: [description.media[1]]).until(SessionState.PLAYING)
    assert talk.lines[2:4] == [
        ("SETUP", "rtsp://camera:8554/live/trackID=2"),
        ("PLAY", "rtsp://camera:8554/live"),
    ]


def test_selecting_nothing_is_an_error() -> None:
    def nothing(description: SessionDescription) -> list[MediaSection]:
        raise CameraError(CameraState.NO_PLAYABLE_TRACK, "why")

    with pytest.raises(CameraError) as caught:
        Talk(select=nothing).until(SessionState.PLAYING)
    assert caught.value.state is CameraState.NO_PLAYABLE_TRACK


@pytest.mark.parametrize(
    ("headers", "sdp", "setup", "play"),
    [
        ([("Content-Base", "rtsp://10.0.0.9/other/")], SDP, "/other/trackID=1", "/other/"),
        ([("content-base", "rtsp://rtsp://10.0.0.9/other/")], SDP, "/other/trackID=1", "/other/"),
        ([("Content-Location", "/other")], SDP, "/other/trackID=1", "/other"),
        ([], SDP.replace(b"v=0\r\n", b"v=0\r\na=control:rtsp://10.0.0.9/all\r\n"), "/all/trackID=1", "/all"),
        ([], SDP.replace(b"trackID=1", b"rtsp://10.0.0.9:1/else/t1?x=y"), "/else/t1?x=y", "/live"),
    ],
)
def test_where_requests_go(headers: list[tuple[str, str]], sdp: bytes, setup: str, play: str) -> None:
    talk = Talk()
    talk.describe_headers, talk.sdp = headers, sdp
    talk.until(SessionState.PLAYING)
    assert talk.lines[2] == ("SETUP", f"rtsp://camera:8554{setup}")
    assert talk.lines[-1] == ("PLAY", f"rtsp://camera:8554{play}")
    talk.do(talk.session.tick(talk.now + 60))
    assert talk.lines[-1][1] == f"rtsp://camera:8554{play}"


# Redirects.


@pytest.mark.parametrize("status", [301, 302, 303, 305, 307])
@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"])
def test_redirect(status: int, method: str) -> None:
    talk = Talk()
    talk.answers[method] = [Response(status, "Moved", Headers([("Location", "rtsp://elsewhere/x")]))]
    with pytest.raises(RedirectedError) as caught:
        talk.until(SessionState.PLAYING)
    assert caught.value.location == "rtsp://elsewhere/x"


def test_redirect_to_nowhere_is_a_refusal() -> None:
    talk = Talk()
    talk.answers["DESCRIBE"] = [Response(302, "Found")]
    with pytest.raises(CameraError, match="302"):
        talk.until(SessionState.PLAYING)


# Ends, and questions from the camera.


@pytest.mark.parametrize("state", [SessionState.PLAY, SessionState.PLAYING])
def test_stop(state: SessionState) -> None:
    talk = Talk().until(state)
    talk.do(talk.session.stop(talk.now))
    assert (talk.last.method, talk.last.url) == ("TEARDOWN", "rtsp://camera:8554/live")
    assert talk.last.headers.get("Session") == "abc"
    assert talk.session.stop(talk.now) == []
    assert talk.session.state is SessionState.TEARDOWN
    talk.answer(Response(454))
    assert talk.session.state is SessionState.CLOSED
    assert talk.session.stop(talk.now) == []


@pytest.mark.parametrize("state", [SessionState.START, SessionState.OPTIONS, SessionState.DESCRIBE, SessionState.SETUP])
def test_stop_before_there_is_a_session(state: SessionState) -> None:
    talk = Talk()
    if state is not SessionState.START:
        talk.until(state)
    assert talk.session.stop(talk.now) == []
    assert talk.session.state is SessionState.CLOSED
    assert talk.session.receive(Response(200), talk.now) == []


def test_questions_are_answered() -> None:
    talk = Talk().until(SessionState.PLAYING)
    for method, status in [("OPTIONS", 200), ("GET_PARAMETER", 200), ("SET_PARAMETER", 200), ("ANNOUNCE", 501)]:
        [action] = talk.session.receive(Request(method, "*", Headers([("cseq", "44"), ("Session", "abc")])), talk.now)
        assert isinstance(action, Send)
        assert isinstance(action.message, Response)
        assert action.message.status == status
        assert action.message.headers.get("CSeq") == "44"


@pytest.mark.parametrize("method", ["TEARDOWN", "REDIRECT"])
def test_the_camera_ends_the_session(method: str) -> None:
    talk = Talk().until(SessionState.PLAYING)
    with pytest.raises(CameraError, match=method) as caught:
        talk.session.receive(Request(method, "*", Headers([("Location", "rtsp://else/")])), talk.now)
    assert caught.value.state is CameraState.CLOSED


@given(
    st.lists(
        st.tuples(
            st.sampled_from([100, 200, 200, 200, 201, 302, 401, 404, 457, 461, 500]),
            st.lists(
                st.tuples(
                    st.sampled_from(
                        ["Session", "Transport", "WWW-Authenticate", "Location", "Public", "Content-Base", "Server"]
                    ),
                    st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)
                    | st.sampled_from(["RTP/AVP/TCP;interleaved=0-1", 'Digest realm="a", nonce="b"', "abc;timeout=5"]),
                ),
                max_size=4,
            ),
            st.sampled_from([SDP, b"", b"m=video 0 RTP/AVP 96"]) | st.binary(max_size=50),
        ),
        max_size=12,
    ),
    st.booleans(),
)
def test_any_answers(answers: list[tuple[int, list[tuple[str, str]], bytes]], udp: bool) -> None:
    talk, said = Talk(udp=udp).start(), ""
    try:
        for status, headers, body in answers:
            talk.answer(Response(status, "", Headers(headers), body))
            talk.now += 1
            talk.do(talk.session.tick(talk.now))
    except CameraError as exc:
        said = str(exc)
    talk.session.stop(talk.now)
    assert "secret" not in said
    for request in talk.sent:
        assert "secret" not in request.url
        bytes(request)
