import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.media import Kind
from egress.media.feed import PARCELS_KEPT, Feed, Timeline
from egress.media.group import Group
from tests.fakes.media import SECOND_NS, audio, video


class Listens:
    def __init__(self) -> None:
        self.starts: list[int] = []
        self.formats = 0

    def may_start(self, index: int) -> None:
        self.starts.append(index)

    def fall_behind(self, index: int) -> None:
        raise AssertionError("never joined")

    def format_changed(self) -> None:
        self.formats += 1


def test_another_codec_has_none_of_the_profile_of_the_one_before() -> None:
    feed = Feed(Kind.VIDEO)
    feed.push(video(0, 0, keyframe=True), 0.0)
    feed.push(video(3, 1, keyframe=True)._replace(codec="H265"), 0.0)
    assert (feed.codec, feed.profile) == ("H265", "")
    feed.push(video(6, 2)._replace(codec="H264"), 0.0)
    assert (feed.codec, feed.profile) == ("H264", "")


def test_listeners_are_told_of_every_start_and_every_format() -> None:
    feed, listener = Feed(Kind.VIDEO), Listens()
    feed.add(listener)
    feed.push(video(0, 0, keyframe=True), 0.0)
    feed.push(video(3, 1), 0.0)
    feed.push(video(6, 2, keyframe=True), 0.0)
    assert listener.starts == [0, 6]
    assert listener.formats == 1
    assert (feed.codec, feed.profile) == ("H264", "42e01f")
    other = video(9, 3, keyframe=True)
    other.payloads[0] = bytes.fromhex("18000467640028") + bytes(9)  # STAP-A that starts with a High SPS
    feed.push(other, 0.0)
    assert feed.profile == "640028"
    assert listener.formats == 2
    feed.discard(listener)
    feed.push(video(12, 4, keyframe=True), 0.0)
    assert listener.starts == [0, 6, 9]


def test_audio_can_start_anywhere_and_brings_its_clock() -> None:
    feed, listener = Feed(Kind.AUDIO), Listens()
    feed.add(listener)
    feed.push(audio(0, codec="PCMU"), 0.0)
    feed.push(audio(1, codec="PCMU"), 0.0)
    assert listener.starts == [0, 1]
    assert feed.timeline.clock_rate == 8_000
    feed.push(audio(2), 0.0)
    assert feed.timeline.clock_rate == 48_000


def test_the_marker_is_on_the_last_packet_of_the_access_unit_alone() -> None:
    feed = Feed(Kind.VIDEO)
    feed.push(video(0, 0, keyframe=True, unit_end=False), 0.0)
    feed.push(video(3, 0), 0.0)
    assert [p.marker for p in feed.history.slice(0, 9)] == [0, 0, 0, 0, 0, 0x80]
    sound = Feed(Kind.AUDIO)
    sound.push(audio(0), 0.0)
    assert sound.history.slice(0, 1)[0].marker == 0  # RFC 3551 4.1: the start of a talk spurt


def test_within_an_epoch_timestamps_keep_their_distances() -> None:
    timeline = Timeline(90_000, origin=0)
    first = timeline.map(video(0, 0))
    assert (timeline.map(video(3, 1)) - first) % 2**32 == 3_000
    assert (timeline.map(video(6, 1_000_000)) - first) % 2**32 == 3_000_000_000


def test_a_new_epoch_goes_on_by_the_time_that_passed() -> None:
    timeline = Timeline(90_000, origin=0)
    first = timeline.map(video(0, 0, epoch=1))
    later = video(0, 0, epoch=2)._replace(timestamp=777, capture_ns=1_000_000 + 7 * SECOND_NS)
    assert (timeline.map(later) - first) % 2**32 == 7 * 90_000
    assert (timeline.map(later._replace(timestamp=3_777)) - first) % 2**32 == 7 * 90_000 + 3_000


def test_a_new_epoch_never_goes_back_though_the_cameras_clock_does() -> None:
    timeline = Timeline(90_000, origin=0)
    first = timeline.map(video(0, 0, epoch=2)._replace(capture_ns=50 * SECOND_NS))
    second = timeline.map(video(0, 0, epoch=3)._replace(capture_ns=SECOND_NS))
    assert (second - first) % 2**32 == 900, "10 ms: a receiver takes what is nearer for one picture"


def test_sender_reports_extrapolate() -> None:
    timeline = Timeline(48_000, origin=0)
    sent = timeline.map(audio(5))
    at = audio(5).capture_ns
    assert timeline.at(at) == sent
    assert (timeline.at(at + SECOND_NS // 2) - sent) % 2**32 == 24_000
    assert (sent - timeline.at(at - SECOND_NS)) % 2**32 == 48_000


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 2**40), st.integers(0, 2**61)), min_size=1))
def test_any_sequence_of_epochs_gives_32_bits(steps: list[tuple[int, int, int]]) -> None:
    timeline = Timeline(90_000, origin=0)
    for epoch, timestamp, capture in steps:
        assert 0 <= timeline.map(video(0, 0, epoch=epoch)._replace(timestamp=timestamp, capture_ns=capture)) < 2**32
        assert 0 <= timeline.at(capture + 5) < 2**32


@pytest.mark.parametrize("payload", [b"\x67", b"\x18\x00\x01", b"\x65abc", b"\x78"])
def test_a_keyframe_without_a_readable_sps_keeps_the_profile(payload: bytes) -> None:
    feed = Feed(Kind.VIDEO)
    feed.push(video(0, 0, keyframe=True), 0.0)
    odd = video(3, 1, keyframe=True)
    odd.payloads[0] = payload
    feed.push(odd, 0.0)
    assert feed.profile == "42e01f"


def test_who_joins_together_shares_parcels() -> None:
    feed, group, other = Feed(Kind.VIDEO), Group(1, 102), Group(1, 108)
    for picture in range(3):
        feed.push(video(3 * picture, picture, keyframe=picture == 0), 0.0)
    parcel = feed.parcel(0, 5, group)
    assert [len(run) for run in parcel.runs] == [3, 2]
    assert feed.parcel(0, 5, Group(1, 102)) is parcel
    assert feed.parcel(0, 5, other) is not parcel, "other headers"
    assert feed.parcel(0, 6, group) is not parcel
    assert feed.parcel(5, 9, group).packets == 4, "there are no more"
    feed.push(video(9, 3), 0.0)
    assert feed.parcel(5, 9, group).packets == 7
    for first in range(PARCELS_KEPT - 1):
        assert feed.parcel(first, 1, group).packets == 1
        assert feed.parcel(0, 5, group) is parcel, "in use"
    feed.push(video(12, 4, keyframe=True), 0.0)
    assert feed.parcel(0, 5, group) is not parcel, "forgotten with its group of pictures"
