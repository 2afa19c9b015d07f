"""A train of packets is counted as its packets one by one would be; what is otherwise is left alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rigs.load.delays import Delays
from rigs.load.rtp import Stream
from rigs.load.trains import Trains
from rigs.rtp import rtp

SSRC, SIZE = 9, 100
NOW_NS = 1_000_000_000


def packets(count: int, *, sequence: int = 65_534, timestamp: int = 3_000, ssrc: int = SSRC) -> list[bytes]:
    """One frame of ``count`` packets of ``SIZE`` bytes each, the last one shorter."""
    sizes = [SIZE - 12] * (count - 1) + [SIZE - 32]
    return [
        rtp(bytes(size), sequence + n & 0xFFFF, timestamp, marker=n == count - 1, ssrc=ssrc)
        for n, size in enumerate(sizes)
    ]


class Watching:
    """A viewer with one stream, whose packets lie in a buffer one after the other."""

    def __init__(self, **fields: Any) -> None:
        self.stream = Stream(SSRC, "video", "H264", 90_000, next=65_534, sample_in=10**6, **fields)
        self.looked_at: list[bytes] = []
        self.viewer: Any = SimpleNamespace(
            streams={SSRC: self.stream},
            inspect=lambda _stream, packet, _now: self.looked_at.append(packet),
            first_keyframe_at=0.0,
            shift=0,
        )
        self.delays = Delays()

    def count(self, train: list[bytes], *, at_ns: int = NOW_NS) -> bool:
        data = b"".join(train)
        receiver: Any = SimpleNamespace(data=memoryview(data), stride=65_536, trains=True)
        trains = Trains(receiver, self.delays)
        return trains.count(self.viewer, 0, SIZE, len(train), len(data), at_ns, at_ns + 500, 1.0)


def test_a_train_counts_as_its_packets_and_the_next_one_continues_it() -> None:
    watching = Watching()
    assert watching.count(packets(4))
    stream = watching.stream
    assert (stream.packets, stream.bytes, stream.frames, stream.next) == (4, 4 * SIZE - 20, 1, 2)
    assert (stream.last_ns, stream.last_timestamp) == (NOW_NS + 500, 3_000)
    assert watching.count(packets(1, sequence=2, timestamp=6_000), at_ns=NOW_NS + 40_000_500)
    assert (stream.packets, stream.frames, stream.next, stream.gap_ns) == (5, 2, 3, NOW_NS)
    assert list(stream.arrivals) == [NOW_NS + 500, NOW_NS + 40_001_000]


@pytest.mark.parametrize(
    "train",
    [
        packets(3, sequence=65_535),  # one is missing before it
        packets(3, ssrc=8),
        [*packets(2)[:1], packets(1, sequence=1)[0]],  # one is missing within
        [*packets(2)[:1], packets(1, sequence=65_535, timestamp=6_000)[0]],
        [*packets(2)[:1], packets(1, sequence=65_535, ssrc=8)[0]],
        [b"\x16" + bytes(SIZE)],  # a DTLS record
    ],
)
def test_what_does_not_simply_continue_its_stream_changes_nothing(train: list[bytes]) -> None:
    watching = Watching()
    before = repr(watching.stream)
    assert not watching.count(train)
    assert repr(watching.stream) == before


def test_a_stream_of_which_each_packet_needs_a_look_has_no_trains() -> None:
    assert not Watching(special=True).count(packets(3))


def test_all_packets_are_decrypted_until_a_keyframe_and_then_one_in_so_many() -> None:
    watching = Watching()
    watching.stream.sample_in = 0
    train = packets(4)
    watching.count(train)
    assert watching.looked_at == train
    watching.looked_at.clear()
    watching.viewer.first_keyframe_at = 0.5
    following = packets(2, sequence=2, timestamp=6_000)
    watching.count(following)
    assert watching.looked_at == following[-1:]


def test_ends_of_frames_are_marked_for_a_timeline() -> None:
    watching = Watching()
    watching.count(packets(4))
    assert watching.delays.marks == []
    watching.delays.timeline = SimpleNamespace()  # any
    watching.count(packets(2, sequence=2, timestamp=6_000), at_ns=NOW_NS + 10**7)
    assert watching.delays.marks == [(watching.viewer, 6_000, NOW_NS + 10**7 + 500)]


def test_messages_read_together_lie_further_apart_than_they_are_long() -> None:
    data = b"a" * 30 + bytes(20) + b"b" * 20 + bytes(30)
    receiver: Any = SimpleNamespace(data=memoryview(data), stride=50, trains=False, length=[30, 20].__getitem__)
    trains = Trains(receiver, Delays())
    assert [trains.packet(0, 50, number, 50) for number in range(2)] == [b"a" * 30, b"b" * 20]
