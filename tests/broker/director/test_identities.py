"""Which worker a report is of, as the table in the module's header has it."""

from __future__ import annotations

import pytest

from broker.director.commands import NodeNameTwice
from broker.director.events import EndReason
from broker.director.identities import WARN_INTERVAL, Identities
from broker.director.state import State, Worker
from common.control import Report, Role, StreamReport
from tests.fakes.stage import of, stream

NODE = "in-1"


def report(incarnation: str, *streams: StreamReport, **fields: object) -> Report:
    return Report(NODE, Role.INGEST, incarnation, served=streams, **fields)


class Roll:
    """A state with its identities, and who was buried."""

    def __init__(self) -> None:
        self.state = State(0.0, None, sessions_each=1)
        self.buried: list[tuple[str, EndReason]] = []
        self.identities = Identities(self.state, self._bury)

    def _bury(self, worker: Worker, reason: EndReason) -> None:
        worker.alive = False
        self.buried.append((worker.report.incarnation, reason))

    def hear(self, told: Report) -> bool | None:
        """Whether a worker has joined by a report; ``None`` if its name is another's."""
        self.state.now += 1.0
        found = self.identities.reported(told)
        return None if found is None else found[1]

    @property
    def worker(self) -> Worker:
        return self.state.workers[NODE]


def test_the_first_report_joins_and_the_next_one_shows_that_it_lives() -> None:
    roll = Roll()
    assert roll.hear(report("a")) is True
    first = roll.worker
    assert roll.hear(report("a")) is False
    assert (roll.worker, roll.worker.seen, roll.buried) == (first, 2.0, [])


def test_one_that_was_given_up_joins_anew_with_what_was_known_of_it() -> None:
    roll = Roll()
    roll.hear(report("a"))
    before = roll.worker
    before.alive, before.give_up_at = False, 3.0
    assert roll.hear(report("a")) is True
    assert (roll.worker, before.alive, before.give_up_at) == (before, True, None)


def test_another_incarnation_buries_the_one_that_is_known() -> None:
    roll = Roll()
    roll.hear(report("a"))
    assert roll.hear(report("b")) is True
    assert roll.buried == [("a", EndReason.WORKER_RESTARTED)]
    assert (roll.worker.report.incarnation, roll.worker.predecessor) == ("b", "a")


@pytest.mark.parametrize("announced", [True, False])
def test_a_successor_goes_on_as_the_worker_that_it_was(announced: bool) -> None:
    roll = Roll()
    roll.hear(report("a"))
    before = roll.worker
    before.heir = "b" if announced else ""
    assert roll.hear(report("b", succeeds="" if announced else "a")) is False
    assert (roll.worker, before.report.incarnation, before.predecessor, before.heir) == (before, "b", "a", "")
    assert roll.buried == []


def test_of_two_processes_with_one_name_the_newer_one_keeps_it_and_that_is_said_once_in_a_while() -> None:
    roll = Roll()
    roll.hear(report("a"))
    roll.hear(report("b"))
    roll.buried.clear()
    assert [roll.hear(report("a")) for _ in range(3)] == [None] * 3
    assert (roll.worker.report.incarnation, roll.buried) == ("b", [])
    assert len(of(NodeNameTwice, roll.state.commands)) == 1
    assert roll.state.counters["node_name_used_twice"] == 3
    roll.state.now += WARN_INTERVAL
    roll.hear(report("a"))
    assert len(of(NodeNameTwice, roll.state.commands)) == 2


def test_once_the_newer_one_is_dead_the_older_one_joins() -> None:
    roll = Roll()
    roll.hear(report("a"))
    roll.hear(report("b"))
    roll.worker.alive = False
    assert roll.hear(report("a")) is True
    assert (roll.worker.report.incarnation, roll.worker.predecessor) == ("a", "b")


def test_a_part_shows_that_its_worker_lives_and_no_more() -> None:
    roll = Roll()
    roll.hear(report("a"))
    roll.state.now = 9.0
    assert roll.identities.whole(report("a", part=0, parts=2)) is None
    assert roll.worker.seen == 9.0
    roll.state.now = 10.0
    assert roll.identities.whole(report("b", part=0, parts=2)) is None  # of another process
    assert roll.worker.seen == 9.0


def test_the_last_part_makes_the_report_whole() -> None:
    roll = Roll()
    one, other = report("a", stream("door"), part=0, parts=2), report("a", stream("yard"), part=1, parts=2)
    assert roll.identities.whole(one) is None
    whole = roll.identities.whole(other)
    assert whole is not None
    assert [each.camera for each in whole.served] == ["door", "yard"]


def test_parts_of_a_worker_that_died_are_forgotten_and_counted() -> None:
    roll = Roll()
    roll.hear(report("a"))
    roll.identities.whole(report("a", stream("door"), part=0, parts=2))
    roll.identities.forget(roll.worker)
    assert roll.identities.whole(report("a", stream("yard"), part=1, parts=2)) is None
    assert roll.state.counters["report_parts_lost"] == 2


def test_what_a_report_cannot_tell_stays_as_it_was_unless_it_is_over() -> None:
    roll = Roll()
    roll.hear(report("a", stream("door"), stream("yard")))
    roll.worker.cameras = {"door"}  # the yard was taken from it meanwhile
    whole = roll.identities.whole(report("a", stream("hall"), partial=True))
    assert whole is not None
    assert [each.camera for each in whole.served] == ["door", "hall"]
