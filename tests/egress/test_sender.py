from __future__ import annotations

from collections.abc import Callable

import pytest

from common.media import MAX_PAYLOAD, Kind
from egress.media import outbox
from egress.media.feed import Feed
from egress.media.history import KEEP_PACKETS
from egress.path.pace import LOCAL_BURST
from egress.repeat_budget import PACKETS_BURST, PACKETS_SHARE, PICTURES_SHARE
from egress.sender import BUDGET_INTERVAL, MAX_RETRANSMISSIONS, Place
from egress.wire.srtp import SRTP_AEAD_AES_128_GCM, SRTP_AES128_CM_SHA1_80, Profile
from rigs.browser import Browser
from tests.fakes.media import audio, gop_stream, video
from tests.fakes.target import FakeTarget
from tests.fakes.watcher import AUDIO, VIDEO_WITHOUT_RTX, Watcher, push


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
    assert watcher.sender.place is Place.LIVE
    assert watcher.numbers() == list(range(30, 45))
    push(feed, stream, 1)
    assert watcher.numbers() == [45, 46, 47]


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


def test_who_comes_before_the_first_keyframe_waits_for_it(feed: Feed) -> None:
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    feed.push(video(0, 0), 0.0)
    assert watcher.sender.place is Place.WAITING
    assert watcher.received() == []
    feed.push(video(3, 1, keyframe=True), 0.0)
    assert watcher.sender.place is Place.LIVE
    assert watcher.numbers() == [3, 4, 5]


def test_an_old_picture_is_no_start(feed: Feed) -> None:
    push(feed, gop_stream(), 5)
    watcher = Watcher(feed)
    watcher.sender.start(now=60.0)
    assert watcher.sender.place is Place.WAITING


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
    assert watcher.sender.place is Place.LIVE
    received = watcher.received()
    assert [n for _, n in received] == list(range(600, 610))
    assert received[0][0] == LOCAL_BURST // MAX_PAYLOAD, "it skipped, and its numbers have no gap"


def test_a_viewer_that_lags_a_little_is_not_cut(feed: Feed) -> None:
    stream = gop_stream(gop=10, packets=7)
    push(feed, stream, 9)
    watcher = Watcher(feed)
    watcher.sender.start(now=0.1)
    watcher.step()
    push(feed, stream, 2)
    watcher.catch_up()
    assert watcher.numbers() == list(range(77))


def test_a_full_buffer_is_made_up_for_from_the_history(feed: Feed) -> None:
    stream = gop_stream()
    watcher, other = Watcher(feed), Watcher(feed)
    push(feed, stream, 1)
    for w in (watcher, other):
        w.sender.start(now=0.0)
        w.catch_up()
    watcher.target.full = True
    push(feed, stream, 3)
    assert watcher.sender.place is Place.BEHIND
    assert watcher.behind[-1] is watcher.sender
    watcher.step()
    assert watcher.sender.stats.blocked == 2
    watcher.target.full = False
    watcher.catch_up()
    assert watcher.sender.place is Place.LIVE
    push(feed, stream, 1)
    assert watcher.numbers() == other.numbers() == list(range(15))


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
        (103, feed.rtx_ssrc, 0),
        (103, feed.rtx_ssrc, 1),
    ]
    originals = feed.history.slice(0, 12)
    assert [p.payload for p in packets] == [b"\0\2" + originals[2].payload, b"\0\5" + originals[5].payload]
    assert packets[0].timestamp == originals[2].timestamp
    assert packets[0].marker == 1
    assert (watcher.sender.stats.nacked, watcher.sender.stats.retransmitted) == (2, 2)


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
    assert watcher.sender.stats.retransmitted == 1


def test_numbers_that_were_never_sent_are_not_sent_again(feed: Feed) -> None:
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    push(feed, gop_stream(), 2)
    watcher.received()
    watcher.sender.retransmit([6, 7, 40_000, 0xFFFF], now=0.0)
    assert watcher.received() == []
    assert watcher.sender.stats.nacked == 4


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


def test_retransmissions_are_bounded(feed: Feed) -> None:
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    push(feed, gop_stream(packets=100), 5)
    watcher.sender.confirmed(watcher.received()[-1][0], now=0.0)  # so that this does not make the path a lossy one
    watcher.sender.retransmit(range(500), now=0.0)
    assert len(watcher.received()) == MAX_RETRANSMISSIONS
    watcher.sender.retransmit(range(10), now=BUDGET_INTERVAL)
    assert len(watcher.received()) == 10


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
    assert watcher.sender.place is Place.BEHIND
    before = len(watcher.received())
    watcher.sender.replay(now=0.6)
    watcher.catch_up()
    assert watcher.received() == [(before + n, n) for n in range(200)]


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
    assert watcher.sender.place is Place.UNPLAYABLE
    assert watcher.received() == []
    feed.push(audio(3), 0.0)
    assert watcher.sender.place is Place.LIVE
    assert watcher.received() == [(2, 3)]


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


def test_a_codec_that_was_not_accepted_is_unplayable_from_the_start() -> None:
    feed = Feed(Kind.AUDIO)
    watcher = Watcher(feed, AUDIO)
    watcher.sender.start(now=0.0)
    feed.push(audio(0, codec="PCMA"), 0.0)
    assert watcher.sender.place is Place.UNPLAYABLE


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
    assert watcher.sender.stats.withheld > 1_000


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
    assert watcher.sender.stats.retransmitted == lost == 360
    assert not watcher.sender.stats.withheld
