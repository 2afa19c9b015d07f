"""The watch of a process over itself, where no supervisor and no systemd hears its pulse: one whose loop hangs ends.

Whoever keeps it running (Docker's ``restart``, a unit without ``WatchdogSec``) sees an end, and nothing else. A thread
looks whether the loop has turned, by the rules of ``common.heard``: a process that was stopped and goes on, as on a
machine that was suspended, is given as long as ever. What hangs with the interpreter locked is not seen.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from common.heard import LOOK_INTERVAL, Heard
from common.onlooker import Condition, Onlooker

EXIT_HUNG = 1  # as of any failure


class OwnWatch:
    """A context manager: inside it ``hung`` is called, by a thread, when there has been no beat for ``hung_looks``."""

    def __init__(self, hung_looks: int, hung: Callable[[], None] | None = None) -> None:
        self._heard = Heard(hung_looks)
        self._hung = _end if hung is None else hung
        self._beats = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="own-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._over.set()

    def beat(self) -> None:
        """Give a sign of life; to be called by the loop alone."""
        self._beats += 1

    def _watch(self) -> None:
        before, loop = 0, Onlooker(os.getpid())  # its main thread
        while not self._over.wait(LOOK_INTERVAL):
            beats = self._beats
            if beats != before:
                self._heard.beat(beats - before)
                before, loop = beats, Onlooker(os.getpid())
            waits = self._heard.doubtful and loop.look(time.monotonic()) is Condition.WAITS
            if self._heard.look(waits=waits):
                self._hung()


def _end() -> None:
    """End at once. What hangs may hold the log's lock, so the sentence goes round it; with it, where the loop is."""
    os.write(sys.stderr.fileno(), b"camshaft: the event loop hangs, so this process ends; it hangs here:\n")
    faulthandler.dump_traceback(all_threads=True)
    os._exit(EXIT_HUNG)
