"""A second look: a test that waits, and failed beside others, runs once more with nothing beside it; that counts.

It comes when its process has run all others: at once, all that run meanwhile would have to end for it, and none begin.

Tests of whole clusters share two cores with others, and on some machine something else runs as well: one in some
thousand then sees a picture late that is not. By itself it says whether the change is at fault. So does one whose
event loop was late for its timers and sockets. Both looks are told:
the first one stands in the summary as ``RERUN``, with what it said. What only computes has no excuse and gets none, and
where more fails than chance explains, the rest of it fails at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter

LOOKS = 3  # second ones, of each process: one failure in a thousand is chance, more is a change that broke something
_IN_A_GROUP = re.compile(
    r"^E?[ |]*\| +([\w.]+(?:Error|Exception|Failed): .*)$", re.MULTILINE
)  # the first, as tracebacks have it
RERUN = "rerun"  # the outcome of a first look; pytest-rerunfailures calls it so as well


class SecondLooks:
    """A plugin of pytest that gives them to the tests that ``deserves`` names; with no looks left, to none."""

    def __init__(self, deserves: Callable[[pytest.Item], bool], looks: int = LOOKS) -> None:
        self._deserves = deserves
        self._left = looks
        self._failed: list[pytest.Item] = []  # at their first look
        self.again: pytest.Item | None = None  # runs by itself now

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed and item is not self.again and self._deserves(item):
            if item not in self._failed and self._left:
                self._left -= 1
                self._failed.append(item)
            if item in self._failed:
                report.outcome = RERUN  # type: ignore[assignment] # pytest has three; a plugin may have others
        return report

    def forget_fixtures(self, item: pytest.Item) -> None:
        """Have the next test make its own, if this one has failed: what it failed with may be broken."""
        if item in self._failed:
            item.session._setupstate.teardown_exact(None)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Iterator[object]:
        result = yield
        for item in self._failed:
            self.again = item
            for worker in session.config.pluginmanager.get_plugins():
                if hasattr(worker, "item_index"):  # xdist's, which tells of no other test than the one that it runs
                    worker.item_index = session.items.index(item)
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        self.again = None
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        return (RERUN, "R", ("RERUN", {"yellow": True})) if report.outcome == RERUN else None

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        for report in terminalreporter.stats.get(RERUN, []):
            crash = getattr(report.longrepr, "reprcrash", None)
            said = (crash.message if crash else report.longreprtext).partition("\n")[0]
            terminalreporter.write_line(
                f"RERUN {report.nodeid} - {report.when}: {said}{first_of_group(report.longreprtext)}"
            )


def first_of_group(text: str) -> str:
    """The first error of an exception group, behind a colon, by its traceback; empty if it is of none."""
    found = _IN_A_GROUP.search(text)
    return f": {found[1]}" if found else ""
