"""An egress's timer: how often it looks after its viewers, and that nothing ends it."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import pytest

from egress import sweeps
from egress.sweeps import CALM_INTERVAL, FEW, SWEEP_INTERVAL, Sweeps, pace
from egress.viewers import EARLY, ENDS, Viewers


@pytest.mark.parametrize(
    ("viewers", "settled", "seconds"),
    [
        (0, True, CALM_INTERVAL),
        (1, True, CALM_INTERVAL),
        (1, False, SWEEP_INTERVAL),
        (FEW, True, CALM_INTERVAL),
        (FEW + 1, True, SWEEP_INTERVAL),
    ],
)
def test_the_fewer_need_something_the_longer_it_waits(viewers: int, settled: bool, seconds: float) -> None:
    assert pace(viewers, settled=settled) == seconds


def test_who_is_due_a_moment_later_is_looked_at_now(monkeypatch: pytest.MonkeyPatch) -> None:
    viewers, looked = Viewers(Mock(), Mock(dropped=0), Mock(), Mock()), list[float]()
    monkeypatch.setattr(viewers, "_look", lambda viewer, _now: looked.append(viewer.due))
    viewers._viewers = {str(due): Mock(due=due) for due in (9.5, 10 + EARLY / 2, 10 + 2 * EARLY)}
    viewers.sweep(10.0)
    assert looked == [9.5, 10 + EARLY / 2]


def test_of_a_crowd_that_is_gone_at_once_each_sweep_ends_a_few() -> None:
    link = Mock()
    viewers = Viewers(link, Mock(dropped=0, offered=Mock(return_value=[])), Mock(), Mock())
    viewers._end = lambda viewer, _why: viewers._viewers.pop(viewer.session)  # type: ignore[assignment, method-assign]
    gone = {
        str(number): Mock(due=9.5, ended="gone", session=str(number), senders={1: Mock()})
        for number in range(2 * ENDS + 5)
    }
    viewers._viewers = dict(gone)
    left = []
    for sweep in range(4):
        viewers.sweep(10.0 + sweep)
        left.append(len(viewers))
    assert left == [ENDS + 5, 5, 0, 0]
    assert max(each.senders[1].stop.call_count for each in gone.values()) == 1, "those that wait cost nothing"


def test_one_that_waits_for_its_end_is_sent_nothing() -> None:
    viewers = Viewers(Mock(), Mock(dropped=0, offered=Mock(return_value=[])), Mock(), Mock())
    viewers._end = lambda viewer, _why: viewers._viewers.pop(viewer.session)  # type: ignore[assignment, method-assign]
    gone = [Mock(due=9.5, ended="gone", session=str(number), senders={1: Mock()}) for number in range(ENDS + 1)]
    viewers._viewers = {each.session: each for each in gone}
    viewers.sweep(10.0)
    assert list(viewers._viewers.values()) == gone[-1:]
    gone[-1].senders[1].stop.assert_called_once_with()


async def test_a_sweep_that_fails_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "SWEEP_INTERVAL", 0.001)
    times: list[tuple[float, float]] = []
    thrice = asyncio.Event()

    def sweep(now: float, due: float) -> float:
        times.append((now, due))
        if len(times) == 3:
            thrice.set()
        raise ValueError

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    tested = Sweeps(sweep)
    with pytest.raises(ValueError):
        tested.begin()
    await thrice.wait()
    tested.close()
    assert all(now >= due for now, due in times)


async def test_who_hurries_waits_a_tenth_of_a_second_and_is_swept_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "SWEEP_INTERVAL", 0.01)
    swept = 0

    def sweep(_now: float, _due: float) -> float:
        nonlocal swept
        swept += 1
        tested.hurry()  # as a viewer does that is found to have left: it has been seen to
        return 60.0

    tested = Sweeps(sweep)
    tested.hurry()  # nothing has begun
    tested.begin()
    await asyncio.sleep(0.1)
    assert swept == 1
    tested.hurry()
    await asyncio.sleep(0.2)
    assert swept == 2
    tested.close()
    tested.hurry()
    await asyncio.sleep(0.1)
    assert swept == 2
