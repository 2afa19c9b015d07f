"""Ten times the input is at most twelve times the work, or is refused."""

from __future__ import annotations

import pytest

from tests.fakes.cost import assert_in_proportion
from tests.fuzz.table import TARGETS
from tests.fuzz.target import Target

FACTOR = 10

CASES = [pytest.param(target, how, id=f"{target.name}-{how}") for target in TARGETS.values() for how in target.grow]


@pytest.mark.thorough
@pytest.mark.parametrize(("target", "how"), CASES)
def test_the_work_grows_with_the_input(target: Target, how: str) -> None:
    large, small = target.grow[how](target.bound), target.grow[how](target.bound // FACTOR)
    raised: list[Exception] = []

    def run(data: bytes) -> None:
        try:
            target(data)
        except Exception as exc:  # no declared error
            raised.append(exc)

    assert_in_proportion(lambda: run(small), lambda: run(large), len(large) / len(small))
    assert raised == []
