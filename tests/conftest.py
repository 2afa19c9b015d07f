"""For all tests: what Hypothesis draws, what may run beside what, what coverage sees, logs that no test has set up.

Tests run in several processes at once (pytest-xdist). Three rules keep them apart:

* what is marked ``alone`` judges times that others on the machine would add to: it waits until the other tests have
  ended, and they wait until it has;
* what is marked ``quiet`` judges how many pictures came in a time, and gets half of the machine: one other that is
  ``quiet`` may run meanwhile, and nothing else;
* what takes long comes first, so that no process is left with it at the end, then what is ``quiet`` and ``alone``.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import is_hypothesis_test, settings

from rigs.chromium import Kept
from rigs.process import forbid_real_time
from tests.fakes.cost import untraced

# A machine may be busy, so no example has a deadline: one that is missed would say nothing of the code.
settings.register_profile("patient", deadline=None)
# Of CI: a failure is to be of the change that is being looked at. Releases of Hypothesis differ in what they do there.
# What are the same examples each time need not be many: others are drawn at every `make test` and every `make fuzz`.
settings.register_profile("fixed", deadline=None, derandomize=True, max_examples=50, print_blob=True)
# Of `make fuzz`: others each time, and more of them where a test does not say how many.
settings.register_profile("anew", deadline=None, derandomize=False, max_examples=2_000, print_blob=True)

settings.load_profile("fixed" if os.environ.get("CI") else "patient")

forbid_real_time()

LONG = ("e2e", "browser", "gstreamer", "namespace", "slow")  # markers, those first that take longest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests; the same in every process, as xdist demands."""
    items.sort(key=_rank)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around everything: no test's time-out runs while it waits for its turn
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[object]:
    """Let a test begin when what it may not run beside has ended."""
    with turn(item.config.rootpath, _company(item)):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[object]:
    """Trace no property: coverage would cost more than its examples, and which lines they run is chance."""
    with contextlib.ExitStack() as stack:
        if is_hypothesis_test(getattr(item, "obj", None)):
            stack.enter_context(untraced())
        return (yield)


@pytest.fixture(scope="session")
def kept_chromium() -> Iterator[Kept]:
    """One Chromium for all tests of this process."""
    kept = Kept()
    yield kept
    kept.end()


@pytest.fixture(autouse=True)
def logs_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command that runs in a test's own process sets up logs for ever: undo it, and let no logger remember it."""
    configure = structlog.configure

    def configure_for_now(**options: Any) -> None:
        configure(**options | {"cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", configure_for_now)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    if structlog.is_configured():
        structlog.reset_defaults()


class Company(IntEnum):
    """Tests that may run beside one."""

    ANY = 0
    ONE_QUIET = 1
    NOBODY = 2


@contextmanager
def turn(root: Path, company: Company) -> Iterator[None]:
    """Be one of the running tests of this checkout. There is one door, so that nobody overtakes.

    Behind it are two rooms. A usual test is in both with others; one that is alone has both for itself, one that is
    quiet has either of them for itself.
    """
    with _opened(root / "tests") as room, _opened(root / "tests" / "e2e") as other:
        with _opened(root) as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            if company is Company.ONE_QUIET:
                while not (_entered(room) or _entered(other)):
                    time.sleep(0.02)
            else:
                for each in (room, other):
                    fcntl.flock(each, fcntl.LOCK_EX if company is Company.NOBODY else fcntl.LOCK_SH)
        yield


def _entered(room: int) -> bool:
    try:
        fcntl.flock(room, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _company(item: pytest.Item) -> Company:
    if item.get_closest_marker("alone"):
        return Company.NOBODY
    return Company.ONE_QUIET if item.get_closest_marker("quiet") else Company.ANY


def _rank(item: pytest.Item) -> int:
    """When an item's turn comes: the smaller the earlier."""
    if company := _company(item):
        return len(LONG) + company
    return next((at for at, name in enumerate(LONG) if item.get_closest_marker(name)), len(LONG))


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    """A descriptor of a directory; who closes it gives up its lock."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
