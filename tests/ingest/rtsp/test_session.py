"""The session's conversation, without sockets and without waiting."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.cameras import CameraState
from common.errors import CameraError
from ingest.rtsp.auth import Authorization, Challenge
from ingest.rtsp.message import Headers, Request, Response
from ingest.rtsp.sdp import MediaSection, SessionDescription
from ingest.rtsp.session import (
    HANDSHAKE_TIMEOUT,
    MAX_KEEPALIVE_INTERVAL,
    REPLY_TIMEOUT,
    BindPorts,
    Playing,
    Punch,
    RedirectedError,
    RtspSession,
    Send,
    SessionState,
    TransportRefusedError,
)
from ingest.rtsp.url import RtspUrl

URL = "rtsp://admin:secret@camera:8554/live"
SDP = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=control:trackID=1\r\nm=audio 0 RTP/AVP 0\r\na=control:trackID=2\r\n"


def everything(description: SessionDescription) -> list[MediaSection]:
    return list(description.media)


class Talk:
    """A session and a camera that answers as it should, unless told otherwise."""

    def __init__(
        self,
        url: str = URL,
        *,
        udp: bool = False,
        select: Callable[[SessionDescription], list[MediaSection]] = everything,
    ) -> None:
        self.session = RtspSession(RtspUrl.parse(url), udp, select)
        self.now = 100.0
        self.sent: list[Request] = []
        self.events: list[object] = []
        self.ports = 5_000
        self.answers: dict[str, list[Response]] = {}  # by method, used up one by one
        self.sdp = SDP
        self.describe_headers: list[tuple[str, str]] = []
        self.session_header = "abc"
        self.public = "OPTIONS, DESCRIBE, GET_PARAMETER"

    def do(self, actions: object) -> None:
        assert isinstance(actions, list)
        for action in actions:
            if isinstance(action, BindPorts):
                self.ports += 2
                self.do(self.session.bound((self.ports - 2, self.ports - 1), self.now))
            elif isinstance(action, Send) and isinstance(action.message, Request):
                self.sent.append(action.message)
            else:
                self.events.append(action)

    def start(self) -> Talk:
        self.do(self.session.start(self.now))
        return self

    def answer(self, *responses: Response) -> Talk:
        for response in responses:
            self.do(self.session.receive(response, self.now))
        return self

    def step(self) -> Talk:
        """Answer the last request."""
        request = self.sent[-1]
        queued = self.answers.get(request.method)
        return self.answer(queued.pop(0) if queued else self.usual(request))

    def usual(self, request: Request) -> Response:
        cseq = ("CSeq", request.headers.get("CSeq") or "")
        match request.method:
            case "OPTIONS":
                return Response(200, "OK", Headers([cseq, ("Public", self.public)]))
            case "DESCRIBE":
                return Response(200, "OK", Headers([cseq, *self.describe_headers]), self.sdp)
            case "SETUP":
                transport = request.headers.get("Transport") or ""
                headers = [cseq, ("Session", self.session_header), ("Transport", transport)]
                return Response(200, "OK", Headers(headers))
        return Response(200, "OK", Headers([cseq]))

    def until(self, state: SessionState) -> Talk:
        if self.session.state is SessionState.START:
            self.start()
        while self.session.state is not state:
            self.step()
        return self

    @property
    def last(self) -> Request:
        return self.sent[-1]

    @property
    def lines(self) -> list[tuple[str, str]]:
        return [(request.method, request.url) for request in self.sent]


def unauthorized(*challenges: str) -> Response:
    return Response(401, "Unauthorized", Headers(("WWW-Authenticate", value) for value in challenges))


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
        ("DESCRIBE", 503, CameraState.REJECTED),
        ("SETUP", 404, CameraState.NOT_FOUND),
        ("SETUP", 403, CameraState.REJECTED),
        ("SETUP", 454, CameraState.REJECTED),
        ("PLAY", 453, CameraState.REJECTED),
        ("PLAY", 455, CameraState.REJECTED),
    ],
)
def test_refusals_have_a_state_and_say_what_was_seen(method: str, status: int, state: CameraState) -> None:
    talk = Talk()
    talk.answers[method] = [Response(status, "So\x1b[1m sad")]
    with pytest.raises(CameraError) as caught:
        talk.until(SessionState.PLAYING)
    assert (caught.value.state, caught.value.detail) == (
        state,
        f"{method} was answered with {status} So?[1m sad",
    )


@pytest.mark.parametrize("status", [461, 400, 406, 500, 501])
def test_transport_refused(status: int) -> None:
    for udp in (True, False):
        talk = Talk(udp=udp)
        talk.answers["SETUP"] = [Response(status, "Unsupported Transport")]
        with pytest.raises(TransportRefusedError, match=str(status)):
            talk.until(SessionState.PLAYING)


@pytest.mark.parametrize(
    ("udp", "transport", "words"),
    [
        (True, "RTP/AVP/TCP;unicast;interleaved=0-1", "UDP.*TCP"),
        (True, "RTP/AVP;unicast;interleaved=0-1", "UDP.*TCP"),
        (False, "RTP/AVP;unicast;client_port=5000-5001", "TCP.*UDP"),
        (True, "RTP/AVP;multicast;destination=239.1.1.1;port=5000-5001", "multicast"),
    ],
)
def test_another_transport_than_asked_for(udp: bool, transport: str, words: str) -> None:
    talk = Talk(udp=udp)
    talk.answers["SETUP"] = [Response(200, "OK", Headers([("Transport", transport)]))]
    with pytest.raises(TransportRefusedError, match=words):
        talk.until(SessionState.PLAYING)


def test_transport_that_makes_no_sense() -> None:
    talk = Talk()
    talk.answers["SETUP"] = [Response(200, "OK", Headers([("Transport", "carrier pigeon")]))]
    with pytest.raises(CameraError) as caught:
        talk.until(SessionState.PLAYING)
    assert caught.value.state is CameraState.MALFORMED


@pytest.mark.parametrize(
    ("transports", "channels"),
    [
        (["RTP/AVP/TCP;unicast;interleaved=4-5", "RTP/AVP/TCP;unicast;interleaved=6-7"], [(4, 5), (6, 7)]),
        (["RTP/AVP;unicast;interleaved=4-5", "RTP/AVP/TCP;unicast;interleaved=2"], [(4, 5), (2, 3)]),
        (["RTP/AVP/TCP;unicast;interleaved=0-1", "RTP/AVP/TCP;unicast;interleaved=0-1"], [(0, 1), (2, 3)]),
        (["RTP/AVP/TCP;unicast", None], [(0, 1), (2, 3)]),
    ],
)
def test_channels_follow_the_answer(transports: list[str | None], channels: list[tuple[int, int]]) -> None:
    talk = Talk()
    talk.answers["SETUP"] = [
        Response(200, "OK", Headers([("Session", "x"), *([("Transport", value)] if value else [])]))
        for value in transports
    ]
    talk.until(SessionState.PLAYING)
    assert [setup.spec.interleaved for setup in talk.session.setups] == channels


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Response(461, "Unsupported Transport"), "461"),
        (Response(404, "Not Found"), "404"),
        (Response(200, "OK", Headers([("Transport", "carrier pigeon")])), "carrier pigeon"),
        (Response(200, "OK", Headers([("Transport", "RTP/AVP;unicast;server_port=5000-5001")])), "UDP"),
    ],
)
def test_a_second_track_that_is_not_set_up_leaves_the_first(answer: Response, words: str) -> None:
    talk = Talk().until(SessionState.SETUP)
    talk.step()
    talk.answer(answer)
    talk.until(SessionState.PLAYING)
    assert [setup.section.kind for setup in talk.session.setups] == ["video"]
    assert words in talk.session.refused["audio"]


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
        talk.answer(Response(457, "Invalid Range"))


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


# Authentication.


@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"])
def test_challenge_at_any_point(method: str) -> None:
    challenge = Challenge.digest("cam", algorithm="SHA-256")
    talk = Talk()
    talk.answers[method] = [unauthorized('Basic realm="cam"', str(challenge))]
    talk.until(SessionState.PLAYING)
    first = next(i for i, request in enumerate(talk.sent) if request.method == method)
    assert talk.sent[first].headers.get("Authorization") is None
    for request in talk.sent[first + 1 :]:
        given = Authorization.parse(request.headers.get("Authorization") or "")
        assert given.verify(challenge, request.method, "admin", "secret")
    assert talk.sent[first + 1].headers.get("Transport") == talk.sent[first].headers.get("Transport")
    assert talk.sent[first + 1].headers.get("CSeq") != talk.sent[first].headers.get("CSeq")


def test_wrong_password_is_final() -> None:
    talk = Talk().until(SessionState.DESCRIBE)
    talk.answer(unauthorized('Digest realm="cam", nonce="a"'))
    with pytest.raises(CameraError) as caught:
        talk.answer(unauthorized('Digest realm="cam", nonce="b"'))
    assert caught.value.state is CameraState.UNAUTHORIZED
    assert sum("Authorization" in request.headers for request in talk.sent) == 1


@pytest.mark.parametrize(
    ("url", "challenges", "words"),
    [
        ("rtsp://camera/live", ['Basic realm="cam"'], "the URL has none"),
        (URL, ["Negotiate", "Kerberos x=1"], "not supported: Negotiate, Kerberos"),
        (URL, [], "not supported: no challenge"),
    ],
)
def test_why_it_is_unauthorized(url: str, challenges: list[str], words: str) -> None:
    talk = Talk(url).until(SessionState.DESCRIBE)
    with pytest.raises(CameraError, match=words) as caught:
        talk.answer(unauthorized(*challenges))
    assert caught.value.state is CameraState.UNAUTHORIZED


def test_new_nonce_in_mid_session() -> None:
    talk = Talk()
    talk.answers["DESCRIBE"] = [unauthorized('Digest realm="cam", nonce="a"')]
    talk.until(SessionState.PLAYING)
    for nonce in "bcd":
        talk.do(talk.session.tick(talk.now + 1_000))
        talk.answer(unauthorized(f'Digest realm="cam", nonce="{nonce}", stale=true'))
        assert f'nonce="{nonce}"' in (talk.last.headers.get("Authorization") or "")
        talk.answer(Response(200))
    count = len(talk.sent)
    talk.do(talk.session.tick(talk.now + 2_000))
    talk.answer(unauthorized('Digest realm="cam", nonce="e"'), unauthorized('Digest realm="cam", nonce="f"'))
    assert len(talk.sent) == count + 2  # once, and then it is left alone: the media decides
    assert talk.session.state is SessionState.PLAYING


def test_new_nonce_for_the_goodbye() -> None:
    talk = Talk()
    talk.answers["DESCRIBE"] = [unauthorized('Digest realm="cam", nonce="a"')]
    talk.until(SessionState.PLAYING)
    talk.do(talk.session.stop(talk.now))
    talk.answer(unauthorized('Digest realm="cam", nonce="b", stale=true'))
    assert (talk.last.method, talk.session.state) == ("TEARDOWN", SessionState.TEARDOWN)
    assert 'nonce="b"' in (talk.last.headers.get("Authorization") or "")
    count = len(talk.sent)
    talk.answer(unauthorized('Digest realm="cam", nonce="c", stale=true'))
    assert (len(talk.sent), talk.session.state) == (count, SessionState.CLOSED)


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
