"""A sender on a path that is thin or loses packets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from common.media import MAX_PAYLOAD, Kind
from egress.media import outbox
from egress.media.feed import Feed
from egress.media.stream import Stream
from egress.path import playout
from egress.path.capacity import MIN_TRAIN
from egress.path.pace import BURST
from egress.path.playout import RETRACTION
from egress.path.quality import LOSSY_FOR
from egress.position import Position
from egress.sender import EVIDENCE
from tests.fakes.media import gop_stream, video
from tests.fakes.watcher import VIDEO_WITH_DELAY, VIDEO_WITH_FEEDBACK, VIDEO_WITHOUT_RTX, Watcher, push


@pytest.fixture
def feed() -> Feed:
    return Feed(Kind.VIDEO)


def test_on_a_thin_path_a_burst_is_spread_and_the_rest_comes_live(feed: Feed) -> None:
    thin, local = Watcher(feed, round_trip=0.05), Watcher(feed)
    for watcher in (thin, local):
        watcher.sender.start(now=0.0)
    now = 0.0
    for frame in range(1, 61):  # 2 s, so that the feed knows its rate: 10 packets of 1,000 bytes a frame
        now += 1 / 30
        feed.push(video(10 * frame, frame, keyframe=frame == 1, packets=10, size=1_000), now)
    assert thin.numbers() == local.numbers() == list(range(10, 610))
    assert thin.sender.position is Position.LIVE
    feed.push(video(610, 61, keyframe=True, packets=130, size=1_000), now + 1 / 30)
    assert len(local.received()) == 130
    assert thin.sender.position is Position.BEHIND
    thin.now = now + 1 / 30
    received = []
    while thin.sender.position is Position.BEHIND:
        thin.step()
        received.append(thin.numbers())
    assert [n for step in received for n in step] == list(range(610, 740))
    assert max(map(len, received)) <= BURST // MAX_PAYLOAD
    assert 20 <= len(received) <= 60, "130,000 bytes at 600,000 a second are 217 ms, or 43 steps"


def test_on_a_thin_path_the_start_is_sent_twice(feed: Feed) -> None:
    """Receivers never ask again for what precedes the first packet that they saw."""
    feed.push(video(0, 0, keyframe=True, packets=2, size=1_000), 0.0)
    thin, local = Watcher(feed, round_trip=0.05), Watcher(feed)
    for watcher in (thin, local):
        watcher.sender.start(now=0.0)
        watcher.catch_up()
    first, second = local.target.datagrams
    assert [d[:12] for d in thin.target.datagrams] == [first[:12], second[:12]] * 2
    assert thin.target.datagrams[:2] == thin.target.datagrams[2:], "byte-identical: no nonce is used twice"


def test_a_path_that_turns_out_lossy_is_paced(feed: Feed) -> None:
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    feed.push(video(0, 0, keyframe=True, packets=30, size=1_000), 0.0)
    assert watcher.sender.position is Position.LIVE
    watcher.quality.lost(0.05, now=0.1)
    watcher.sender.look(now=0.2)
    feed.push(video(30, 1, keyframe=True, packets=30, size=1_000), 0.3)
    assert watcher.sender.position is Position.BEHIND


def delays_told(watcher: Watcher) -> list[float | None]:
    """Seconds of the playout delay in each packet since the last call."""
    heads = [datagram[:24] for datagram in watcher.target.take()]
    return [(int.from_bytes(h[20:22], "big") >> 4) / 100 if h[12:16] == b"\xbe\xde\0\2" else None for h in heads]


def test_on_a_lossy_path_the_receiver_is_told_to_keep_pictures_longer(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    lossy, other = Watcher(feed, VIDEO_WITH_DELAY), Watcher(feed, VIDEO_WITH_DELAY)
    for watcher in (lossy, other):
        watcher.sender.start(now=0.0)
    told = []
    monkeypatch.setattr(playout, "RETRACTION", 6)
    for frame, now in enumerate((0.0, 1.0, LOSSY_FOR, LOSSY_FOR + 1.0, LOSSY_FOR + 2.0, LOSSY_FOR + 5.0)):
        if frame == 1:
            lossy.quality.lost(0.05, now)
        for watcher in (lossy, other):
            watcher.sender.look(now)
        feed.push(video(2 * frame, frame, keyframe=frame == 0, packets=2), now)
        assert lossy.sender.position is other.sender.position is Position.LIVE
        assert delays_told(other) == [None, None]
        told += delays_told(lossy)
    assert told == [None, None, 0.15, 0.15, 0.15, 0.15, 0, 0, 0, 0, None, None]


def test_a_path_is_known_to_lose_packets_before_the_first_report_says_so(feed: Feed) -> None:
    watchers = [Watcher(feed, VIDEO_WITH_DELAY) for _ in range(3)]
    for watcher in watchers:
        watcher.sender.start(now=0.0)
    feed.push(video(0, 0, keyframe=True, packets=100), 0.0)
    first = [watcher.received()[0][0] for watcher in watchers]
    for watcher, number, count in zip(watchers, first, (EVIDENCE, EVIDENCE - 1, EVIDENCE), strict=True):
        if watcher is watchers[2]:
            watcher.sender.confirmed(number + 99, now=0.1)
        watcher.sender.retransmit(range(number, number + count), now=0.1)
    assert [watcher.quality.thin(0.1) for watcher in watchers] == [True, False, False]


def test_a_receiver_is_told_before_the_delay_is_forgotten(feed: Feed) -> None:
    """Also where the camera was away when the losses were."""
    watcher = Watcher(feed, VIDEO_WITH_DELAY)
    watcher.sender.start(now=0.0)
    feed.push(video(0, 0, keyframe=True, packets=2), 0.0)
    watcher.quality.lost(0.05, 0.0)
    told, number, now = [], 2, 0.0
    while number < 1_000:
        watcher.sender.look(now)
        if not 10 < now < 100:
            feed.push(video(number, number, keyframe=False, packets=10), now)
            number += 10
        told += delays_told(watcher)
        now += 1.0
    assert told[:2] == [None, None]
    assert told[2:112] == [0.15] * 110
    assert told[112 : 112 + RETRACTION] == [0] * RETRACTION
    assert set(told[112 + RETRACTION :]) == {None}


def test_a_delay_that_is_told_while_a_picture_is_on_its_way_is_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "SLICE", 1)
    waiting: list[Callable[[], None]] = []
    feed = Feed(Kind.VIDEO, waiting.append)
    watchers = [Watcher(feed, VIDEO_WITH_DELAY) for _ in range(2)]
    for watcher in watchers:
        watcher.sender.start(now=0.0)
    feed.push(video(0, 0, keyframe=True, packets=2), 0.0)  # one has it
    for watcher in watchers:
        watcher.quality.lost(0.05, 0.0)
        watcher.sender.look(0.0)
        watcher.catch_up()
    feed.push(video(2, 1, keyframe=False, packets=2), 0.0)
    while waiting:
        waiting.pop()()
    told = sorted(str(delays_told(watcher)) for watcher in watchers)
    assert told == ["[0.15, 0.15, 0.15, 0.15, 0.15, 0.15]", "[None, None, 0.15, 0.15]"], "a thin path's first twice"


def test_while_packets_are_lost_the_delay_only_grows(feed: Feed) -> None:
    watcher = Watcher(feed, VIDEO_WITH_DELAY)
    watcher.sender.start(now=0.0)
    told = []
    for frame in range(900):  # 30 s: one large keyframe in the first ten, none after that
        now = frame / 30
        watcher.quality.lost(0.05, now)
        watcher.sender.look(now)
        packets = 200 if frame == 150 else 2
        feed.push(video(100 * frame, frame, keyframe=frame == 0, packets=packets, size=1_000), now)
        watcher.now = now
        watcher.catch_up()
        told += delays_told(watcher)
    assert told == sorted(told, key=lambda delay: delay or 0)
    assert (told[1], told[2], told[-1]) == (None, 0.15, pytest.approx(0.45))


def test_without_rtx_no_header_changes_as_packets_are_sent_again_as_they_were(feed: Feed) -> None:
    watcher = Watcher(feed, replace(VIDEO_WITHOUT_RTX, transport_cc=3, playout_delay=6))
    watcher.sender.start(now=0.0)
    feed.push(video(0, 0, keyframe=True, packets=2), 0.0)
    first = watcher.target.take()
    watcher.quality.lost(0.05, now=0.1)
    watcher.sender.look(now=0.1)
    watcher.sender.retransmit([int.from_bytes(first[0][2:4], "big")], now=0.1)
    assert watcher.target.take() == first[:1]


def test_feedback_on_keyframes_measures_the_path_and_sets_the_pace(feed: Feed) -> None:
    watcher = Watcher(feed, VIDEO_WITH_FEEDBACK, round_trip=0.05)
    watcher.sender.start(now=0.0)
    feed.push(video(0, 0, keyframe=True, packets=40, size=MAX_PAYLOAD), 0.0)
    watcher.catch_up()
    assert watcher.sender.position is Position.LIVE
    first = watcher.received()
    assert len(first) == 40
    rate = 3_000_000
    watcher.sender.arrived({sequence: 7.0 + sequence * MAX_PAYLOAD / rate for sequence, _ in first}, now=0.0)
    assert watcher.quality.capacity.estimate == pytest.approx(rate)
    assert watcher.quality.thin(now=0.0)
    fast = 100_000_000
    for _ in range(20):
        watcher.sender.arrived({sequence: 7.0 + sequence * MAX_PAYLOAD / fast for sequence, _ in first}, now=0.0)
    assert not watcher.quality.thin(now=0.0)


def test_feedback_on_what_came_live_uses_the_feeds_trains(feed: Feed) -> None:
    watcher = Watcher(feed, VIDEO_WITH_FEEDBACK)
    watcher.sender.start(now=0.0)
    feed.push(video(0, 0, keyframe=True, packets=10, size=MAX_PAYLOAD, unit_end=False), 0.0)
    feed.push(video(10, 0, packets=10, size=MAX_PAYLOAD), 0.0)
    feed.push(video(20, 1, packets=10, size=MAX_PAYLOAD), 0.0)
    assert list(feed.trains) == [(0, 10), (10, 20)], "all of the keyframe, and nothing else"
    watcher.sender.arrived({n: n * 0.001 for n in range(20)}, now=0.0)
    assert watcher.quality.capacity.estimate == pytest.approx(MAX_PAYLOAD / 0.001)


def test_how_a_burst_was_spread_is_not_taken_for_the_path(feed: Feed) -> None:
    """A feed's trains left at once for others; who was behind got them at a pace of its own."""
    watcher = Watcher(feed, VIDEO_WITH_FEEDBACK, round_trip=0.05)
    watcher.sender.start(now=0.0)
    feed.push(video(0, 0, keyframe=True, packets=3, size=MAX_PAYLOAD), 0.0)
    feed.push(video(3, 1, keyframe=True, packets=60, size=MAX_PAYLOAD), 0.0)
    assert watcher.sender.position is Position.BEHIND
    arrivals = {}
    for step in range(20):
        watcher.step()
        arrivals |= {sequence: step + sequence * 0.0005 for sequence, _ in watcher.received() if sequence >= 3}
    assert watcher.sender.position is Position.BEHIND
    watcher.sender.arrived(arrivals, now=0.0)
    assert watcher.quality.capacity.estimate == pytest.approx(MAX_PAYLOAD / 0.0005)


def test_also_when_it_is_live_later_what_went_before_is_not_taken_for_a_train(feed: Feed) -> None:
    watcher = Watcher(feed, VIDEO_WITH_FEEDBACK, round_trip=0.05)
    watcher.sender.start(now=0.0)
    feed.push(video(0, 0, keyframe=True, packets=3, size=MAX_PAYLOAD), 0.0)
    feed.push(video(3, 1, keyframe=True, packets=60, size=MAX_PAYLOAD), 0.0)
    arrivals, step = {}, 0
    while watcher.sender.position is Position.BEHIND:
        watcher.step()
        step += 1
        arrivals |= {sequence: step + sequence * 0.0005 for sequence, _ in watcher.received() if sequence >= 3}
    assert step > 10
    assert sum(1 for first, end in feed.trains if end - first >= MIN_TRAIN) == 2, "as it left for others"
    watcher.sender.arrived(arrivals, now=0.0)
    assert watcher.quality.capacity.estimate == pytest.approx(MAX_PAYLOAD / 0.0005)


def test_the_first_batch_that_comes_live_is_a_train(feed: Feed) -> None:
    watcher = Watcher(feed, VIDEO_WITH_FEEDBACK)
    watcher.sender.start(now=0.0)
    feed.push(video(0, 0, packets=10, size=MAX_PAYLOAD), 0.0)
    feed.push(video(10, 1, keyframe=True, packets=10, size=MAX_PAYLOAD), 0.0)
    first = watcher.received()[0][0]
    watcher.sender.arrived({first + n: n * 0.001 for n in range(10)}, now=0.0)
    assert watcher.quality.capacity.estimate == pytest.approx(MAX_PAYLOAD / 0.001)


def test_a_start_that_is_sent_twice_counts_as_sent_though_the_second_is_blocked(feed: Feed) -> None:
    feed.push(video(0, 0, keyframe=True, packets=2, size=1_000), 0.0)
    thin = Watcher(feed, round_trip=0.05)
    thin.sender.start(now=0.0)
    thin.target.room = 1
    thin.step()
    assert thin.sender.position is Position.LIVE
    assert thin.numbers() == [0, 1]


def test_a_replay_after_a_gap_is_paced() -> None:
    stream = Stream("front-door", lambda: None)
    watcher = Watcher(stream.feeds[Kind.VIDEO], round_trip=0.05)
    watcher.sender.start(now=0.0)
    batches = [batch for batch, _ in zip(gop_stream(gop=300, packets=10, size=1_000), range(251), strict=False)]
    for batch in batches[:100]:
        stream.incoming.receive(batch, now=batch.arrival_ns / 1e9, unix_ns=batch.arrival_ns)
    assert len(watcher.received()) == 1_000
    last = batches[-1]
    stream.incoming.receive(last, now=10.0, unix_ns=last.arrival_ns)
    stream.incoming.receive_replay(batches, now=10.0)
    watcher.step()
    assert 0 < len(watcher.received()) <= BURST // MAX_PAYLOAD
    watcher.catch_up()
    watcher.catch_up()
    assert watcher.sender.position is Position.LIVE
    assert watcher.numbers()[-1] == 2_509


def test_the_start_on_a_thin_path_is_not_repeated_where_it_could_not_be_sent(feed: Feed) -> None:
    """Its numbers would count as unused, and could come to be used for other packets: one nonce for two."""
    push(feed, gop_stream(packets=2), 1)
    thin = Watcher(feed, round_trip=0.05)
    thin.target.refuses = 1
    thin.sender.start(now=0.0)
    thin.step()
    assert thin.target.datagrams == []
    thin.catch_up()
    assert len(thin.target.datagrams) == 4
    assert thin.target.datagrams[:2] == thin.target.datagrams[2:]
