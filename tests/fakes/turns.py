"""Turns of tests that several processes run at once: what may run beside what.

* A usual test runs beside all but those that are quiet or alone.
* One that is quiet judges how many pictures came in a time: two others that are quiet may run meanwhile, and what is
  gentle, which only takes what the others leave of the machine (``tests.fakes.gentle``).
* One that is alone judges times that others on the machine would add to: nothing runs meanwhile.

Locks on the checkout's folders say who is where. There are three rooms for all but what is gentle: a usual test is in
all of them with others, one that is quiet has one of them for itself, one that is alone all. What is gentle has a room
of its own. Before them is a door at which nobody overtakes, and at the room for what is gentle another one.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from pathlib import Path

HAS_TURN = "CAMSHAFT_TESTS_HAVE_TURN"
"""Environment variable of tests that a test runs, as its part: who waits at the door waits for that one to end."""

FOLDERS = ("tools", "rigs", "tests", "docs", "bench")  # of a checkout, whose locks say who is where; see ``turn``
POLL = 0.02  # seconds between looks whether one of the rooms is free


class Company(Enum):
    """Tests that may run beside one."""

    GENTLE = "all but one that is alone"
    USUAL = "usual and gentle ones"
    QUIET = "two that are quiet, and gentle ones"
    ALONE = "none"


@contextmanager
def turn(root: Path, company: Company) -> Iterator[None]:
    """Be one of the running tests of the checkout at ``root``."""
    with ExitStack() as stack:
        door, gentle_door, gentle_room, *rooms = (
            stack.enter_context(_opened(root / folder)) for folder in ("", *FOLDERS)
        )
        if company is not Company.GENTLE:
            with _alone_at(door):
                if company is Company.QUIET:
                    while not any(map(_entered, rooms)):
                        time.sleep(POLL)
                else:
                    for each in rooms:
                        fcntl.flock(each, fcntl.LOCK_EX if company is Company.ALONE else fcntl.LOCK_SH)
        if company in (Company.GENTLE, Company.ALONE):
            with _alone_at(gentle_door):
                fcntl.flock(gentle_room, fcntl.LOCK_EX if company is Company.ALONE else fcntl.LOCK_SH)
        yield


@contextmanager
def collecting(root: Path) -> Iterator[bool]:
    """Collect the tests of the checkout at ``root``: one process first, for which it is true, then all others at once.

    The first leaves compiled modules behind, which takes three times as long as to read them.
    """
    with _opened(root / "tests") as room:
        if not (first := _entered(room)):
            fcntl.flock(room, fcntl.LOCK_SH)
        yield first


def _entered(room: int) -> bool:
    try:
        fcntl.flock(room, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _alone_at(door: int) -> Iterator[None]:
    fcntl.flock(door, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(door, fcntl.LOCK_UN)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """A descriptor of a folder; who closes it gives up its lock."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
