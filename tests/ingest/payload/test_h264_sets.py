"""Parameter sets that are in force."""

from __future__ import annotations

import base64

import pytest

from ingest.payload.h264_sets import MAX_BYTES, MAX_PICTURE_SETS, ParameterSets
from rigs.video import encode

SETS = list(encode(1)[0][:2])
OTHER = list(encode(1, width=640, options="sps-id=3")[0][:2])


def sprop(*nals: bytes) -> str:
    return ",".join(base64.b64encode(nal).decode() for nal in nals)


def test_from_the_description() -> None:
    sets = ParameterSets(sprop(*SETS))
    assert sets.units() == SETS
    assert sets.active is not None
    assert sets.active.width == 320


def test_the_stream_replaces_the_description_even_under_other_ids() -> None:
    sets = ParameterSets(sprop(*SETS))
    assert sets.learn(OTHER[0])
    assert sets.units() == []
    assert sets.learn(OTHER[1])
    assert sets.units() == OTHER
    assert sets.active is not None
    assert sets.active.width == 640


def test_nothing_of_the_description_is_left() -> None:
    sets = ParameterSets(sprop(*SETS))
    picture_one = b"\x68\x5e\x80"  # id 1, of sequence 0
    assert sets.learn(SETS[0])
    assert sets.learn(picture_one)
    assert sets.units() == [SETS[0], picture_one]


def test_a_picture_set_that_only_the_description_has() -> None:
    sets = ParameterSets(sprop(*SETS))
    assert sets.learn(SETS[0])
    assert sets.units() == SETS


@pytest.mark.parametrize("announced", ["", sprop(*SETS), sprop(*OTHER)])
def test_a_picture_set_that_comes_before_its_sequence(announced: str) -> None:
    sets = ParameterSets(announced)
    assert sets.learn(SETS[1])
    assert sets.learn(SETS[0])
    assert sets.units() == SETS


def test_what_cannot_be_read_replaces_nothing() -> None:
    sets = ParameterSets(sprop(*SETS))
    assert not sets.learn(b"\x67")
    assert not sets.learn(b"\x68")
    assert sets.units() == SETS


def test_the_stream_adds_to_the_stream_and_a_keyframe_gets_what_it_refers_to() -> None:
    sets = ParameterSets()
    for nal in (*SETS, *OTHER):
        assert sets.learn(nal)
    assert sets.several
    assert sets.units(0) == SETS
    assert sets.active is not None
    assert sets.active.width == 320
    assert sets.units(3) == OTHER
    assert sets.active.width == 640
    assert sets.units(4) == []


def picture_set(identifier: int, sequence: int) -> bytes:
    """The beginning of a picture parameter set: more is not read."""
    codes = "".join(f"{n + 1:b}".rjust(2 * (n + 1).bit_length() - 1, "0") for n in (identifier, sequence))
    return b"\x68" + int(f"{codes}1".ljust(48, "0"), 2).to_bytes(6)


def test_every_id_is_kept_and_few_go_before_a_keyframe() -> None:
    sets = ParameterSets()
    sets.learn(SETS[0])
    for identifier in range(256):
        assert sets.learn(picture_set(identifier, 0))
    for identifier in (0, 100, 255):
        units = sets.units(identifier)
        assert units[0] == SETS[0]
        assert picture_set(identifier, 0) in units
        assert len(units) == 1 + MAX_PICTURE_SETS


def test_what_is_kept_is_bounded_and_the_newest_stays() -> None:
    sets = ParameterSets()
    sets.learn(SETS[0])
    for identifier in range(256):
        sets.learn(picture_set(identifier, 0) + bytes([1]) * 4_000)
    assert sets._sequence.size + sets._picture.size <= MAX_BYTES
    assert sum(len(nal) for nal in sets.units(255)) <= MAX_BYTES
    assert sets.units(0) == []


def test_one_without_the_other_is_nothing() -> None:
    sets = ParameterSets(sprop(SETS[0]))
    assert sets.units() == []
    assert sets.learn(OTHER[1])
    assert sets.units() == []


def test_pictures_without_their_sequence_are_left_out() -> None:
    sets = ParameterSets(sprop(*SETS, OTHER[1]))
    assert sets.units() == SETS
