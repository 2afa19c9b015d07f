"""A stranger that answers where a camera should is told by its first bytes, and not quoted."""

from __future__ import annotations

import pytest

from ingest.rtsp.strangers import FIRST_BYTES, looks_like


@pytest.mark.parametrize(
    ("begin", "words"),
    [
        (b"HTTP/1.1", "RTSP is on another port (usually 554), or off in the camera"),
        (b"<html>", "RTSP is on another port (usually 554), or off in the camera"),
        (b"220 (vsFTPd 3.0.5)", "an FTP or SMTP server"),
        (b"RFB 003.008", "VNC"),
        (b"SSH-2.0-", "SSH server"),
        (b"\x15\x03\x01", "write rtsps:// instead of rtsp://"),
        (b"\xff\xfd\x01login:", "a Telnet server"),
        (b"secret=1", "nothing known"),
    ],
)
def test_it_is_named_with_what_to_do(begin: bytes, words: str) -> None:
    assert words in looks_like(begin[:FIRST_BYTES])
    assert ("RTSP is on another port" in looks_like(begin)) != ("rtsps://" in looks_like(begin))
    assert "secret" not in looks_like(begin)
