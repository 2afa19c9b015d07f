from __future__ import annotations

import pytest

from common.media import MAX_PAYLOAD, Kind
from egress.media.feed import Feed
from egress.media.group import Lane
from egress.numbering import MAX_SKIPS, Numbering
from egress.path.pace import LOCAL_BURST
from tests.fakes.media import gop_stream
from tests.fakes.watcher import Watcher, push


@pytest.fixture
def feed() -> Feed:
    return Feed(Kind.VIDEO)


def test_numbers_start_in_the_lower_half_and_have_no_gap(feed: Feed) -> None:
    stream = gop_stream(gop=20_000, packets=2)
    push(feed, stream, 20_000)  # 40,000 packets: the upper half, were they taken as they are
    push(feed, stream, 5)
    watcher = Watcher(feed)
    watcher.sender.start(now=0.1)
    watcher.catch_up()
    push(feed, stream, 5)
    sequence_numbers = [s for s, _ in watcher.received()]
    assert sequence_numbers == list(range(40_000 - 32_768, 40_000 - 32_768 + 20))


def test_after_a_skip_old_numbers_still_mean_what_they_meant(feed: Feed) -> None:
    stream = gop_stream(gop=60, packets=10)
    push(feed, stream, 50)
    watcher = Watcher(feed)
    watcher.sender.start(now=0.1)
    watcher.step()
    push(feed, stream, 11)
    sent = LOCAL_BURST // MAX_PAYLOAD
    watcher.received()
    watcher.sender.retransmit([sent - 1, sent], now=0.0)
    assert watcher.numbers() == [sent - 1, 600]


def test_a_number_means_what_was_sent_with_it_and_nothing_before_it_is_sent() -> None:
    numbering = Numbering(Lane(0, 1, None, bytes))
    numbering.skip(70_000, 0)
    first = 70_000 - numbering.lane.base
    assert 0 <= first < 1 << 15
    assert numbering.locate(first, upto=70_000) is None
    assert numbering.locate(first, upto=70_001) == (first, numbering.lane.base)
    assert numbering.index(first, upto=70_001) == 70_000
    assert numbering.index(first - 1, upto=70_001) is None, "nothing was sent before the first"


def test_after_a_wrap_numbers_mean_the_newest_packet_that_had_them() -> None:
    numbering = Numbering(Lane(0, 1, None, bytes))
    numbering.skip(5, 0)
    upto = 5 + (1 << 16) + 10
    assert [numbering.index(number, upto) for number in (5, 14, 16)] == [(1 << 16) + 5, (1 << 16) + 14, 16]


def test_a_skip_leaves_no_gap_and_what_was_before_it_keeps_its_base() -> None:
    numbering = Numbering(Lane(0, 1, None, bytes))
    numbering.skip(0, 0)
    for start in range(100, 100 * 2 * MAX_SKIPS, 100):
        numbering.skip(start, start - 90)  # ten packets went out since the skip before
    upto = start + 10
    number = upto - numbering.lane.base
    assert number == 10 * 2 * MAX_SKIPS
    assert [numbering.index(number - 1 - 10 * skip, upto) for skip in range(MAX_SKIPS)] == [
        upto - 1 - 100 * skip for skip in range(MAX_SKIPS)
    ]
    assert numbering.index(number - 1 - 10 * MAX_SKIPS, upto) is None, "longer ago than is remembered"


def test_what_is_forgotten_is_not_found_and_numbers_go_on() -> None:
    numbering = Numbering(Lane(0, 1, None, bytes))
    numbering.forget(0)
    assert numbering.index(0, upto=1) is None, "nothing has begun"
    numbering.skip(0, 0)
    numbering.forget(3)
    assert [numbering.index(number, upto=5) for number in (2, 3, 4)] == [None, 3, 4]
