"""Payloads become batches."""

from __future__ import annotations

from common.media import Flags, Kind
from common.payload.output import GATHER_NS, STILL, Output

NOW = 5_000_000_000


class HalfASecondAgo:
    """A capture clock."""

    def capture_ns(self, timestamp: int, arrival_ns: int) -> int:
        return arrival_ns - 500_000_000


def output() -> Output:
    return Output(Kind.VIDEO, "H264", HalfASecondAgo(), epoch=1)


def test_numbers_are_given_when_a_batch_is_cut() -> None:
    out = output()
    out.begin(100, NOW, Flags.KEYFRAME)
    out.payloads += [b"a", b"b"]
    out.cut()
    out.payloads += [b"lost"]
    out.discard()
    out.payloads += [b"c"]
    out.cut(Flags.UNIT_END)
    first, second = out.take(NOW)
    assert (first.sequence, first.payloads, first.keyframe, first.unit_end) == (0, [b"a", b"b"], True, False)
    assert (second.sequence, second.payloads, second.keyframe, second.unit_end) == (2, [b"c"], False, True)
    assert first.timestamp == second.timestamp == 100
    assert first.capture_ns == second.capture_ns == 4_500_000_000
    assert out.take(NOW) == []


def test_the_beginning_of_a_unit_waits_a_moment_for_the_rest() -> None:
    out = output()
    out.begin(1, NOW)
    assert (out.take(NOW), out.deadline_ns) == ([], None)
    out.payloads.append(b"a")
    assert (out.take(NOW + GATHER_NS - 1), out.deadline_ns) == ([], NOW + GATHER_NS)
    out.payloads.append(b"b")
    [batch] = out.take(NOW + GATHER_NS)
    assert (batch.payloads, batch.unit_end, out.deadline_ns) == ([b"a", b"b"], False, None)


def test_the_end_of_a_unit_waits_for_nothing() -> None:
    out = output()
    out.begin(1, NOW)
    out.payloads.append(b"a")
    out.cut(Flags.UNIT_END)
    out.begin(2, NOW)
    out.payloads.append(b"b")
    assert [batch.timestamp for batch in out.take(NOW)] == [1]


def test_timestamps_always_grow() -> None:
    out = output()
    for timestamp in (10, 10, 5, 11, 20):
        out.send(b"a", timestamp, 0)
    assert [batch.timestamp for batch in out.take(NOW)] == [10, 11, 12, 13, 20]


def test_a_picture_whose_timestamp_stands_still_has_the_time_at_which_it_comes() -> None:
    out = output()
    for number in range(STILL + 26):
        out.send(b"a", 7, NOW + number * 40_000_000)
    stamps = [batch.timestamp for batch in out.take(NOW + 10**10)]
    assert stamps[-1] - stamps[-25] == 24 * 3_600


def test_sound_whose_timestamp_stands_still_has_the_time_at_which_it_comes() -> None:
    out = Output(Kind.AUDIO, "opus", HalfASecondAgo(), epoch=1, rate=48_000)
    for number in range(STILL + 51):
        out.send(b"a", 7, NOW + number * 20_000_000)
    stamps = [batch.timestamp for batch in out.take(NOW + 10**10)]
    assert stamps[-1] - stamps[-51] == 50 * 960


def test_timestamps_that_go_back_and_move_are_no_clock_that_stands_still() -> None:
    out = output()
    for number in range(STILL + 26):
        out.send(b"a", 7_000_000 - number, NOW + number * 40_000_000)
    assert [batch.timestamp for batch in out.take(NOW + 10**10)] == [7_000_000 + number for number in range(STILL + 26)]


def test_a_new_epoch_counts_from_zero() -> None:
    out = output()
    out.send(b"a", 1, 0)
    out.payloads.append(b"discarded")
    out.renew(2)
    out.send(b"b", 2, 0)
    assert [(batch.epoch, batch.sequence) for batch in out.take(NOW)] == [(1, 0), (2, 0)]
