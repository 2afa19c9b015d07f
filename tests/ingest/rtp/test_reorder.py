"""The reorder buffer."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.rtp.reorder import DEPTH, HOLD_NS, LATE_LIMIT, MAX_DROPOUT, Reorder


def run(order: Reorder[int], sequences: list[int], now_ns: int = 0) -> list[int | None]:
    """Push packets that are their own sequence number."""
    ready: list[int | None] = []
    for sequence in sequences:
        sequence &= 0xFFFF
        if order.in_order(sequence):
            ready.append(sequence)
        else:
            ready += order.push(sequence, sequence, now_ns)
    return ready


@pytest.mark.parametrize("udp", [True, False])
@pytest.mark.parametrize("start", [0, 1_000, 65_530])
def test_in_order(start: int, udp: bool) -> None:
    order = Reorder[int](udp=udp)
    expected = [n & 0xFFFF for n in range(start, start + 100)]
    assert run(order, expected) == expected
    assert (order.received, order.lost, order.highest) == (100, 0, start + 99)


def test_overtaken_packets_are_put_back() -> None:
    order = Reorder[int](udp=True)
    assert run(order, [10, 12, 13, 11, 15, 14]) == [10, 11, 12, 13, 14, 15]
    assert (order.reordered, order.lost, order.duplicates, order.highest) == (2, 0, 0, 15)


def test_across_the_wrap() -> None:
    order = Reorder[int](udp=True)
    assert run(order, [65_534, 0, 65_535, 2, 1]) == [65_534, 65_535, 0, 1, 2]
    assert order.highest == 65_538


def test_duplicates_are_dropped() -> None:
    order = Reorder[int](udp=True)
    assert run(order, [1, 1, 2, 4, 4, 3, 2, 3, 4]) == [1, 2, 3, 4]
    assert (order.duplicates, order.dropped) == (5, 0)


def test_every_packet_twice() -> None:
    order = Reorder[int](udp=True)
    expected = list(range(1_000))
    assert run(order, [n for n in expected for _ in range(2)]) == expected
    assert order.duplicates == 1_000


def test_a_lost_packet_is_waited_for_only_so_long() -> None:
    order = Reorder[int](udp=True)
    assert run(order, [1, 3, 4], now_ns=1_000) == [1]
    assert order.deadline_ns == 1_000 + HOLD_NS
    assert order.expire(1_000 + HOLD_NS - 1) == []
    assert order.expire(1_000 + HOLD_NS) == [None, 3, 4]
    assert (order.lost, order.highest, order.deadline_ns) == (1, 4, None)
    assert run(order, [2]) == []
    assert (order.dropped, order.duplicates) == (1, 0)


def test_the_next_packet_finds_that_it_is_time() -> None:
    order = Reorder[int](udp=True)
    run(order, [1, 3], now_ns=0)
    assert run(order, [4], now_ns=HOLD_NS) == [None, 3, 4]


def test_each_gap_has_its_own_time() -> None:
    order = Reorder[int](udp=True)
    run(order, [1, 3], now_ns=0)
    run(order, [5], now_ns=10)
    assert order.expire(HOLD_NS) == [None, 3]
    assert order.expire(HOLD_NS + 10) == [None, 5]


def test_depth() -> None:
    order = Reorder[int](udp=True)
    assert run(order, [0, *range(2, DEPTH + 1)]) == [0]
    assert run(order, [DEPTH + 1]) == [None, *range(2, DEPTH + 2)]
    assert (order.lost, len(order.held)) == (1, 0)


def test_a_jump_farther_than_the_depth_does_not_wait() -> None:
    order = Reorder[int](udp=True)
    assert run(order, [0, 2, 3, 1_000, 1_001]) == [0, None, 2, 3, None, 1_000, 1_001]
    assert order.lost == 1 + 996


def test_of_a_gap_wider_than_is_remembered_the_newest_packets_are_known_when_they_come_late() -> None:
    order = Reorder[int](udp=True)
    run(order, [0, 1_000])
    assert run(order, [999]) == []
    assert (order.dropped, order.duplicates) == (1, 0)
    assert run(order, [1_000 - 2 * DEPTH - 1]) == []
    assert (order.dropped, order.duplicates) == (1, 1), "whether that one was here before is not known any more"


def test_a_stray_packet_is_dropped() -> None:
    order = Reorder[int](udp=True)
    assert run(order, [0, 1, 30_000, 2, 30_001, 3]) == [0, 1, 2, 3]
    assert (order.dropped, order.lost) == (2, 0)


def test_two_packets_from_far_off_are_a_new_beginning() -> None:
    order = Reorder[int](udp=True)
    assert run(order, [0, 1, 3, 30_000, 30_001, 30_002]) == [0, 1, None, 3, None, 30_001, 30_002]
    assert order.lost == 1


def test_late_packets_in_a_row_are_a_new_beginning() -> None:
    order = Reorder[int](udp=True)
    run(order, list(range(5_000, 5_100)))
    sequences = list(range(3_000, 3_000 + LATE_LIMIT + 10))
    assert run(order, sequences) == [None, *sequences[LATE_LIMIT - 1 :]]
    assert order.highest == sequences[-1]


def test_over_tcp_nothing_waits() -> None:
    order = Reorder[int](udp=False)
    assert run(order, [1, 2, 5, 6]) == [1, 2, None, 5, 6]
    assert (order.lost, order.held) == (2, {})


def test_over_tcp_going_back_or_far_ahead_is_a_new_beginning() -> None:
    order = Reorder[int](udp=False)
    assert run(order, [100, 101, 101, 50, 51, 20_000]) == [100, 101, None, 50, 51, None, 20_000]
    assert (order.lost, order.duplicates) == (0, 1)
    assert run(order, [20_001 + MAX_DROPOUT]) == [None, 20_001 + MAX_DROPOUT]
    assert order.lost == MAX_DROPOUT


def test_reset() -> None:
    order = Reorder[int](udp=True)
    run(order, [5, 7])
    order.reset()
    assert run(order, [3, 4]) == [3, 4]
    assert (order.highest, order.reordered, order.deadline_ns) == (4, 0, None)


@given(st.integers(0, 65_535), st.randoms(use_true_random=False), st.integers(1, 20), st.integers(0, 30))
def test_any_shuffle_within_the_depth(start: int, random: object, reach: int, losses: int) -> None:
    assert hasattr(random, "random")
    sent = list(range(start, start + 300))
    missing = {sent[int(random.random() * 298) + 1] for _ in range(losses)}
    shuffled = sorted(set(sent[1:]) - missing, key=lambda n: n + random.random() * reach)
    order = Reorder[int](udp=True)
    ready = run(order, [start, *shuffled]) + order.expire(HOLD_NS)
    assert [n for n in ready if n is not None] == [n & 0xFFFF for n in sent if n not in missing]
    assert ready.count(None) <= len(missing)
    assert all(
        (after - before) & 0xFFFF == 1 for before, after in pairwise(ready) if before is not None and after is not None
    )
    tail = len([n for n in missing if n > max(shuffled, default=start)])
    assert order.lost == len(missing) - tail


@given(st.lists(st.tuples(st.integers(0, 65_535), st.integers(0, 10**9)), max_size=200), st.booleans())
def test_any_sequence_numbers(packets: list[tuple[int, int]], udp: bool) -> None:
    order = Reorder[int](udp=udp)
    now = ready = 0
    for sequence, step in packets:
        now += step
        ready += sum(packet is not None for packet in order.push(sequence, sequence, now))
        assert len(order.held) <= DEPTH
        assert all(0 < (held - order.expected & 0xFFFF) < DEPTH for held in order.held)
    assert ready == order.received
    assert ready + len(order.held) + order.duplicates + order.dropped == len(packets)


def test_over_tcp_only_the_last_packet_can_come_twice() -> None:
    order: Reorder[int] = Reorder(udp=False)
    for number in (100, 101, 102):
        order.push(number, number, 0)
    assert order.push(102, 102, 0) == []
    assert order.push(101, 101, 0) == [None, 101]
    assert order.duplicates == 1
