"""The routes would have made the same of what is taken past them."""

from __future__ import annotations

import random
from struct import pack

import pytest

from rigs.reading import Reading
from tests.fakes.pictures import framed

NOW = 1_700_000_000 * 10**9
OPUS = b"v=0\r\nm=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\n"
SSRC = 0x1234


def packet(
    sequence: int, timestamp: int, payload: bytes, *, first: int = 0x80, kind: int = 97, ssrc: int = SSRC
) -> bytes:
    return pack("!BBHII", first, kind, sequence & 0xFFFF, timestamp, ssrc) + payload


def odd(chance: random.Random, sequence: int, timestamp: int) -> bytes:
    """Something else than the next packet of sound."""
    payload = b"odd"
    return chance.choice(
        [
            framed(packet(sequence, timestamp, b""), 0),
            framed(packet(sequence, timestamp, payload + b"\0\0\3", first=0xA0), 0),
            framed(packet(sequence, timestamp, payload, first=0x40), 0),
            framed(packet(sequence, timestamp, payload, kind=98), 0),
            framed(packet(sequence, timestamp, payload, ssrc=SSRC + 1), 0),
            framed(packet(sequence + 3, timestamp, payload), 0),
            framed(packet(sequence - 1, timestamp - 960, payload), 0),
            framed(packet(sequence, timestamp, bytes(2_000)), 0),
            framed(bytes(7), 0),
            framed(packet(sequence, timestamp, payload), 7),
            b"$",
            b"junk",
        ]
    )


@pytest.mark.parametrize("seed", range(20))
def test_sound_becomes_the_same(seed: int) -> None:
    chance, taking, plain = random.Random(seed), Reading(OPUS), Reading(OPUS)
    taken = 0
    plain._interleaved.takes = {}
    take = taking._interleaved.takes[0]

    def counted(received: bytearray, start: int, end: int, arrival_ns: int) -> tuple[int, int] | None:
        nonlocal taken
        found = take(received, start, end, arrival_ns)
        taken += found is not None
        return found

    taking._interleaved.takes = {0: counted}
    sequence = 65_530
    for number in range(200):
        data = framed(packet(sequence, 960 * number, bytes([number]) * 40), 0)
        sequence += 1
        if chance.random() < 0.1:
            data = chance.choice((data, b"")) + odd(chance, sequence, 960 * number)
        cut = chance.randrange(len(data)) if chance.random() < 0.1 else len(data)
        for part in (data[:cut], data[cut:]):
            assert taking.read(part, NOW + number * 20_000_000) == plain.read(part, NOW + number * 20_000_000)
    assert taking.packets == plain.packets
    (receiver,), (other,) = taking.stream.receivers, plain.stream.receivers
    assert (receiver.stats, receiver.expected, receiver.last) == (other.stats, other.expected, other.last)
    assert taken > 50


def test_a_read_of_sound_alone_leaves_nothing_to_wait_for() -> None:
    camera = Reading(OPUS)
    camera.read(framed(packet(1, 0, b"first"), 0), NOW)
    camera.read(framed(packet(2, 960, b"next"), 0), NOW)
    assert camera._interleaved.whole
    camera.read(framed(packet(3, 1_920, b"and"), 0)[:-1], NOW)
    assert not camera._interleaved.whole
