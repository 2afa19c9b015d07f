"""A stranger that answers where a camera should is told by its first bytes, and not quoted."""

from __future__ import annotations

import pytest

from ingest.rtsp.strangers import FIRST_BYTES, looks_like


@pytest.mark.parametrize(
    ("begin", "words"),
    [
        (b"HTTP/1.1", "another one, as a rule 554"),
        (b"<html>", "another one, as a rule 554"),
        (b"SSH-2.0-", "SSH server"),
        (b"\x15\x03\x01", "write rtsps:// instead of rtsp://"),
        (b"secret=1", "nothing that is known"),
    ],
)
def test_it_is_named_with_what_to_do(begin: bytes, words: str) -> None:
    assert words in looks_like(begin[:FIRST_BYTES])
    assert "secret" not in looks_like(begin)
