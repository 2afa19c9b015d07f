"""RTSP messages: whole, byte by byte, with trailing data, with junk between them, hostile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ProtocolError
from ingest.rtsp.head import MAX_BODY_BYTES, MAX_HEAD_BYTES
from ingest.rtsp.message import Headers, InterleavedFrame, Message, Request, Response
from ingest.rtsp.parser import MAX_JUNK_BYTES, MAX_MESSAGE_BYTES, Parser

OK = Response(200, "OK", Headers([("CSeq", "1")]))
DESCRIBED = Response(200, "OK", Headers([("CSeq", "2"), ("Content-Type", "application/sdp")]), b"v=0\r\ns=x\r\n")
DESCRIBE = Request("DESCRIBE", "rtsp://camera/live", Headers([("CSeq", "2"), ("Accept", "application/sdp")]))
RTP = InterleavedFrame(0, b"\x80\x60" + bytes(range(200)))
RTCP = InterleavedFrame(1, b"\x80\xc8\x00\x01" + bytes(4))


def same(parsed: list[Message], sent: list[Message]) -> bool:
    """Equal, but for Content-Length, which is written by the serialiser."""

    def bare(message: Message) -> Message:
        if isinstance(message, InterleavedFrame):
            return message
        headers = Headers((k, v) for k, v in message.headers if k != "Content-Length")
        if isinstance(message, Request):
            return Request(message.method, message.url, headers, message.body)
        return Response(message.status, message.reason, headers, message.body)

    return [bare(m) for m in parsed] == [bare(m) for m in sent]


SEQUENCE: list[Message] = [OK, DESCRIBED, RTP, RTCP, DESCRIBE, InterleavedFrame(2, b""), OK, RTP]


ON_THE_WIRE: list[tuple[bytes, Message]] = [
    (
        b"OPTIONS rtsp://camera/live RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        Request("OPTIONS", "rtsp://camera/live", Headers([("CSeq", "1")])),
    ),
    (
        b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: DESCRIBE, SETUP, PLAY\r\n\r\n",
        Response(200, "OK", Headers([("CSeq", "1"), ("Public", "DESCRIBE, SETUP, PLAY")])),
    ),
    (
        b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 13\r\n\r\nv=0\r\ns=live\r\n",
        Response(200, "OK", Headers([("CSeq", "2"), ("Content-Length", "13")]), b"v=0\r\ns=live\r\n"),
    ),
    (
        b'RTSP/1.0 401 Unauthorized\r\nCSeq: 3\r\nWWW-Authenticate: Digest realm="camera", nonce="8b84a3"\r\n\r\n',
        Response(
            401,
            "Unauthorized",
            Headers([("CSeq", "3"), ("WWW-Authenticate", 'Digest realm="camera", nonce="8b84a3"')]),
        ),
    ),
    (b"$\x00\x00\x04\x80\x60\x00\x01", InterleavedFrame(0, b"\x80\x60\x00\x01")),
    (b"$\x03\x00\x00", InterleavedFrame(3, b"")),
]
"""Messages as they are sent (RFC 2326), and as they are read."""


@pytest.mark.parametrize(("wire", "message"), ON_THE_WIRE)
def test_the_bytes_on_the_wire(wire: bytes, message: Message) -> None:
    assert bytes(message) == wire
    assert Parser().feed(wire) == [message]
    slow = Parser()
    assert [found for at in range(len(wire)) for found in slow.feed(wire[at : at + 1])] == [message]
    assert Parser().feed(wire + b"RTSP/1.0 20") == [message]  # the next one is not whole yet
    assert Parser().feed(wire + wire) == [message, message]


def test_whole() -> None:
    assert same(Parser().feed(b"".join(map(bytes, SEQUENCE))), SEQUENCE)


def test_byte_by_byte() -> None:
    parser, got = Parser(), []
    for byte in b"".join(map(bytes, SEQUENCE)):
        got += parser.feed(bytes([byte]))
    assert same(got, SEQUENCE)
    assert parser.junk == parser.partial == 0


@given(st.lists(st.integers(1, 300), max_size=20), st.permutations(SEQUENCE))
def test_any_pieces(cuts: list[int], sequence: list[Message]) -> None:
    data = b"".join(map(bytes, sequence))
    parser, got = Parser(), []
    for cut in cuts:
        got += parser.feed(data[:cut])
        data = data[cut:]
    assert same(got + parser.feed(data), sequence)


@given(
    st.integers(100, 599),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    st.binary(max_size=200),
)
def test_response_round_trip(status: int, reason: str, body: bytes) -> None:
    [parsed] = Parser().feed(bytes(Response(status, reason, Headers([("CSeq", "7")]), body)))
    assert isinstance(parsed, Response)
    assert (parsed.status, parsed.reason, parsed.body) == (status, reason.strip(), body)
    assert parsed.headers.get("cseq") == "7"


@given(st.integers(0, 255), st.binary(max_size=70_000).filter(lambda data: len(data) <= 0xFFFF))
def test_frame_round_trip(channel: int, payload: bytes) -> None:
    assert Parser().feed(bytes(InterleavedFrame(channel, payload))) == [InterleavedFrame(channel, payload)]


@given(st.binary(max_size=500))
def test_garbage_is_an_error_or_nothing(data: bytes) -> None:
    parser = Parser()
    try:
        for message in parser.feed(data):
            assert isinstance(message, InterleavedFrame | Request | Response)
    except ProtocolError:
        pass


@given(st.lists(st.binary(max_size=300), max_size=10))
def test_garbage_after_a_message_is_bounded(pieces: list[bytes]) -> None:
    parser = Parser()
    parser.feed(bytes(OK))
    try:
        for piece in pieces:
            parser.feed(piece)
    except ProtocolError:
        return
    assert parser.partial <= MAX_MESSAGE_BYTES


@pytest.mark.parametrize(
    "data",
    [
        b"RTSP/1.0 200 OK\nCSeq: 5\nX: y\n\n",
        b"RTSP/1.0 200 OK\r\ncseq:5\r\nX:   y  \r\n\r\n",
        b"\r\n\r\nRTSP/1.0 200 OK\r\nCSEQ: 5\r\nx: y\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nCSeq: 5\nX: y\n\r\n",
        b"RTSP/1.0  200 OK\r\nno colon here\r\n: no name\r\nCSeq: 5\r\nX: y\r\n\r\n",
        b"RTSP/1.0 200\r\nCSeq: 5\r\nX: y\r\nServer: caf\xe9 \x85\x0b\r\n\r\n",
    ],
)
def test_lenient(data: bytes) -> None:
    [response] = Parser().feed(data)
    assert isinstance(response, Response)
    assert (response.status, response.headers.get("CSeq"), response.headers.get("x")) == (200, "5", "y")


def test_folded_header() -> None:
    [response] = Parser().feed(b"RTSP/1.0 401 No\r\nWWW-Authenticate: Digest realm=a,\r\n  nonce=b\r\n\r\n")
    assert isinstance(response, Response)
    assert response.headers.get("www-authenticate") == "Digest realm=a, nonce=b"


def test_control_characters_in_headers_become_blanks() -> None:
    [response] = Parser().feed(b"RTSP/1.0 200 OK\r\nSession: a\0b\rc\x1bd\r\n e\0f\r\n\r\n")
    assert isinstance(response, Response)
    assert response.headers.get("Session") == "a b c d e f"
    assert Parser().feed(bytes(Response(200, "OK", response.headers)))


@pytest.mark.parametrize(
    ("data", "looks"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "a web server"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "an SSH server"),
        (b"220 mail ESMTP\r\n", "an FTP or SMTP server"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "a TLS server"),  # an alert
        (b"\x00\x00\x00\x00", "nothing known"),
        (b"SECRET=sesame\r\n", "nothing known"),
    ],
)
def test_something_else_answers_and_its_words_are_not_repeated(data: bytes, looks: str) -> None:
    parser = Parser()
    with pytest.raises(ProtocolError, match=f"does not speak RTSP; it looks like {looks}") as caught:
        parser.feed(data)
    assert not parser.synchronised
    assert not any(word in str(caught.value) for word in ("Bad", "OpenSSH", "220", "mail", "sesame"))


def test_something_else_is_seen_at_the_first_bytes() -> None:
    with pytest.raises(ProtocolError):
        Parser().feed(b"HTTP/")


@pytest.mark.parametrize(
    "junk",
    [
        b"\x00" * 10,
        b"hello",
        b"\x24\x77\xff\xff" * 3,  # dollars of channels that nobody set up
        b"\x24" + bytes(InterleavedFrame(0x77, b"\x80abcd")),  # one that looks like a frame
        bytes(range(1, 256)) * 8,
        b"RTSP/9",
        b"RTSP/1.0 what\r\n",
    ],
)
@pytest.mark.parametrize("after", [RTP, OK, Request("OPTIONS", "rtsp://camera/")])
def test_resynchronises(junk: bytes, after: Message) -> None:
    whole = Parser()
    whole.channels = frozenset({0, 1})
    if junk.startswith(b"$"):
        junk = b"\x01" + junk  # in step, a dollar is trusted
    assert same(whole.feed(bytes(OK) + junk + bytes(after) + bytes(RTP)), [OK, after, RTP])
    assert whole.junk == len(junk)

    parser, got = Parser(), []
    parser.channels = frozenset({0, 1})
    for byte in bytes(OK) + junk + bytes(after) + bytes(RTP):
        got += parser.feed(bytes([byte]))
    assert same(got, [OK, after, RTP])


def test_junk_after_a_frame() -> None:
    parser = Parser()
    assert parser.feed(bytes(RTP) + b"junk" + bytes(RTP)) == [RTP, RTP]
    assert parser.synchronised


def test_junk_has_an_end() -> None:
    parser = Parser()
    parser.feed(bytes(OK))
    with pytest.raises(ProtocolError, match="in a row"):
        parser.feed(b"\x01" * (2 * MAX_JUNK_BYTES))


def test_junk_with_frames_between_is_forgiven() -> None:
    parser = Parser()
    parser.feed(bytes(OK))
    for _ in range(4):
        assert parser.feed(b"\x01" * (MAX_JUNK_BYTES - 100) + bytes(RTP)) == [RTP]


@pytest.mark.parametrize("length", [b"Content-Length: 5 bytes\r\n", b"Content-Length: 5\r\ncontent-length: 5\r\n"])
def test_lengths_that_are_odd_and_clear(length: bytes) -> None:
    [message] = Parser().feed(b"RTSP/1.0 200 OK\r\n" + length + b"\r\nv=0\r\n")
    assert isinstance(message, Response)
    assert message.body == b"v=0\r\n"


def test_an_empty_length_is_none() -> None:
    assert Parser().feed(b"RTSP/1.0 200 OK\r\nContent-Length:\r\n\r\n" + bytes(RTP))[1:] == [RTP]


@pytest.mark.parametrize("length", [b"", b"Content-Length: 0\r\n", b"Content-Length: 900\r\n"])
def test_a_description_is_cut_short_where_its_length_is_not_what_was_said(length: bytes) -> None:
    parser = Parser()
    parser.describes = True
    assert parser.feed(b"RTSP/1.0 200 OK\r\nContent-Type: application/sdp\r\n" + length + b"\r\nv=0\r\n") == []
    message = parser.cut_short()
    assert isinstance(message, Response)
    assert message.body == b"v=0\r\n"
    assert parser.partial == 0
    assert parser.feed(b"s=too late\r\n" + bytes(RTP)) == [RTP]


def test_nothing_is_cut_short_before_its_body() -> None:
    parser = Parser()
    parser.feed(b"RTSP/1.0 200 OK\r\nContent-Type: application/sdp\r\n")
    assert parser.cut_short() is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"RTSP/1.0 200 OK\r\n" + b"X: y\r\n" * MAX_HEAD_BYTES, "headers do not end"),
        (b"RTSP/1.0 200 " + b"a" * MAX_HEAD_BYTES, "longer than"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 1048576\r\n\r\n", "1048576 bytes is announced"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "is announced"),
    ],
)
def test_limits(data: bytes, reason: str) -> None:
    parser = Parser()
    with pytest.raises(ProtocolError, match=reason):
        parser.feed(data)
    assert parser.synchronised == (b"\r\n" in data)  # it speaks RTSP, though badly


def test_largest_message_and_frame_fit() -> None:
    body = bytes(MAX_BODY_BYTES)
    padding = MAX_HEAD_BYTES - len(bytes(Response(200, "OK", Headers([("X", "")]), body))) + len(body)
    largest = Response(200, "OK", Headers([("X", "a" * padding)]), body)
    assert len(bytes(largest)) == MAX_MESSAGE_BYTES
    parser = Parser()
    for _ in range(3):
        assert same(parser.feed(bytes(RTP) + bytes(largest)), [RTP, largest])
        assert parser.feed(bytes(InterleavedFrame(0, bytes(0xFFFF)))) == [InterleavedFrame(0, bytes(0xFFFF))]


def test_buffer_is_never_empty() -> None:
    parser = Parser()
    data = bytes(InterleavedFrame(0, bytes(60_000))) * 5
    while data:
        room = parser.buffer()
        assert len(room) > 0
        count = min(len(room), len(data), 7_000)
        room[:count] = data[:count]
        data = data[count:]
        parser.advance(count)
    assert parser.partial == 0


@pytest.mark.parametrize("length", [b"", b"Content-Length: 0\r\n"])
def test_a_description_of_which_no_length_is_said_is_waited_for_only_where_it_was_asked_for(length: bytes) -> None:
    head = b"RTSP/1.0 200 OK\r\nContent-Type: application/sdp\r\n" + length + b"\r\n"
    assert len(Parser().feed(head)) == 1  # Content-Type is in each answer of some cameras
    parser = Parser()
    parser.describes = True
    assert parser.feed(head + b"v=0\r\n") == []


@pytest.mark.parametrize(
    "line",
    [
        b"RTSP/1.0 200",
        b"RTSP/1.0 200OK",
        b"rtsp/1.0 200 ok",
        b"RTSP/1.0\t200\tOK",
        b"RTSP/1.0   200   OK  ",
        b"RTSP/2.0 200 OK",
        b"RTSP/1.00 200 OK",
        b"RTSP/ 200 OK",
        b" \t RTSP/1.0 200 OK",
        b"\r\n\nRTSP/1.0 200 OK",
        b"RTSP/1.0 200 \xe6\xad\xa3\xe5\xb8\xb8",
        b"RTSP/1.0 200 OK\r\r",
    ],
)
@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r\r\n"])
def test_status_lines_and_line_ends_of_many_forms(line: bytes, end: bytes) -> None:
    data = end.join([line, b"CSeq : 1", b"Content-Length:4", b"", b"body"])
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        parser = Parser()
        [message] = [message for piece in pieces for message in parser.feed(piece)]
        assert isinstance(message, Response)
        assert (message.status, message.headers.get("CSeq"), message.body) == (200, "1", b"body")


BODY = b"v=0\r\nm=video 0 RTP/AVP 96\r\n"


@pytest.mark.parametrize(
    "length",
    [
        b"Content-Length: 27",
        b"Content-Length: +27",
        b'Content-Length: "27"',
        b"Content-Length: 27, 27",
        b"Content-Length: 27;",
        b"Content-Length: 0027",
        b"Content-Length: 0\r\nContent-Length: 27",
        b"Content-Length: 27\r\ncontent-length: 5",
        b"Content-Length: 11",
        b"Content-Length: 25",
    ],
)
def test_a_description_is_whole_however_its_length_is_said(length: bytes) -> None:
    parser = Parser()
    parser.describes = True
    head = b"RTSP/1.0 200 OK\r\nContent-Type: application/sdp\r\n" + length + b"\r\n\r\n"
    message, frame = parser.feed(head + BODY + bytes(RTP))
    assert isinstance(message, Response)
    assert (message.body, frame) == (BODY, RTP)
    assert not parser.junk


@pytest.mark.parametrize("length", [b"none", b"-1", b"\xb2", b""])
def test_a_length_that_is_no_number_is_not_said(length: bytes) -> None:
    head = b"RTSP/1.0 200 OK\r\nContent-Type: application/sdp\r\nContent-Length: " + length + b"\r\n\r\n"
    assert len(Parser().feed(head)) == 1
    parser = Parser()
    parser.describes = True
    assert parser.feed(head + BODY) == []
    message = parser.cut_short()
    assert isinstance(message, Response)
    assert message.body == BODY


def test_of_two_lengths_the_least_counts_where_no_body_is_expected() -> None:
    data = b"RTSP/1.0 200 OK\r\nContent-Length: 9\r\nContent-Length: 0\r\n\r\n" + bytes(RTP)
    assert Parser().feed(data)[1:] == [RTP]
