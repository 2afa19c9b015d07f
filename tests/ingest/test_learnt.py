"""Cameras are known again, as long as they are remembered."""

from __future__ import annotations

import pickle
from dataclasses import replace

from common.cameras import CameraSpec, Transport
from ingest.learnt import MAX_REMEMBERED, Memory

DOOR = CameraSpec("door", "rtsp://camera/live")


def test_a_camera_is_known_again_and_one_with_another_url_is_another() -> None:
    memory = Memory()
    learnt = memory.of(DOOR)
    learnt.transports.worked(Transport.UDP)
    assert memory.of(DOOR) is learnt
    assert next(iter(memory.of(DOOR).transports)) is Transport.UDP
    for other in (replace(DOOR, url="rtsp://camera/sub"), replace(DOOR, transport=Transport.TCP)):
        assert next(iter(memory.of(other).transports)) is Transport.TCP


def test_those_that_were_pulled_last_are_remembered() -> None:
    memory = Memory()
    first = memory.of(DOOR)
    for number in range(MAX_REMEMBERED - 1):
        memory.of(replace(DOOR, id=f"camera-{number}"))
    assert memory.of(DOOR) is first
    for number in range(MAX_REMEMBERED):
        memory.of(replace(DOOR, id=f"other-{number}"))
    assert memory.of(DOOR) is not first


def test_a_camera_may_name_any_number_of_methods_and_only_those_that_matter_are_remembered() -> None:
    learnt = Memory().of(DOOR)
    learnt.keepalive.begin(frozenset({"SET_PARAMETER", *(f"METHOD-{number}" for number in range(1_000))}), 0.0)
    assert learnt.keepalive.method == "OPTIONS"
    learnt.keepalive.refused("GET_PARAMETER")
    assert len(pickle.dumps(learnt)) < 2_000
