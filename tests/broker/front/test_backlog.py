from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from types import SimpleNamespace

import pytest

from broker.front.backlog import Backlog, Outgoing
from broker.front.quotas import Quotas
from common.config_limits import LimitsConfig
from common.log import Quiet, get_logger


class Page:
    """A queue, and the connection of its page."""

    def __init__(self, backlog: Backlog, limits: LimitsConfig, counters: Counter[str]) -> None:
        self.aborted = False
        context = SimpleNamespace(counters=counters, quiet=Quiet(get_logger()), quotas=Quotas(limits, lambda _: True))
        self.queue = Outgoing(backlog, context, self)

    def abort(self) -> None:
        self.aborted = True


def test_messages_that_wait_are_limited_in_bytes() -> None:
    backlog, counters = Backlog(), Counter()
    deaf = Page(backlog, LimitsConfig(socket_queue=1_000, socket_queues=0), counters)
    deaf.queue.push("x" * 5_000)  # a long list of cameras is one message
    assert not deaf.aborted
    deaf.queue.push("x")
    assert deaf.aborted
    assert counters["ws_slow_page"] == 1
    deaf.queue.push("x" * 5_000)  # what comes before its reader notices
    assert (deaf.queue.bytes, backlog.bytes, len(deaf.queue.messages)) == (0, 0, 0)


def test_messages_that_wait_for_all_are_limited_in_bytes_and_the_deafest_goes() -> None:
    backlog, counters = Backlog(), Counter()
    limits = LimitsConfig(socket_queue=0, socket_queues=1_000)
    first, second, third = (Page(backlog, limits, counters) for _ in range(3))
    first.queue.push("x" * 600)
    for each in (second, third, third):
        each.queue.push("x" * 200)
    assert (first.aborted, second.aborted, third.aborted) == (True, False, False)
    assert backlog.bytes == 600


def test_what_pages_have_sent_and_nobody_has_handled_counts_too() -> None:
    backlog, counters = Backlog(), Counter()
    limits = LimitsConfig(socket_queue=0, socket_queues=1_000)
    first, second = (Page(backlog, limits, counters) for _ in range(2))
    first.queue.hold(700)
    second.queue.hold(300)
    second.queue.hold(-200)
    assert backlog.bytes == 800
    second.queue.push("x" * 250)
    assert (first.aborted, second.aborted) == (True, False)
    first.queue.hold(-700)  # what waited is dropped
    assert backlog.bytes == 350


async def test_what_was_sent_waits_no_more_and_what_is_being_sent_counts() -> None:
    backlog = Backlog()
    page = Page(backlog, LimitsConfig(), Counter())
    reads = asyncio.Event()

    async def send(message: str) -> None:
        sent.append(message)
        await reads.wait()

    sent: list[str] = []
    writing = asyncio.create_task(page.queue.write(send))
    for message in ("one", "three"):
        page.queue.push(message)
    while not sent:  # noqa: ASYNC110 - nothing tells it
        await asyncio.sleep(0)
    assert (sent, backlog.bytes) == (["one"], 8)
    reads.set()
    while backlog.bytes:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    assert sent == ["one", "three"]
    writing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await writing


@pytest.mark.parametrize("end", ["close", "cut off"])
async def test_a_message_that_is_being_sent_at_the_end_is_counted_off_once(end: str) -> None:
    backlog = Backlog()
    page, other = (Page(backlog, LimitsConfig(), Counter()) for _ in range(2))
    other.queue.push("other")

    closed = asyncio.Event()

    async def send(_message: str) -> None:
        page.queue.close() if end == "close" else page.queue.cut_off("socket_queue", 1)
        closed.set()

    page.queue.push("message")
    writing = asyncio.create_task(page.queue.write(send))
    await closed.wait()
    await asyncio.sleep(0)
    page.queue.close()
    assert (page.queue.closed, backlog.bytes) == (True, 5)
    writing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await writing
