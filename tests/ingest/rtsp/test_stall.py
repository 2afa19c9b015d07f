"""A message that has begun and does not go on."""

from __future__ import annotations

import pytest

from ingest.rtsp.message import Response
from ingest.rtsp.parser import Parser
from ingest.rtsp.stall import PATIENCE, Stall


@pytest.fixture
def parser() -> Parser:
    parser = Parser()
    parser.feed(b"RTSP/1.0 200 OK\r\nContent-Length: 900\r\n\r\nv=0\r\n")
    return parser


def test_a_message_stalls_when_no_byte_of_it_comes(parser: Parser) -> None:
    stall = Stall()
    assert stall.look(parser, 10.0) is None
    assert stall.look(parser, 10.0 + PATIENCE / 2) is None
    message = stall.look(parser, 10.0 + PATIENCE)
    assert isinstance(message, Response)
    assert message.body == b"v=0\r\n"


def test_each_byte_begins_the_wait_anew(parser: Parser) -> None:
    stall = Stall()
    stall.look(parser, 10.0)
    parser.feed(b"s")
    assert stall.look(parser, 10.0 + PATIENCE) is None
    assert stall.look(parser, 10.0 + 1.5 * PATIENCE) is None


def test_nothing_that_has_begun_is_no_stall() -> None:
    stall = Stall()
    assert stall.look(Parser(), 10.0) is None
    assert stall.look(Parser(), 10.0 + 2 * PATIENCE) is None
