"""The cost of a call, for tests that a parser's time grows with its input and not with its square.

A machine that others keep busy only ever adds to what is measured. So both sizes are measured in turn, the best of each
counts, and a test that has seen enough stops: one that would fail takes all its rounds.
"""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Callable, Iterator

import coverage

GROWTH = 1.2  # times the work for each byte, when an input becomes ten times as long; a square would be ten …
SHARED_GROWTH = 1.5  # … and where other tests run meanwhile: the small one finds room in caches that they share
ROUNDS = 20
HOPELESS = 4 * GROWTH  # times, and no further round will help
HARMLESS = 0.005  # seconds of CPU: what takes no longer at its largest may grow as it likes
TOO_MUCH = 0.2  # seconds of CPU for 60 kB: what is linear takes a few milliseconds, what is not takes seconds


def seconds(call: Callable[[], object]) -> float:
    """CPU time of a call; what it raises counts as its answer."""
    begin = time.thread_time()
    with contextlib.suppress(Exception):
        call()
    return time.thread_time() - begin


def assert_cheap(call: Callable[[], object], most: float = TOO_MUCH) -> None:
    """``call`` takes less than ``most`` seconds of CPU when nothing disturbs it."""
    with undisturbed():
        best = float("inf")
        for _ in range(ROUNDS):
            best = min(best, seconds(call))
            if best < most:
                return
    raise AssertionError(f"It took {best * 1000:.1f} ms; {most * 1000:.1f} were enough.")


def assert_in_proportion(small: Callable[[], object], large: Callable[[], object], times: float = 10.0) -> None:
    """``large`` has ``times`` as much to read as ``small``, and takes hardly more than ``times`` as long."""
    least_small = least_large = float("inf")
    growth = SHARED_GROWTH if "PYTEST_XDIST_WORKER" in os.environ else GROWTH
    with undisturbed():
        for turn in range(ROUNDS):
            least_large = min(least_large, seconds(large))
            least_small = min(least_small, seconds(small))
            if least_large < max(HARMLESS, growth * times * least_small):
                return
            if turn and least_large > HOPELESS * times * least_small:
                break
    grown = f"{least_small * 1000:.2f} ms became {least_large * 1000:.2f} ms"
    raise AssertionError(f"{grown}: {least_large / least_small:.0f} times the work for {times:.0f} times the input.")


def assert_linear(call: Callable[[str], object], piece: str, end: str = "") -> None:
    """``call`` takes time in proportion to a text made of many times ``piece``, or of a bounded part of it."""
    text = piece * (60_000 // len(piece))
    assert_in_proportion(lambda: call(text[: len(text) // 10] + end), lambda: call(text + end))
    assert_cheap(lambda: call(text + end))


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """No garbage collection meanwhile, which depends on all that other tests have left, and no tracing."""
    gc.disable()
    try:
        with untraced():
            yield
    finally:
        gc.enable()


@contextlib.contextmanager
def untraced() -> Iterator[None]:
    """Coverage sees nothing of it meanwhile: to be measured would take more time than what runs does."""
    tracer = coverage.Coverage.current()
    if tracer is None:
        yield
        return
    tracer.stop()
    try:
        yield
    finally:
        tracer.start()
