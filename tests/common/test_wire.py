"""Wire versions: what agrees with what, and what the release before said."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from common import __version__
from common.control import Report, Role, Speak, Unfit, decode_for_broker, decode_for_worker, encode
from common.media import decode_frame
from common.packed import Packed
from common.wire import OURS, RELEASES, SILENT_FOR, UNTOLD, Agreement, Spoken, common_range, fitting, refusal

SAID = json.loads((Path(__file__).parent / "wire_1.json").read_text())
"""Messages and frames as the builds encoded them whose wire version was the first, and what they say."""


def plain(said: Any) -> Any:
    if is_dataclass(said) and not isinstance(said, type):
        return {field.name: plain(getattr(said, field.name)) for field in fields(said)}
    if isinstance(said, tuple | list | Packed):
        return [plain(each) for each in said]
    if isinstance(said, dict):
        return {key: plain(value) for key, value in said.items()}
    if isinstance(said, bytes):
        return said.hex()
    return said.value if isinstance(said, Enum) else said


def holds(now: Any, then: Any) -> bool:
    """Whether what is understood now is what was meant then; there may be more of it."""
    if isinstance(then, dict):
        return isinstance(now, dict) and all(key in now and holds(now[key], value) for key, value in then.items())
    if isinstance(then, list):
        return isinstance(now, list) and len(now) == len(then) and all(map(holds, now, then))
    return bool(now == then)


@pytest.mark.parametrize("said", SAID["to_broker"], ids=lambda said: said["says"]["type"])
def test_a_worker_of_the_release_before_is_understood(said: dict[str, Any]) -> None:
    assert holds(plain(decode_for_broker(bytes.fromhex(said["frame"]))), said["says"])


@pytest.mark.parametrize("said", SAID["to_worker"], ids=lambda said: said["says"]["type"])
def test_a_broker_of_the_release_before_is_understood(said: dict[str, Any]) -> None:
    assert holds(plain(decode_for_worker(bytes.fromhex(said["frame"]))), said["says"])


@pytest.mark.parametrize("said", SAID["frames"])
def test_media_of_the_release_before_are_understood(said: dict[str, Any]) -> None:
    assert holds(plain(tuple(decode_frame(bytes.fromhex(said["frame"])))), said["says"])


def test_each_release_has_a_wire_version_and_speaks_the_one_before() -> None:
    assert RELEASES[OURS.newest] == ".".join(__version__.split(".")[:2]), "a release has a version of its own"
    assert sorted(RELEASES) == list(range(1, OURS.newest + 1))
    assert OURS.newest - OURS.oldest == 1
    before, after = Spoken(max(1, OURS.oldest - 1), OURS.oldest), Spoken(OURS.newest, OURS.newest + 1)
    assert common_range([before]) == Spoken(OURS.oldest, OURS.oldest)
    assert common_range([after]) == Spoken(OURS.newest, OURS.newest)
    assert common_range([before, after]) is None
    assert common_range([Spoken(OURS.newest + 1, OURS.newest + 2)]) is None


def test_the_lower_of_two_is_spoken() -> None:
    assert common_range([], Spoken(4, 5)) == Spoken(4, 5)
    assert common_range([Spoken(3, 4), Spoken(4, 5)], Spoken(4, 5)) == Spoken(4, 4)
    assert common_range([UNTOLD]) == Spoken(1, 1)
    assert (4 in Spoken(3, 4), 5 in Spoken(3, 4), "4" in Spoken(3, 4)) == (True, False, False)


def test_the_sentence_names_the_releases_that_fit() -> None:
    sentence = refusal(Spoken(7, 8), "2.1.0", OURS)
    assert "release 2.1.0 speaks wire versions 7 to 8" in sentence
    assert "releases that fit are before 0.1, 0.1, and the one after 0.1;" in sentence
    assert "and this cluster version 1" in refusal(Spoken(7, 8), "", UNTOLD)
    assert fitting(Spoken(70, 71)) == "none that is known here"


def test_what_agreement_is_made_by_is_read_whatever_is_spoken() -> None:
    report = Report("n", Role.EGRESS, "i", wire=Spoken(7, 8), speaks=7)
    assert decode_for_broker(encode(report)) == report
    assert decode_for_worker(encode(Speak(7))) == Speak(7)
    assert decode_for_worker(encode(Unfit("Upgrade."))) == Unfit("Upgrade.")


def test_a_worker_speaks_what_it_is_told_to_if_it_can() -> None:
    agreement = Agreement(Spoken(2, 3))
    assert agreement.version == 2
    agreement.told(3)
    agreement.told(9)
    assert agreement.version == 3
    assert not agreement.hopeless


def test_a_worker_that_is_refused_before_any_broker_took_it_is_hopeless() -> None:
    agreement = Agreement()
    agreement.refused("Upgrade.")
    assert (agreement.hopeless, agreement.problem) == (True, "Upgrade.")
    agreement.told(OURS.newest)
    assert (agreement.hopeless, agreement.problem) == (False, "")
    agreement.refused("Upgrade.")  # by another broker
    assert (agreement.hopeless, agreement.problem) == (False, "Upgrade.")


def test_a_broker_that_tells_of_no_version_is_not_waited_for_by_who_speaks_no_first_one() -> None:
    agreement = Agreement(Spoken(2, 3))
    agreement.reported(10.0)
    agreement.reported(10.0 + SILENT_FOR - 0.1)
    assert not agreement.hopeless
    agreement.reported(10.0 + SILENT_FOR)
    assert agreement.hopeless
    assert "names no wire version" in agreement.problem
    ours = Agreement(UNTOLD)
    for now in (10.0, 100.0):
        ours.reported(now)
    assert not ours.hopeless
