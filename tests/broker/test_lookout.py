"""Workers that are not heard are looked at, those of this machine, and what is seen reaches the director."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import pytest

from broker import lookout as module
from broker.director.events import Event, Probed, Witnessed
from broker.director.state import Worker
from broker.director.vigil import OVERDUE
from broker.lookout import AT_ONCE, LATE, Lookout
from common.control import Report, Role
from common.onlooker import Condition, mark
from tests.fakes.clocks import Clock
from tests.fakes.log import Recorder

HERE = mark(os.getpid())
pytestmark = pytest.mark.skipif(not HERE, reason="the system tells nothing")


class Told:
    """An onlooker that is told what it sees."""

    conditions: ClassVar[dict[int, Condition]] = {}
    looks: ClassVar[list[tuple[int, bool]]] = []

    def __init__(self, pid: int, *, own: bool = False) -> None:
        self.pid = 0 if own else pid

    def look(self, _: float, *, whole: bool = False) -> Condition:
        self.looks.append((self.pid, whole))
        return self.conditions.get(self.pid, Condition.FREE)


class Setup:
    def __init__(self) -> None:
        self.now = self.due = 100.0
        self.missing: set[str] = set()
        self.workers = [
            Worker(Report(name, Role.EGRESS, "1", pid=pid, mark=f"mark of {pid}"), 100.0)
            for name, pid in (("out-1", 11), ("out-2", 12))
        ]
        self.lookout = Lookout(lambda: self.workers, lambda node: node not in self.missing, lambda: self.now)

    def conditions(self, events: Iterator[Event]) -> dict[str, Condition]:
        return {
            node: each for event in events if isinstance(event, Witnessed) for node, each in event.conditions.items()
        }

    def pass_by(self, seconds: float) -> None:
        self.due = self.now
        self.now += seconds

    def look(self, seconds: float = 0.2) -> dict[str, Condition]:
        self.pass_by(seconds)
        return self.conditions(self.lookout.look(self.due))

    def probe(self, seconds: float = 0.2) -> dict[str, Condition]:
        self.pass_by(seconds)
        *witnessed, probed = self.lookout.probe(self.due)
        assert probed == Probed(frozenset(self.missing))
        return self.conditions(iter(witnessed))


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> Setup:
    monkeypatch.setattr(module, "mark", lambda pid: f"mark of {pid}")
    monkeypatch.setattr(module, "Onlooker", Told)
    Told.conditions.clear()
    Told.looks.clear()
    return Setup()


def test_who_is_heard_is_not_looked_at(setup: Setup) -> None:
    assert setup.probe() == setup.look() == {}
    assert Told.looks == []
    assert not setup.lookout.misses


def test_one_that_has_lost_its_connection_is_looked_at_whole_and_one_that_is_silent_by_its_loop(setup: Setup) -> None:
    setup.missing = {"out-1"}
    Told.conditions[11] = Condition.WAITS
    assert setup.probe() == {"out-1": Condition.WAITS}
    assert setup.lookout.misses
    setup.now = 100.0 + OVERDUE
    setup.workers[0].seen = setup.now
    setup.probe(0.0)
    assert (11, True) in Told.looks
    assert (12, False) in Told.looks


def test_a_process_elsewhere_is_unknown_and_one_that_another_has_become(setup: Setup) -> None:
    setup.missing = {"out-1", "out-2"}
    for worker, told in zip(setup.workers, ("", "mark of another"), strict=True):
        worker.report = replace(worker.report, mark=told)
    assert setup.probe() == dict.fromkeys(setup.missing, Condition.UNKNOWN)


@pytest.mark.parametrize("late", [False, True])
def test_where_we_get_no_processor_whoever_may_live_is_taken_to_wait_for_one(setup: Setup, *, late: bool) -> None:
    setup.missing = {"out-1", "out-2"}
    Told.conditions |= {0: Condition.FREE if late else Condition.WAITS, 12: Condition.STOPPED}
    assert setup.probe(LATE + 0.1 if late else 0.2) == {"out-1": Condition.WAITS, "out-2": Condition.STOPPED}


def test_many_looks_at_once_are_one(setup: Setup) -> None:
    setup.workers[0].seen -= OVERDUE
    assert setup.look()
    assert not setup.look(AT_ONCE / 2)
    assert setup.look()


def test_that_one_gets_no_processor_is_told_once_in_a_while(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Recorder()
    monkeypatch.setattr(module, "log", log)
    setup.missing = {"out-1"}
    Told.conditions[11] = Condition.WAITS
    for _ in range(3):
        setup.probe()
    assert [fields for _, fields in log.lines] == [{"worker": "out-1"}]


def test_a_process_of_this_machine_is_known_by_its_mark() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    worker = Worker(Report("out-1", Role.EGRESS, "1", pid=child.pid, mark=mark(child.pid)), 0.0)
    lookout = Lookout(lambda: [worker], lambda _: False, clock := Clock())
    (witnessed, _) = lookout.probe(clock())
    assert witnessed.conditions["out-1"] is not Condition.UNKNOWN
    child.kill()
    child.communicate()
    (witnessed, _) = lookout.probe(clock())
    assert witnessed == Witnessed({"out-1": Condition.DEAD})
