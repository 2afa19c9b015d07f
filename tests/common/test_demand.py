"""How much an egress has to do, told by a pipe when it changes."""

from __future__ import annotations

import os

import pytest

from common.demand import MUCH_CPU, MUCH_VIEWERS, Demand, Teller


@pytest.mark.parametrize(
    ("cpu", "viewers", "most", "demand"),
    [
        (0.01, 0, 3_000, Demand.NONE),
        (0.01, 1, 3_000, Demand.SOME),
        (MUCH_CPU, 1, 3_000, Demand.MUCH),
        (0.01, MUCH_VIEWERS, 3_000, Demand.MUCH),
        (0.01, 4, 10, Demand.SOME),
        (0.01, 5, 10, Demand.MUCH),
        (0.01, 0, 1, Demand.NONE),
        (0.01, 1, 1, Demand.MUCH),
    ],
)
def test_much_is_before_a_process_is_full(cpu: float, viewers: int, most: int, demand: Demand) -> None:
    assert Demand.of(cpu, viewers, most) is demand


def test_what_changed_is_told_and_nothing_twice() -> None:
    asked, telling = os.pipe()
    teller = Teller(telling)
    for demand in (Demand.NONE, Demand.NONE, Demand.MUCH):
        teller.tell(demand)
    told = os.read(asked, 100)
    assert (len(told), Demand.heard(told)) == (2, Demand.MUCH)
    assert not os.get_inheritable(telling)
    with pytest.raises(ValueError, match="x"):
        Demand.heard(b"0x")
    os.close(asked)
    teller.tell(Demand.SOME)  # the supervisor is gone, and we are about to
    os.close(telling)
    Teller(None).tell(Demand.MUCH)
