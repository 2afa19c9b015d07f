"""Seals on media frames."""

import secrets
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.seal import AFTER_FIRST, FORMER_KEY_KEPT, SEAL_BYTES, STREAM_KEY_BYTES, Sealer, StreamSeals
from tests.fakes.cost import assert_in_proportion

KEY, OTHER = bytes(STREAM_KEY_BYTES), bytes(range(STREAM_KEY_BYTES))
FRAME = b"door\0batch"


def seals(*keys: bytes, now: float = 0.0) -> StreamSeals:
    made = StreamSeals()
    for key in keys:
        made.learn(key, now)
    return made


@given(st.binary(max_size=3_000))
def test_what_was_sealed_opens_with_its_key_and_with_no_other(frame: bytes) -> None:
    sealed = Sealer(KEY).seal(frame)
    assert seals(KEY).open(sealed, 0.0) == frame
    assert seals(OTHER).open(sealed, 0.0) is None
    assert seals().open(sealed, 0.0) is None


@given(st.integers(0, len(FRAME) + SEAL_BYTES - 1), st.integers(1, 255))
def test_one_changed_byte_is_seen(place: int, change: int) -> None:
    sealed = bytearray(Sealer(KEY).seal(FRAME))
    sealed[place] ^= change
    assert seals(KEY).open(bytes(sealed), 0.0) is None


@pytest.mark.parametrize("frame", [b"", FRAME, bytes(SEAL_BYTES - 1), bytes(SEAL_BYTES), b"door\0" + bytes(100)])
def test_what_was_not_sealed_does_not_open(frame: bytes) -> None:
    assert seals(KEY).open(frame, 0.0) is None


def test_no_two_frames_have_one_nonce_not_even_of_two_sealers_with_one_key() -> None:
    sealers = [Sealer(KEY) for _ in range(3)]
    nonces = {each.seal(b"")[:12] for each in sealers for _ in range(100)}
    assert len(nonces) == 300


def test_the_former_key_holds_until_another_worker_has_begun_and_a_moment_longer() -> None:
    former, current = Sealer(KEY), Sealer(OTHER)
    both = seals(KEY, OTHER, now=10.0)
    assert both.open(former.seal(FRAME), 10.0 + FORMER_KEY_KEPT / 2) == FRAME
    assert both.open(former.seal(FRAME), 10.0 + FORMER_KEY_KEPT) is None
    both = seals(KEY, OTHER, now=10.0)
    assert both.open(current.seal(FRAME), 10.1) == FRAME
    assert both.open(former.seal(FRAME), 10.0 + AFTER_FIRST) == FRAME  # viewers go over at the new one's keyframe
    assert both.open(current.seal(FRAME), 14.0) == FRAME
    assert both.open(former.seal(FRAME), 10.2 + AFTER_FIRST) is None


def test_learning_the_same_key_again_does_not_forget_the_former() -> None:
    assert seals(KEY, OTHER, OTHER).open(Sealer(KEY).seal(FRAME), 1.0) == FRAME


def test_a_key_of_the_wrong_size_is_refused_and_changes_nothing() -> None:
    made = seals(KEY)
    with pytest.raises(ValueError, match="bit"):
        made.learn(b"short", 0.0)
    assert made.open(Sealer(KEY).seal(FRAME), 0.0) == FRAME


def test_what_a_seal_costs_grows_no_faster_than_the_frame() -> None:
    def sealing(size: int) -> Callable[[], object]:
        sealer, opener, frame = Sealer(KEY), seals(KEY), secrets.token_bytes(size)
        return lambda: [opener.open(sealer.seal(frame), 0.0) for _ in range(100)]

    assert_in_proportion(sealing(3_000), sealing(30_000))  # what a cache holds: memory takes longer than the cipher
