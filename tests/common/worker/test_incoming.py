from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.media import MAX_PAYLOAD, Batch, Kind
from common.worker.incoming import (
    EPOCH_SILENCE,
    FLOWS,
    MAX_AGE,
    MAX_COMING,
    MAX_PENDING,
    MAX_PENDING_BYTES,
    MAX_REPLAYS,
    MOST_WAIT,
    REPLAY_INTERVAL,
    TRANSIT_WINDOW,
    Incoming,
)
from tests.fakes.media import SECOND_NS, audio, gop_stream, number, video
from tests.fakes.sink import recording_sinks


class Received:
    """A rendition, what of it is passed on, and the requests for its cached group of pictures."""

    def __init__(self) -> None:
        self.requests = 0
        self.sinks = recording_sinks()
        self.incoming = Incoming(self.sinks, self._requested)
        self.now = 0.0
        self.incoming.start(self.now)

    def _requested(self) -> None:
        self.requests += 1

    def live(self, *batches: Batch, late: float = 0.0) -> list[bool]:
        return [
            self.incoming.receive(batch, now=self.now, unix_ns=batch.arrival_ns + int(late * SECOND_NS))
            for batch in batches
        ]

    def replay(self, *batches: Batch) -> None:
        self.incoming.receive_replay(batches, now=self.now)

    def sent(self, kind: Kind = Kind.VIDEO) -> list[int]:
        return [number(payload) for batch in self.sinks[kind].batches for payload in batch.payloads]


def frames(count: int, *, first: int = 0, gop: int = 10) -> list[Batch]:
    stream = gop_stream(gop=gop, packets=1)
    return [batch for batch, _ in zip(stream, range(first + count), strict=False)][first:]


def test_a_stream_that_is_joined_in_the_middle_asks_for_the_beginning() -> None:
    received = Received()
    assert received.requests == 1
    all_frames = frames(9)
    received.live(*all_frames[5:7])
    assert received.sent() == []
    received.replay(*all_frames[:7])
    assert received.sent() == [0, 1, 2, 3, 4, 5, 6]
    received.live(*all_frames[7:])
    assert received.sent() == list(range(9))


def test_live_batches_that_overtook_the_replay_follow_it() -> None:
    received = Received()
    all_frames = frames(9)
    received.live(*all_frames[5:])
    received.replay(*all_frames[:6])
    assert received.sent() == list(range(9))


def test_without_a_replay_a_keyframe_starts() -> None:
    received = Received()
    received.live(*frames(10, first=5))
    assert received.sent() == [10, 11, 12, 13, 14]


def test_a_gap_is_closed_by_the_replay_and_nobody_notices() -> None:
    received = Received()
    all_frames = frames(10)
    received.live(*all_frames[:3])
    received.now = 10.0
    received.live(*all_frames[6:8])
    assert received.sent() == [0, 1, 2]
    assert received.requests == 2
    received.replay(*all_frames[:7])
    received.live(*all_frames[8:])
    assert received.sent() == list(range(10))
    assert received.incoming.counters["gaps"] == 1
    assert received.incoming.counters["lost"] == 0


def test_a_sink_is_told_before_cached_pictures_come_late_and_at_once() -> None:
    received = Received()
    all_frames = frames(8)
    received.live(*all_frames[:3])
    received.replay(*all_frames[:6])
    assert received.sent() == list(range(6))
    assert received.sinks["video"].pauses == [3]
    assert received.sinks["audio"].pauses == []


def test_a_gap_beyond_the_replay_goes_on_at_its_keyframe_and_counts_the_loss() -> None:
    received = Received()
    all_frames = frames(25)
    received.live(*all_frames[:3])
    received.now = 10.0
    received.live(all_frames[23])
    received.replay(*all_frames[20:24])
    received.live(all_frames[24])
    assert received.sent() == [0, 1, 2, 20, 21, 22, 23, 24]
    assert received.incoming.counters["lost"] == 17


def test_requests_are_not_repeated_within_a_second() -> None:
    received = Received()
    received.live(*frames(5, first=1))
    assert received.requests == 1
    received.now = REPLAY_INTERVAL
    received.live(*frames(2, first=6))
    assert received.requests == 2


def test_duplicates_are_dropped() -> None:
    received = Received()
    all_frames = frames(12)
    received.live(*all_frames)
    received.live(*all_frames)
    received.replay(*all_frames)
    assert received.sent() == list(range(12))


def test_a_newer_epoch_takes_over_and_an_older_one_does_not_come_back() -> None:
    received = Received()
    received.live(*frames(3))
    old = frames(4)[3]
    new = [batch._replace(epoch=2) for batch in frames(3)]
    received.live(new[0], old, new[1], old, new[2])
    assert received.sent() == [0, 1, 2, 0, 1, 2]
    assert received.incoming.counters["old_epoch"] == 2


def test_an_epoch_that_flows_is_left_at_the_keyframe_of_a_newer_one_and_not_for_its_sound() -> None:
    received = Received()
    old = frames(8)
    received.live(*old[:4])
    assert received.live(audio(0), audio(0, epoch=2), audio(1)) == [True, False, True]
    newer = [batch._replace(epoch=2) for batch in frames(4)]
    assert received.live(newer[1], old[4]) == [False, True]  # its keyframe went another way
    assert received.requests == 1  # less than a second ago
    assert received.live(newer[0], old[5], audio(1, epoch=2), audio(2)) == [True, False, True, False]
    assert received.sent() == [0, 1, 2, 3, 4, 0]
    assert received.incoming.counters["early_epoch"] == 2


def test_the_keyframe_of_a_newer_epoch_comes_with_its_cached_pictures() -> None:
    received = Received()
    old, newer = frames(10), [batch._replace(epoch=2) for batch in frames(6)]
    received.live(*old[:4])
    received.now = REPLAY_INTERVAL
    received.live(old[4], newer[3], newer[4])
    assert received.requests == 2
    received.replay(*newer[:3])  # and what came live meanwhile follows it
    received.live(old[5], newer[5])
    assert received.sent() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5]


def test_what_is_kept_of_a_newer_epoch_is_bounded() -> None:
    received = Received()
    received.live(*frames(2))
    for batch in frames(1_000)[1:]:
        received.live(batch._replace(epoch=2, flags=0))
        received.live(frames(2)[1])
    assert len(received.incoming._coming) <= MAX_COMING


def test_a_silent_epoch_is_left_at_once() -> None:
    received = Received()
    received.live(*frames(2), audio(0))
    received.now = FLOWS
    assert received.live(audio(0, epoch=2)) == [True]


def test_sound_alone_needs_no_keyframe() -> None:
    received = Received()
    assert received.live(audio(0), audio(0, epoch=2), audio(1), audio(1, epoch=2)) == [True, True, False, True]


def test_an_older_epoch_takes_over_when_the_newer_is_silent() -> None:
    received = Received()
    received.live(*[batch._replace(epoch=9) for batch in frames(2)])
    received.now = EPOCH_SILENCE
    received.live(*frames(2))
    assert received.sent() == [0, 1, 0, 1]


def test_whoever_publishes_what_is_not_taken_is_told_once_which_epoch_is() -> None:
    received = Received()
    told: list[int] = []
    received.incoming.tell = told.append
    received.incoming.contested()  # nothing is taken yet
    received.live(*[batch._replace(epoch=4) for batch in frames(2)])
    newer = [batch._replace(epoch=9) for batch in frames(4)]
    assert received.live(newer[1]) == [False]
    assert told == []  # it will be taken
    received.live(newer[0], *frames(2), newer[1], *frames(2))
    received.incoming.contested()
    assert told == [9]
    received.live(newer[0]._replace(epoch=10))
    assert told == [9]  # which is as true as before
    received.live(newer[1])
    assert told == [9, 10]


def test_when_the_newer_epoch_is_silent_the_older_one_is_not_outdated_any_more() -> None:
    received = Received()
    told: list[int] = []
    received.incoming.tell = told.append
    received.live(*[batch._replace(epoch=9) for batch in frames(2)], *frames(1))
    received.now = EPOCH_SILENCE
    received.live(*frames(2))
    assert told == [9, 0]


@pytest.mark.parametrize(
    "stray", [{"sequence": (1 << 48) - 4}, {"epoch": (1 << 48) - 1}, {"arrival_ns": (1 << 63) - 1}]
)
@pytest.mark.parametrize("kind", Kind)
def test_one_batch_from_nowhere_silences_nobody_for_long(stray: dict[str, int], kind: Kind) -> None:
    received = Received()
    batches = frames(150, gop=10) if kind is Kind.VIDEO else [audio(number) for number in range(150)]
    received.live(*batches[:20])
    received.now = 0.6
    unix_ns = batches[20].arrival_ns
    received.incoming.receive(batches[20]._replace(**stray), now=received.now, unix_ns=unix_ns)
    taken = []
    for batch in batches[21:]:
        received.now += 1 / 30
        taken.append(received.live(batch)[0])
    assert all(taken[int(30 * EPOCH_SILENCE) + 12 :])


def test_audio_goes_on_over_a_gap() -> None:
    received = Received()
    assert received.live(audio(0), audio(1), audio(1), audio(4)) == [True, True, False, True]
    assert received.sent(Kind.AUDIO) == [0, 1, 4]
    assert received.incoming.counters["lost"] == 2
    assert received.requests == 1


def test_audio_does_not_wait_for_video() -> None:
    received = Received()
    received.live(frames(2, first=5)[0], audio(0))
    assert received.sent(Kind.AUDIO) == [0]


def test_what_waited_too_long_is_no_live_picture() -> None:
    received = Received()
    all_frames = frames(12)
    received.live(*all_frames[:2], late=0.1)
    received.live(*all_frames[2:4], late=MAX_AGE + 0.2)
    assert received.incoming.counters["stale"] == 2
    received.live(*all_frames[4:6], late=0.1)
    received.replay(*all_frames[:6])
    assert received.sent() == list(range(6))


def test_clocks_that_are_set_or_drift_stop_nothing_for_long() -> None:
    received = Received()
    late = 0.0
    for second, frame in enumerate(frames(120, gop=1)):
        received.now = float(second)
        late += 0.1
        received.live(frame, late=late + (3.0 if second > 60 else 0.0))
    stale = received.incoming.counters["stale"]
    assert 0 < stale <= 2 * TRANSIT_WINDOW + 1
    assert received.sent()[-1] == 119


def test_clocks_that_differ_make_nothing_stale() -> None:
    received = Received()
    received.live(*frames(3), late=3_600)
    received.live(*frames(3, first=3), late=3_600)
    assert received.sent() == list(range(6))


def test_what_is_kept_for_the_replay_is_bounded() -> None:
    received = Received()
    received.live(*frames(3 * MAX_PENDING, first=1, gop=10**6))
    assert len(received.incoming._pending) <= MAX_PENDING
    assert received.sent() == []


@given(st.data())
def test_whatever_is_lost_or_repeated_viewers_get_decodable_runs(data: st.DataObject) -> None:
    """Drops, repeats and replays at will: what is sent on is ascending, and each jump lands on a keyframe."""
    received, source = Received(), frames(60, gop=7)
    for at, batch in enumerate(source):
        received.now += 0.4
        action = data.draw(st.sampled_from(["send", "send", "drop", "repeat", "replay"]))
        if action in ("send", "repeat"):
            received.live(*[batch] * (2 if action == "repeat" else 1))
        elif action == "replay":
            received.replay(*source[at - at % 7 : at + 1])
    sent = received.sent()
    assert sent == sorted(set(sent))
    for before, after in itertools.pairwise(sent):
        assert after == before + 1 or after % 7 == 0
    assert not sent or sent[0] % 7 == 0


def test_partial_access_units_stay_whole() -> None:
    received = Received()
    head = video(0, 0, keyframe=True, packets=1, unit_end=False)
    tail = video(1, 0, packets=1)
    received.live(head, tail)
    assert received.sent() == [0, 1]


def test_what_waits_for_a_replay_is_bounded_in_bytes() -> None:
    received = Received()
    large = video(1, 1)._replace(payloads=[bytes(MAX_PAYLOAD)] * 1_000)
    for at in range(100):
        received.live(large._replace(sequence=1_000 * at + 1))
        assert sum(batch.size for batch in received.incoming._pending) <= MAX_PENDING_BYTES + large.size


def test_replays_that_nobody_asked_for_are_not_all_taken() -> None:
    received = Received()
    for _ in range(100):
        received.replay(*frames(3))
    assert received.incoming.counters["replays"] == MAX_REPLAYS
    assert received.incoming.counters["replays_refused"] == 100 - MAX_REPLAYS
    received.now += REPLAY_INTERVAL
    received.replay(*frames(5))
    assert received.sent() == list(range(5))


def test_another_publishers_clock_makes_nothing_of_its_epoch_stale() -> None:
    received = Received()
    received.live(*frames(3))
    received.live(*(batch._replace(epoch=batch.epoch + 1) for batch in frames(3)), late=MAX_AGE + 0.5)
    assert received.sent() == [0, 1, 2, 0, 1, 2]
    assert received.incoming.counters["stale"] == 0


def test_after_a_clock_was_set_it_is_seen_again_what_waited_too_long() -> None:
    received, (first, second, third) = Received(), frames(3)
    received.live(first)
    received.live(second, late=MOST_WAIT + 1.0)
    received.live(third, late=MOST_WAIT + 1.0 + MAX_AGE + 0.1)
    assert received.sent() == [0, 1]
    assert received.incoming.counters["stale"] == 1


def test_each_gap_is_counted_though_a_keyframe_ended_the_one_before() -> None:
    received, all_frames = Received(), frames(14)
    received.live(*all_frames[:3], all_frames[6], all_frames[10], all_frames[13])
    assert received.incoming.counters["gaps"] == 2
