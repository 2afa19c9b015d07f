"""Lists of all cameras, viewers and nodes: as long as the cluster is large, and asked for as often as anybody likes.

Making one of a thousand cameras takes 80 ms, in which the broker does nothing else. So one that took long is kept until
no more than ``SHARE`` of the time has gone into it. One that did not is always as of now.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter

SHARE = 0.1  # of the time
LONG = 0.01  # seconds of CPU from which a list is kept

_list = TypeAdapter(list[Any])


class KeptList:
    """One list as JSON. ``clock`` gives monotonic seconds, ``cpu`` those that this thread has worked.

    What counts is the work: on a busy machine the shortest list may take long.
    """

    def __init__(self, clock: Callable[[], float], cpu: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._cpu = cpu
        self._text = b""
        self._until = float("-inf")

    def read(self, make: Callable[[], Sequence[BaseModel]]) -> bytes:
        """The list that ``make`` gives, perhaps as it was a moment ago."""
        if self._clock() >= self._until:
            began = self._cpu()
            self._text = _list.dump_json(list(make()))
            took = self._cpu() - began
            self._until = self._clock() + took / SHARE if took >= LONG else float("-inf")
        return self._text

    def forget(self) -> None:
        """Make it anew the next time: somebody has just changed it and wants to see that."""
        self._until = float("-inf")


class KeptLists:
    """One list as each of several people may see it; ``seen_by`` tells apart those who see different ones."""

    MOST = 64  # that are kept; of more, those that nobody has asked for longest are made anew

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lists: dict[str, KeptList] = {}

    def read(self, make: Callable[[], Sequence[BaseModel]], seen_by: str = "") -> bytes:
        """The list that ``make`` gives, perhaps as it was a moment ago."""
        kept = self._lists.pop(seen_by) if seen_by in self._lists else KeptList(self._clock)
        self._lists[seen_by] = kept
        if len(self._lists) > self.MOST:
            del self._lists[next(iter(self._lists))]
        return kept.read(make)

    def forget(self) -> None:
        """Make all of them anew the next time."""
        self._lists.clear()
