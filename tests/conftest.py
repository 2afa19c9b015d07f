"""Rules for all tests: what Hypothesis draws, what runs beside what, what coverage sees, how logs are set up.

Tests run in several processes at once (pytest-xdist). ``tests.fakes.turns`` says what may run beside what: those that
are marked ``quiet`` or ``alone`` bear little company. What takes long comes first, and these two last of it; then what
computes, of which the processes of ``tests.fakes.gentle`` have taken most by then. One that waits and fails beside
others is looked at again by itself (``tests.fakes.second_look``).
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import is_hypothesis_test, settings

from rigs.chromium import Kept
from rigs.process import forbid_real_time
from tests.fakes.cost import untraced
from tests.fakes.gentle import Scheduling, become_gentle, is_gentle
from tests.fakes.second_look import SecondLooks
from tests.fakes.turns import HAS_TURN, Company, collecting, turn

# A machine may be busy, so no example has a deadline: one that is missed would say nothing of the code.
settings.register_profile("patient", deadline=None)
# Of CI: a failure is to be of the change that is being looked at. Releases of Hypothesis differ in what they do there.
# What are the same examples each time need not be many: others are drawn at every `make test` and every `make fuzz`.
settings.register_profile("fixed", deadline=None, derandomize=True, max_examples=50, print_blob=True)
# Of `make test-fast`, which is run often: what few do not find is looked for by `make test` and `make fuzz`.
settings.register_profile("quick", deadline=None, max_examples=20)
# Of `make fuzz`: others each time, and more of them where a test does not say how many.
settings.register_profile("anew", deadline=None, derandomize=False, max_examples=2_000, print_blob=True)

settings.load_profile("fixed" if os.environ.get("CI") else "patient")

forbid_real_time()

second_looks = pytest.StashKey[SecondLooks]()

TRACED = tuple(  # tests of the product's packages, and the inputs that fuzzing has kept
    Path(__file__).parent / each
    for each in ["broker", "camshaft", "common", "egress", "fuzz/test_corpus.py", "ingest", "relay", "transcode"]
)
LONG = ("e2e", "browser", "gstreamer", "namespace", "slow", "quiet", "alone")  # markers, in the order of their turns


def pytest_configure(config: pytest.Config) -> None:
    """Give second looks where tests run beside others."""
    if config.getoption("dist", "no") == "no":  # else others collect
        gc.disable()  # until all is collected, an eighth faster: it stays
    config.stash[second_looks] = SecondLooks(_has_a_clock if _process() else lambda _: False)
    config.pluginmanager.register(config.stash[second_looks])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config) -> Scheduling | None:
    """Share the tests out among usual and gentle processes."""
    return Scheduling(config) if config.getoption("dist") == "loadgroup" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[object]:
    """Let one of several processes go first. What coverage sees of imports there need not be seen again."""
    with (
        collecting(session.config.rootpath) if _process() else contextlib.nullcontext(True) as first,
        contextlib.nullcontext() if first else untraced(),
    ):
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests; the same in every process, as xdist demands."""
    items.sort(key=_rank)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Be gentle from now on where this process is one of those that are to be."""
    gc.freeze()  # a walk of the collector for what a test has left needs not go through all tests
    gc.enable()
    if is_gentle(_process()):
        become_gentle()


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around everything: no test's time-out runs while it waits for its turn
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[object]:
    """Let a test begin when what it may not run beside has ended."""
    looks = item.config.stash[second_looks]
    company = Company.ALONE if item is looks.again else _company(item)
    with contextlib.nullcontext() if HAS_TURN in os.environ else turn(item.config.rootpath, company), _traced(item):
        result = yield
    looks.forget_fixtures(item)
    return result


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


def _process() -> str:
    """The name of this process in xdist; empty if it is the only one."""
    return os.environ.get("PYTEST_XDIST_WORKER", "")


def _traced(item: pytest.Item) -> contextlib.AbstractContextManager[None]:
    """Have coverage see the tests of modules that take a moment each: they take twice as long for it.

    What waits runs the product in other processes, which lines a property's examples run is chance, and a test that
    takes long runs the same lines again and again.
    """
    seen = any(map(item.path.is_relative_to, TRACED)) and not (
        _waits(item) or item.get_closest_marker("thorough") or is_hypothesis_test(getattr(item, "obj", None))
    )
    return contextlib.nullcontext() if seen else untraced()


def _company(item: pytest.Item) -> Company:
    if item.get_closest_marker("alone"):
        return Company.ALONE
    if item.get_closest_marker("quiet"):
        return Company.QUIET
    return Company.GENTLE if is_gentle(_process()) else Company.USUAL


def _waits(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in LONG)


def _has_a_clock(item: pytest.Item) -> bool:
    """Whether a test may fail for what else the machine does: it waits, or its event loop may be late."""
    return _waits(item) or inspect.iscoroutinefunction(getattr(item, "function", None))


def _rank(item: pytest.Item) -> tuple[int, bool, float]:
    """The place of an item in the order of all: the smaller the earlier.

    Of those of one turn a group of many, which one process runs, comes first, and then what may take longest: what of
    them began last would have the other processes wait.
    """
    longest = item.get_closest_marker("timeout")
    return _turn(item), not item.get_closest_marker("xdist_group"), -longest.args[0] if longest else 0.0


def _turn(item: pytest.Item) -> int:
    """The number of its turn."""
    for at, name in reversed(list(enumerate(LONG))):
        if name in ("quiet", "alone") and item.get_closest_marker(name):
            return at
    return next((at for at, name in enumerate(LONG) if item.get_closest_marker(name)), len(LONG))
