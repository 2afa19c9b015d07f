"""How long a page may send more than it may."""

from __future__ import annotations

from broker.front.message_rate import BURST_SECONDS, FORGIVEN, PATIENCE, MessageRate

RATE = 50.0


def flood(messages: MessageRate, since: float, until: float) -> float:
    """Send all the time, and pause as it says. Returns when it was given up, or ``until``."""
    now = since
    while now < until:
        if not messages.take(now):
            if messages.exhausted(now):
                return now
            now += messages.pause
        now += 0.0001
    return until


def test_a_wall_that_begins_is_within_its_burst() -> None:
    messages = MessageRate(RATE)
    assert all(messages.take(0.0) for _ in range(int(BURST_SECONDS * RATE)))
    assert not messages.take(0.0)
    assert not messages.exhausted(0.0)


def test_a_flood_is_given_up_after_a_while() -> None:
    assert PATIENCE < flood(MessageRate(RATE), 0.0, 60.0) < PATIENCE + 2.0


def test_who_pauses_is_forgiven() -> None:
    messages = MessageRate(RATE)
    for round_ in range(10):
        begin = round_ * (PATIENCE / 2 + 2 * FORGIVEN)
        assert flood(messages, begin, begin + PATIENCE / 2) == begin + PATIENCE / 2


def test_where_there_is_no_limit_nobody_is_given_up() -> None:
    messages = MessageRate(0)
    assert all(messages.take(0.0) for _ in range(10_000))
