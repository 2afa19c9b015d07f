"""Gentle processes of pytest-xdist: they run what computes, with what the others leave of the machine.

Tests of whole clusters mostly wait, and those that count pictures bear no others beside them. Meanwhile the last of the
processes, if there are more than ``USUAL``, run unit tests at a lower priority. They begin at the end of the list, the
others at its beginning.
"""

from __future__ import annotations

import contextlib
import os
import re
from functools import cache
from pathlib import Path

from xdist.scheduler import LoadGroupScheduling
from xdist.workermanage import WorkerController

USUAL = 3  # processes: tests mostly wait, so there are more than cores
NICE = 5  # of 19: a third of what others get where all compute; unit tests that have a bound still keep it
_WAITS = re.compile(r"\bmark\.(e2e|browser|gstreamer|namespace|slow|quiet|alone)\b")


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


class Scheduling(LoadGroupScheduling):
    """As ``--dist loadgroup``, but that gentle processes get what they are for.

    The method is overridden because xdist has no other place where a process gets its next tests.
    """

    def _assign_work_unit(self, node: WorkerController) -> None:
        if is_gentle(node.workerinput["workerid"]):
            root = self.config.rootpath
            queue = reversed(self.workqueue)
            found = next((unit for unit in queue if computes(root / unit.partition("::")[0])), None)
            if found is None:
                node.shutdown()
                return
            self.workqueue.move_to_end(found, last=False)
        super()._assign_work_unit(node)
