"""Speech codecs over RTP, on their way to a converter: packets cut into the frames that decoders take; no I/O.

* AMR and AMR-WB (RFC 4867 4): octet-aligned or bandwidth-efficient, frames of any mode, several in a packet. Each goes
  on as a file has it (5.3). Interleaving, CRC and robust sorting do not occur with cameras, and are not taken.
* GSM (RFC 3551 4.5.8), G.723.1 (4.5.3) and G.729 (4.5.6): frames of known sizes, one behind the other.

Frames of silence (comfort noise, nothing sent) are left out: the times of those around them show the gap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from common.media import Track
from common.payload.bits import Bits
from common.payload.output import Output
from ingest.payload.standalone import Standalone

MAX_FRAMES = 64  # in a packet: more than a second

# Bits of a frame's speech by its mode, RFC 4867 3.6 and tables 1a and 1b there; what is beyond is no speech.
_AMR_BITS = {
    "AMR": (95, 103, 118, 134, 148, 159, 204, 244),
    "AMR-WB": (132, 177, 253, 285, 317, 365, 397, 461, 477),
}
_SILENCE_BITS = {"AMR": 39, "AMR-WB": 40}  # of comfort noise, the mode behind the last of speech
_LOST = 14  # modes from this one on have no bits: lost, or nothing to send
_UNUSUAL = ("crc", "robust-sorting", "interleaving")  # parameters of AMR, RFC 4867 8.1

TICKS = {"AMR": 160, "AMR-WB": 320, "GSM": 160, "G723": 240, "G729": 80}
"""Samples of a frame, and ticks of its clock."""

Split = Callable[[bytes], list[bytes]]
"""From a payload to its frames; an empty one is silence. Raises ``ValueError``."""


class Speech(Standalone):
    """One camera's track; ``parameters`` are those of its session description."""

    def __init__(self, track: Track, parameters: Mapping[str, str], output: Output) -> None:
        super().__init__(track)
        self._output = output
        self._ticks = TICKS[track.codec]
        self._split = _split(track.codec, parameters)

    def receive(self, packet: bytes, start: int, end: int, timestamp: int, marker: bool, arrival_ns: int) -> None:
        """Take the payload ``packet[start:end]``, in order; ``timestamp`` is extended, that of the first frame."""
        try:
            frames = self._split(packet[start:end])
        except ValueError:
            self.dropped += 1
            return
        for number, frame in enumerate(frames):
            if frame:
                self.frames += 1
                self._output.send(frame, timestamp + number * self._ticks, arrival_ns)


def unusual(parameters: Mapping[str, str]) -> str:
    """The parameter of AMR that makes packets of another kind than are taken; empty if none does."""
    return next((name for name in _UNUSUAL if parameters.get(name, "0") not in ("", "0")), "")


def _split(codec: str, parameters: Mapping[str, str]) -> Split:
    if codec in _AMR_BITS:
        aligned = parameters.get("octet-align", "0") == "1"
        return lambda payload: _amr(payload, codec, aligned=aligned)
    if codec == "G723":
        return lambda payload: _cut(payload, lambda byte: _G723_SIZES[byte & 3], 20)
    size = 33 if codec == "GSM" else 10
    return lambda payload: _cut(payload, lambda _: size, size)


_G723_SIZES = (24, 20, 4, 1)  # bytes, by the lowest bits of the first


def _cut(payload: bytes, size_of: Callable[[int], int], least: int) -> list[bytes]:
    """Frames one behind the other. Those below ``least`` bytes, and what is left at the end, are silence."""
    frames: list[bytes] = []
    at = 0
    while at < len(payload) and len(frames) < MAX_FRAMES:
        size = size_of(payload[at])
        frame = payload[at : at + size]
        frames.append(frame if least <= size == len(frame) else b"")
        at += size
    return frames


def _amr(payload: bytes, codec: str, *, aligned: bool) -> list[bytes]:
    """RFC 4867 4.3 and 4.4: a mode that is asked of us, a table of contents, the frames."""
    sizes, bits = _AMR_BITS[codec], Bits(payload)
    padding = 4 * aligned
    bits.u(4 + padding)  # the codec mode request
    modes, more = [], 1
    while more:
        more, mode, good = bits.u(1), bits.u(4), bits.u(1)
        bits.u(padding // 2)
        modes.append((mode, good))
        if len(modes) > MAX_FRAMES:
            raise ValueError("a table of contents without end")
    frames = []
    for mode, good in modes:
        count = sizes[mode] if mode < len(sizes) else _SILENCE_BITS[codec] if mode == len(sizes) else 0
        if not count and mode < _LOST:
            raise ValueError(f"mode {mode} is not known")
        left = -count % 8
        data = bits.u(count) << left
        if aligned:
            bits.u(left)
        speech = mode < len(sizes)
        frames.append(bytes((mode << 3 | good << 2,)) + data.to_bytes((count + 7) // 8) if speech else b"")
    return frames
