"""The microphone's sound: a beep at each full second over a faint hum, the same every second; no I/O, no libraries."""

from __future__ import annotations

import math
import struct

from camshaft.demo_camera.settings import AUDIO_FRAMES_PER_SECOND

BEEP_HZ, HUM_HZ = 1000, 100  # both go into a second without a rest
BEEP_SECONDS = 0.1


def second(rate: int) -> list[int]:
    """One second of sound, 16 bit, at ``rate`` Hz. It starts with the beep and joins to itself without a click."""
    samples = []
    for index in range(rate):
        time = index / rate
        value = 300 * math.sin(2 * math.pi * HUM_HZ * time)
        if time < BEEP_SECONDS:
            envelope = math.sin(math.pi * time / BEEP_SECONDS)
            value += 12_000 * envelope * math.sin(2 * math.pi * BEEP_HZ * time)
        samples.append(round(value))
    return samples


def pcm_frames(rate: int) -> list[bytes]:
    """The second in frames of 20 ms, little endian."""
    size = rate // AUDIO_FRAMES_PER_SECOND
    samples = second(rate)
    return [struct.pack(f"<{size}h", *samples[start : start + size]) for start in range(0, rate, size)]


def pcmu_frames() -> list[bytes]:
    """The second as G.711 mu-law (ITU-T G.711, RFC 3551 4.5.14) in frames of 20 ms."""
    coded = bytes(map(mu_law, second(8_000)))
    size = 8_000 // AUDIO_FRAMES_PER_SECOND
    return [coded[start : start + size] for start in range(0, len(coded), size)]


def mu_law(sample: int) -> int:
    """One 16-bit sample as a mu-law byte."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32_635) + 132
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | magnitude >> exponent + 3 & 0x0F) & 0xFF
