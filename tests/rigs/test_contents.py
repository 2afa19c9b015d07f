"""The walk through all containers finds one that nothing bounds, wherever it hangs."""

from __future__ import annotations

from collections import deque

import pytest

from broker.front.quotas import Counted
from common.bucket import TokenBucket
from tests.fakes.contents import contents, grown

EACH = 200


@pytest.mark.parametrize(
    "fill",
    [
        lambda quota: quota.__dict__.update(names={str(number): 0 for number in range(EACH)}),
        lambda quota: quota.__dict__.update(names=[[{"x", str(number)}] for number in range(EACH)]),
        lambda quota: quota.__dict__.update(names=deque(bytes(EACH), maxlen=EACH)),
        lambda quota: quota.__dict__.update(names=bytearray(EACH)),
    ],
    ids=["dict", "nested", "deque", "bytes"],
)
def test_a_container_that_grows_is_named(fill: object) -> None:
    quota = Counted("sockets", "sockets", 0, 0)
    before = contents()
    assert grown(before, contents(), 1) == {}
    fill(quota)  # type: ignore[operator]
    assert grown(before, contents(), EACH).keys() == {"Counted.names"}


def test_so_is_a_class_whose_objects_stay_and_one_with_slots() -> None:
    before = contents()
    kept = [TokenBucket(1.0, 1.0) for _ in range(EACH)]
    assert grown(before, contents(), EACH) == {"TokenBucket": len(kept)}
