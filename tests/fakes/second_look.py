"""A second look: a test that waits, and failed beside others, runs once more with nothing beside it; that counts.

Tests of whole clusters share two cores with others, and on some machine something else runs as well: one in some
thousand then sees a picture late that is not. By itself it says whether the change is at fault. So does one whose
event loop was late for its timers and sockets. Both looks are told:
the first one stands in the summary as ``RERUN``, with what it said. What only computes has no excuse and gets none, and
where more fails than chance explains, the rest of it fails at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
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
        self._failed: pytest.Item | None = None  # at its first look
        self.again: pytest.Item | None = None  # runs by itself now

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed and self._left and item is not self.again and self._deserves(item):
            report.outcome = RERUN  # type: ignore[assignment] # pytest has three; a plugin may have others
            self._failed = item
        return report

    def look_again(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Run a test once more if it has failed in this process's turn, with fixtures of its own."""
        if item is not self._failed:
            return
        self._failed, self.again = None, item
        self._left -= 1
        try:
            item.session._setupstate.teardown_exact(None)  # what it failed with may be broken, and is remembered
            item.ihook.pytest_runtest_protocol(item=item, nextitem=nextitem)
        finally:
            self.again = None

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
