import time

import pytest

from common import clock


def test_it_shows_the_time() -> None:
    assert abs(clock.unix_ns() - time.time_ns()) < 60 * 10**9


@pytest.mark.parametrize("step", [-3_600, 3_600])
def test_it_does_not_step_with_the_wall_clock(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    before = clock.unix_ns()
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + step * 10**9)
    monkeypatch.setattr(time, "time", lambda: now / 1e9 + step)
    assert 0 <= clock.unix_ns() - before < 60 * 10**9
