"""When a process waits for more to come, and for how long."""

from __future__ import annotations

import pytest

from common.worker.moderation import TURN, WINDOW, Moderation


def turns(
    moderation: Moderation, interval: float, seconds: float, *, count: int = 1, start: float = 0.0
) -> list[float]:
    """How long it waited after each of the turns that began at this interval, or when it had waited for long enough."""
    waits, now, due = [], start, start
    while now < start + seconds:
        waits.append(moderation.wait(count, now))
        due += interval
        now = max(due, now + waits[-1])
    return waits


@pytest.mark.parametrize("a_second", [30, 240, 900])
def test_few_pictures_never_wait(a_second: int) -> None:
    assert not any(turns(Moderation(), 1 / a_second, 2.0))


def test_many_are_taken_a_turns_worth_at_a_time() -> None:
    moderation = Moderation()
    turns(moderation, 1 / 3_000, 2 * WINDOW)
    assert all(0 <= wait <= TURN for wait in turns(moderation, 1 / 3_000, 1.0, start=2 * WINDOW))
    late = turns(moderation, TURN, 1.0, count=3, start=2.0)  # what comes in a turn comes at once now
    assert len(late) <= 1.0 / TURN + 1


def test_a_turn_that_took_long_is_followed_at_once() -> None:
    moderation = Moderation()
    turns(moderation, 1 / 3_000, 2 * WINDOW)
    assert moderation.wait(20, 1.0) >= 0
    assert moderation.wait(20, 1.0 + 3 * TURN) == 0


def test_when_there_is_less_again_nothing_waits() -> None:
    moderation = Moderation()
    turns(moderation, 1 / 3_000, 1.0)
    assert not any(turns(moderation, 1 / 30, 1.0, start=1.0 + WINDOW)[1:])


def test_a_first_keyframe_after_a_long_silence_does_not_wait() -> None:
    assert Moderation().wait(200, 1_000.0) == 0
