"""G.711 at another rate than browsers play, or in stereo, brought to 8,000 Hz mono; no I/O.

Decoded by table, filtered below 3.4 kHz and thinned out by one windowed sinc, encoded by table. In pure Python that
takes 1.5 % of a core for 16,000 Hz and twice that for 48,000 (``tests/ingest/payload/test_resample.py``); cameras at
8,000 Hz, nearly all, do not come here.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from operator import mul

RATE = 8_000  # Hz, of what comes out
MAX_RATE = 48_000
MAX_PHASES = 320  # positions between two samples at which filters are made: 11,025 Hz needs so many
CHANNELS = (1, 2)

_CUTOFF = 3_400.0  # Hz: what telephones pass
_REACH = 8  # periods of 8,000 Hz to each side that the filter sees
_TOP = 1 << 16  # no sum of the filter's products is larger


def can_resample(rate: int, channels: int) -> bool:
    """Whether ``Resampler`` takes sound of that rate in Hz."""
    return RATE <= rate <= MAX_RATE and RATE // math.gcd(rate, RATE) <= MAX_PHASES and channels in CHANNELS


class Resampler:
    """One track's samples; ``codec`` is ``PCMU`` or ``PCMA``."""

    def __init__(self, codec: str, rate: int, channels: int) -> None:
        self._decoded, self._encoded = _tables(codec)
        self._channels = channels
        self._filters = _filters(rate)
        self._taps = len(self._filters[0])
        self._step, self._phases = steps_of(rate)
        self.reset()

    def reset(self) -> None:
        """Forget what came before: the next samples do not continue it."""
        self._samples = [0.0] * (self._taps // 2)
        self._position = 0  # of the next sample that goes out, in phases from the first that is kept
        self._odd = b""

    def convert(self, data: bytes) -> bytes:
        """The samples to send for ``data``; a millisecond of it waits for more."""
        decoded: list[float] = [self._decoded[byte] for byte in self._odd + data]
        self._odd = b""
        if self._channels == 2:
            if len(decoded) % 2:
                decoded.pop()
                self._odd = data[-1:]
            decoded = [(left + right) / 2 for left, right in zip(decoded[::2], decoded[1::2], strict=True)]
        samples = self._samples + decoded
        filters, taps, step, phases = self._filters, self._taps, self._step, self._phases
        position, last = self._position, (len(samples) - taps) * phases
        encoded, out = self._encoded, bytearray()
        while position <= last:
            at, phase = divmod(position, phases)
            out.append(encoded[_TOP + int(sum(map(mul, filters[phase], samples[at : at + taps])))])
            position += step
        at = min(position // phases, len(samples))
        self._samples, self._position = samples[at:], position - at * phases
        return bytes(out)


def steps_of(rate: int) -> tuple[int, int]:
    """Phases from one sample that goes out to the next, and phases from one that comes in to the next."""
    common = math.gcd(rate, RATE)
    return rate // common, RATE // common


@lru_cache(maxsize=8)
def _filters(rate: int) -> list[list[float]]:
    """The filter's coefficients for each phase: a sinc under a Hann window, of a sum of one."""
    phases = steps_of(rate)[1]
    reach = math.ceil(_REACH * rate / RATE)
    filters = []
    for phase in range(phases):
        taps = []
        for at in range(-reach, reach + 1):
            x = at - phase / phases
            angle = 2 * math.pi * _CUTOFF / rate * x
            window = 0.5 + 0.5 * math.cos(math.pi * x / (reach + 1))
            taps.append(window * (math.sin(angle) / angle if angle else 1.0))
        total = sum(taps)
        filters.append([tap / total for tap in taps])
    return filters


@lru_cache(maxsize=2)
def _tables(codec: str) -> tuple[list[int], bytes]:
    """The sample of each byte (ITU-T G.711), and the byte for each sample from ``-_TOP`` on: that of the nearest."""
    decoded = [(_decode_mu_law if codec == "PCMU" else _decode_a_law)(byte) for byte in range(256)]
    order = sorted(range(256), key=decoded.__getitem__)
    bounds = [-_TOP, *((decoded[one] + decoded[next_] + 1) // 2 for one, next_ in pairwise(order)), _TOP + 1]
    encoded = b"".join(
        bytes((byte,)) * (end - begin) for byte, (begin, end) in zip(order, pairwise(bounds), strict=True)
    )
    return decoded, encoded


def _decode_mu_law(byte: int) -> int:
    byte = ~byte & 0xFF
    value = ((byte & 0x0F) << 3 | 0x84) << (byte >> 4 & 7)
    return 0x84 - value if byte & 0x80 else value - 0x84


def _decode_a_law(byte: int) -> int:
    byte ^= 0x55
    segment, value = byte >> 4 & 7, (byte & 0x0F) << 4 | 8
    if segment:
        value = (value | 0x100) << segment - 1
    return value if byte & 0x80 else -value
