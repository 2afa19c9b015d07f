"""L16 goes on in packets that fit, cut between samples, with the time of each."""

from __future__ import annotations

import pytest

from common.media import MAX_PAYLOAD, Batch, Kind, Track
from common.payload.output import Output
from ingest.payload.byte_order import ByteOrder
from ingest.payload.l16 import L16
from tests.fakes.clocks import ArrivalClock


def l16(rate: int = 16_000, channels: int = 1) -> tuple[L16, Output]:
    track = Track(Kind.AUDIO, "L16", rate, channels)
    output = Output(Kind.AUDIO, track.carried, ArrivalClock(), epoch=1)
    return L16(track, output, ByteOrder(channels)), output


def samples(first: int, count: int) -> bytes:
    return b"".join((number & 0xFFFF).to_bytes(2, "big") for number in range(first, first + count))


def feed(track: L16, payload: bytes, timestamp: int, arrival_ns: int = 5) -> None:
    track.receive(b"head" + payload, 4, 4 + len(payload), timestamp, False, arrival_ns)


def timed(batches: list[Batch]) -> list[tuple[int, int]]:
    """Timestamp and bytes of each, all of which stand for themselves."""
    assert all(batch.unit_end and len(batch.payloads) == 1 for batch in batches)
    return [(batch.timestamp, batch.size) for batch in batches]


@pytest.mark.parametrize(
    ("rate", "channels", "packet"),
    [(8_000, 1, 160), (16_000, 1, 320), (44_100, 1, 580), (48_000, 2, 290), (44_100, 2, 290), (11_025, 2, 220)],
)
@pytest.mark.parametrize("came", [0.001, 0.02, 0.1])
def test_packets_of_any_length_become_those_that_fit(rate: int, channels: int, packet: int, came: float) -> None:
    track, output = l16(rate, channels)
    sound = samples(0, rate // 2 * channels)
    each = int(rate * came) * 2 * channels
    for at in range(0, len(sound), each):
        feed(track, sound[at : at + each], 1_000 + at // (2 * channels))
    batches = output.take(0)
    assert timed(batches) == [(1_000 + number * packet, packet * 2 * channels) for number in range(len(batches))]
    sent = b"".join(batch.payloads[0] for batch in batches)
    assert sent == sound[: len(sent)], "the samples are as they came"
    assert len(sound) - len(sent) < packet * 2 * channels <= MAX_PAYLOAD
    assert {batch.codec for batch in batches} == {f"L16/{rate}/{channels}"}
    assert track.frames == len(batches)


def test_what_is_lost_is_a_gap_in_time_and_nothing_else() -> None:
    track, output = l16()
    feed(track, samples(0, 400), 0)
    track.lost()
    feed(track, samples(800, 400), 800)
    assert [(batch.timestamp, batch.payloads[0]) for batch in output.take(0)] == [
        (0, samples(0, 320)),
        (800, samples(800, 320)),
    ]


def test_timestamps_that_count_something_else_than_samples_are_counted_anew() -> None:
    track, output = l16()
    for number in range(4):
        feed(track, samples(0, 320), number * 330)
    assert timed(output.take(0)) == [(number * 320, 640) for number in range(4)]
    feed(track, samples(0, 320), 10_000)
    assert timed(output.take(0)) == [(10_000, 640)], "a pause of more than 100 ms is one"


def test_a_part_of_a_sample_is_left_out() -> None:
    track, output = l16(channels=2)
    feed(track, b"abc", 0)
    assert (output.take(0), track.dropped) == ([], 1)
    feed(track, samples(0, 640) + b"x", 0)
    assert [batch.payloads[0] for batch in output.take(0)] == [samples(0, 580)]
    feed(track, samples(640, 640), 320)
    assert output.take(0)[0].payloads[0] == samples(580, 580), "what follows is not shifted by it"


def test_another_stream_begins_with_its_own_time() -> None:
    track, output = l16()
    feed(track, samples(0, 300), 0)
    track.restart()
    feed(track, samples(9, 320), 5)
    assert timed(output.take(0)) == [(5, 640)]
