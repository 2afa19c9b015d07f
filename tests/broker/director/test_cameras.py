from collections import Counter

import pytest

from broker.director.events import (
    CameraChanged,
    CameraRemoved,
    NodeNameTwice,
    OfferRefused,
    RememberTracks,
    RememberWorker,
    Send,
    SessionEnded,
    Undelivered,
    ViewerLeft,
    WireChanged,
    WorkerJoined,
    WorkerLost,
)
from broker.director.state import GATHERING, GRACE
from broker.director.vigil import OVERDUE
from common.cameras import CameraState
from common.control import DEAD_AFTER, Assign, HangUp, Ping, Release, Role, TrackStats
from common.media import Kind, Track
from common.wire import OURS
from tests.fakes.stage import H264, Stage, camera, of, sent, stream, viewer


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


# On demand


def test_an_on_demand_camera_is_pulled_while_somebody_watches_and_a_while_after() -> None:
    spec = camera("door", on_demand=True, keep_after=10.0)
    stage = Stage(spec)
    stage.ingest("in-1")
    stage.egress("out-1")
    assert stage.state_of("door") is CameraState.IDLE

    assert ("in-1", Assign(spec)) in sent(stage.offer("s1"))
    stage.ingest("in-1", stream("door"))
    stage(ViewerLeft("s1"))
    for _ in range(9):
        stage.ingest("in-1", stream("door"))
        stage.egress("out-1")
        assert sent(stage.tick(1.0)) == []
    commands = stage.tick(1.0)
    assert sent(commands) == [("in-1", Release("door"))]
    assert of(CameraChanged, commands) == [CameraChanged("door", CameraState.IDLE, "", "H264")]


def test_an_on_demand_camera_is_not_released_when_a_viewer_comes_in_time() -> None:
    stage = Stage(camera("door", on_demand=True, keep_after=1.0))
    stage.ingest("in-1")
    stage.egress("out-1")
    stage.watch("s1")
    stage(ViewerLeft("s1"))
    stage.tick(0.9)
    stage.watch("s2")
    assert sent(stage.tick(1.0)) == []


def test_an_on_demand_camera_with_nothing_kept_after_is_released_at_the_next_tick() -> None:
    stage = Stage(camera("door", on_demand=True, keep_after=0.0))
    stage.ingest("in-1")
    stage.egress("out-1")
    stage.watch("s1")
    stage(ViewerLeft("s1"))
    assert sent(stage.tick()) == [("in-1", Release("door"))]


def test_a_refused_offer_leaves_no_claim_on_an_on_demand_camera() -> None:
    stage = Stage(camera("door", on_demand=True, keep_after=0.0))
    stage.ingest("in-1")
    assert [c.code for c in of(OfferRefused, stage.offer("s1"))] == ["no_egress"]
    assert stage.worker_of("door") is None


def test_changing_an_idle_on_demand_camera_does_not_start_it() -> None:
    stage = Stage(camera("door", on_demand=True))
    stage.ingest("in-1")
    assert sent(stage.want(camera("door", on_demand=True, revision=2))) == []


def test_a_camera_that_becomes_on_demand_is_kept_its_while() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1")
    stage.ingest("in-1", stream("door"))
    stage.want(camera("door", on_demand=True, keep_after=2.0, revision=2))
    assert sent(stage.tick(1.9)) == []
    assert sent(stage.tick(0.1)) == [("in-1", Release("door"))]


# A new broker


def test_a_new_broker_waits_for_the_worker_that_had_the_camera() -> None:
    stage = Stage(camera("door"), started_now=True, last_workers={"door": "in-1"})
    assert sent(stage.ingest("in-2")) == []
    assert sent(stage.ingest("in-1", stream("door"))) == []
    assert stage.worker_of("door") == "in-1"
    assert stage.state_of("door") is CameraState.PLAYING


def test_a_new_broker_waits_no_longer_than_the_grace() -> None:
    stage = Stage(camera("door"), started_now=True, last_workers={"door": "in-1"})
    stage.ingest("in-2")
    assert sent(stage.tick(GRACE - 0.1)) == []
    commands = stage.tick(0.1)
    assert sent(commands) == [("in-2", Assign(camera("door")))]
    assert of(RememberWorker, commands) == [RememberWorker("door", "in-2")]


def test_a_new_broker_need_not_wait_once_the_worker_is_back_without_the_camera() -> None:
    stage = Stage(camera("door"), started_now=True, last_workers={"door": "in-1"})
    stage.ingest("in-2", cpu=0.5)
    assert sent(stage.ingest("in-1")) == [("in-1", Assign(camera("door")))]


def test_a_new_broker_does_not_wait_for_a_camera_that_nobody_had() -> None:
    stage = Stage(camera("door"), started_now=True)
    assert stage.state_of("door") is CameraState.CONNECTING
    assert sent(stage.ingest("in-1")) == [("in-1", Assign(camera("door")))]


def test_a_new_broker_leaves_an_on_demand_camera_running_until_its_viewers_are_known() -> None:
    spec = camera("door", on_demand=True, keep_after=0.0)
    stage = Stage(spec, started_now=True)
    assert sent(stage.ingest("in-1", stream("door"))) == []
    stage.now += GRACE - 0.1
    stage.egress("out-1", viewer("s1"))
    stage.ingest("in-1", stream("door"))
    assert sent(stage.tick(1.0)) == []
    stage.egress("out-1")
    assert sent(stage.tick()) == [("in-1", Release("door"))]


def test_an_ingest_that_is_not_to_be_trusted_keeps_only_a_camera_that_it_is_remembered_to_have() -> None:
    """The answer to a report carries the camera's password."""
    stage = Stage(camera("door"), camera("yard"), started_now=True, last_workers={"door": "in-1"}, trusting=False)
    claimed = stream("door"), stream("yard")
    assert ("in-2", Release("door")) in sent(stage.ingest("in-2", *claimed))
    assert stage.worker_of("door") != "in-2"
    stage.ingest("in-1", *claimed)
    assert stage.worker_of("door") == "in-1"


def test_the_worker_of_a_camera_is_remembered_and_forgotten() -> None:
    stage = Stage(camera("door"))
    assert of(RememberWorker, stage.ingest("in-1")) == [RememberWorker("door", "in-1")]
    assert of(RememberWorker, stage.ingest("in-1", stream("door"))) == []
    assert of(RememberWorker, stage.leave("in-1")) == [RememberWorker("door", None)]


# What is shown and remembered


def test_changes_of_state_are_announced_once() -> None:
    stage = Stage(camera("door"))
    assert of(CameraChanged, stage.ingest("in-1")) == [CameraChanged("door", CameraState.CONNECTING, "")]
    down = stream("door", state=CameraState.UNREACHABLE, detail="timed out", tracks=())
    expected = CameraChanged("door", CameraState.UNREACHABLE, "timed out")
    assert of(CameraChanged, stage.ingest("in-1", down)) == [expected]
    assert of(CameraChanged, stage.ingest("in-1", down)) == []
    playing = CameraChanged("door", CameraState.PLAYING, "", "H264")
    assert of(CameraChanged, stage.ingest("in-1", stream("door"))) == [playing]


def test_a_camera_whose_picture_cannot_be_played_is_not_playing() -> None:
    stage = Stage(camera("door"))
    sound = Track(Kind.AUDIO, "PCMU", 8_000)
    tracks = (Track(Kind.VIDEO, "H265", 90_000, problem="H265 cannot be forwarded yet"), sound)
    commands = stage.ingest("in-1", stream("door", tracks=tracks))
    expected = CameraChanged("door", CameraState.NO_PICTURE, "H265 cannot be forwarded yet", "H265")
    assert of(CameraChanged, commands) == [expected]
    assert stage.state_of() is CameraState.NO_PICTURE
    commands = stage.ingest("in-1", stream("door", tracks=(sound,)))  # a camera need not have a picture
    assert of(CameraChanged, commands) == [CameraChanged("door", CameraState.PLAYING, "")]


def test_a_camera_that_disappears_from_the_report_is_connecting_again() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1", stream("door"))
    assert of(CameraChanged, stage.ingest("in-1")) == [CameraChanged("door", CameraState.CONNECTING, "", "H264")]


def test_tracks_are_remembered_once_and_outlive_the_connection() -> None:
    stage = Stage(camera("door"))
    assert of(RememberTracks, stage.ingest("in-1", stream("door"))) == [RememberTracks("door", (H264,))]
    down = stream("door", state=CameraState.SILENT, tracks=())
    assert of(RememberTracks, stage.ingest("in-1", down)) == []
    assert of(RememberTracks, stage.ingest("in-1", stream("door"))) == []
    assert stage.director.camera("door").tracks == (H264,)


def test_tracks_of_an_old_revision_are_not_remembered() -> None:
    stage = Stage(camera("door", revision=2))
    assert of(RememberTracks, stage.ingest("in-1", stream("door", revision=1))) == []


def test_tracks_are_forgotten_when_the_address_changes() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1", stream("door"))
    stage.want(camera("door", revision=2, keep_after=5.0))
    assert stage.director.camera("door").tracks == (H264,)
    stage.want(camera("door", revision=3, url="rtsp://other/"))
    assert stage.director.camera("door").tracks == ()


def test_status_of_an_unknown_camera() -> None:
    assert Stage().director.camera("door") is None
