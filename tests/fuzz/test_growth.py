"""Ten times the input is at most twelve times the work, or is refused."""

from __future__ import annotations

import pytest

from tests.fakes.cost import assert_in_proportion
from tests.fuzz.table import TARGETS
from tests.fuzz.target import Target

FACTOR = 10

CASES = [pytest.param(target, how, id=f"{target.name}-{how}") for target in TARGETS.values() for how in target.grow]


@pytest.mark.parametrize(("target", "how"), CASES)
def test_the_work_grows_with_the_input(target: Target, how: str) -> None:
    large, small = target.grow[how](target.bound), target.grow[how](target.bound // FACTOR)
    target(large)  # raises what is no declared error
    assert_in_proportion(lambda: target(small), lambda: target(large), len(large) / len(small))
