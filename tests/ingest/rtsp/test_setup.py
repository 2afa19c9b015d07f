"""Answers to SETUP, and what a session makes of them."""

from __future__ import annotations

import pytest

from common.cameras import CameraState
from common.errors import CameraError
from ingest.rtsp.message import Headers, Response
from ingest.rtsp.session import (
    SessionState,
)
from ingest.rtsp.setup import TransportRefusedError
from tests.fakes.talk import Talk


@pytest.mark.parametrize("status", [461, 400, 404, 406, 415, 454, 455, 459, 500, 501, 503, 551])
def test_transport_refused(status: int) -> None:
    for udp in (True, False):
        talk = Talk(udp=udp)
        talk.answers["SETUP"] = [Response(status, "Unsupported Transport")]
        with pytest.raises(TransportRefusedError, match=str(status)):
            talk.until(SessionState.PLAYING)


@pytest.mark.parametrize(
    ("udp", "transport", "words"),
    [
        (True, "RTP/AVP/TCP;unicast;interleaved=0-1", "TCP when asked for UDP"),
        (True, "RTP/AVP;unicast;interleaved=0-1", "TCP when asked for UDP"),
        (False, "RTP/AVP;unicast;client_port=5000-5001", "UDP when asked for TCP"),
        (False, "RTP/AVP;multicast;destination=239.1.1.1;port=5000-5001", "multicast when asked for TCP"),
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
        (["RTP/AVP;unicast;client_port=1-2,RTP/AVP/TCP;unicast;interleaved=4-5", None], [(4, 5), (2, 3)]),
        (["RTP/AVP;unicast", "unicast;interleaved=6-7"], [(0, 1), (6, 7)]),
        (["RTP/AVP/TCP/unicast;interleaved=4-5", "TCP; interleaved = 6 - 7"], [(4, 5), (6, 7)]),
        (["RTP/AVP/TCP;multicast;interleaved=4-5", "RTP/AVP/TCP;interleaved=6-7,ssrc=FF"], [(4, 5), (6, 7)]),
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
