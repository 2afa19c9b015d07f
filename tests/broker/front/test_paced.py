"""Bytes that wait between a connection and the parser of its WebSocket, for those who handle its messages."""

from __future__ import annotations

import asyncio

from broker.front.paced import AT_ONCE, Paced
from tests.fakes.readable import Readable

PING = b"\x89\x80\1\2\3\4"
MANY = 40_000


class Parser:
    """Keeps what it is fed."""

    def __init__(self) -> None:
        self.data = b""
        self.most = 0  # bytes at once
        self.ends = 0
        self.broken = False

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        self.most = max(self.most, len(data))
        return self.broken, b""

    def feed_eof(self) -> None:
        self.ends += 1


class Stage:
    """A connection that is paced, and how many bytes wait."""

    def __init__(self) -> None:
        self.waiting = 0
        self.transport, self.parser = Readable(), Parser()
        self.paced = Paced(self.transport, self._grown).to(self.parser)

    def _grown(self, size: int) -> None:
        self.waiting += size


def test_few_messages_are_handed_on_and_the_rest_waits_as_bytes_unread() -> None:
    stage = Stage()
    assert stage.paced.feed_data(PING * MANY) == (False, b"")
    assert stage.parser.data == PING * AT_ONCE
    assert stage.waiting == len(PING) * (MANY - AT_ONCE)
    assert not stage.transport.reading
    for _ in range(MANY):
        stage.paced.handled()
    assert stage.parser.data == PING * MANY
    assert stage.parser.most <= len(PING) * AT_ONCE
    assert (stage.waiting, stage.transport.reading) == (0, True)


def test_long_messages_wait_as_bytes_too_and_nothing_is_read_until_they_are_handled() -> None:
    long = b"\x82\xfe\xf0\x00\1\2\3\4" + bytes(0xF000)  # 61,440 bytes of them
    stage = Stage()
    for _ in range(4):
        stage.paced.feed_data(long)
        assert len(stage.parser.data) <= 2 * len(long)
    assert stage.waiting >= 2 * len(long)
    assert not stage.transport.reading

    stage.transport.reading = True  # aiohttp asks for more with each message that it gives away
    stage.paced.keep_pace()
    assert not stage.transport.reading
    for _ in range(4):
        stage.paced.handled()
    assert stage.parser.data == long * 4
    assert stage.transport.reading


def test_nothing_is_read_while_words_wait_for_those_before_them() -> None:
    stage = Stage()
    stage.paced.feed_data(PING * AT_ONCE)
    assert (stage.waiting, stage.transport.reading) == (0, True)
    stage.paced.feed_data(PING * MANY)
    assert (stage.waiting, stage.transport.reading) == (len(PING) * MANY, False)
    for _ in range(MANY + AT_ONCE):
        stage.paced.handled()
    assert (stage.waiting, stage.transport.reading) == (0, True)


def test_what_comes_slowly_is_handed_on_at_once() -> None:
    stage = Stage()
    for at in range(len(PING) * 3):
        stage.paced.feed_data((PING * 3)[at : at + 1])
        stage.paced.handled()
    assert stage.parser.data == PING * 3
    assert stage.transport.reading


async def test_pieces_of_a_message_that_nobody_handles_go_on_in_turns() -> None:
    stage = Stage()
    data = b"\1\0" + b"\0\0" * 200 + b"\x80\0"
    stage.paced.feed_data(data)
    assert len(stage.parser.data) == 2 * AT_ONCE
    await asyncio.sleep(0)
    assert len(stage.parser.data) == 4 * AT_ONCE
    while stage.waiting:  # noqa: ASYNC110 - nothing tells it
        await asyncio.sleep(0)
    assert stage.parser.data == data


async def test_a_message_in_pieces_without_end_is_cut_off() -> None:
    stage = Stage()
    stage.paced.feed_data(b"\0\0" * MANY)
    while not stage.transport.aborted:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    assert stage.waiting == 0
    assert len(stage.parser.data) < 4_000
    stage.paced.feed_eof()
    assert stage.parser.ends == 1


def test_the_end_comes_behind_what_waits() -> None:
    stage = Stage()
    stage.paced.feed_data(PING * 100)
    stage.paced.feed_eof()
    assert not stage.parser.ends
    for _ in range(100):
        stage.paced.handled()
    assert stage.parser.data == PING * 100
    assert stage.parser.ends == 1


def test_what_cannot_be_read_is_dropped_and_the_error_stays() -> None:
    stage = Stage()
    stage.parser.broken = True
    assert stage.paced.feed_data(PING * 100) == (True, b"")
    assert stage.waiting == 0
    assert not stage.parser.ends, "aiohttp would forget what was wrong"
    assert stage.paced.feed_data(PING) == (True, b"")
    assert len(stage.parser.data) == len(PING) * AT_ONCE


def test_nothing_waits_for_somebody_who_has_gone() -> None:
    stage = Stage()
    stage.paced.feed_data(PING * 100)
    stage.paced.close()
    stage.paced.close()
    assert stage.waiting == 0
    stage.paced.handled()
    assert len(stage.parser.data) == len(PING) * AT_ONCE
