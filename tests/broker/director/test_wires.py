"""Releases that are mixed: which wire version is spoken, and who is refused."""

from __future__ import annotations

from broker.director.commands import WireChanged, WorkerJoined, WorkerUnfit
from broker.director.wires import WARN_INTERVAL
from common.control import Assign, Speak, Unfit
from common.wire import OURS, Spoken
from tests.fakes.stage import Stage, camera, of, sent, stream

OLD, NEW = Spoken(max(1, OURS.oldest - 1), OURS.oldest), Spoken(OURS.newest, OURS.newest + 1)
FAR = Spoken(OURS.newest + 1, OURS.newest + 2)


def test_all_speak_the_lowest_while_one_is_there_that_speaks_no_more() -> None:
    stage = Stage()
    assert sent(stage.egress("out-1", wire=OURS)) == [("out-1", Speak(OURS.newest))]
    assert sent(stage.egress("out-1", wire=OURS, speaks=OURS.newest)) == []
    commands = stage.ingest("in-1", wire=OLD)
    assert of(WireChanged, commands) == [WireChanged(OURS.oldest)]
    assert ("out-1", Speak(OURS.oldest)) in sent(commands)
    assert sent(stage.egress("out-1", wire=OURS, speaks=OURS.newest)) == [("out-1", Speak(OURS.oldest))], "again"
    assert sent(stage.egress("out-1", wire=OURS, speaks=OURS.oldest)) == []
    stage.leave("in-1")
    assert sent(stage.tick()) == [("out-1", Speak(OURS.newest))]


def test_one_that_tells_of_no_version_is_told_of_none_and_works() -> None:
    stage = Stage(camera())
    commands = stage.ingest("in-1")
    assert [type(message) for _, message in sent(commands)] == [Assign]
    assert of(WireChanged, commands) == [WireChanged(1)]


def test_one_that_nobody_understands_is_refused_with_a_sentence_and_gets_nothing() -> None:
    stage = Stage(camera())
    commands = stage.ingest("in-1", wire=FAR, version="9.9.0")
    [(node, unfit)] = sent(commands)
    assert node == "in-1"
    assert isinstance(unfit, Unfit)
    assert "release 9.9.0 speaks" in unfit.sentence
    [told] = of(WorkerUnfit, commands)
    assert told.sentence == unfit.sentence
    assert not of(WorkerJoined, commands)
    assert stage.worker_of() is None
    assert list(stage.director.workers) == []
    commands = stage.ingest("in-1", wire=FAR)
    assert [type(message) for _, message in sent(commands)] == [Unfit]
    assert not of(WorkerUnfit, commands), "the log has it once a while"
    stage.now += WARN_INTERVAL
    assert of(WorkerUnfit, stage.ingest("in-1", wire=FAR))
    assert stage.director.counters["wire_unfit"] == 3


def test_the_one_that_comes_last_is_refused_and_may_come_when_the_other_is_gone() -> None:
    stage = Stage(camera())
    stage.egress("out-1", wire=OLD)
    assert [type(message) for _, message in sent(stage.ingest("in-1", wire=NEW))] == [Unfit]
    stage.leave("out-1")
    stage.tick()
    told = [message for _, message in sent(stage.ingest("in-1", wire=NEW, speaks=NEW.newest))]
    assert Speak(OURS.newest) in told
    assert stage.worker_of() == "in-1"


def test_a_node_that_comes_back_as_another_release_is_looked_at_anew() -> None:
    stage = Stage(camera())
    stage.ingest("in-1", stream(), wire=OLD)
    assert [type(message) for _, message in sent(stage.ingest("in-1", wire=FAR, incarnation="2"))] == [Unfit]
    assert stage.worker_of() == "in-1", "the one before is there until it is missed"
    stage.ingest("in-1", stream(), wire=NEW, incarnation="3")
    [worker] = stage.director.workers
    assert worker.report.incarnation == "3"
