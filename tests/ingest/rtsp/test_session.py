"""The session's conversation, without sockets and without waiting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.cameras import CameraState
from common.errors import CameraError
from ingest.rtsp.auth import Pin
from ingest.rtsp.habits import LEFT_OUT
from ingest.rtsp.message import Headers, Request, Response
from ingest.rtsp.requests import MAX_KEEPALIVE_INTERVAL
from ingest.rtsp.session import (
    HANDSHAKE_TIMEOUT,
    REPLY_TIMEOUT,
    BindPorts,
    Playing,
    Punch,
    RedirectedError,
    RtspSession,
    Send,
    SessionState,
)
from ingest.rtsp.url import RtspUrl
from ingest.sdp import MediaSection, SessionDescription
from tests.fakes.talk import SDP, URL, Talk, everything


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


# Answers that are not as they should be.


@pytest.mark.parametrize("status", [404, 405, 501, 200])
def test_options_may_be_refused(status: int) -> None:
    talk = Talk()
    talk.answers["OPTIONS"] = [Response(status)]
    assert talk.until(SessionState.PLAYING).session.state is SessionState.PLAYING


@pytest.mark.parametrize(
    ("method", "status", "state"),
    [
        ("DESCRIBE", 404, CameraState.NOT_FOUND),
        ("DESCRIBE", 410, CameraState.NOT_FOUND),
        ("DESCRIBE", 400, CameraState.REJECTED),
        ("DESCRIBE", 403, CameraState.REJECTED),
        ("DESCRIBE", 503, CameraState.FULL),
        ("SETUP", 404, CameraState.NOT_FOUND),
        ("SETUP", 403, CameraState.REJECTED),
        ("SETUP", 454, CameraState.REJECTED),
        ("PLAY", 453, CameraState.FULL),
        ("PLAY", 455, CameraState.REJECTED),
    ],
)
def test_refusals_have_a_state_and_say_what_was_seen(method: str, status: int, state: CameraState) -> None:
    talk = Talk()
    talk.answers[method] = [Response(status, "So\x1b[1m sad")] * 8
    with pytest.raises(CameraError) as caught:
        talk.until(SessionState.PLAYING)
    assert (caught.value.state, caught.value.detail) == (
        state,
        f"{method} was answered with {status} So?[1m sad",
    )


@pytest.mark.parametrize("body", [b"", b"v=0\r\n", b"<html>"])
def test_describe_without_a_description(body: bytes) -> None:
    def select(description: SessionDescription) -> list[MediaSection]:
        raise CameraError(CameraState.NO_PLAYABLE_TRACK)

    talk = Talk(select=select)
    talk.sdp = body
    with pytest.raises(CameraError) as caught:
        talk.until(SessionState.PLAYING)
    assert caught.value.state is (CameraState.NO_PLAYABLE_TRACK if body else CameraState.MALFORMED)


def test_play_without_range_where_ranges_are_refused() -> None:
    talk = Talk().until(SessionState.PLAY)
    talk.answer(Response(457, "Invalid Range"))
    assert "Range" not in talk.last.headers
    with pytest.raises(CameraError):
        talk.answer(*[Response(457, "Invalid Range")] * 8)


def test_tracks_that_play_one_by_one_are_asked_for_one_by_one() -> None:
    talk = Talk().until(SessionState.PLAY)
    talk.answer(Response(459, "Aggregate Operation Not Allowed"))
    talk.until(SessionState.PLAYING)
    assert [url for method, url in talk.lines if method == "PLAY"] == [
        f"rtsp://camera:8554/live{track}" for track in ("", "/trackID=1", "/trackID=2")
    ]
    talk.do(talk.session.tick(talk.now + 60))
    assert talk.lines[-1][1] == "rtsp://camera:8554/live"


def test_media_that_comes_is_as_good_as_the_answer_to_play() -> None:
    talk = Talk().until(SessionState.PLAY)
    assert talk.session.tick(talk.now + REPLY_TIMEOUT - 1, flowing=True) == []
    talk.do(talk.session.tick(talk.now + REPLY_TIMEOUT, flowing=True))
    assert talk.session.state is SessionState.PLAYING
    assert talk.events[-1] == Playing()


def test_a_session_begins_with_describe_where_options_cost_the_last_one() -> None:
    first = Talk().start()
    first.session.lost("", 100.0)
    second = Talk(pin=first.session.pin).until(SessionState.PLAYING)
    assert second.lines[0] == ("DESCRIBE", "rtsp://camera:8554/live")
    second.do(second.session.tick(second.now + 60))
    assert second.lines[-1][0] == "GET_PARAMETER"


def test_a_track_at_whose_setup_the_camera_hangs_up_is_left_out() -> None:
    pin = Pin()
    for _ in range(2):
        talk = Talk(pin=pin).until(SessionState.SETUP)
        talk.step()
        assert talk.last.url.endswith("trackID=2")
        talk.session.lost("", 100.0)
    talk = Talk(pin=pin).until(SessionState.PLAYING)
    assert [method for method, _ in talk.lines] == ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"]
    assert "audio" in talk.session.refused
    talk = Talk(pin=pin)
    talk.now += LEFT_OUT
    talk.until(SessionState.PLAYING)
    assert not talk.session.refused
    assert not pin.habits.forbids("audio", 101.0)


def test_answers_that_come_twice_are_taken_once() -> None:
    talk = Talk().start()
    while talk.session.state is not SessionState.PLAYING:
        answer = talk.usual(talk.last)
        talk.answer(answer, answer)
    assert len(talk.sent) == 5
    assert len(talk.session.setups) == 2


@pytest.mark.parametrize("number", ["1", "0", "abc", ""])
def test_numbers_of_answers_that_are_always_the_same_do_no_harm(number: str) -> None:
    talk = Talk().start()
    while talk.session.state is not SessionState.PLAYING:
        answer = talk.usual(talk.last)
        kept = [(name, value) for name, value in answer.headers if name not in ("CSeq", "Transport")]
        headers = [*kept, ("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1"), ("CSeq", number)]
        talk.answer(Response(answer.status, answer.reason, Headers(headers), answer.body))
    assert len(talk.session.setups) == 2


def test_provisional_answers_are_not_the_answer() -> None:
    talk = Talk().until(SessionState.DESCRIBE)
    talk.answer(Response(100, "Continue"))
    assert talk.session.state is SessionState.DESCRIBE


def test_wrong_sequence_numbers_in_answers_do_not_matter() -> None:
    talk = Talk().start()
    talk.answer(Response(200, "OK", Headers([("CSeq", "99")])))
    assert talk.session.state is SessionState.DESCRIBE


@pytest.mark.parametrize("status", [201, 250])
def test_other_kinds_of_success(status: int) -> None:
    talk = Talk()
    talk.answers["DESCRIBE"] = [Response(status, "OK", Headers(), SDP)]
    talk.answers["PLAY"] = [Response(status)]
    talk.until(SessionState.PLAYING)


def test_what_the_camera_calls_itself() -> None:
    talk = Talk().start()
    talk.answer(Response(200, "OK", Headers([("server", "Acme/1.0")])))
    assert talk.session.server == "Acme/1.0"


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


# Time.


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
    assert caught.value.state is CameraState.UNREACHABLE
    with pytest.raises(CameraError, match="did not come to an end") as caught:
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
