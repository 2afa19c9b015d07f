from collections import Counter

import pytest

from broker.director.commands import (
    CameraChanged,
    CameraRemoved,
    NodeNameTwice,
    OfferRefused,
    Send,
    SessionEnded,
    WireChanged,
    WorkerJoined,
    WorkerLost,
)
from broker.director.events import Undelivered
from broker.director.state import GATHERING
from broker.director.vigil import OVERDUE
from common.cameras import CameraState
from common.control import DEAD_AFTER, Assign, HangUp, Ping, Release, Role
from common.wire import OURS
from tests.fakes.stage import Stage, camera, of, sent, stream


def test_a_camera_is_assigned_when_an_ingest_worker_reports() -> None:
    stage = Stage(camera("door"))
    assert stage.state_of("door") is CameraState.WAITING
    assert sent(stage.ingest("in-1")) == [("in-1", Assign(camera("door")))]
    assert stage.state_of("door") is CameraState.CONNECTING


def test_a_camera_added_later_is_assigned_at_once() -> None:
    stage = Stage()
    stage.ingest("in-1")
    commands = stage.want(camera("door"))
    assert sent(commands) == [("in-1", Assign(camera("door")))]
    assert of(CameraChanged, commands) == [CameraChanged("door", CameraState.CONNECTING, "")]


@pytest.mark.parametrize(
    ("loads", "expected"),
    [
        ({"in-1": 0.5, "in-2": 0.2}, "in-2"),
        ({"in-1": 0.2, "in-2": 0.5}, "in-1"),
        ({"in-2": 0.0, "in-1": 0.0}, "in-1"),  # equal: by name, so that it is the same every time
    ],
)
def test_the_least_loaded_ingest_worker_gets_the_camera(loads: dict[str, float], expected: str) -> None:
    stage = Stage()
    for node, cpu in loads.items():
        stage.ingest(node, cpu=cpu)
    stage.want(camera("door"))
    assert stage.worker_of("door") == expected


def test_cameras_that_come_at_once_are_spread() -> None:
    stage = Stage()
    for node in ("in-1", "in-2", "in-3"):
        stage.ingest(node)
    stage.want(*(camera(f"c{i}") for i in range(30)))
    assert Counter(stage.worker_of(f"c{i}") for i in range(30)) == {"in-1": 10, "in-2": 10, "in-3": 10}


def test_workers_that_start_together_share_the_cameras() -> None:
    stage = Stage(*(camera(f"c{i}") for i in range(30)), ingests=None, started_now=True)
    assert sent(stage.ingest("in-1")) == []
    assert stage.state_of("c0") is CameraState.CONNECTING
    stage.tick(GATHERING - 0.1)
    assert sent(stage.ingest("in-2")) == []
    stage.tick(0.1)
    assert Counter(stage.worker_of(f"c{i}") for i in range(30)) == {"in-1": 15, "in-2": 15}


def test_cameras_wait_no_longer_than_for_the_workers_that_are_known_to_come() -> None:
    stage = Stage(camera("door"), camera("yard"), ingests=2, started_now=True)
    assert sent(stage.ingest("in-1")) == []
    stage.egress("out-1")
    assert sent(stage.ingest("in-2")) == [("in-1", Assign(camera("door"))), ("in-2", Assign(camera("yard")))]


def test_cameras_of_the_only_worker_move_at_once_when_it_has_started_again() -> None:
    stage = Stage(camera("door"), ingests=None)
    stage.ingest("in-1")
    stage.tick(GATHERING)
    assert sent(stage.ingest("in-1", incarnation="2")) == [("in-1", Assign(camera("door")))]


def test_a_camera_that_a_worker_has_is_left_with_it_while_others_gather() -> None:
    stage = Stage(camera("door"), ingests=None, started_now=True, last_workers={"door": "in-1"})
    assert sent(stage.ingest("in-1", stream("door"))) == []
    assert stage.state_of("door") is CameraState.PLAYING


def test_a_camera_stays_where_it_is_when_an_idle_worker_joins() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1", cpu=0.9)
    stage.ingest("in-1", stream("door"), cpu=0.9)
    assert sent(stage.ingest("in-2")) == []
    assert sent(stage.tick(1.0)) == []
    assert stage.worker_of("door") == "in-1"


def test_an_assign_that_was_lost_is_sent_again_until_the_camera_is_reported() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1")
    assert sent(stage.ingest("in-1")) == [("in-1", Assign(camera("door")))]
    assert sent(stage.ingest("in-1", stream("door"))) == []


def test_a_worker_that_has_an_old_revision_is_told_the_new_one() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1")
    stage.ingest("in-1", stream("door"))
    new = camera("door", revision=2)
    assert sent(stage.want(new)) == [("in-1", Assign(new))]
    assert stage.state_of("door") is CameraState.CONNECTING
    assert sent(stage.ingest("in-1", stream("door", revision=1))) == [("in-1", Assign(new))]
    assert sent(stage.ingest("in-1", stream("door", revision=2))) == []
    assert stage.state_of("door") is CameraState.PLAYING


def test_a_camera_of_which_only_the_time_to_pull_it_changes_is_not_begun_anew() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1", stream("door"))
    assert sent(stage.want(camera("door", on_demand=True, keep_after=1.0))) == []
    assert stage.state_of("door") is CameraState.PLAYING
    assert ("in-1", Release("door")) in sent(stage.tick(1.1)), "nobody watches"


def test_a_removed_camera_is_released_until_it_is_no_longer_reported() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1")
    commands = stage.want()
    assert sent(commands) == [("in-1", Release("door"))]
    assert of(CameraRemoved, commands) == [CameraRemoved("door")]
    assert sent(stage.ingest("in-1", stream("door"))) == [("in-1", Release("door"))]
    assert sent(stage.ingest("in-1")) == []


def test_removing_a_camera_ends_its_sessions() -> None:
    stage = Stage(camera("door"))
    stage.egress("out-1")
    stage.watch("answered")
    stage.offer("pending")
    commands = stage.want()
    assert of(SessionEnded, commands) == [SessionEnded("answered", "door", "camera_removed")]
    assert [c.session for c in of(OfferRefused, commands)] == ["pending"]
    assert sent(commands) == [("out-1", HangUp("answered")), ("out-1", HangUp("pending"))]
    assert list(stage.director.sessions) == []


def test_a_worker_that_is_silent_loses_its_cameras_to_another() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1")
    stage.ingest("in-1", stream("door"))
    stage.now += DEAD_AFTER - 0.1
    stage.ingest("in-2")
    assert sent(stage.tick()) == []
    commands = stage.tick(0.1)
    assert sent(commands) == [("in-2", Assign(camera("door")))]
    assert of(CameraChanged, commands) == [CameraChanged("door", CameraState.CONNECTING, "", "H264")]


def test_a_worker_whose_connection_is_gone_is_given_up_when_its_report_is_overdue() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1")
    stage.now += 1.0
    stage.ingest("in-2")
    assert stage(Undelivered("in-1", Assign(camera("door")))) == []  # it may be about to connect again
    assert stage.tick(OVERDUE - 1.0) == [Send("in-1", Ping())]
    assert sent(stage(Undelivered("in-1", Ping()))) == [("in-2", Assign(camera("door")))]
    assert stage(Undelivered("in-1", Ping())) == []


def test_a_camera_waits_when_its_only_worker_dies() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1")
    stage.tick(DEAD_AFTER)
    assert stage.state_of("door") is CameraState.WAITING
    assert stage.worker_of("door") is None


def test_a_worker_that_comes_back_from_silence_gives_up_what_was_moved() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1")
    stage.now += 2.0
    stage.ingest("in-2")
    stage.tick(1.0)
    assert stage.worker_of("door") == "in-2"
    assert sent(stage.ingest("in-1", stream("door"))) == [("in-1", Release("door"))]
    assert stage.worker_of("door") == "in-2"


def test_a_worker_that_comes_back_from_silence_keeps_what_nobody_else_took() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1")
    stage.tick(DEAD_AFTER)
    assert sent(stage.ingest("in-1", stream("door"))) == []
    assert stage.worker_of("door") == "in-1"
    assert stage.state_of("door") is CameraState.PLAYING


def test_a_worker_that_leaves_loses_its_cameras_at_once() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1")
    stage.ingest("in-2")
    assert stage.worker_of("door") == "in-1"
    assert sent(stage.leave("in-1")) == [("in-2", Assign(camera("door")))]
    assert [worker.node for worker in stage.director.workers] == ["in-2"]


def test_the_farewell_of_an_earlier_incarnation_is_ignored() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1", incarnation="2")
    assert stage.leave("in-1", incarnation="1") == []
    assert stage.worker_of("door") == "in-1"


def test_a_worker_that_restarted_gets_its_cameras_anew() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1")
    stage.ingest("in-1", stream("door"))
    assert sent(stage.ingest("in-1", incarnation="2")) == [("in-1", Assign(camera("door")))]
    assert stage.state_of("door") is CameraState.CONNECTING


def test_the_cameras_of_a_worker_that_restarted_may_go_to_another() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1")
    stage.ingest("in-2")
    stage.ingest("in-1", incarnation="2")
    assert stage.worker_of("door") == "in-2"


def test_of_two_workers_with_one_name_the_newer_is_believed() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1", incarnation="old")
    assert not of(NodeNameTwice, stage.ingest("in-1", stream("door"), incarnation="new", host="b", pid=2))
    twice = NodeNameTwice("in-1", ("b, process 2", "a, process 1"))
    assert stage.ingest("in-1", incarnation="old", host="a", pid=1) == [twice]
    assert stage.ingest("in-1", incarnation="old") == []  # it was said just now
    assert stage.director.counters["node_name_used_twice"] == 2
    assert stage.state_of("door") is CameraState.PLAYING
    stage.tick(DEAD_AFTER)
    stage.ingest("in-1", incarnation="old")
    assert stage.worker_of("door") == "in-1"


def test_that_a_name_is_used_twice_is_said_once_a_minute() -> None:
    stage = Stage()
    stage.ingest("in-1", incarnation="one")
    stage.ingest("in-1", incarnation="other")
    said = 0
    for _ in range(10):  # as each gets its connection back every six seconds
        for incarnation in ("one", "other"):
            stage.tick(6.0)
            said += len(of(NodeNameTwice, stage.ingest("in-1", incarnation=incarnation)))
    assert said == 2


def test_a_camera_that_two_workers_have_is_taken_from_one() -> None:
    stage = Stage(camera("door"), started_now=True)
    assert sent(stage.ingest("in-1", stream("door"))) == []
    assert sent(stage.ingest("in-2", stream("door"))) == [("in-2", Release("door"))]


def test_a_camera_nobody_knows_is_released() -> None:
    assert sent(Stage().ingest("in-1", stream("door"))) == [("in-1", Release("door"))]


def test_a_draining_worker_gets_nothing_new() -> None:
    stage = Stage()
    stage.ingest("in-1", draining=True)
    stage.want(camera("door"))
    assert stage.state_of("door") is CameraState.WAITING


def test_workers_that_come_and_go_are_told_of_once() -> None:
    stage = Stage()
    assert stage.ingest("in-1") == [WireChanged(1), WorkerJoined("in-1", Role.INGEST)]
    assert stage.ingest("in-1") == []
    assert stage.tick(OVERDUE) == [Send("in-1", Ping())]
    lost = WorkerLost("in-1", Role.INGEST, "worker_lost")
    assert stage.tick(DEAD_AFTER - OVERDUE) == [lost, WireChanged(OURS.newest)]
    assert stage.ingest("in-1") == [WireChanged(1), WorkerJoined("in-1", Role.INGEST)]
    lost, joined = stage.ingest("in-1", incarnation="2")
    assert lost == WorkerLost("in-1", Role.INGEST, "worker_restarted")
    assert joined == WorkerJoined("in-1", Role.INGEST)
    assert stage.leave("in-1", incarnation="2") == [WorkerLost("in-1", Role.INGEST, "worker_stopped")]


def test_a_dead_worker_is_listed_for_a_while() -> None:
    stage = Stage()
    stage.ingest("in-1")
    stage.tick(DEAD_AFTER)
    assert [(worker.node, worker.alive) for worker in stage.director.workers] == [("in-1", False)]
    stage.tick(60.0)
    assert list(stage.director.workers) == []
