"""G.726 is heard in the order of bits that it has, whichever of the two its name says."""

from __future__ import annotations

import math
import random

import pytest

from common.media import Kind, Track
from common.payload.assembler import AccessUnit
from rigs.codecs import TONE, pitch, tone
from tests.transcode.test_sound import PACKET_NS, START_NS, samples
from transcode.bit_order import MOST, WINDOW, BitOrder
from transcode.sound import SoundConverter


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
@pytest.mark.parametrize("announced", ["", "AAL2-"])
@pytest.mark.parametrize("encoder", ["g726", "g726le"])
def test_the_order_that_is_there_is_heard(bits: int, announced: str, encoder: str) -> None:
    sound = tone(encoder, 4.0, options=f"code_size={bits}")
    converter, packets = SoundConverter(Track(Kind.AUDIO, f"{announced}G726-{bits * 8}", 8_000)), []
    for number, payload in enumerate(sound.payloads):
        at = START_NS + int(number * sound.seconds * 1e9)
        packets += converter.convert(AccessUnit(payload, at, at, True))
    heard = samples(packets)
    assert pitch(heard) == pytest.approx(TONE, rel=0.01)
    ripple = [
        one - 2 * math.cos(2 * math.pi * TONE / 48_000) * two + three
        for one, two, three in zip(heard[-9_600:], heard[-9_599:], heard[-9_598:], strict=False)
    ]
    assert sum(map(abs, ripple)) / len(ripple) < 300, "a tone obeys that; noise does not"
    assert len(packets) * PACKET_NS == pytest.approx(4e9, rel=0.03)


def noise(seed: int, colour: float) -> list[int]:
    chance, out = random.Random(seed), [0.0]
    for _ in range(WINDOW * MOST):
        out.append(colour * out[-1] + chance.gauss(0, 1_000))
    return [round(sample) for sample in out]


@pytest.mark.parametrize("colour", [0.9, 0.0, -0.9])
def test_noise_is_left_in_the_order_that_was_announced(colour: float) -> None:
    order = BitOrder()
    assert not order.hear(noise(1, colour), noise(2, colour))
    assert order.known, "it is judged for a while, and never again"


def test_nothing_is_told_from_silence() -> None:
    order = BitOrder()
    assert not order.hear([0, 1] * WINDOW * MOST, [1, 0] * WINDOW * MOST)
    assert not order.known
