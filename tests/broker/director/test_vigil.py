"""Workers are given up after so many looks, and no sooner."""

import pytest

from broker.director.commands import WorkerLost
from broker.director.events import Probed, StoodStill, Undelivered, Witnessed
from broker.director.vigil import BORNE, DOUBT, OVERDUE, SECOND_LOOK, TURN
from common.control import DEAD_AFTER, Assign, Leaving, Ping
from common.onlooker import Condition
from tests.fakes.stage import Stage, camera, of, sent, stream


def gone(stage: Stage, *nodes: str) -> list[str]:
    """Every connection is tried; returns who is given up."""
    return [lost.node for lost in of(WorkerLost, stage(Probed(frozenset(nodes))))]


def seen(stage: Stage, condition: Condition, *nodes: str) -> None:
    """Those of them that are of this machine were looked at."""
    assert of(WorkerLost, stage(Witnessed(dict.fromkeys(nodes, condition)))) == []


def ingests(count: int) -> Stage:
    stage = Stage()
    for number in range(count):
        stage.ingest(f"in-{number}")
    return stage


def test_who_is_gone_at_a_second_look_as_well_is_given_up_and_its_cameras_move_at_once() -> None:
    stage = Stage(camera())
    stage.ingest("in-1")
    stage.ingest("in-2")
    stage.ingest("in-1", stream())
    assert gone(stage, "in-1") == []
    stage.now += SECOND_LOOK / 2
    assert gone(stage, "in-1") == []
    stage.now += SECOND_LOOK
    assert sent(stage(Probed(frozenset({"in-1"})))) == [("in-2", Assign(camera()))]


def test_who_connects_again_in_between_lives() -> None:
    stage = ingests(2)
    gone(stage, "in-1")
    stage.now += SECOND_LOOK * 2
    assert gone(stage) == []
    assert gone(stage, "in-1") == []  # it broke anew
    stage.now += SECOND_LOOK / 2
    stage.ingest("in-1")  # it reports
    stage.now += SECOND_LOOK
    assert gone(stage, "in-1") == []


@pytest.mark.parametrize(("count", "missing"), [(2, 2), (3, 2), (9, 4), (50, 50)])
def test_more_than_a_third_in_one_go_are_looked_at_for_longer(count: int, missing: int) -> None:
    stage, nodes = ingests(count), [f"in-{number}" for number in range(missing)]
    gone(stage, *nodes)
    stage.now += SECOND_LOOK * 2
    assert gone(stage, *nodes) == []
    stage.now += OVERDUE
    assert gone(stage, *nodes) == nodes  # then it is true


def test_fifty_that_are_cut_off_and_come_back_are_all_kept() -> None:
    stage = ingests(50)
    nodes = [f"in-{number}" for number in range(50)]
    for back in range(0, 51, 5):  # they connect again one after the other
        assert gone(stage, *nodes[back:]) == []
        stage.now += 0.02


def test_many_that_messages_do_not_reach_are_not_given_up_for_that() -> None:
    stage, nodes = ingests(3), ["in-0", "in-1", "in-2"]
    stage.now += OVERDUE  # cut off: each is silent, and heartbeats have broken its connection
    for node in nodes:
        assert of(WorkerLost, stage(Undelivered(node, Ping()))) == []
    assert gone(stage, *nodes) == []
    stage.now += OVERDUE
    assert gone(stage, *nodes) == nodes


def test_silence_of_many_is_doubted_for_another_second() -> None:
    stage = ingests(6)
    stage.now += DEAD_AFTER
    for number in range(3):
        stage.ingest(f"in-{number}")
    assert of(WorkerLost, stage.tick()) == []
    assert [lost.node for lost in of(WorkerLost, stage.tick(DOUBT))] == ["in-3", "in-4", "in-5"]


def test_time_in_which_we_stood_still_makes_nobody_silent() -> None:
    stage = ingests(1)
    stage.now += 60.0
    stage(StoodStill(60.0))
    assert of(WorkerLost, stage.tick(DEAD_AFTER - 0.1)) == []
    assert [lost.node for lost in of(WorkerLost, stage.tick(0.1))] == ["in-0"]


def test_who_was_heard_right_after_we_stood_still_is_not_believed_for_longer() -> None:
    stage = ingests(1)
    stage.now += 60.0
    stage.ingest("in-0")
    stage(StoodStill(60.0))
    assert [lost.node for lost in of(WorkerLost, stage.tick(DEAD_AFTER))] == ["in-0"]


def test_a_connection_that_is_missed_just_before_we_stood_still_is_missed_anew() -> None:
    stage = ingests(2)
    gone(stage, "in-1")
    stage.now += 10.0
    stage(StoodStill(10.0))
    assert gone(stage, "in-1") == []
    stage.now += SECOND_LOOK
    assert gone(stage, "in-1") == ["in-1"]


def test_who_waits_for_a_processor_is_not_given_up_while_it_does_and_then_as_ever() -> None:
    stage = ingests(4)
    for _ in range(10):
        seen(stage, Condition.WAITS, "in-1")
        assert gone(stage, "in-1") == []
        stage.now += SECOND_LOOK
    stage.now += TURN - 2 * SECOND_LOOK  # it has its turn, and connects
    seen(stage, Condition.FREE, "in-1")
    assert gone(stage, "in-1") == []
    stage.now += SECOND_LOOK
    seen(stage, Condition.FREE, "in-1")
    assert gone(stage, "in-1") == ["in-1"]


@pytest.mark.parametrize("condition", [Condition.DEAD, Condition.STOPPED])
def test_who_is_dead_or_stopped_has_waited_in_vain(condition: Condition) -> None:
    stage = ingests(4)
    seen(stage, Condition.WAITS, "in-1")
    gone(stage, "in-1")
    stage.now += SECOND_LOOK
    seen(stage, condition, "in-1")
    assert gone(stage, "in-1") == ["in-1"]


def test_who_waits_is_given_up_once_viewers_are_better_off_elsewhere() -> None:
    stage = ingests(4)
    stage.now += BORNE
    for node in ("in-0", "in-2", "in-3"):
        stage.ingest(node)
    seen(stage, Condition.WAITS, "in-1")
    assert gone(stage, "in-1") == []
    stage.now += SECOND_LOOK
    seen(stage, Condition.WAITS, "in-1")
    assert gone(stage, "in-1") == ["in-1"]


def test_where_nobody_else_of_its_role_is_heard_who_waits_is_kept() -> None:
    stage = ingests(2)
    for name in ("out-1", "out-2"):
        stage.egress(name)
    for _ in range(int(5 * BORNE / TURN)):
        stage.now += TURN / 2
        for name in ("out-1", "out-2"):
            stage.egress(name)
        seen(stage, Condition.WAITS, "in-0", "in-1")
        assert gone(stage, "in-0", "in-1") == []
        assert of(WorkerLost, stage.tick(TURN / 2)) == []


def test_who_is_silent_as_it_waits_does_not_hang_and_who_has_its_turns_and_is_silent_does() -> None:
    stage = ingests(3)
    stage.now += DEAD_AFTER
    for node in ("in-0", "in-2"):
        stage.ingest(node)
    seen(stage, Condition.WAITS, "in-1")
    assert of(WorkerLost, stage.tick()) == []
    stage.now += TURN
    seen(stage, Condition.FREE, "in-1")
    assert [lost.node for lost in of(WorkerLost, stage.tick())] == ["in-1"]


@pytest.mark.parametrize("condition", list(Condition))
def test_one_that_a_message_does_not_reach_has_a_second_look_where_it_may_be_about_to_connect(
    condition: Condition,
) -> None:
    stage = ingests(3)
    stage.now += OVERDUE
    for node in ("in-0", "in-2"):
        stage.ingest(node)
    seen(stage, condition, "in-1")
    lost = [each.node for each in of(WorkerLost, stage(Undelivered("in-1", Ping())))]
    assert lost == ([] if condition in (Condition.WAITS, Condition.FREE) else ["in-1"])


@pytest.mark.parametrize("condition", [Condition.DEAD, Condition.STOPPED])
def test_who_was_stopped_and_is_overdue_is_given_up_though_its_connection_stands(condition: Condition) -> None:
    stage = ingests(4)
    stage.now += OVERDUE
    for node in ("in-0", "in-2", "in-3"):
        stage.ingest(node)
    seen(stage, Condition.FREE, "in-1")
    assert of(WorkerLost, stage.tick()) == []
    seen(stage, condition, "in-1")
    assert [lost.node for lost in of(WorkerLost, stage.tick())] == ["in-1"]


def test_that_many_were_stopped_is_doubted_for_another_second() -> None:
    stage = ingests(2)
    stage.now += OVERDUE
    seen(stage, Condition.STOPPED, "in-0", "in-1")
    assert of(WorkerLost, stage.tick(DOUBT - 0.1)) == []
    assert [lost.node for lost in of(WorkerLost, stage.tick(0.1))] == ["in-0", "in-1"]


def test_who_was_stopped_when_it_had_given_everything_to_its_successor_is_waited_for() -> None:
    stage = Stage()
    stage.egress("out-1", incarnation="1")
    stage.hear("out-1", Leaving("out-1", "1", successor="2"))
    stage.now += OVERDUE
    seen(stage, Condition.STOPPED, "out-1")
    assert of(WorkerLost, stage.tick()) == []
