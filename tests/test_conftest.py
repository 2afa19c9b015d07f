"""Tests beside each other, told by threads and objects that stand for the processes of a run; and logs."""

from __future__ import annotations

import fcntl
import itertools
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from common.log import configure, get_logger
from tests.fakes import gentle
from tests.fakes.gentle import BATCH, KEPT, Scheduling, computes, group_of, is_gentle
from tests.fakes.turns import FOLDERS, Company, collecting, turn

BOUND = 20.0  # seconds: more than a thread needs to go on on a busy machine


class Process:
    """Runs one test in its turn: ``runs`` is set when it does, and it goes on until ``end``."""

    def __init__(self, root: Path, company: Company) -> None:
        self.runs, self._may_end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=(root, company))
        self._thread.start()

    def end(self) -> None:
        self._may_end.set()
        self._thread.join(BOUND)

    def _run(self, root: Path, company: Company) -> None:
        with turn(root, company):
            self.runs.set()
            self._may_end.wait(BOUND)


@given(st.none())
def property_of_all(_: None) -> None:
    """A property; what it says is of no interest here."""


@contextmanager
def process(root: Path, company: Company = Company.USUAL) -> Iterator[Process]:
    started = Process(root, company)
    yield started
    started.end()


def stands_at_the_door(root: Path) -> None:
    """Wait until somebody does: from then on nobody else comes in."""
    deadline = time.monotonic() + BOUND
    door = os.open(root, os.O_RDONLY)
    try:
        while time.monotonic() < deadline:
            try:
                fcntl.flock(door, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            fcntl.flock(door, fcntl.LOCK_UN)
            time.sleep(0.001)
    finally:
        os.close(door)
    raise AssertionError("nobody waits")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in FOLDERS:
        (tmp_path / folder).mkdir()
    return tmp_path


def test_tests_run_beside_each_other(root: Path) -> None:
    with process(root) as one, process(root) as another:
        assert one.runs.wait(BOUND)
        assert another.runs.wait(BOUND)


def test_who_is_alone_waits_for_the_others_and_nobody_overtakes(root: Path) -> None:
    with process(root) as before:
        assert before.runs.wait(BOUND)
        with process(root, Company.ALONE) as alone:
            stands_at_the_door(root)
            assert not alone.runs.is_set()
            with process(root) as after:
                before.end()
                assert alone.runs.wait(BOUND)
                assert not after.runs.wait(0.1)
                alone.end()
                assert after.runs.wait(BOUND)


def test_one_collects_first_and_then_all_others_at_once(root: Path) -> None:
    collect, there, both = threading.Event(), threading.Barrier(3), threading.Barrier(2)

    def other() -> None:
        there.wait(BOUND)
        with collecting(root) as first:
            assert collect.is_set()
            assert not first
            both.wait(BOUND)

    with ThreadPoolExecutor(2) as others:
        with collecting(root) as first:
            assert first
            ended = [others.submit(other) for _ in range(2)]
            there.wait(BOUND)
            time.sleep(0.1)  # in which they would have begun
            collect.set()
        assert [each.result(BOUND) for each in ended] == [None, None]


@pytest.mark.parametrize("company", [Company.USUAL, Company.ALONE])
def test_three_that_are_quiet_run_beside_each_other_and_nobody_else_does(root: Path, company: Company) -> None:
    with ExitStack() as stack:
        first, *others = (stack.enter_context(process(root, Company.QUIET)) for _ in range(3))
        assert all(each.runs.wait(BOUND) for each in (first, *others))
        with process(root, Company.QUIET) as fourth:
            stands_at_the_door(root)
            assert not fourth.runs.wait(0.1)
            first.end()
            assert fourth.runs.wait(BOUND)
            with process(root, company) as after:
                for each in others:
                    each.end()
                assert not after.runs.wait(0.1)
                fourth.end()
                assert after.runs.wait(BOUND)


def test_who_is_quiet_waits_for_the_others(root: Path) -> None:
    with process(root) as before:
        assert before.runs.wait(BOUND)
        with process(root, Company.QUIET) as quiet:
            assert not quiet.runs.wait(0.1)
            before.end()
            assert quiet.runs.wait(BOUND)


def test_who_is_gentle_runs_beside_all_but_one_that_is_alone(root: Path) -> None:
    with process(root, Company.QUIET) as quiet, process(root, Company.GENTLE) as one:
        assert quiet.runs.wait(BOUND)
        assert one.runs.wait(BOUND)
        with process(root, Company.ALONE) as alone:
            stands_at_the_door(root)
            with process(root, Company.GENTLE) as another:  # whoever waits for the quiet one
                assert another.runs.wait(BOUND)
                quiet.end()
                stands_at_the_door(root / "tools")
                with process(root, Company.GENTLE) as late:
                    one.end()
                    assert not alone.runs.wait(0.1)
                    another.end()
                    assert alone.runs.wait(BOUND)
                    assert not late.runs.wait(0.1)
                    alone.end()
                    assert late.runs.wait(BOUND)


class Node:
    """A process of xdist's that runs nothing."""

    def __init__(self, number: int, collection: list[str]) -> None:
        self.workerinput = {"workerid": f"gw{number}"}
        self.gateway = SimpleNamespace(id=f"gw{number}")
        self.given: list[str] = []
        self.sizes: list[int] = []  # of what it was given at once
        self.shutting_down = False
        self.collection = collection

    def send_runtest_some(self, indices: list[int]) -> None:
        self.given += [self.collection[at] for at in indices]
        self.sizes.append(len(indices))

    def shutdown(self) -> None:
        self.shutting_down = True


WAITING = [
    "test_waits.py::one[x@y]",
    "test_waits.py::two",
    "test_share.py::three",
    "test_share.py::four",
    *(f"test_waits.py::more[{number}]" for number in range(8)),
]
COMPUTING = [f"test_computes.py::test[{number}]" for number in range(100)]


@pytest.fixture
def shared_out(tmp_path: Path) -> tuple[Scheduling, list[Node]]:
    """Usual processes and a gentle one, which have what they get at first."""
    (tmp_path / "test_waits.py").write_text("pytestmark = pytest.mark.e2e")
    (tmp_path / "test_share.py").write_text('pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("group")]')
    (tmp_path / "test_quiet.py").write_text("pytestmark = [pytest.mark.e2e, pytest.mark.quiet]")
    (tmp_path / "test_computes.py").write_text("mark_alone = 1")
    every = [*WAITING, *COMPUTING, "test_quiet.py::no"]
    scheduling = Scheduling(SimpleNamespace(rootpath=tmp_path, getvalue=lambda _: ["popen"] * (gentle.USUAL + 1)))
    nodes = [Node(number, every) for number in range(gentle.USUAL + 1)]
    for node in nodes:
        scheduling.add_node(node)
        assert not scheduling.collection_is_completed
        scheduling.add_node_collection(node, every)
    assert scheduling.collection_is_completed
    scheduling.schedule()
    return scheduling, nodes


def test_gentle_processes_get_what_computes_from_the_end_and_the_others_what_is_next(
    shared_out: tuple[Scheduling, list[Node]],
) -> None:
    scheduling, nodes = shared_out
    *usual, last = nodes
    assert [node.given for node in usual] == [
        [WAITING[0], WAITING[5]],
        [WAITING[1], WAITING[6]],
        [WAITING[2], WAITING[3]],  # a group is not taken apart
        [WAITING[4], WAITING[7]],
    ]
    assert last.given == COMPUTING[-BATCH:]
    for name in last.given:  # which grows
        scheduling.mark_test_complete(last, last.collection.index(name))
    begun = last.given[:]
    assert begun[BATCH : 2 * BATCH] == COMPUTING[-2 * BATCH : -BATCH]
    assert (1 - KEPT) * len(COMPUTING) <= len(begun) < (1 - KEPT) * len(COMPUTING) + BATCH
    assert not last.shutting_down, "the rest is kept until what waits is quiet"
    waited = [WAITING[0], WAITING[5], *WAITING[8:], "test_quiet.py::no"]
    for name in waited:
        scheduling.mark_test_complete(usual[0], last.collection.index(name))
    assert usual[0].given[: len(waited)] == waited
    assert len(last.given) > len(begun)
    for node, done in ((usual[0], len(waited)), (last, len(begun))):
        for name in itertools.islice(node.given, done, None):  # which grows
            scheduling.mark_test_complete(node, last.collection.index(name))
    assert sorted(usual[0].given[len(waited) :] + last.given) == sorted(COMPUTING)
    assert usual[0].sizes[-1] == 1, "who gets the last of it is ready when the others are"
    assert usual[0].shutting_down
    assert last.shutting_down, "nothing is left that computes"


def test_what_a_process_had_that_died_is_run_by_another(shared_out: tuple[Scheduling, list[Node]]) -> None:
    scheduling, (first, second, third, *_) = shared_out
    assert scheduling.remove_node(first) is None
    for name in second.given[:2]:
        scheduling.mark_test_complete(second, second.collection.index(name))
    assert second.given[2:4] == [WAITING[0], WAITING[5]], "the one that it died of comes first"
    assert scheduling.remove_node(second) == WAITING[0], "two have died of it"
    for name in third.given[:2]:
        scheduling.mark_test_complete(third, third.collection.index(name))
    assert third.given[2] == WAITING[5]


def test_all_is_over_when_each_has_but_the_last_that_it_runs(shared_out: tuple[Scheduling, list[Node]]) -> None:
    scheduling, nodes = shared_out
    assert scheduling.has_pending
    run = dict.fromkeys(nodes, 0)
    while not scheduling.tests_finished:
        for node in nodes:
            if run[node] + 1 < len(node.given) or (node.shutting_down and run[node] < len(node.given)):
                run[node] += 1
                scheduling.mark_test_complete(node, node.collection.index(node.given[run[node] - 1]))
    assert sorted(name for node in nodes for name in node.given) == sorted(nodes[0].collection), "each once"
    assert all(node.shutting_down for node in nodes)


def test_processes_that_found_different_tests_are_told_apart(tmp_path: Path) -> None:
    scheduling = Scheduling(SimpleNamespace(rootpath=tmp_path, getvalue=lambda _: ["popen"] * 2))
    for node in (Node(0, WAITING), Node(1, COMPUTING)):
        scheduling.add_node(node)
        scheduling.add_node_collection(node, node.collection)
    with pytest.raises(pytest.UsageError, match="gw0 and gw1 found different tests"):
        scheduling.schedule()


@pytest.fixture
def rules(request: pytest.FixtureRequest) -> ModuleType:
    """``tests/conftest.py`` as pytest has it."""
    path, plugins = str(Path(__file__).with_name("conftest.py")), request.config.pluginmanager.get_plugins()
    return next(each for each in plugins if getattr(each, "__file__", "") == path)


def test_what_takes_long_comes_first_and_what_computes_last(rules: ModuleType) -> None:
    mark = pytest.mark
    orders = [
        (mark.e2e, mark.xdist_group("many")),
        (mark.e2e, mark.browser, mark.timeout(240)),
        (mark.e2e, mark.timeout(150)),
        (mark.e2e,),
        (mark.browser,),
        (mark.slow,),
        (mark.e2e, mark.quiet, mark.xdist_group("many")),
        (mark.e2e, mark.quiet, mark.timeout(240)),
        (mark.e2e, mark.quiet),
        (mark.e2e, mark.alone, mark.timeout(240)),
        (mark.e2e, mark.alone),
        (mark.xdist_group("sources"),),
        (mark.timeout(20),),
        (),
    ]
    items = [SimpleNamespace(get_closest_marker={each.mark.name: each.mark for each in order}.get) for order in orders]
    given = [*reversed(items)]
    assert sorted(given, key=rules._rank) == items


@pytest.mark.parametrize(
    ("path", "marks", "test", "seen"),
    [
        ("common/test_log.py", (), len, True),
        ("common/test_log.py", ("slow",), len, False),
        ("common/test_log.py", ("thorough",), len, False),
        ("common/test_log.py", (), property_of_all, False),
        ("fuzz/test_corpus.py", (), len, True),
        ("fuzz/test_growth.py", (), len, False),
        ("test_conftest.py", (), len, False),
    ],
)
def test_coverage_sees_what_computes_for_a_moment_alone(
    rules: ModuleType, monkeypatch: pytest.MonkeyPatch, path: str, marks: tuple[str, ...], test: object, seen: bool
) -> None:
    told: list[str] = []
    tracer = SimpleNamespace(stop=lambda: told.append("stop"), start=lambda: told.append("start"))
    monkeypatch.setattr("coverage.Coverage.current", lambda: tracer)
    item = SimpleNamespace(obj=test, path=Path(__file__).parent / path, get_closest_marker=lambda name: name in marks)
    with rules._traced(item):
        told.append("test")
    assert told == (["test"] if seen else ["stop", "test", "start"])


def test_what_waits_is_known_by_its_markers() -> None:
    tests = Path(__file__).parent
    assert not computes(tests / "e2e/test_serve.py")
    assert not computes(tests / "ingest/test_worker.py")
    assert computes(tests / "broker/access/test_people.py")


def test_what_shares_something_dear_stays_together() -> None:
    tests = Path(__file__).parent
    assert group_of(tests / "e2e/test_codecs.py") == "codecs"
    assert not group_of(tests / "e2e/test_reload.py")
    assert {group_of(tests / "tools" / f"test_{each}.py") for each in ("imports", "docstrings", "sizes")} == {"sources"}


def test_the_first_processes_are_usual_ones() -> None:
    assert [is_gentle(f"gw{number}") for number in range(gentle.USUAL + 1)] == [*[False] * gentle.USUAL, True]
    assert not is_gentle("")
    assert not is_gentle("master")


def test_no_logger_remembers_how_logs_were_set_up_once() -> None:
    logger = get_logger()
    configure("info", "json")
    logger.info("as a command does")
    structlog.reset_defaults()  # as after each test
    with structlog.testing.capture_logs() as lines:
        logger.info("as the next test does")
    assert [line["event"] for line in lines] == ["as the next test does"]
