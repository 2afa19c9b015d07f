"""Gentle processes of pytest-xdist: they run what computes, with what the others leave of the machine.

Tests of whole clusters mostly wait, and those that count pictures bear no others beside them. Meanwhile the last of the
processes, if there are more than ``USUAL``, run unit tests at a lower priority. They begin at the end of the list, the
others at its beginning. A part of what computes is kept for the time of tests that are quiet or alone: these come last,
and the machine would have little else to do then.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import deque
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
from xdist.workermanage import WorkerController, parse_tx_spec_config

USUAL = 4  # processes: tests mostly wait, so there are more than cores
NICE = 5  # of 19: a third of what others get where all compute; unit tests that have a bound still keep it
AHEAD = 2  # tests that a process has: the one that runs, and the next, which it has to know
BATCH = 8  # tests that compute, given at once; fewer at the end, which all processes are to reach together
KEPT = 1 / 2  # of what computes: with less, the machine rests in the last minutes
_WAITS = re.compile(r"\bmark\.(e2e|browser|gstreamer|namespace|slow|quiet|alone)\b")
_BEARS_LITTLE = re.compile(r"\bmark\.(quiet|alone)\b")
_GROUP = re.compile(r'\bmark\.xdist_group\("([^"]+)"\)')


def is_gentle(worker: str) -> bool:
    """Whether the process that xdist calls so (``gw0`` is the first) is one of those."""
    number = worker.removeprefix("gw")
    return number.isdecimal() and int(number) >= USUAL


def become_gentle() -> None:
    """Let the others have the machine, if they want it. Linux shares it out among sessions before it looks at them."""
    os.nice(NICE)
    with contextlib.suppress(OSError):
        os.setsid()
        Path("/proc/self/autogroup").write_text(str(NICE))


@cache
def computes(file: Path) -> bool:
    """Whether no test of a file has one of the markers of those that wait."""
    return file.suffix == ".py" and not _WAITS.search(file.read_text("utf-8"))


@cache
def bears_little(file: Path) -> bool:
    """Whether a test of a file has one of the markers of those that bear little company."""
    return bool(_BEARS_LITTLE.search(file.read_text("utf-8")))


@cache
def group_of(file: Path) -> str:
    """The ``xdist_group`` of the tests of a file; empty if they may be taken apart.

    It is read where it stands: xdist 3.8 writes it into the names of tests, and pytest 9.2 does not let it.
    """
    found = _GROUP.search(file.read_text("utf-8"))
    return found[1] if found else ""


class Scheduling:
    """The sharing out of tests among the processes: xdist's ``Scheduling``, for which it asks by a hook.

    A unit is one test, or all of the files of an ``xdist_group``. What computes is given in batches: it is over in a
    moment, and a fixture of its module is made less often.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._root = config.rootpath
        self._expected = len(parse_tx_spec_config(config))
        self._collections: dict[WorkerController, list[str]] = {}
        self._given: dict[WorkerController, list[int]] = {}  # what of the collection each has not run yet
        self._collection: list[str] = []
        self._waiting: deque[list[int]] = deque()  # units that no process has; those that wait …
        self._computing: deque[list[int]] = deque()  # … and those that compute
        self._died_of: set[int] = set()
        self._kept = 0  # of these, until what waits is quiet

    @property
    def nodes(self) -> list[WorkerController]:
        return list(self._given)

    @property
    def collection_is_completed(self) -> bool:
        return len(self._collections) >= self._expected

    @property
    def tests_finished(self) -> bool:
        return (
            self.collection_is_completed
            and not (self._waiting or self._computing)
            and all(len(each) < AHEAD for each in self._given.values())
        )

    @property
    def has_pending(self) -> bool:
        return bool(self._waiting or self._computing or any(self._given.values()))

    def add_node(self, node: WorkerController) -> None:
        self._given[node] = []

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        self._collections[node] = list(collection)

    def remove_node(self, node: WorkerController) -> str | None:
        """Take back what a process had that ended. Returns the test that it died of, if one did so a second time.

        What ran before in that process may be to blame: xdist tells of the death, and another process has the test.
        """
        given = self._given.pop(node)
        if not given:
            return None
        died_of = given[0]
        again = died_of in self._died_of
        self._died_of.add(died_of)
        if left := given[1:] if again else given:
            self._waiting.appendleft(left)
        for other in self.nodes:
            self._give(other)
        return self._collection[died_of] if again else None

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        self._given[node].remove(item_index)
        for each in self.nodes:
            self._give(each)

    def mark_test_pending(self, item: str) -> None:
        raise NotImplementedError

    def remove_pending_tests_from_node(self, node: WorkerController, indices: Sequence[int]) -> None:
        raise NotImplementedError

    def schedule(self) -> None:
        """Share out what all have found; called again for a process that came in place of one that died."""
        if not self._collection:
            first, *others = self._collections.items()
            for other, collection in others:
                if collection != first[1]:
                    raise pytest.UsageError(f"{first[0].gateway.id} and {other.gateway.id} found different tests")
            self._collection = first[1]
            units: dict[str, list[int]] = {}
            for index, name in enumerate(self._collection):
                units.setdefault(group_of(self._file(name)) or name, []).append(index)
            for unit in units.values():
                of_file = self._file(self._collection[unit[0]])
                (self._computing if computes(of_file) else self._waiting).append(unit)
            self._kept = int(len(self._computing) * KEPT)
        for _ in range(2):  # a unit for each, before the first has a second one
            for node in self.nodes:
                self._give(node, enough=1 + bool(self._given[node]))

    def _file(self, name: str) -> Path:
        return self._root / name.partition("::")[0]

    def _give(self, node: WorkerController, enough: int = AHEAD) -> None:
        gentle = is_gentle(node.workerinput["workerid"])
        while len(self._given[node]) < enough and not node.shutting_down:
            if gentle and self._is_kept():
                return
            if not (indices := self._next(gentle)):
                node.shutdown()
                return
            self._given[node] += indices
            node.send_runtest_some(indices)

    def _is_kept(self) -> bool:
        """Whether what is left of what computes is for later."""
        return (
            len(self._computing) <= self._kept
            and bool(self._waiting)
            and not bears_little(self._file(self._collection[self._waiting[0][0]]))
        )

    def _next(self, gentle: bool) -> list[int]:
        """The tests that a process gets next; none if nothing is left for it."""
        if self._waiting and not gentle:
            return self._waiting.popleft()
        batch: list[int] = []
        size = min(BATCH, 1 + len(self._computing) // (2 * len(self._given)))
        while self._computing and len(batch) < size:
            batch = self._computing.pop() + batch if gentle else batch + self._computing.popleft()
        return batch
