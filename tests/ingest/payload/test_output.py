"""How payloads become batches."""

from __future__ import annotations

from common.media import Flags, Kind
from ingest.payload.output import Output


class HalfASecondAgo:
    """A capture clock."""

    def capture_ns(self, timestamp: int, arrival_ns: int) -> int:
        return arrival_ns - 500_000_000


def output() -> Output:
    return Output(Kind.VIDEO, "H264", HalfASecondAgo(), epoch=1)


def test_numbers_are_given_when_a_batch_is_cut() -> None:
    out = output()
    out.begin(100, 5_000_000_000, Flags.KEYFRAME)
    out.payloads += [b"a", b"b"]
    out.cut()
    out.payloads += [b"lost"]
    out.discard()
    out.payloads += [b"c"]
    out.cut(Flags.UNIT_END)
    first, second = out.take()
    assert (first.sequence, first.payloads, first.keyframe, first.unit_end) == (0, [b"a", b"b"], True, False)
    assert (second.sequence, second.payloads, second.keyframe, second.unit_end) == (2, [b"c"], False, True)
    assert first.timestamp == second.timestamp == 100
    assert first.capture_ns == second.capture_ns == 4_500_000_000
    assert out.take() == []


def test_take_cuts() -> None:
    out = output()
    out.begin(1, 0)
    assert out.take() == []
    out.payloads.append(b"a")
    assert len(out.take()) == 1


def test_timestamps_always_grow() -> None:
    out = output()
    for timestamp in (10, 10, 5, 11, 20):
        out.send(b"a", timestamp, 0)
    assert [batch.timestamp for batch in out.take()] == [10, 11, 12, 13, 20]


def test_a_new_epoch_counts_from_zero() -> None:
    out = output()
    out.send(b"a", 1, 0)
    out.payloads.append(b"discarded")
    out.renew(2)
    out.send(b"b", 2, 0)
    assert [(batch.epoch, batch.sequence) for batch in out.take()] == [(1, 0), (2, 0)]
