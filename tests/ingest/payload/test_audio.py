"""Opus and G.711 payloads."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.media import MAX_PAYLOAD, Batch, Kind
from common.payload.output import Output
from ingest.payload.aac import Configuration
from ingest.payload.g711 import CHUNK, G711, MAX_DEVIATION
from ingest.payload.opus import Opus
from tests.fakes.clocks import ArrivalClock

ARRIVAL_NS = 1_700_000_000_000_000_000


def g711() -> tuple[G711, Output]:
    output = Output(Kind.AUDIO, "PCMU", ArrivalClock(), epoch=3)
    return G711("PCMU", output), output


def receive(track: G711 | Opus, payload: bytes, timestamp: int, arrival_ns: int = ARRIVAL_NS) -> None:
    track.receive(b"header" + payload + b"beyond", 6, 6 + len(payload), timestamp, False, arrival_ns)


def adts(size: int) -> bytes:
    return Configuration.parse(bytes.fromhex("1188")).adts(size) + bytes(size)


def test_aac_that_is_announced_as_g711_is_not_played_and_said() -> None:
    track, output = g711()
    for number in range(20):
        receive(track, adts(200 + number) + adts(120), number * 1_024)
    assert track.frames < 10, "the first of them are not known yet"
    assert "arrives as AAC" in track.track.warning
    assert track.dropped == 18
    output.take(ARRIVAL_NS)
    for number in range(20, 30):
        receive(track, bytes(CHUNK), number * 1_024)
    assert track.track.warning == "", "somebody has set it right"
    assert output.take(ARRIVAL_NS)


@pytest.mark.parametrize(
    "payload", [b"\xff" * 160, b"\xff\xf1" * 80, b"\xff" + bytes(159), adts(153)[:159], adts(153) + b"\0"]
)
def test_sound_that_begins_as_aac_may_is_played(payload: bytes) -> None:
    track, _ = g711()
    for number in range(20):
        receive(track, payload, number * len(payload))
    assert track.dropped == 0
    assert track.track.warning == ""


def test_opus_passes_through() -> None:
    output = Output(Kind.AUDIO, "opus", ArrivalClock(), epoch=3)
    track = Opus(output)
    for number in range(3):
        receive(track, bytes([number]) * 80, number * 960)
    assert output.take(0) == [
        Batch("audio", "opus", 3, n, n * 960, ARRIVAL_NS, ARRIVAL_NS, 2, [bytes([n]) * 80]) for n in range(3)
    ]
    assert (track.frames, track.dropped) == (3, 0)
    assert (track.track.clock_rate, track.track.channels, track.track.playable) == (48_000, 2, True)


def test_opus_too_large_is_dropped_and_counted() -> None:
    output = Output(Kind.AUDIO, "opus", ArrivalClock(), epoch=3)
    track = Opus(output)
    receive(track, bytes(MAX_PAYLOAD), 0)
    receive(track, bytes(MAX_PAYLOAD + 1), 960)
    assert len(output.take(0)) == track.frames == track.dropped == 1


@pytest.mark.parametrize("size", [1, 80, 159, 160, 161, 240, 320, 1_024, 4_000])
def test_g711_of_any_chunk_size_becomes_20_ms(size: int) -> None:
    samples = bytes(n * n % 251 for n in range(8_000))
    track, output = g711()
    for at in range(0, len(samples), size):
        receive(track, samples[at : at + size], 5_000 + at)
    batches = output.take(0)
    assert b"".join(payload for batch in batches for payload in batch.payloads) == samples
    assert [batch.timestamp for batch in batches] == [5_000 + n * CHUNK for n in range(50)]
    assert [batch.sequence for batch in batches] == list(range(50))
    assert all(len(batch.payloads) == 1 and len(batch.payloads[0]) == CHUNK and batch.unit_end for batch in batches)
    assert track.frames == 50


def test_g711_gap_makes_the_timestamps_jump() -> None:
    track, output = g711()
    receive(track, b"a" * 200, 0)
    receive(track, b"b" * 320, 200 + MAX_DEVIATION + 1)
    batches = output.take(0)
    assert [batch.timestamp for batch in batches] == [0, 1_001, 1_161]
    assert [set(batch.payloads[0]) for batch in batches] == [set(b"a"), set(b"b"), set(b"b")]


def test_g711_timestamps_jump_once_after_a_loss() -> None:
    track, output = g711()
    receive(track, bytes(160), 0)
    track.lost()
    receive(track, bytes(160), 480)
    receive(track, bytes(160), 700)  # nothing is missing here: it counts wrong
    track.lost()
    receive(track, bytes(160), 700)
    assert [batch.timestamp for batch in output.take(0)] == [0, 480, 640, 800]


@pytest.mark.parametrize("wrong", [-200, -160, 1, 160, MAX_DEVIATION])
def test_g711_timestamps_that_are_a_little_wrong_are_counted_over(wrong: int) -> None:
    track, output = g711()
    for number in range(4):
        receive(track, bytes(160), 8_000 + number * 160 + (wrong if number else 0))
    assert [batch.timestamp for batch in output.take(0)] == [8_000 + n * CHUNK for n in range(4)]


def test_g711_timestamps_that_stand_still() -> None:
    track, output = g711()
    for _ in range(100):
        receive(track, bytes(160), 0)
    assert [batch.timestamp for batch in output.take(0)] == [n * CHUNK for n in range(100)]


def test_g711_restart() -> None:
    track, output = g711()
    receive(track, b"a" * 100, 0)
    track.restart()
    receive(track, b"b" * 160, 100)
    assert [(batch.timestamp, batch.payloads) for batch in output.take(0)] == [(100, [b"b" * 160])]


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=500), st.integers(0, 5_000)), max_size=30))
def test_g711_of_any_kind(packets: list[tuple[bytes, int]]) -> None:
    track, output = g711()
    timestamp = 0
    for payload, step in packets:
        timestamp += step
        receive(track, payload, timestamp)
    batches = output.take(0)
    stamps = [batch.timestamp for batch in batches]
    assert all(after - before >= CHUNK for before, after in pairwise(stamps))
    assert all(len(batch.payloads[0]) == CHUNK for batch in batches)


def test_g711_at_16_khz_comes_out_at_8_in_its_own_time() -> None:
    output = Output(Kind.AUDIO, "PCMU", ArrivalClock(), epoch=3)
    track = G711("PCMU", output, rate=16_000)
    for number in range(100):  # 20 ms each; timestamps are those of 8,000 Hz by now
        receive(track, b"\xff" * 320, 5_000 + 160 * number)
    batches = output.take(0)
    assert len(batches) in (98, 99, 100)
    assert [batch.timestamp for batch in batches] == [5_000 + 160 * n for n in range(len(batches))]
    assert {payload for batch in batches for payload in batch.payloads} == {b"\xff" * CHUNK}
    track.lost()
    receive(track, b"\xff" * 320, 5_000 + 160 * 200)
    receive(track, b"\xff" * 320, 5_000 + 160 * 201)
    assert output.take(0)[0].timestamp == 5_000 + 160 * 200


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (8_000, 2)])
def test_samples_that_are_8_000_a_second_whatever_was_announced_are_not_thinned_out(rate: int, channels: int) -> None:
    output = Output(Kind.AUDIO, "PCMU", ArrivalClock(), epoch=3)
    track = G711("PCMU", output, rate=rate, channels=channels)
    for number in range(50):
        receive(track, bytes([number]) * 160, 160 * number)
    payloads = [payload for batch in output.take(0) for payload in batch.payloads]
    assert payloads[-40:] == [bytes([number]) * 160 for number in range(10, 50)]


@pytest.mark.parametrize("ticks", [0, 160])
def test_twice_as_many_samples_as_announced_are_brought_to_8_khz(ticks: int) -> None:
    track, output = g711()
    stamps = []
    for number in range(600):  # 20 ms each
        receive(track, b"\xff" * 320, ticks * number, ARRIVAL_NS + number * 20_000_000)
        stamps += [batch.timestamp for batch in output.take(0)][-1:]
    assert stamps[-1] - stamps[-51] == 50 * CHUNK


@pytest.mark.parametrize("late", [0.0, 4.0])
def test_samples_that_waited_on_the_way_are_no_more_than_was_announced(late: float) -> None:
    track, output = g711()
    for number in range(900):  # 20 ms each; what was late comes twice as fast as it should
        arrival = max(number * 0.02, late + number * 0.01)
        receive(track, bytes([number % 251]) * 160, 160 * number, ARRIVAL_NS + round(arrival * 10**9))
    assert [batch.timestamp for batch in output.take(0)] == [160 * number for number in range(900)]
