"""Stills: the worker that draws one, and the answer where none can be had."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from broker.director.commands import Command, StillRefused, StillTaken
from broker.director.events import StillGivenUp, StillWanted, StreamWish, Undelivered, Wish
from broker.director.stills import MOST_EACH, SUSPENSION, WITHIN
from common.cameras import CameraState
from common.control import Assign, Release, Snapshot, SnapshotFailed, SnapshotTaken
from common.demand import Demand
from common.media import Kind, Track
from tests.fakes.stage import H264, Stage, camera, of, sent, stream

JPEG = Track(Kind.VIDEO, "JPEG", 90_000, convert="browsers do not play Motion JPEG")
TILE = Wish(StreamWish.AUTO, 180)


@pytest.fixture
def stage() -> Stage:
    """A camera that plays, and a worker that draws."""
    stage = Stage(camera())
    stage.ingest("in-1", stream())
    stage.transcode("tc-1")
    return stage


def want(stage: Stage, wish: Wish = Wish(), request: str = "r", name: str = "door") -> list[Command]:  # noqa: B008
    return stage(StillWanted(request, name, wish))


def refusal(commands: list[Command]) -> tuple[int, str]:
    [refused] = of(StillRefused, commands)
    assert refused.message.endswith(".")
    return refused.status, refused.code


def test_a_still_is_drawn_by_a_worker_and_passed_on(stage: Stage) -> None:
    assert sent(want(stage, TILE)) == [("tc-1", Snapshot("r", "door", H264, 180))]
    assert stage.hear("tc-1", SnapshotTaken("r", b"jpeg", 5.0)) == [StillTaken("r", b"jpeg", 5.0)]
    assert stage.hear("tc-1", SnapshotTaken("r", b"again", 6.0)) == []


def test_only_the_worker_that_was_asked_may_answer(stage: Stage) -> None:
    stage.transcode("tc-2")
    want(stage)
    assert stage.hear("tc-2", SnapshotTaken("r", b"forged", 5.0)) == []
    assert stage.hear("in-1", SnapshotFailed("r", "no")) == []
    assert of(StillTaken, stage.hear("tc-1", SnapshotTaken("r", b"jpeg", 5.0)))


def test_the_least_busy_worker_is_asked(stage: Stage) -> None:
    stage.transcode("tc-1", cpu=0.9)
    stage.transcode("tc-2", cpu=0.1)
    assert [node for node, _ in sent(want(stage))] == ["tc-2"]


def test_a_camera_on_demand_is_pulled_for_it_and_let_go_after_a_while() -> None:
    stage = Stage(camera(on_demand=True))
    stage.ingest("in-1")
    stage.transcode("tc-1")
    assert [type(message) for _, message in sent(want(stage))] == [Assign]
    assert sent(stage.ingest("in-1", stream())) == [("tc-1", Snapshot("r", "door", H264))]
    stage.hear("tc-1", SnapshotTaken("r", b"jpeg", 5.0))
    ordered = []
    for _ in range(12):
        ordered += sent(stage.tick(1.0) + stage.ingest("in-1", stream()) + stage.transcode("tc-1"))
    assert ("in-1", Release("door")) in ordered


def test_a_small_one_is_drawn_of_the_sub_stream() -> None:
    stage = Stage(camera(), camera("door/sub", on_demand=True))
    stage.ingest("in-1", stream())
    stage.transcode("tc-1")
    want(stage, TILE)
    [snapshot] = [m for _, m in sent(stage.ingest("in-1", stream(), stream("door/sub"))) if isinstance(m, Snapshot)]
    assert snapshot.camera == "door/sub"


def test_who_cannot_have_one_is_told_why(stage: Stage) -> None:
    assert refusal(want(stage, name="porch")) == (404, "unknown_camera")
    stage.ingest("in-1", stream(state=CameraState.UNREACHABLE))
    assert refusal(want(stage)) == (503, "camera_failed")
    sound = (Track(Kind.AUDIO, "opus", 48_000, 2), replace(H264, problem="no"))
    stage.ingest("in-1", stream(tracks=sound))
    assert refusal(want(stage)) == (503, "camera_failed"), "its state says that there is no picture"
    stage.ingest("in-1", stream(tracks=sound[:1]))
    assert refusal(want(stage)) == (503, "no_picture")
    stage.leave("tc-1")
    stage.ingest("in-1", stream())
    assert refusal(want(stage)) == (503, "no_converter")


def test_a_worker_that_fails_or_dies_is_not_followed_by_another(stage: Stage) -> None:
    stage.transcode("tc-2")
    want(stage)
    commands = stage.hear("tc-1", SnapshotFailed("r", "the keyframe gives no picture"))
    assert refusal(commands) == (503, "still_failed")
    assert "the keyframe gives no picture" in of(StillRefused, commands)[0].message
    [node] = [node for node, _ in sent(want(stage))]
    commands = stage.leave(node)
    assert refusal(commands) == (503, "still_failed")
    assert sent(commands) == []


def test_a_camera_whose_stills_kill_workers_gets_none_for_a_while_and_conversions_are_not_blamed() -> None:
    stage = Stage(camera("door"), camera("yard"))
    stage.ingest("in-1", stream("door"), stream("yard", tracks=(JPEG,)))
    for node in ("tc-1", "tc-2"):
        stage.transcode(node)
    stage.egress("out-1", subscribed=("yard/h264",))
    assert stage.director.converter("yard/h264") == "tc-1"
    stage.transcode("tc-1", "yard/h264")
    [(node, _)] = sent(want(stage, name="door"))
    stage.transcode(node, incarnation="2")  # it died, and is there again
    assert stage.director.converter("yard/h264") is not None, "it is made again at once"
    assert refusal(want(stage, name="door")) == (503, "still_failed")
    for _ in range(round(SUSPENSION) + 1):
        stage.tick(1.0)
        stage.ingest("in-1", stream("door"), stream("yard", tracks=(JPEG,)))
        for each in ("tc-1", "tc-2"):
            stage.transcode(each)
    assert [type(message) for _, message in sent(want(stage, name="door"))] == [Snapshot]


def test_a_wall_of_stills_is_shared_out_and_waits_its_turn(stage: Stage) -> None:
    stage.transcode("tc-2")
    nodes = Counter(node for number in range(40) for node, _ in sent(want(stage, request=f"r{number}")))
    assert nodes == {"tc-1": MOST_EACH, "tc-2": MOST_EACH}
    commands = stage.hear("tc-1", SnapshotTaken("r0", b"jpeg", 5.0)) + stage.hear("tc-2", SnapshotTaken("r0", b"", 5.0))
    assert [node for node, _ in sent(commands)] == ["tc-1"], "the next one's turn"


def test_an_order_that_did_not_arrive_is_given_again(stage: Stage) -> None:
    [(node, order)] = sent(want(stage))
    again = stage(Undelivered(node, order))
    assert [type(message) for _, message in sent(again)] == [Snapshot]


def test_one_that_never_comes_is_given_up_in_time(stage: Stage) -> None:
    want(stage)
    told = []
    for _ in range(round(WITHIN)):
        assert told == []
        stage.transcode("tc-1")
        told = of(StillRefused, stage.tick(1.0))
    assert refusal(told) == (503, "still_timeout")


def test_one_that_nobody_waits_for_any_more_is_forgotten(stage: Stage) -> None:
    want(stage)
    stage(StillGivenUp("r"))
    assert stage.hear("tc-1", SnapshotTaken("r", b"jpeg", 5.0)) == []
    assert of(StillRefused, stage.tick(60.0)) == []


def test_a_camera_that_is_removed_takes_its_stills_along() -> None:
    stage = Stage(camera(on_demand=True))
    stage.ingest("in-1")
    stage.transcode("tc-1")
    want(stage)
    assert refusal(stage.want()) == (404, "unknown_camera")


def test_a_still_waits_for_a_worker_in_reserve() -> None:
    stage = Stage(camera(), reserve=True)
    stage.ingest("in-1", stream())
    assert want(stage) == []
    assert stage.demand is Demand.MUCH
    assert sent(stage.transcode("tc-1")) == [("tc-1", Snapshot("r", "door", H264, 0))]
    assert of(StillTaken, stage.hear("tc-1", SnapshotTaken("r", b"jpeg", 5.0)))
    assert stage.demand is Demand.NONE
