"""Parcels wait for their lanes, and leave in slices. What is sent is not encrypted here, and nobody catches up."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from egress.media import outbox as outbox_module
from egress.media.fanout import Parcel, runs
from egress.media.group import Group, Lane
from egress.media.history import Packet
from egress.media.outbox import Outbox, at_once
from tests.fakes.slices import Slices
from tests.fakes.target import FakeTarget

SIZE = 5  # packets of an ordinary parcel


class Office(Slices):
    """An outbox that has its turn when ``turn`` says so, for so many lanes of one group."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, slice: int, lanes: int = 3) -> None:
        super().__init__(monkeypatch, slice)
        self.blocked: list[tuple[Lane, int]] = []
        self.outbox = Outbox(self.waiting.append, lambda lane, index: self.blocked.append((lane, index)))
        self.lanes = [Lane(0, 1, None, bytes) for _ in range(lanes)]
        self.targets = [FakeTarget() for _ in self.lanes]
        self.group = Group(1, 96)
        for lane, target in zip(self.lanes, self.targets, strict=True):
            self.group.add(lane, target)
        self._end = 0

    def parcel(self, sizes: Sequence[int] = (9,) * SIZE, group: Group | None = None) -> Parcel:
        return Parcel(list(runs([Packet(bytes(size), 0, 0) for size in sizes])), group or self.group)

    def send(self, sizes: Sequence[int] = (9,) * SIZE, now: float = 0.0) -> None:
        index, self._end = self._end, self._end + len(sizes)
        self.outbox.send_alone(self.parcel(sizes), index, now)

    @property
    def sent(self) -> list[list[int]]:
        """The numbers that came to each lane so far, in order."""
        return [[int.from_bytes(datagram[2:4]) for datagram in target.datagrams] for target in self.targets]


def upto(count: int) -> list[int]:
    return list(range(count))


def test_what_one_slice_takes_leaves_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(monkeypatch, slice=3 * SIZE)
    office.send()
    assert office.sent == [upto(5), upto(5), upto(5)]
    assert office.waiting == []
    assert office.outbox.empty


def test_a_parcel_to_many_leaves_in_slices_and_the_next_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(monkeypatch, slice=SIZE + 1)
    office.send()
    assert office.sent == [upto(5), upto(5), []], "a lane's share is sent until the slice is full"
    office.send()
    assert office.sent == [upto(5), upto(5), []]
    office.turn()
    assert office.sent == [upto(10), upto(10), upto(5)]
    office.turn()
    assert office.sent == [upto(10), upto(10), upto(10)]
    assert office.waiting == []


def test_each_lane_gets_all_of_a_parcel_however_small_the_slice_is(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(monkeypatch, slice=1, lanes=2)
    office.send([1, 2, 3])  # rising sizes: each packet is a run of its own
    assert office.sent == [upto(3), []]
    office.turn()
    assert office.sent == [upto(3), upto(3)]


def test_the_more_parcels_wait_the_more_a_turn_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who watch come before those who join: in a rush of viewers a turn comes round only every 20 ms."""
    office = Office(monkeypatch, slice=SIZE)
    office.send()  # one lane has it, two wait
    office.send()
    assert office.outbox.unsent == 0
    office.turn()
    assert office.sent == [upto(5), upto(5), upto(5)], "two shares in place of one"
    assert office.outbox.unsent == 5
    office.rest()
    assert office.outbox.unsent == float("inf")
    assert office.sent == [upto(10)] * 3


def test_a_parcel_for_two_groups_is_one_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(monkeypatch, slice=SIZE, lanes=2)
    other, target = Group(1, 97), FakeTarget()
    other.add(Lane(0, 1, None, bytes), target)
    for group in (office.group, other):
        office.outbox.add(office.parcel(group=group), 0, 0.0)
    office.outbox.send()
    assert (office.sent, target.datagrams) == ([upto(5), []], []), "one share, though two groups wait"
    office.rest()
    assert (office.sent, len(target.datagrams)) == ([upto(5), upto(5)], 5)


def test_a_small_parcel_does_not_overtake_a_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(monkeypatch, slice=SIZE + 1)
    office.send()
    office.send([9])
    assert office.sent == [upto(5), upto(5), []]
    office.rest()
    assert office.sent == [upto(6)] * 3


@pytest.mark.parametrize("slice", [1_000, 1], ids=["at-once", "in-slices"])
def test_where_a_lane_is_blocked_is_told(monkeypatch: pytest.MonkeyPatch, slice: int) -> None:
    office = Office(monkeypatch, slice, lanes=2)
    office.targets[0].room = 1
    office.send([1, 2, 3])
    office.rest()
    assert office.sent == [[0], [0, 1, 2]]
    assert office.blocked == [(office.lanes[0], 1)]


def test_who_waits_for_the_end_is_called_after_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    office, calls = Office(monkeypatch, slice=1), []
    office.outbox.when_empty(lambda: calls.append("at once"))
    assert calls == ["at once"]
    office.send()
    office.outbox.when_empty(lambda: calls.append("later"))
    office.turn()
    assert calls == ["at once"]
    office.rest()
    assert calls == ["at once", "later"]
    office.send()
    office.rest()
    assert calls == ["at once", "later"], "once"


def test_a_lane_that_leaves_gets_nothing_more_and_is_told_from_where(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(monkeypatch, slice=1)
    office.send()
    office.send()
    first, second, third = office.lanes
    assert office.outbox.forget(first) == 5, "it has the first parcel"
    assert office.outbox.forget(third) == 0
    assert office.outbox.forget(third) is None, "it is in none any more"
    office.rest()
    assert office.sent == [upto(5), upto(10), []]
    assert office.outbox.forget(second) is None, "it has all"


def test_the_last_that_a_parcel_waits_for_may_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(monkeypatch, slice=1, lanes=2)
    office.send()
    assert office.outbox.forget(office.lanes[1]) == 0
    office.rest()
    assert office.sent == [upto(5), []]
    assert office.outbox.empty


def test_what_is_given_up_is_told_by_lane_and_nobody_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    office, calls = Office(monkeypatch, slice=1), []
    office.send()
    office.send()
    office.outbox.when_empty(lambda: calls.append("sent"))
    first, second, third = office.lanes
    assert office.outbox.clear() == {first: 5, second: 0, third: 0}
    office.rest()
    assert office.sent == [upto(5), [], []]
    assert calls == []
    assert office.outbox.empty


def test_it_is_as_late_as_the_oldest_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(monkeypatch, slice=1, lanes=2)
    assert office.outbox.late(9.0) == 0.0
    office.send(now=1.0)
    office.send(now=2.0)
    assert office.outbox.late(2.5) == 1.5
    office.turn()
    office.turn()
    assert office.outbox.late(2.5) == 0.5


def test_an_error_is_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(monkeypatch, slice=1, lanes=2)
    with monkeypatch.context() as patch:
        patch.setattr(outbox_module, "fan_out", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            office.send([9])
    office.rest()
    office.send([9])
    office.rest()
    assert office.sent == [[1], [0, 1]]


def test_who_has_nothing_else_to_do_sends_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(monkeypatch, slice=1)
    office.outbox = Outbox(at_once, lambda *_: None)
    office.send()
    assert office.sent == [upto(5)] * 3
