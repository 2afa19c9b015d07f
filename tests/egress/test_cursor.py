from __future__ import annotations

import pytest

from common.media import Kind
from egress.media.feed import Feed
from egress.media.history import KEEP_PACKETS
from egress.position import Position
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
    watcher.sender.retarget(moved)  # type: ignore[arg-type]
    push(feed, stream, 1)
    assert watcher.received() == []
    assert len(moved.datagrams) == 3


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
