from __future__ import annotations

from dataclasses import replace

import pytest

from common.media import Kind
from egress.media.feed import Feed, Source
from egress.media.history import KEEP_PACKETS
from egress.position import TRANSITIONS, Event, Position
from tests.fakes.media import audio, gop_stream, video
from tests.fakes.target import FakeTarget
from tests.fakes.watcher import AUDIO, Watcher, push


@pytest.fixture
def feed() -> Feed:
    return Feed(Kind.VIDEO)


def test_who_comes_before_the_first_keyframe_waits_for_it(feed: Feed) -> None:
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    feed.push(video(0, 0), 0.0)
    assert watcher.sender.position is Position.WAITING
    assert watcher.received() == []
    feed.push(video(3, 1, keyframe=True), 0.0)
    assert watcher.sender.position is Position.LIVE
    assert watcher.numbers() == [3, 4, 5]


def test_an_old_picture_is_no_start(feed: Feed) -> None:
    push(feed, gop_stream(), 5)
    watcher = Watcher(feed)
    watcher.sender.start(now=60.0)
    assert watcher.sender.position is Position.WAITING


def test_a_viewer_that_lags_a_little_is_not_cut(feed: Feed) -> None:
    stream = gop_stream(gop=10, packets=7)
    push(feed, stream, 9)
    watcher = Watcher(feed)
    watcher.sender.start(now=0.1)
    watcher.step()
    push(feed, stream, 2)
    watcher.catch_up()
    assert watcher.numbers() == list(range(77))


def test_who_falls_out_of_the_history_goes_on_at_the_keyframe(feed: Feed) -> None:
    stream = gop_stream(gop=200, packets=20)
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    push(feed, stream, 1)
    watcher.target.full = True
    push(feed, stream, 190)
    watcher.target.full = False
    assert feed.history.start == 0
    feed.push(video(3_820, 191, keyframe=True, packets=4 * KEEP_PACKETS), 0.0)
    # At that keyframe it lagged 6 s, so it went on there.
    sequence_numbers, published = zip(*watcher.received(), strict=True)
    assert published[:21] == (*range(20), 3_820)
    assert sequence_numbers == tuple(range(len(sequence_numbers)))


def test_a_new_address_gets_the_media(feed: Feed) -> None:
    stream = gop_stream()
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    push(feed, stream, 1)
    watcher.received()
    moved = FakeTarget()
    watcher.sender.retarget(moved, 0.0)  # type: ignore[arg-type]
    push(feed, stream, 1)
    assert watcher.received() == []
    assert len(moved.datagrams) == 3


def test_what_is_not_in_the_table_moves_nobody(feed: Feed) -> None:
    stream = gop_stream()
    push(feed, stream, 5)
    watcher = Watcher(feed)
    watcher.sender.start(now=0.1)
    watcher.step()
    cursor = watcher.sender.cursor
    for event in set(Event) - TRANSITIONS[Position.LIVE].keys():
        with pytest.raises(KeyError):
            cursor.move(event)
        assert cursor.position is Position.LIVE
    push(feed, stream, 6)
    assert watcher.numbers() == list(range(33)), "it is still in its group"


def test_who_left_gets_nothing(feed: Feed) -> None:
    stream = gop_stream()
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    push(feed, stream, 1)
    watcher.received()
    watcher.sender.stop()
    push(feed, stream, 20)
    assert watcher.received() == []


def test_the_payload_type_follows_the_codec() -> None:
    feed = Feed(Kind.AUDIO)
    watcher = Watcher(feed, AUDIO)
    watcher.sender.start(now=0.0)
    feed.push(audio(0), 0.0)
    feed.push(audio(1, codec="PCMU"), 0.0)
    watcher.received()
    assert [p.payload_type for p in watcher.browser.packets] == [111, 0]
    feed.push(audio(2, codec="PCMA"), 0.0)
    assert watcher.sender.position is Position.UNPLAYABLE
    assert watcher.received() == []
    feed.push(audio(3), 0.0)
    assert watcher.sender.position is Position.LIVE
    assert watcher.received() == [(2, 3)]


def test_a_codec_that_was_not_accepted_is_unplayable_from_the_start() -> None:
    feed = Feed(Kind.AUDIO)
    watcher = Watcher(feed, AUDIO)
    watcher.sender.start(now=0.0)
    feed.push(audio(0, codec="PCMA"), 0.0)
    assert watcher.sender.position is Position.UNPLAYABLE


def two_feeds() -> tuple[Feed, Feed]:
    source = Source()
    return Feed(Kind.VIDEO, source=source), Feed(Kind.VIDEO, source=source)


def test_in_another_feed_numbers_go_on_and_nothing_of_the_old_one_is_sent_again() -> None:
    feed, other = two_feeds()
    stream, others = gop_stream(), gop_stream(packets=5)
    push(other, others, 13)
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    push(feed, stream, 4)
    watcher.sender.change_feed(other)
    watcher.sender.cursor.begin(0.0)
    watcher.catch_up()
    assert watcher.sender.position is Position.LIVE
    sequence_numbers, published = zip(*watcher.received(), strict=True)
    assert sequence_numbers == tuple(range(12 + 15))
    assert published == (*range(12), *range(50, 65)), "from the keyframe that it has"
    push(feed, stream, 2)
    push(other, others, 1)
    assert watcher.received() == [(number, number - 12 + 50) for number in range(27, 32)]
    watcher.sender.retransmit([3, 13], now=0.0)
    watcher.received()
    (again,) = watcher.browser.packets
    assert again.payload[:2] == (13).to_bytes(2, "big")


def test_in_another_feed_the_timestamps_are_those_of_the_time_of_capture() -> None:
    feed, other = two_feeds()
    feed.push(video(0, 30, keyframe=True), 0.0)
    feed.push(video(3, 60), 0.0)
    shifted = video(0, 60, keyframe=True, epoch=2)._replace(timestamp=77, capture_ns=video(3, 60).capture_ns)
    other.push(shifted, 0.0)
    assert other.timeline.timestamp == feed.timeline.timestamp


def test_in_another_feed_without_a_picture_it_waits_for_one() -> None:
    feed, other = two_feeds()
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    push(feed, gop_stream(), 1)
    watcher.sender.change_feed(other)
    assert watcher.sender.position is Position.WAITING
    watcher.received()
    push(other, gop_stream(), 1)
    assert [number for number, _ in watcher.received()] == [3, 4, 5]


def test_one_that_was_held_back_is_not_any_more_when_it_is_live_again(feed: Feed) -> None:
    stream, watcher = gop_stream(), Watcher(feed)
    watcher.sender.start(now=0.0)
    push(feed, stream, 2)
    watcher.sender.cursor.hold_back()
    assert watcher.sender.cursor.held
    watcher.catch_up()
    assert watcher.sender.position is Position.LIVE
    assert not watcher.sender.cursor.held


def test_in_another_format_no_delay_is_told_that_was_for_the_one_before() -> None:
    feed = Feed(Kind.AUDIO)
    watcher = Watcher(feed, replace(AUDIO, transport_cc=3, playout_delay=6))
    watcher.sender.start(now=0.0)
    feed.push(audio(0), 0.0)
    cursor = watcher.sender.cursor
    assert cursor.playout.update(0.2, 1)
    feed.push(audio(1, codec="PCMU"), 0.0)
    assert cursor.playout.element == b""
