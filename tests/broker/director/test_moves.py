"""Cameras that move: from a draining worker to another one, which must have a keyframe first."""

import pytest

from common.cameras import CameraState
from common.control import Assign, Release, TrackStats
from common.media import Kind
from tests.fakes.stage import Stage, camera, sent, stream

PLAYS = (TrackStats(Kind.VIDEO, packets=9, frames=3, keyframes=1),)
NOTHING_YET = (TrackStats(Kind.VIDEO, packets=5),)  # no keyframe


def moving(**fields: object) -> Stage:
    """in-1 drains, and in-2 takes over the camera that in-1 plays."""
    stage = Stage(camera("door", **fields))
    stage.ingest("in-1")
    stage.ingest("in-1", stream("door", stats=PLAYS, fence=7))
    stage.ingest("in-2")
    return stage


def test_a_camera_of_a_draining_worker_is_let_go_when_another_one_has_a_keyframe_of_it() -> None:
    stage = moving()
    assert sent(stage.ingest("in-1", stream("door"), draining=True)) == [("in-2", Assign(camera("door")))]
    assert sent(stage.ingest("in-1", stream("door"), draining=True)) == []  # that is under way
    connecting = stream("door", state=CameraState.CONNECTING)
    assert sent(stage.ingest("in-2", connecting)) == []
    assert sent(stage.ingest("in-2", stream("door", stats=NOTHING_YET))) == []
    assert (stage.worker_of(), stage.state_of()) == ("in-1", CameraState.PLAYING)
    commands = stage.ingest("in-2", stream("door", stats=PLAYS))
    assert sent(commands) == [("in-1", Release("door")), ("in-2", Assign(camera("door")))]
    assert (stage.worker_of(), stage.state_of()) == ("in-2", CameraState.PLAYING)
    assert sent(stage.ingest("in-1", draining=True)) == []
    assert sent(stage.leave("in-1")) == []


def test_the_number_of_an_assignment_grows_whatever_was_given_before() -> None:
    stage = moving()
    fences = [message.fence for _, message in sent(stage.ingest("in-1", stream("door", fence=7), draining=True))]
    stage.ingest("in-2", stream("door", stats=NOTHING_YET, fence=10**13))  # by a broker whose clock was far ahead
    more = [message.fence for _, message in sent(stage.leave("in-2")) if isinstance(message, Assign)]
    stage.ingest("in-3")
    more += [
        message.fence
        for _, message in sent(stage.ingest("in-1", stream("door"), draining=True))
        if isinstance(message, Assign)
    ]
    assert fences[0] > 7
    assert more == [10**13 + 1]
    stage.ingest("in-3", stream("door", fence=1 << 60))  # it makes it up
    stage.want(camera("door"), camera("yard"))
    assert stage.director._state.next_fence() < 1 << 50


@pytest.mark.parametrize("victim", ["in-1", "in-2"])
def test_when_one_of_two_dies_between_which_a_camera_moves_the_other_has_it(victim: str) -> None:
    stage = moving()
    stage.ingest("in-1", stream("door"), draining=True)
    commands = sent(stage.leave(victim))
    assert stage.worker_of() == ({"in-1", "in-2"} - {victim}).pop()
    assert commands == []
    if victim == "in-2":
        stage.ingest("in-3")
        assert sent(stage.ingest("in-1", stream("door"), draining=True)) == [("in-3", Assign(camera("door")))]


def test_a_camera_goes_on_to_another_when_the_one_that_takes_it_drains_as_well() -> None:
    stage = moving()
    stage.ingest("in-1", stream("door"), draining=True)
    stage.ingest("in-3")
    assert sent(stage.ingest("in-2", stream("door", stats=NOTHING_YET), draining=True)) == [("in-2", Release("door"))]
    assert sent(stage.ingest("in-1", stream("door"), draining=True)) == [("in-3", Assign(camera("door")))]


def test_a_camera_that_serves_one_session_is_let_go_first() -> None:
    stage = moving(one_session=True)
    assert sent(stage.ingest("in-1", stream("door"), draining=True)) == [
        ("in-1", Release("door")),
        ("in-2", Assign(camera("door", one_session=True))),
    ]


def test_that_a_camera_serves_one_session_is_learnt_from_its_refusal() -> None:
    stage = moving()
    stage.ingest("in-1", stream("door"), draining=True)
    commands = stage.ingest("in-2", stream("door", state=CameraState.FULL))
    assert sent(commands) == [("in-1", Release("door")), ("in-2", Assign(camera("door")))]
    stage.ingest("in-2", stream("door", stats=PLAYS))
    stage.ingest("in-3")
    assert sent(stage.ingest("in-2", stream("door"), draining=True)) == [
        ("in-2", Release("door")),
        ("in-3", Assign(camera("door"))),
    ]


def test_another_camera_at_the_address_is_not_taken_for_one_that_serves_one_session() -> None:
    stage = moving()
    stage.ingest("in-1", stream("door"), draining=True)
    stage.ingest("in-2", stream("door", state=CameraState.FULL))
    changed = camera("door", url="rtsp://host/better", revision=2)
    stage.want(changed)
    stage.ingest("in-2", stream("door", revision=2, stats=PLAYS))
    stage.ingest("in-3")
    assert sent(stage.ingest("in-2", stream("door", revision=2), draining=True)) == [("in-3", Assign(changed))]


def test_a_new_broker_takes_no_camera_from_a_draining_worker_before_the_others_are_there() -> None:
    stage = Stage(camera("door"), started_now=True)
    assert sent(stage.ingest("in-1", stream("door"), draining=True)) == []
    assert stage.worker_of() == "in-1"
    stage.ingest("in-2")
    assert sent(stage.ingest("in-1", stream("door"), draining=True)) == [("in-2", Assign(camera("door")))]


def test_where_nobody_takes_over_a_draining_worker_lets_its_cameras_go_and_is_not_given_them_again() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1")
    stage.ingest("in-1", stream("door"))
    for _ in range(2):
        assert sent(stage.ingest("in-1", stream("door"), draining=True)) == [("in-1", Release("door"))]
    assert stage.worker_of() is None


def test_a_camera_that_moves_and_is_removed_is_let_go_by_both() -> None:
    stage = moving()
    stage.ingest("in-1", stream("door"), draining=True)
    assert sent(stage.want()) == [("in-1", Release("door")), ("in-2", Release("door"))]


def test_a_camera_that_moves_and_is_changed_is_told_to_both() -> None:
    stage = moving()
    stage.ingest("in-1", stream("door"), draining=True)
    changed = camera("door", revision=2)
    assert sent(stage.want(changed)) == [("in-1", Assign(changed)), ("in-2", Assign(changed))]
