"""A fuzz target, for which a string of bytes is a program.

A target is one parser, or one session, that bytes from outside reach. Whatever it is given, it returns or raises one of
its declared errors, within ``SLOW``. Every target is deterministic, so that an input found once fails again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

SLOW = 0.020  # seconds of CPU for one input; more is a finding, for everybody in the process waits meanwhile
SESSION = 0.1  # seconds of CPU for some hundred events; each of them has a limit where it is a target by itself


@dataclass(frozen=True)
class Target:
    """One entry of the table. ``grow`` makes inputs of about so many bytes that are as bad as we can think of."""

    name: str
    reads: str  # what is read, and who sends it; shown in docs/fuzzing.md
    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    errors: tuple[type[Exception], ...] = ()
    words: tuple[bytes, ...] = ()  # of its language, for the mutator
    grow: dict[str, Callable[[int], bytes]] = field(default_factory=dict)
    most: int = 4_096  # bytes that the mutator goes up to
    bound: int = 65_536  # bytes that can reach it at once, or that it takes
    slow: float = SLOW

    def __call__(self, data: bytes) -> None:
        """Run one input. Raises what is no declared error."""
        with contextlib.suppress(*self.errors):
            self.run(data)


def seconds(target: Target, data: bytes, *, rounds: int = 1) -> float:
    """CPU that one input takes: the least of some rounds, whatever else the machine does."""
    least = float("inf")
    for _ in range(rounds):
        start = time.thread_time()
        target(data)
        least = min(least, time.thread_time() - start)
    return least


@contextlib.contextmanager
def on_loop(loop: object) -> Iterator[None]:
    """Have ``loop`` be found as the running event loop: to run a real one takes longer than most inputs."""
    asyncio._set_running_loop(loop)  # type: ignore[arg-type]
    try:
        yield
    finally:
        asyncio._set_running_loop(None)


class Program:
    """A string of bytes read as a program: numbers and strings, zeros and empty ones after its end.

    ``steps`` counts, over all programs, how often one was asked whether there is more of it: a message, a moment.
    """

    steps = 0

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        more = self._at < len(self._data)
        Program.steps += more
        return more

    def byte(self) -> int:
        """The next byte."""
        return self.number(1)

    def number(self, size: int) -> int:
        """An unsigned number of so many bytes."""
        return int.from_bytes(self.take(size).ljust(size, b"\0"))

    def take(self, size: int) -> bytes:
        """The next bytes, as many as there are."""
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def string(self) -> bytes:
        """As many bytes as the two before them say."""
        return self.take(self.number(2))

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data))


def string(data: bytes) -> bytes:
    """A string as ``Program.string`` reads it, for seeds; 65,535 bytes at most."""
    data = data[:65_535]
    return len(data).to_bytes(2) + data


def repeated(unit: bytes, head: bytes = b"", tail: bytes = b"") -> Callable[[int], bytes]:
    """A generator for ``Target.grow``: ``unit`` as often as it fits. ``%d`` in it becomes its number."""
    counted = b"%d" in unit

    def grow(size: int) -> bytes:
        body, number = bytearray(), 0
        while len(body) < size - len(head) - len(tail):
            body += unit.replace(b"%d", b"%d" % number) if counted else unit
            number += 1
        return head + bytes(body) + tail

    return grow
