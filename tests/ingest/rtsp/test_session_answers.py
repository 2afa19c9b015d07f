"""Answers to the session's requests that are not as they should be."""

from __future__ import annotations

import pytest

from common.cameras import CameraState
from common.errors import CameraError
from ingest.rtsp.auth import Pin
from ingest.rtsp.habits import LEFT_OUT
from ingest.rtsp.message import Headers, Response
from ingest.rtsp.session import (
    REPLY_TIMEOUT,
    Playing,
    SessionState,
)
from ingest.sdp import MediaSection, SessionDescription
from tests.fakes.talk import SDP, Talk


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
    assert caught.value.state == state
    said, _, advice = caught.value.detail.partition("; ")
    assert said == f"{method} was answered with {status} So?[1m sad"
    assert bool(advice) == (state is CameraState.REJECTED)


@pytest.mark.parametrize("body", [b"", b"v=0\r\n", b"<html>"])
def test_describe_without_a_description(body: bytes) -> None:
    def select(description: SessionDescription) -> list[MediaSection]:
        raise CameraError(CameraState.NO_PLAYABLE_TRACK)

    talk = Talk(select=select)
    talk.sdp = body
    with pytest.raises(CameraError) as caught:
        talk.until(SessionState.PLAYING)
    assert caught.value.state is (CameraState.NO_PLAYABLE_TRACK if body.startswith(b"v=0") else CameraState.MALFORMED)


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
