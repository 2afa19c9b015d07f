"""Headers of answers as cameras misspell them: a session plays all the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from common.cameras import CameraState
from common.errors import CameraError
from ingest.rtsp.message import Headers, Request, Response
from ingest.rtsp.session import SessionState
from tests.fakes.talk import Talk


@pytest.mark.parametrize(
    ("header", "sent"),
    [
        ("123 ;timeout=60", "123"),
        ("123; timeout = 60", "123"),
        ("123;", "123"),
        ("123;;timeout=60", "123"),
        ("123;timeout=60s", "123"),
        ("123;timeout=-1", "123"),
        ("123,timeout=60", "123,timeout=60"),
        ('"123";timeout=60', '"123"'),
        ("a$-_+/=.~!*", "a$-_+/=.~!*"),
        ("12 34 56", "12 34 56"),
        ("{1-2}", "{1-2}"),
        ("id=55", "id=55"),
        ("0", "0"),
        ("x" * 500, "x" * 500),
        ("\u00e4\u00f6", "\u00e4\u00f6"),
        (";timeout=60", None),
        ("", None),
    ],
)
def test_a_session_s_id_is_sent_as_it_came(header: str, sent: str | None) -> None:
    talk = Talk()
    talk.session_header = header
    talk.until(SessionState.PLAYING)
    assert talk.last.headers.get("Session") == sent


@pytest.mark.parametrize(
    "transport",
    [
        None,
        "",
        "RTP/AVP/TCP",
        "RTP/AVP/TCP;interleaved=0-1",
        "RTP/AVP/TCP;unicast;interleaved=0",
        "RTP/AVP/TCP; unicast; interleaved = 0 - 1",
        "rtp/avp/tcp;unicast;interleaved=0-1",
        'RTP/AVP/TCP;unicast;destination=10.0.0.1;source=10.0.0.2;interleaved=0-1;mode="PLAY"',
        'RTP/AVP/TCP;unicast;mode="PLAY,RECORD";interleaved=0-1',
        'RTP/AVP/TCP;unicast;interleaved="0-1"',
        "RTP/AVP/TCP;unicast;interleaved=0-256",
        "RTP/AVP/TCP;unicast;interleaved=x-y",
        "RTP/AVP/TCP;multicast;interleaved=0-1",
        "RTP/AVP/TCP;unicast;client_port=0-0;server_port=0-0;interleaved=0-1",
        "RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=0xDEADBEEF",
        "RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=zz",
        "RTP/AVP/TCP/;unicast;interleaved=0-1",
        "RTP/AVP/UDP;unicast;interleaved=0-1",
        "RTP/AVPF/TCP;unicast;interleaved=0-1",
        "RTP/SAVP/TCP;unicast;interleaved=0-1",
        "RTP/AVP;unicast",
        "TCP;interleaved=0-1",
        "interleaved=0-1",
        "x-real-rdt/tcp;interleaved=0-1",
        "RTP/AVP;unicast;client_port=1-2,RTP/AVP/TCP;unicast;interleaved=0-1",
        "RTP/AVP/TCP;unicast;interleaved=0-1;" + ";" * 40,
    ],
)
def test_a_transport_over_tcp_is_agreed_on_however_it_is_answered(transport: str | None) -> None:
    talk = Talk()
    headers = [("Session", "1"), *([("Transport", transport)] if transport is not None else [])]
    talk.answers["SETUP"] = [Response(200, "OK", Headers(headers))] * 2
    talk.until(SessionState.PLAYING)
    channels = [channel for setup in talk.session.setups for channel in setup.spec.interleaved or ()]
    assert len(set(channels)) == 4


@pytest.mark.parametrize("status", [200, 201, 206, 250])
@pytest.mark.parametrize("method", ["DESCRIBE", "SETUP", "PLAY"])
def test_every_success_is_one(method: str, status: int) -> None:
    class Camera(Talk):
        def usual(self, request: Request) -> Response:
            given = super().usual(request)
            return replace(given, status=status) if request.method == method else given

    assert len(Camera().until(SessionState.PLAYING).session.setups) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 451, 454, 500, 501, 503, 551])
def test_options_that_are_refused_cost_nothing(status: int) -> None:
    talk = Talk("rtsp://camera:8554/live" if status != 401 else "rtsp://u:p@camera:8554/live")
    headers = Headers([("WWW-Authenticate", 'Digest realm="r", nonce="n"')] if status == 401 else [])
    talk.answers["OPTIONS"] = [Response(status, "", headers)]
    talk.until(SessionState.PLAYING)


@pytest.mark.parametrize("body", [b"", b"<html><body>404</body></html>", b"{}", b"Not Found\r\n"])
def test_an_answer_to_describe_that_is_no_description_is_said_to_be_that(body: bytes) -> None:
    talk = Talk()
    talk.sdp = body
    with pytest.raises(CameraError, match="holds no session description") as caught:
        talk.until(SessionState.SETUP)
    assert caught.value.state is CameraState.MALFORMED
