"""What may run beside what, told by threads that stand for the processes of a run; and logs."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from common.log import configure, get_logger
from tests.conftest import Company, turn

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


@contextmanager
def process(root: Path, company: Company = Company.ANY) -> Iterator[Process]:
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
    (tmp_path / "tests" / "e2e").mkdir(parents=True)
    return tmp_path


def test_tests_run_beside_each_other(root: Path) -> None:
    with process(root) as one, process(root) as another:
        assert one.runs.wait(BOUND)
        assert another.runs.wait(BOUND)


def test_who_is_alone_waits_for_the_others_and_nobody_overtakes(root: Path) -> None:
    with process(root) as before:
        assert before.runs.wait(BOUND)
        with process(root, Company.NOBODY) as alone:
            stands_at_the_door(root)
            assert not alone.runs.is_set()
            with process(root) as after:
                before.end()
                assert alone.runs.wait(BOUND)
                assert not after.runs.wait(0.1)
                alone.end()
                assert after.runs.wait(BOUND)


@pytest.mark.parametrize("company", [Company.ANY, Company.NOBODY])
def test_two_that_are_quiet_run_beside_each_other_and_nobody_else_does(root: Path, company: Company) -> None:
    with process(root, Company.ONE_QUIET) as one, process(root, Company.ONE_QUIET) as another:
        assert one.runs.wait(BOUND)
        assert another.runs.wait(BOUND)
        with process(root, Company.ONE_QUIET) as third:
            stands_at_the_door(root)
            assert not third.runs.wait(0.1)
            one.end()
            assert third.runs.wait(BOUND)
            with process(root, company) as after:
                another.end()
                assert not after.runs.wait(0.1)
                third.end()
                assert after.runs.wait(BOUND)


def test_who_is_quiet_waits_for_the_others(root: Path) -> None:
    with process(root) as before:
        assert before.runs.wait(BOUND)
        with process(root, Company.ONE_QUIET) as quiet:
            assert not quiet.runs.wait(0.1)
            before.end()
            assert quiet.runs.wait(BOUND)


def test_no_logger_remembers_how_logs_were_set_up_once() -> None:
    logger = get_logger()
    configure("info", "json")
    logger.info("as a command does")
    structlog.reset_defaults()  # as after each test
    with structlog.testing.capture_logs() as lines:
        logger.info("as the next test does")
    assert [line["event"] for line in lines] == ["as the next test does"]
