"""A process is taken for hung after so many looks of its supervisor."""

from __future__ import annotations

import pytest

from common.heard import FIRST_LOOKS, HUNG_LOOKS, LOOK_INTERVAL, RELAY_HUNG_LOOKS, Heard
from common.pulse import PULSE_INTERVAL, RELAY_PULSE_INTERVAL


def test_one_that_falls_silent_hangs_after_five_seconds_and_is_told_of_once() -> None:
    heard = Heard()
    heard.beat()
    looks = [heard.look() for _ in range(3 * HUNG_LOOKS)]
    assert looks.index(True) == HUNG_LOOKS - 1
    assert looks.count(True) == 1
    assert HUNG_LOOKS * LOOK_INTERVAL == 5.0


def test_the_relay_hangs_after_two() -> None:
    heard = Heard(RELAY_HUNG_LOOKS)
    heard.beat()
    assert [heard.look() for _ in range(2 * RELAY_HUNG_LOOKS)].index(True) == RELAY_HUNG_LOOKS - 1
    assert RELAY_HUNG_LOOKS * LOOK_INTERVAL == 2.0


@pytest.mark.parametrize(
    ("looks", "interval"), [(HUNG_LOOKS, PULSE_INTERVAL), (RELAY_HUNG_LOOKS, RELAY_PULSE_INTERVAL)]
)
def test_one_that_beats_never_hangs(looks: int, interval: float) -> None:
    heard = Heard(looks)
    for _ in range(1_000):
        heard.beat()
        for _ in range(round(3 * interval / LOOK_INTERVAL)):
            assert not heard.look()


def test_one_that_begins_has_time_to() -> None:
    heard = Heard()
    assert not any(heard.look() for _ in range(FIRST_LOOKS - 1))
    assert heard.look()


def test_one_that_is_heard_again_in_time_starts_anew() -> None:
    heard = Heard()
    heard.beat()
    assert not any(heard.look() for _ in range(HUNG_LOOKS - 1))
    heard.beat()
    assert not any(heard.look() for _ in range(HUNG_LOOKS - 1))


def test_one_listens_to_signals_by_its_second_beat() -> None:
    heard = Heard()
    assert not heard.listens
    heard.beat()
    assert not heard.listens
    heard.beat()
    assert heard.listens
    late = Heard()
    late.beat(2)  # while nobody was listening
    assert late.listens


def test_looks_at_which_it_waits_for_a_processor_do_not_count_and_there_is_a_bound() -> None:
    heard = Heard()
    heard.beat()
    for _ in range(FIRST_LOOKS - 1):
        assert not heard.look(waits=True)
    assert not any(heard.look() for _ in range(HUNG_LOOKS - 1))
    assert not heard.look(waits=True)
    assert heard.look(waits=True)
    heard.beat()
    assert not any(heard.look(waits=True) for _ in range(FIRST_LOOKS))


def test_it_is_worth_while_to_see_whether_it_waits_once_a_beat_is_missing() -> None:
    heard = Heard()
    heard.beat()
    told = []
    for _ in range(4):
        told.append(heard.doubtful)
        heard.look(waits=heard.doubtful)
    assert told == [False, False, True, True]
