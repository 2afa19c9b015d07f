"""Sound goes on with the most significant byte first, whatever is said of it."""

from __future__ import annotations

import random
from array import array
from math import sin

import pytest

from ingest.payload.byte_order import BLOCK, ByteOrder

CHUNK = 320  # samples
TONE = [int(9_000 * sin(n / 9)) for n in range(8 * BLOCK)]
ROOM = random.Random(7).choices(range(-20, 21), k=8 * BLOCK)  # a quiet one


def packed(samples: list[int], order: str) -> bytes:
    return b"".join(sample.to_bytes(2, order, signed=True) for sample in samples)  # type: ignore[arg-type]


def put(order: ByteOrder, sound: bytes) -> bytes:
    return b"".join(order.in_network_order(sound[at : at + 2 * CHUNK]) for at in range(0, len(sound), 2 * CHUNK))


@pytest.mark.parametrize("said", ["big", "little"])
@pytest.mark.parametrize("sent", ["big", "little"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("sound", [TONE, ROOM], ids=["tone", "room"])
def test_the_order_is_the_one_in_which_the_sound_goes_on(sound: list[int], channels: int, sent: str, said: str) -> None:
    came = put(ByteOrder(channels, little=said == "little"), packed(sound, sent))
    right = packed(sound, "big")
    later = 2 * (BLOCK + CHUNK)
    assert came[later:] == right[later:]
    if sent == said:
        assert came == right, "from the beginning"


@pytest.mark.parametrize(
    "sound",
    [
        bytes(4 * BLOCK),
        random.Random(7).randbytes(8 * BLOCK),  # noise as loud as can be
        packed([value // 256 * 256 for value in TONE], "big"),  # of eight bits
        packed([300] * 4 * BLOCK, "big"),
        packed([32_767 if n // 8 % 2 else -32_767 for n in range(4 * BLOCK)], "big"),
        packed([max(-32_768, min(32_767, int(2e7 * sin(n / 9)))) for n in range(4 * BLOCK)], "big"),
    ],
    ids=["silence", "noise", "eight bits", "one value", "as loud as can be", "clipped"],
)
def test_sound_that_goes_on_in_neither_stays_as_it_is_said(sound: bytes) -> None:
    assert put(ByteOrder(1), sound) == sound
    turned = array("h", sound)
    turned.byteswap()
    assert put(ByteOrder(1, little=True), turned.tobytes()) == sound


def test_what_became_clear_stays() -> None:
    order = ByteOrder(1)
    put(order, packed(TONE, "little"))
    noise = packed(TONE, "big")
    assert put(order, noise) == packed(TONE, "little")
