"""Retransmissions to a viewer, and how many there are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from common.media import Kind
from egress.media import outbox
from egress.media.feed import Feed
from egress.position import Position
from egress.repeat_budget import PACKETS_BURST, PACKETS_SHARE, PICTURES_SHARE
from egress.retransmission import BUDGET_INTERVAL, MAX_RETRANSMISSIONS
from egress.wire.profiles import SRTP_AEAD_AES_128_GCM, SRTP_AES128_CM_SHA1_80, Profile
from egress.wire.srtp import REPEAT_WINDOW
from rigs.browser import Browser
from tests.fakes.media import audio, gop_stream, video
from tests.fakes.watcher import AUDIO, VIDEO_WITHOUT_RTX, Watcher, push


@pytest.fixture
def feed() -> Feed:
    return Feed(Kind.VIDEO)


def test_lost_packets_are_sent_again_as_rtx(feed: Feed) -> None:
    stream = gop_stream()
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    push(feed, stream, 4)
    watcher.received()
    watcher.sender.retransmit([2, 5], now=0.0)
    watcher.received()
    packets = watcher.browser.packets
    assert [(p.payload_type, p.ssrc, p.sequence_number) for p in packets] == [
        (103, feed.source.rtx_ssrc, 0),
        (103, feed.source.rtx_ssrc, 1),
    ]
    originals = feed.history.slice(0, 12)
    assert [p.payload for p in packets] == [b"\0\2" + originals[2].payload, b"\0\5" + originals[5].payload]
    assert packets[0].timestamp == originals[2].timestamp
    assert packets[0].marker == 1
    assert (watcher.sender.retransmission.stats.nacked, watcher.sender.retransmission.stats.retransmitted) == (2, 2)


@pytest.mark.parametrize("profile", [SRTP_AEAD_AES_128_GCM, SRTP_AES128_CM_SHA1_80], ids=["gcm", "cm"])
def test_without_rtx_the_same_packet_is_sent_again(feed: Feed, profile: Profile) -> None:
    stream = gop_stream()
    watcher = Watcher(feed, VIDEO_WITHOUT_RTX, Browser([profile]))
    watcher.sender.start(now=0.0)
    push(feed, stream, 4)
    first = watcher.target.take()
    watcher.sender.retransmit([5], now=0.0)
    if profile is SRTP_AEAD_AES_128_GCM:
        assert watcher.target.take() == [first[5]], "byte-identical: no nonce is used for two different packets"
    assert watcher.sender.retransmission.stats.retransmitted == 1


@pytest.mark.parametrize("profile", [SRTP_AEAD_AES_128_GCM, SRTP_AES128_CM_SHA1_80], ids=["gcm", "cm"])
def test_without_rtx_nothing_is_sent_again_that_libsrtp_would_refuse(feed: Feed, profile: Profile) -> None:
    """It keeps no more of what it has protected; its refusal would be an error in the middle of everybody's turn."""
    watcher = Watcher(feed, VIDEO_WITHOUT_RTX, Browser([profile]))
    watcher.sender.start(now=0.0)
    push(feed, gop_stream(gop=1_000), 400)
    first = watcher.target.take()
    assert len(first) == 1_200
    oldest = len(first) - REPEAT_WINDOW
    watcher.sender.retransmit([0, oldest - 1, oldest], now=10.0)
    assert [again[:12] for again in watcher.target.take()] == [first[oldest][:12]]


def test_numbers_that_were_never_sent_are_not_sent_again(feed: Feed) -> None:
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    push(feed, gop_stream(), 2)
    watcher.received()
    watcher.sender.retransmit([6, 7, 40_000, 0xFFFF], now=0.0)
    assert watcher.received() == []
    assert watcher.sender.retransmission.stats.nacked == 4


def test_retransmissions_are_bounded(feed: Feed) -> None:
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    push(feed, gop_stream(packets=100), 5)
    watcher.sender.confirmed(watcher.received()[-1][0], now=0.0)  # so that this does not make the path a lossy one
    watcher.sender.retransmit(range(500), now=0.0)
    assert len(watcher.received()) == MAX_RETRANSMISSIONS
    watcher.sender.retransmit(range(10), now=BUDGET_INTERVAL)
    assert len(watcher.received()) == 10


def test_what_was_sent_in_another_format_is_not_sent_again() -> None:
    """Its header would be another one under the same nonce."""
    feed = Feed(Kind.AUDIO)
    watcher = Watcher(feed, AUDIO)
    watcher.sender.start(now=0.0)
    feed.push(audio(0), 0.0)
    feed.push(audio(1, codec="PCMU"), 0.0)
    _, second = watcher.target.take()
    watcher.sender.retransmit([0, 1], now=0.0)
    assert watcher.target.take() == [second]


def test_what_has_not_left_yet_is_not_sent_again() -> None:
    """It might be given up, and another packet get its number: without RTX that would be one nonce for two packets."""
    waiting: list[Callable[[], None]] = []
    feed, stream = Feed(Kind.VIDEO, waiting.append), gop_stream(packets=outbox.SLICE // 2)
    watchers = [Watcher(feed, VIDEO_WITHOUT_RTX) for _ in range(3)]
    for watcher in watchers:
        watcher.sender.start(now=0.0)
    push(feed, stream, 1)
    [last] = [watcher for watcher in watchers if not watcher.target.datagrams]
    last.sender.retransmit([0, 1], now=0.0)
    assert last.target.datagrams == []
    waiting.pop()()
    assert len(last.numbers()) == outbox.SLICE // 2
    last.sender.retransmit([0, 1], now=0.0)
    assert len(last.target.datagrams) == 2


def test_on_a_lossy_path_what_was_lost_is_sent_twice(feed: Feed) -> None:
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    push(feed, gop_stream(), 4)
    watcher.received()
    watcher.quality.lost(0.05, now=0.0)
    watcher.sender.retransmit([5], now=0.0)
    assert watcher.received() == [(0, 5), (1, 5)]


def test_on_a_lossy_path_the_second_time_waits_for_the_keyframe_that_is_on_its_way(feed: Feed) -> None:
    feed.push(video(0, 0, keyframe=True, packets=60, size=1_000), 0.0)
    feed.push(video(60, 1, keyframe=False, packets=3, size=1_000), 0.0)
    watcher = Watcher(feed, round_trip=0.05)
    watcher.sender.start(now=0.0)
    watcher.step()
    assert len(watcher.received()) < 60
    watcher.sender.retransmit([2], now=watcher.now)
    assert watcher.received() == [(0, 2)]
    watcher.catch_up()
    published = [number for _, number in watcher.received()]
    assert published.index(2) == published.index(59) + 1
    assert published[-3:] == [60, 61, 62]


def test_what_waits_for_its_second_time_is_forgotten_with_the_picture(feed: Feed) -> None:
    feed.push(video(0, 0, keyframe=True, packets=60, size=1_000), 0.0)
    watcher = Watcher(feed, round_trip=0.05)
    watcher.sender.start(now=0.0)
    watcher.step()
    watcher.sender.retransmit([2], now=watcher.now)
    watcher.received()
    feed.push(video(60, 1, keyframe=False)._replace(codec="VP8"), 0.0)
    feed.push(video(63, 2, keyframe=True, packets=3), 0.0)
    watcher.catch_up()
    assert 2 not in [number for _, number in watcher.received()]


def test_a_picture_loss_is_answered_with_the_cached_pictures_once_a_second(feed: Feed) -> None:
    stream = gop_stream()
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    push(feed, stream, 15)
    watcher.received()
    watcher.sender.replay(now=0.4)
    assert not watcher.behind, "the first keyframe may still be on its way"
    feed.pushed_at = 10.0
    watcher.sender.replay(now=10.0)
    watcher.sender.replay(now=10.5)
    watcher.catch_up()
    watcher.sender.replay(now=10.9)
    received = watcher.received()
    assert [n for _, n in received] == list(range(30, 45))
    assert [s for s, _ in received] == list(range(45, 60)), "new numbers, as the same would be old to the receiver"
    assert watcher.sender.stats.plis == 4
    push(feed, stream, 1)
    assert watcher.received()[0] == (60, 45)


def test_a_silent_cameras_pictures_are_not_shown_again(feed: Feed) -> None:
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    push(feed, gop_stream(), 15)
    watcher.sender.replay(now=3.0)
    assert not watcher.behind


def test_a_picture_lost_before_the_viewer_has_caught_up_is_begun_again(feed: Feed) -> None:
    push(feed, gop_stream(packets=20), 10)
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    watcher.step()
    assert watcher.sender.position is Position.BEHIND
    before = len(watcher.received())
    watcher.sender.replay(now=0.6)
    watcher.catch_up()
    assert watcher.received() == [(before + n, n) for n in range(200)]


def test_a_long_group_of_pictures_is_not_begun_again_before_it_can_have_arrived(feed: Feed) -> None:
    stream = gop_stream(gop=1_000, packets=10, size=1_000)
    watcher = Watcher(feed, round_trip=0.05)
    watcher.sender.start(now=0.0)
    for frame in range(300):
        feed.push(next(stream), frame / 30)
    feed.pushed_at = 10.0
    watcher.sender.replay(now=10.0)
    watcher.now = 10.0
    while watcher.now < 13.0:
        feed.pushed_at = watcher.now
        watcher.step()
        watcher.sender.replay(watcher.now)
    published = watcher.numbers()[3_000:]
    assert published == sorted(set(published))


def playing(feed: Feed, seconds: int = 8) -> tuple[Watcher, float]:
    """A viewer that has watched for a while 75 kB/s with a keyframe a second, and the time."""
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    frames, now = gop_stream(gop=30, size=833), 0.0
    for _ in range(30 * seconds):
        now += 1 / 30
        feed.push(next(frames), now)
    watcher.received()
    return watcher, now


def test_requests_draw_no_more_than_the_cameras_rate_allows(feed: Feed) -> None:
    watcher, start = playing(feed)
    sent, seconds = 0, 20
    newest = watcher.sender.lane.packets
    for tick in range(100 * seconds):
        now = start + tick / 100
        feed.pushed_at = now
        watcher.sender.retransmit([number & 0xFFFF for number in range(newest - 60, newest)], now)
        watcher.sender.replay(now)
        watcher.sender.catch_up(now)
        sent += sum(map(len, watcher.target.take()))
    rate = feed.meter.rate
    assert rate == pytest.approx(75_000, rel=0.1)
    assert sent <= 1.2 * rate * ((PACKETS_SHARE + PICTURES_SHARE) * seconds + PACKETS_BURST + 1)
    assert watcher.sender.retransmission.stats.withheld > 1_000


def test_a_viewer_that_loses_a_fifth_gets_it_all(feed: Feed) -> None:
    watcher, start = playing(feed)
    frames = gop_stream(gop=30, size=833)
    for _ in range(240):
        next(frames)
    lost = 0
    for frame in range(600):
        now = start + frame / 30
        feed.push(next(frames), now)
        newest = watcher.sender.lane.packets
        asked = [newest - 1] if frame % 5 < 3 else []
        lost += len(asked)
        watcher.sender.retransmit([number & 0xFFFF for number in asked], now)
    assert watcher.sender.retransmission.stats.retransmitted == lost == 360
    assert not watcher.sender.retransmission.stats.withheld
