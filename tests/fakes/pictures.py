"""Pictures as cameras send them over TCP, ordinary and not, chosen by chance."""

from __future__ import annotations

import random
from collections.abc import Callable

from rigs.rtp import rtp, sender_report

SSRC = 0x1234
_H264_SETS = (
    bytes.fromhex("6742c01fda0280f6c05a808080a0000003002000000651e3065400"),
    bytes.fromhex("68ce3c80"),
)
_H265_SETS = (
    bytes.fromhex("40010c01ffff01600000030090000003000003003cba0240"),
    bytes.fromhex("42010101600000030090000003000003003ca00a080f165ba4a4c2e68080000003008000000f04"),
    bytes.fromhex("4401c073c189"),
)


def framed(packet: bytes, channel: int = 0) -> bytes:
    """RFC 2326 10.12."""
    return b"$%c" % channel + len(packet).to_bytes(2) + packet


class Camera:
    """One camera's picture. What it sends depends on the seed alone; slices have something ``strange`` where wanted."""

    def __init__(self, seed: int, *, h265: bool = False, strange: bool = True) -> None:
        self._chance, self._strange = random.Random(seed), strange
        self._h265 = h265
        self._sequence = self._chance.choice([0, 65_500, 40_000])
        self._timestamp = self._chance.choice([0, 0xFFFF_0000])

    def keyframe(self, size: int = 3_000) -> bytes:
        """Parameter sets and a picture that a decoder can start with."""
        kind = 19 if self._h265 else 5
        return self._sent([*(_H265_SETS if self._h265 else _H264_SETS), self.slice(kind, size)])

    def ordinary(self, *sizes: int) -> bytes:
        """A picture of slices of so many bytes."""
        return self._sent([self.slice(1, size, first=not at) for at, size in enumerate(sizes)])

    def picture(self, *nals: bytes, size: int = 1_400) -> bytes:
        """A picture of these NAL units, in packets whose payloads are of so many bytes at most."""
        return self._sent(list(nals), size=size)

    def layered(self, *sizes: int) -> bytes:
        """A picture of H.265 with a slice of so many bytes in each layer, from the first one on."""
        layers = [(layer, self.slice(1, size)) for layer, size in enumerate(sizes)]
        return self._sent([bytes((nal[0] | layer >> 5, layer << 3 & 0xF8 | nal[1])) + nal[2:] for layer, nal in layers])

    def renewed(self, *, point: bool) -> bytes:
        """A predicted picture of H.264 that is renewed bit by bit, behind a recovery point or not."""
        predicted = bytearray(self.slice(1, 900))
        predicted[1] = 0x9A
        return self._sent([*([b"\x06\x06\x01\xc4\x80"] if point else []), bytes(predicted)])

    def turned(self, quarters: int, size: int = 900) -> bytes:
        """An ordinary picture which says that pictures are turned by so many quarters: H.264 D.1.27, H.265 D.2.17."""
        message = b"\x2f\x03" + ((quarters % 4) << 19 | 0x04).to_bytes(3)
        return self._sent([self._nal(39 if self._h265 else 6, message + b"\x80"), self.slice(1, size)])

    def any(self) -> bytes:
        """Mostly an ordinary picture; else one of the many others."""
        chance = self._chance
        if chance.random() < 0.05:
            return self.keyframe(chance.randrange(4, 9_000))
        kind = chance.choice([1, 1, 1, 0, 9]) if self._h265 else 1
        sizes = [
            chance.choice([4, 40, 1_160, 1_161, 1_159, 2_317, 5_000]) for _ in range(chance.choice([1, 1, 1, 2, 4]))
        ]
        nals = [self.slice(kind, size, first=not at or chance.random() < 0.02) for at, size in enumerate(sizes)]
        before = chance.choice([[]] * 6 + [[self._delimiter()], [self._sei()], [self._sei(), self._sei()]])
        after = chance.choice([[]] * 20 + [[self._sei()], [self._delimiter()], [self._nal(12, b"\xff\x80")]])
        mishap = chance.choice([None] * 8 + [_MISHAPS[chance.randrange(len(_MISHAPS))]])
        size = chance.choice([1_400, 1_400, 1_000, 200])
        return self._sent([*before, *nals, *after], size=size, mishap=mishap)

    def report(self) -> bytes:
        """A sender report, on the channel for it."""
        return framed(sender_report(SSRC, 0xE900_0000 << 32, self._timestamp), 1)

    def slice(self, kind: int, size: int, *, first: bool = True) -> bytes:
        """A NAL unit of that type and of about that size."""
        chance = self._chance
        begin = (0x80 if first else 0) | chance.choice([0x1A, 0x20, 0x2C, 0x78])
        body = bytearray(chance.randbytes(size - self._header - 1).replace(b"\0\0", b"\0\3") + b"\x81")[1:]
        if self._strange and chance.random() < 0.05:  # cameras do that, too
            at = chance.randrange(len(body))
            body[at : at + 3] = chance.choice([b"\0\0\1", b"\0\0\0", b"\0\0\3", b"\0\0\1\x41\x9a"])
            body += bytes(chance.choice([0, 0, 1, 3]))
        return self._nal(kind, bytes((begin,)) + bytes(body))

    @property
    def _header(self) -> int:
        return 2 if self._h265 else 1

    def _nal(self, kind: int, data: bytes) -> bytes:
        return (bytes((kind << 1, 1)) if self._h265 else bytes((0x40 | kind,))) + data

    def _delimiter(self) -> bytes:
        return self._nal(35 if self._h265 else 9, b"\xf0")

    def _sei(self) -> bytes:
        return self._nal(39 if self._h265 else 6, b"\x05\x04abc\x80")

    def _sent(
        self,
        nals: list[bytes],
        *,
        size: int = 1_400,
        mishap: Callable[[random.Random, list[bytes]], None] | None = None,
    ) -> bytes:
        payloads = [payload for nal in nals for payload in self._fragments(nal, size)]
        last = len(payloads) - 1
        self._timestamp = self._timestamp + 3_600 & 0xFFFFFFFF
        packets = [
            rtp(payload, self._sequence + at, self._timestamp, ssrc=SSRC, marker=at == last)
            for at, payload in enumerate(payloads)
        ]
        self._sequence = self._sequence + len(packets) & 0xFFFF
        if mishap is not None:
            mishap(self._chance, packets)
        return b"".join(map(framed, packets))

    def _fragments(self, nal: bytes, size: int) -> list[bytes]:
        if len(nal) <= size:
            return [nal]
        header, room = self._header, size - self._header - 1
        pieces = [nal[at : at + room] for at in range(header, len(nal), room)]
        bits = [nal[0] >> 1 & 0x3F if self._h265 else nal[0] & 0x1F] * len(pieces)
        bits[0] |= 0x80
        bits[-1] |= 0x40
        indicator = bytes((nal[0] & 0x81 | 49 << 1, nal[1])) if self._h265 else bytes((nal[0] & 0xE0 | 28,))
        return [indicator + bytes((bit,)) + piece for bit, piece in zip(bits, pieces, strict=True)]


def _lose(chance: random.Random, packets: list[bytes]) -> None:
    del packets[chance.randrange(len(packets))]


def _repeat(chance: random.Random, packets: list[bytes]) -> None:
    at = chance.randrange(len(packets))
    packets.insert(at, packets[at])


def _swap(chance: random.Random, packets: list[bytes]) -> None:
    at = chance.randrange(len(packets))
    packets[at], packets[-1] = packets[-1], packets[at]


def _damage(chance: random.Random, packets: list[bytes]) -> None:
    """One bit, as a rule of a header."""
    at = chance.randrange(len(packets))
    damaged = bytearray(packets[at])
    damaged[chance.randrange(min(len(damaged), 17))] ^= 1 << chance.randrange(8)
    packets[at] = bytes(damaged)


def _cut(chance: random.Random, packets: list[bytes]) -> None:
    at = chance.randrange(len(packets))
    packets[at] = packets[at][: chance.randrange(len(packets[at]))]


def _pad(chance: random.Random, packets: list[bytes]) -> None:
    at = chance.randrange(len(packets))
    packets[at] = bytes((packets[at][0] | 0x20,)) + packets[at][1:] + b"\0\0\3"


def _unmark(_chance: random.Random, packets: list[bytes]) -> None:
    packets[-1] = packets[-1][:1] + bytes((packets[-1][1] & 0x7F,)) + packets[-1][2:]


def _mark(_chance: random.Random, packets: list[bytes]) -> None:
    packets[:] = [packet[:1] + bytes((packet[1] | 0x80,)) + packet[2:] for packet in packets]


_MISHAPS = (_lose, _repeat, _swap, _damage, _damage, _damage, _cut, _pad, _unmark, _mark)
