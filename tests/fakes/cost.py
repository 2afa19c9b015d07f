"""The cost of a call, for tests that a parser's time grows with its input and not with its square."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

TOO_MUCH = 0.2  # seconds of CPU for 60 kB: what is linear takes a few milliseconds, what is not takes seconds
GROWTH = 30.0  # of the time when an input becomes ten times as long: ten where it is linear, a hundred where it is not
NOTHING = 0.002  # seconds: less is noise


def seconds(call: Callable[[str], object], text: str) -> float:
    """CPU time of ``call(text)``, the least of three; what it raises counts as its answer."""
    times = []
    for _ in range(3):
        begin = time.thread_time()
        with contextlib.suppress(Exception):
            call(text)
        times.append(time.thread_time() - begin)
    return min(times)


def assert_linear(call: Callable[[str], object], piece: str, end: str = "") -> None:
    """``call`` takes time in proportion to a text made of many times ``piece``, or of a bounded part of it."""
    text = piece * (60_000 // len(piece))
    short, long = seconds(call, text[: len(text) // 10] + end), seconds(call, text + end)
    assert long < TOO_MUCH, f"{long:.3f} s for {piece[:20]!r}"
    assert long < GROWTH * max(short, NOTHING), f"{short:.4f} s became {long:.4f} s for {piece[:20]!r}"
