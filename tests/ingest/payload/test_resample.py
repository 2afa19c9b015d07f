"""G.711 of other rates keeps its pitch and its level."""

from __future__ import annotations

import math
import time

import pytest

from ingest.payload.resample import RATE, Resampler, _tables, can_resample

RATES = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000]


def tone(codec: str, rate: int, hertz: float, seconds: float = 1.0, level: float = 8_000.0) -> bytes:
    encoded = _tables(codec)[1]
    return bytes(
        encoded[(1 << 16) + round(level * math.sin(2 * math.pi * hertz * n / rate))]
        for n in range(round(rate * seconds))
    )


def level_at(codec: str, data: bytes, hertz: float) -> float:
    """The amplitude of one frequency in what came out, its beginning and end left out."""
    samples = [_tables(codec)[0][byte] for byte in data][200:-200]
    angle = 2 * math.pi * hertz / RATE
    real = sum(sample * math.cos(angle * n) for n, sample in enumerate(samples))
    imaginary = sum(sample * math.sin(angle * n) for n, sample in enumerate(samples))
    return 2 * math.hypot(real, imaginary) / len(samples)


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
@pytest.mark.parametrize("rate", RATES)
def test_a_tone_keeps_its_pitch_and_level(codec: str, rate: int) -> None:
    resampler = Resampler(codec, rate, 1)
    out = b"".join(resampler.convert(piece) for piece in pieces(tone(codec, rate, 440.0), 321))
    assert abs(len(out) - RATE) <= 10
    assert level_at(codec, out, 440.0) == pytest.approx(8_000, rel=0.05)
    assert level_at(codec, out, 880.0) < 200


@pytest.mark.parametrize("rate", [16_000, 32_000, 48_000])
def test_what_8_khz_cannot_hold_is_filtered_out(rate: int) -> None:
    out = Resampler("PCMU", rate, 1).convert(tone("PCMU", rate, 6_000.0))
    assert level_at("PCMU", out, 2_000.0) < 100  # where it would be heard


def test_stereo_becomes_the_middle_of_both_whatever_the_size_of_its_pieces() -> None:
    left, right = tone("PCMA", 8_000, 440.0), tone("PCMA", 8_000, 1_000.0)
    both = b"".join(bytes(pair) for pair in zip(left, right, strict=True))
    resampler = Resampler("PCMA", 8_000, 2)
    out = b"".join(resampler.convert(piece) for piece in pieces(both, 333))
    assert level_at("PCMA", out, 440.0) == pytest.approx(4_000, rel=0.05)
    assert level_at("PCMA", out, 1_000.0) == pytest.approx(4_000, rel=0.05)


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_tables_are_inverse_and_take_the_loudest(codec: str) -> None:
    decoded, encoded = _tables(codec)
    assert len(encoded) == (1 << 17) + 1
    assert all(decoded[encoded[(1 << 16) + sample]] == sample for sample in decoded)
    assert max(decoded) in (32_124, 32_256)
    square = encoded[1 << 17 : (1 << 17) + 1] * 40 + encoded[:1] * 40
    assert len(Resampler(codec, 16_000, 1).convert(square * 20)) > 700


def test_rates_that_are_taken() -> None:
    assert all(can_resample(rate, channels) for rate in RATES for channels in (1, 2))
    assert not any(
        can_resample(*each) for each in [(0, 1), (4_000, 1), (8_001, 1), (96_000, 1), (16_000, 0), (8_000, 3)]
    )


def test_it_takes_a_small_part_of_a_core() -> None:
    resampler, data = Resampler("PCMU", 16_000, 1), tone("PCMU", 16_000, 440.0, seconds=2.0)
    begin = time.thread_time()
    resampler.convert(data)
    assert time.thread_time() - begin < 0.4  # of 2 s; measured 0.03
