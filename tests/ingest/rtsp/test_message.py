"""RTSP messages as they are written, and headers as they are looked up."""

from __future__ import annotations

import pytest

from ingest.rtsp.message import Headers, InterleavedFrame, Request, Response

DESCRIBE = Request("DESCRIBE", "rtsp://camera/live", Headers([("CSeq", "2"), ("Accept", "application/sdp")]))


def test_wire_form() -> None:
    assert bytes(DESCRIBE) == (b"DESCRIBE rtsp://camera/live RTSP/1.0\r\nCSeq: 2\r\nAccept: application/sdp\r\n\r\n")
    assert bytes(Response(454, "Session Not Found")) == b"RTSP/1.0 454 Session Not Found\r\n\r\n"
    assert bytes(InterleavedFrame(3, b"ab")) == b"$\x03\x00\x02ab"


def test_the_length_of_a_body_is_counted() -> None:
    message = bytes(Response(200, "OK", Headers([("content-length", "99")]), b"body"))
    assert message == b"RTSP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody"


@pytest.mark.parametrize("value", ["a\r\nSet: b", "a\nb", "a\0b"])
def test_no_header_can_start_another(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        bytes(Request("PLAY", "rtsp://camera/", Headers([("Session", value)])))
    with pytest.raises(ValueError, match="line break"):
        bytes(Request("PLAY", f"rtsp://camera/{value}"))


def test_authorization_is_not_shown() -> None:
    assert "secret" not in repr(Request("PLAY", "*", Headers([("Authorization", "Basic secret")])))


def test_headers_that_repeat() -> None:
    headers = Headers([("WWW-Authenticate", "Digest a"), ("www-authenticate", "Basic b")])
    assert headers.get("Www-Authenticate") == "Digest a"
    assert headers.all("WWW-Authenticate") == ["Digest a", "Basic b"]
    assert "X" not in headers
