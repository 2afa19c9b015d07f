"""Ten times the input is at most twelve times the work, or is refused."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tests.fuzz.table import TARGETS
from tests.fuzz.target import Target, seconds

FACTOR = 10
MOST = 1.2  # times the work for each byte
HARMLESS = 0.005  # seconds of CPU: what takes no longer at its largest may grow as it likes
ROUNDS = 20  # of both sizes in turn; the best of each counts
HOPELESS = 4 * MOST  # times, and no further round will help

CASES = [pytest.param(target, how, id=f"{target.name}-{how}") for target in TARGETS.values() for how in target.grow]


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    """What garbage collection takes depends on all that other tests have left."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(("target", "how"), CASES)
def test_the_work_grows_with_the_input(target: Target, how: str) -> None:
    large, small = target.grow[how](target.bound), target.grow[how](target.bound // FACTOR)
    times = len(large) / len(small)
    least_small = least_large = float("inf")
    for turn in range(ROUNDS):
        least_large = min(least_large, seconds(target, large))
        least_small = min(least_small, seconds(target, small))
        if least_large < max(HARMLESS, MOST * times * least_small):
            return
        if turn and least_large > HOPELESS * times * least_small:
            break
    grown = f"{len(small)} bytes: {least_small * 1000:.2f} ms; {len(large)} bytes: {least_large * 1000:.2f} ms"
    pytest.fail(f"{grown}; {least_large / least_small:.0f} times the work")
