from __future__ import annotations

import pytest

from common.media import MAX_PAYLOAD, Kind
from egress.media.feed import Feed
from egress.path.pace import LOCAL_BURST
from egress.position import Position
from tests.fakes.media import audio, gop_stream
from tests.fakes.watcher import AUDIO, Watcher, push


@pytest.fixture
def feed() -> Feed:
    return Feed(Kind.VIDEO)


def test_a_new_viewer_starts_with_the_cached_group_of_pictures_and_goes_live(feed: Feed) -> None:
    stream = gop_stream(gop=10)
    push(feed, stream, 15)
    watcher = Watcher(feed)
    watcher.sender.start(now=0.1)
    assert watcher.behind == [watcher.sender]
    watcher.catch_up()
    assert watcher.sender.position is Position.LIVE
    assert watcher.numbers() == list(range(30, 45))
    push(feed, stream, 1)
    assert watcher.numbers() == [45, 46, 47]


def test_catching_up_is_paced_and_a_keyframe_cuts_it_short(feed: Feed) -> None:
    stream = gop_stream(gop=60, packets=10)
    push(feed, stream, 50)
    watcher = Watcher(feed)
    watcher.sender.start(now=0.1)
    watcher.step()
    assert len(watcher.received()) == LOCAL_BURST // MAX_PAYLOAD
    push(feed, stream, 10)
    assert watcher.received() == [], "it is not live"
    push(feed, stream, 1)  # a keyframe, and the viewer is 2 s behind it
    assert watcher.sender.position is Position.LIVE
    received = watcher.received()
    assert [n for _, n in received] == list(range(600, 610))
    assert received[0][0] == LOCAL_BURST // MAX_PAYLOAD, "it skipped, and its numbers have no gap"


def test_a_full_buffer_is_made_up_for_from_the_history(feed: Feed) -> None:
    stream = gop_stream()
    watcher, other = Watcher(feed), Watcher(feed)
    push(feed, stream, 1)
    for w in (watcher, other):
        w.sender.start(now=0.0)
        w.catch_up()
    watcher.target.full = True
    push(feed, stream, 3)
    assert watcher.sender.position is Position.BEHIND
    assert watcher.behind[-1] is watcher.sender
    watcher.step()
    assert watcher.sender.cursor.blocked == 2
    watcher.target.full = False
    watcher.catch_up()
    assert watcher.sender.position is Position.LIVE
    push(feed, stream, 1)
    assert watcher.numbers() == other.numbers() == list(range(15))


def test_a_path_is_not_judged_by_sound() -> None:
    feed = Feed(Kind.AUDIO)
    watcher = Watcher(feed, AUDIO)
    watcher.sender.start(now=0.0)
    for number in range(20):
        feed.push(audio(number), number / 50)
        watcher.sender.confirmed(watcher.received()[-1][0], number / 50)
    for number in range(20, 60 * 50):
        feed.push(audio(number), number / 50)
        watcher.sender.look(number / 50)
        assert watcher.sender.position is Position.LIVE


def test_a_stalled_connection_is_not_asked_again_and_goes_on_at_the_newest_keyframe(feed: Feed) -> None:
    stream = gop_stream(gop=30)
    watcher = Watcher(feed)
    push(feed, stream, 1)
    watcher.sender.start(now=0.0)
    watcher.catch_up()
    watcher.target.room = watcher.target.calls
    push(feed, stream, 1)
    assert watcher.sender.position is Position.BEHIND
    watcher.target.stalled = True
    asked = watcher.sender.cursor.blocked
    watcher.catch_up()
    assert watcher.sender.cursor.blocked == asked, "nothing was encrypted for it"
    push(feed, stream, 33)  # a keyframe, and more
    assert watcher.received() != []
    watcher.target.stalled, watcher.target.room = False, None
    watcher.catch_up()
    assert watcher.sender.position is Position.LIVE
    assert [n for _, n in watcher.received()] == list(range(90, 105)), "from the keyframe on"


def test_a_path_by_tcp_is_not_judged(feed: Feed) -> None:
    stream = gop_stream(gop=30)
    watcher = Watcher(feed)
    push(feed, stream, 1)
    watcher.sender.start(now=0.0)
    watcher.catch_up()
    watcher.target.reliable = True
    for second in range(1, 20):
        push(feed, stream, 30)
        watcher.sender.confirmed(0, float(second))
        watcher.sender.look(float(second))
        assert watcher.sender.position is Position.LIVE


def test_a_run_that_left_in_part_goes_on_where_it_was_cut(feed: Feed) -> None:
    stream = gop_stream(packets=5)
    watcher, other = Watcher(feed), Watcher(feed)
    push(feed, stream, 1)
    for each in (watcher, other):
        each.sender.start(now=0.0)
        each.catch_up()
    for cut in (2, 4):  # live, and behind
        watcher.target.room, watcher.target.taken = watcher.target.calls, cut
        push(feed, stream, 1)
        assert watcher.sender.position is Position.BEHIND
        sent = watcher.sender.lane.packets
        watcher.target.taken = 1
        watcher.step()
        assert watcher.sender.lane.packets == sent + 1
        watcher.target.room = None
        watcher.catch_up()
        assert watcher.sender.position is Position.LIVE
    assert watcher.numbers() == other.numbers() == list(range(15))
    assert watcher.sender.lane.packets == other.sender.lane.packets == 15
    assert watcher.sender.lane.octets == other.sender.lane.octets
    assert watcher.browser.duplicates == 0
