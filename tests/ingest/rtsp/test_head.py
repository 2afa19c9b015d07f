"""The head of an RTSP message by itself: whole, byte by byte, and with what stands around it in the buffer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ProtocolError
from ingest.rtsp.head import MAX_BODY_BYTES, MAX_HEAD_BYTES, MAX_HEADER_LINES, Head, HeadReader
from ingest.rtsp.message import Headers, Request, Response

HEAD = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 4\r\n\r\n"
READ = Response(200, "OK", Headers([("CSeq", "1"), ("Content-Length", "4")]))


def read(data: bytes) -> Head | None:
    reader, buffer = HeadReader(), bytearray(data)
    assert reader.begins(buffer, 0, len(buffer))
    return reader.read(buffer, 0, len(buffer), describes=True)


def test_the_body_is_where_the_head_says() -> None:
    assert read(HEAD) == Head(READ, len(HEAD), len(HEAD) + 4)


@pytest.mark.parametrize("before", [b"", b"$\0\0\1x", b"RTSP/1.0 404 No\r\n\r\n"])
def test_byte_by_byte_behind_something_else(before: bytes) -> None:
    reader, buffer, start = HeadReader(), bytearray(before + HEAD + b"v=0\n" + b"RTSP"), len(before)
    for end in range(start + 1, start + len(HEAD)):
        assert reader.begins(buffer, start, end)
        assert reader.read(buffer, start, end) is None
        assert reader.started is (b"\n" in buffer[start:end])
    assert reader.begins(buffer, start, start + len(HEAD))
    assert reader.read(buffer, start, start + len(HEAD)) == Head(READ, len(HEAD), len(HEAD) + 4)


def test_after_a_restart_nothing_is_left_of_the_message_before() -> None:
    reader, buffer = HeadReader(), bytearray(HEAD + b"PLAY * RTSP/1.0\n\n")
    assert reader.begins(buffer, 0, len(HEAD))
    reader.restart()
    assert not reader.started
    assert reader.begins(buffer, len(HEAD), len(buffer))
    assert reader.read(buffer, len(HEAD), len(buffer)) == Head(Request("PLAY", "*"), 17, 17)


def test_a_line_of_blanks_between_headers_adds_nothing() -> None:
    """Luma x20 (Customer RTSP Server/1.0.0) has one behind its session's id."""
    head = read(b"RTSP/1.0 200 OK\r\nCSeq: 6\r\nSession: 82\r\n \r\nRTP-Info: seq=1\r\n\r\n")
    assert head is not None
    assert list(head.message.headers) == [("CSeq", "6"), ("Session", "82"), ("RTP-Info", "seq=1")]


@pytest.mark.parametrize(
    "line", [b"HTTP/1.1 200 OK\r\n", b"\0", b"$\0", b"RTSP/1.0 what\r\n", b"PLAY rtsp://x/ HTTP/1.1\n"]
)
def test_what_begins_no_message(line: bytes) -> None:
    assert not HeadReader().begins(bytearray(line), 0, len(line))


@given(
    st.lists(
        st.sampled_from([b"R", b"RTSP/1.0 200 OK", b"\r\n", b"\n", b"A: b", b"\r", b"\0", b" x"]),
        min_size=1,
        max_size=12,
    )
)
def test_pieces_are_read_as_the_whole_is(pieces: list[bytes]) -> None:
    buffer, end = bytearray(b"".join(pieces)), 0
    reader, begins, head = HeadReader(), True, None
    for piece in pieces:
        end += len(piece)
        if (begins := reader.begins(buffer, 0, end)) and (head := reader.read(buffer, 0, end)) is not None:
            break
    whole = HeadReader()
    if head is not None:
        assert whole.begins(buffer, 0, end)
        assert whole.read(buffer, 0, end) == head
    elif begins:
        assert whole.begins(buffer, 0, end)
        assert whole.read(buffer, 0, end) is None
    else:
        assert not whole.begins(buffer, 0, end)


def test_a_description_without_a_length_may_have_the_most_that_is_taken() -> None:
    head = read(b"RTSP/1.0 200 OK\nContent-Type: application/sdp\n\n")
    assert head is not None
    assert head.size - head.body == MAX_BODY_BYTES


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"RTSP/1.0 200 OK\r\n" + b"X: y\r\n" * (MAX_HEADER_LINES + 1) + b"\r\n", "lines of headers"),
        (b"RTSP/1.0 200 OK\r\nX: " + b"y" * MAX_HEAD_BYTES, "headers do not end"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), "is announced"),
    ],
)
def test_a_head_has_its_limits(data: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        read(data)


def test_a_first_line_has_its_limit() -> None:
    line = b"RTSP/1.0 200 " + b"a" * MAX_HEAD_BYTES
    with pytest.raises(ProtocolError, match="longer than"):
        HeadReader().begins(bytearray(line), 0, len(line))
