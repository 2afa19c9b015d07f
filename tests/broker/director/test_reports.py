"""Reports in parts, reports that cannot tell everything, and whatever else a worker may say."""

from __future__ import annotations

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.director.commands import SessionEnded, WorkerLost
from broker.director.events import FromWorker
from common.control import DEAD_AFTER, Assign, Ended, HangUp, Report, Role, decode_for_broker
from common.errors import ProtocolError
from tests.fakes.stage import Stage, camera, of, sent, stream, viewer


def test_a_session_is_not_lost_because_a_report_comes_in_parts() -> None:
    stage = Stage(camera())
    stage.ingest("i")
    stage.egress("e")
    for session in ("a", "b"):
        assert stage.watch(session) == "e"
    for _ in range(5):
        commands = stage.egress("e", viewer("a"), number=1, part=0, parts=2)
        commands += stage.tick(DEAD_AFTER / 2)
        assert not of(SessionEnded, commands)
        assert not of(WorkerLost, commands), "a part shows that the worker lives"
        stage.ingest("i", stream())
    assert stage.director.session("b") is not None
    stage.egress("e", viewer("a"), number=2, part=0, parts=2)
    [ended] = of(SessionEnded, stage.egress("e", number=2, part=1, parts=2))
    assert ended.session == "b"


def test_what_a_report_cannot_tell_is_as_it_was() -> None:
    stage = Stage(camera("door"), camera("yard"))
    stage.ingest("i", stream("door"), stream("yard"))
    stage.egress("e")
    stage.watch("a")
    commands = stage.egress("e", partial=True) + stage.ingest("i", partial=True)
    assert not of(SessionEnded, commands)
    assert sent(commands) == []
    assert stage.director.camera("yard").stream == stream("yard")
    assert stage.director.session("a") is not None


def test_a_worker_that_can_never_tell_everything_is_not_remembered_for_what_is_over() -> None:
    stage = Stage(camera("door"))
    stage.ingest("i", stream("door"))
    stage.egress("e")
    for number in range(50):
        stage.watch(f"s{number}")
        stage.egress("e", viewer(f"s{number}"), partial=True)
        stage.hear("e", Ended(f"s{number}", "hung up"))
    stage.egress("e", partial=True)
    [egress] = [worker for worker in stage.director.workers if worker.node == "e"]
    assert len(egress.report.viewers) <= 1


def test_a_worker_that_is_new_and_cannot_tell_everything_joins() -> None:
    stage = Stage(camera())
    stage.egress("e", viewer("a"), partial=True)
    assert stage.director.session("a") is not None


def test_parts_of_a_node_that_never_joins_are_forgotten() -> None:
    stage = Stage()
    stage.egress("e", viewer("a"), number=1, part=0, parts=2)
    stage.tick(1.0)
    assert stage.director.counters["report_parts_lost"] == 0
    stage.egress("e", number=1, part=1, parts=2)
    assert not list(stage.director.workers)
    assert stage.director.counters["report_parts_lost"] == 2


def test_a_part_of_a_dead_workers_report_neither_revives_it_nor_is_kept() -> None:
    stage = Stage(camera())
    stage.egress("e")
    stage.egress("e", viewer("a"), number=1, part=0, parts=2)
    stage.tick(DEAD_AFTER)
    died = stage.now
    stage.tick(1.0)
    stage.egress("e", viewer("b"), number=1, part=1, parts=2)  # the rest of what it began to tell before
    stage.egress("e", viewer("b"), number=2, part=0, parts=2)
    [worker] = stage.director.workers
    assert (worker.alive, worker.seen) == (False, died - DEAD_AFTER)
    assert stage.director.session("a") is None


def test_strangers_sessions_are_hung_up() -> None:
    stage = Stage(camera())
    commands = stage.egress("e", viewer("a", "nobody's"), viewer("a", "nobody's"), viewer("b", ""))
    assert [message for _, message in sent(commands)] == [HangUp("a"), HangUp("a"), HangUp("b")]


def test_no_number_of_strangers_sessions_is_kept_in_mind_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.director.ended.MAX_ENDED", 50)
    stage = Stage(camera())
    for second in range(10):
        told = [viewer(f"{second}-{number}", "nobody's") for number in range(20)]
        assert len(sent(stage.egress("e", *told))) == 20
        assert len(stage.director._viewers._ended) <= 50


texts = st.sampled_from(["", "e", "i", "s", "door", "yard", "d" * 300, "\0", "ä"])
numbers = st.sampled_from([0, 1, -1, 2**64 - 1, -(2**63), 0.5, float("nan"), float("inf")])
anything = st.one_of(texts, numbers, st.none(), st.booleans(), st.just([]), st.just({}))
tracks = st.fixed_dictionaries({"kind": st.sampled_from(["video", "smell"]), "codec": texts, "clock_rate": numbers})
streams = st.fixed_dictionaries(
    {"camera": texts, "revision": numbers, "state": st.sampled_from(["playing", "lost"])},
    optional={"tracks": st.lists(tracks, max_size=3), "since": numbers, "detail": anything},
)
viewers = st.fixed_dictionaries(
    {"session": texts, "camera": texts, "state": st.sampled_from(["connected", "connecting", "odd"])},
    optional={"jitter": numbers, "remote": anything},
)
ROLES = [role.value for role in Role]
reports = st.fixed_dictionaries(
    {
        "type": st.just("report"),
        "node": texts,
        "role": st.sampled_from([role.value for role in Role]),
        "incarnation": texts,
    },
    optional={
        "served": st.lists(streams, max_size=4),
        "viewers": st.lists(viewers, max_size=4),
        "subscribed": st.lists(texts, max_size=3),
        "draining": st.booleans(),
        "partial": st.booleans(),
        "number": numbers,
        "part": numbers,
        "parts": numbers,
        "counters": st.dictionaries(texts, numbers, max_size=2),
    },
)
others = st.one_of(
    st.fixed_dictionaries({"type": st.just("answered"), "session": texts, "sdp": texts}),
    st.fixed_dictionaries(
        {"type": st.just("refused"), "session": texts, "status": numbers, "code": texts, "message": texts}
    ),
    st.fixed_dictionaries({"type": st.just("ended"), "session": texts, "reason": anything}),
    st.fixed_dictionaries({"type": st.just("leaving"), "node": texts, "incarnation": texts}),
)


@given(st.lists(st.tuples(texts, st.one_of(reports, others)), max_size=20))
def test_nothing_that_a_worker_says_harms_the_director(said: list[tuple[str, dict[str, object]]]) -> None:
    stage = Stage(camera("door"), camera("yard", on_demand=True))
    stage.ingest("i")
    stage.egress("e")
    stage.offer("s")
    for node, message in said:
        with contextlib.suppress(ProtocolError):
            stage(FromWorker(node, decode_for_broker(msgpack.packb(message))))
        stage.tick(0.7)
    stage.tick(2 * DEAD_AFTER)
    stage.hear("e2", Report("e2", Role.EGRESS, "1"))
    stage.hear("i2", Report("i2", Role.INGEST, "1"))
    assert stage.watch("later") in {"e", "e2"} | {node for node, _ in said}


def test_a_camera_that_a_partial_report_does_not_mention_is_not_assigned_again() -> None:
    stage = Stage(camera("door"), camera("hall"))
    stage.ingest("in-1")
    commands = stage.ingest("in-1", stream("door"), partial=True)
    assert not [message for _, message in sent(commands) if isinstance(message, Assign)]
    commands = stage.ingest("in-1", stream("door"))
    assert [message.camera.id for _, message in sent(commands) if isinstance(message, Assign)] == ["hall"]
