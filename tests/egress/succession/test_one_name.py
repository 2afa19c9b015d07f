"""Two processes never have one name: who came to succeed, and was not spoken with, waits for the other's end."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rigs.waiting import until
from tests.fakes.bus import FakeBroker
from tests.fakes.egress_worker import NODE
from tests.fakes.two_processes import PATIENCE, Two

pytestmark = pytest.mark.slow

SHORT = 1.0  # seconds for which the two wait for each other


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[FakeBroker]:
    async with FakeBroker(tmp_path) as made:
        yield made


async def ended(two: Two) -> None:
    """Wait for the end of the second."""
    assert two.second is not None
    await until(lambda: not two.second.is_alive(), PATIENCE)


@pytest.mark.parametrize("number", [signal.SIGCONT, signal.SIGKILL])
async def test_one_that_gets_no_answer_begins_only_when_the_other_has_ended(
    broker: FakeBroker, tmp_path: Path, number: signal.Signals
) -> None:
    """The first stands still, and goes on or is killed. Any port that is free is theirs, so none is in the way."""
    with Two(broker, tmp_path, SHORT) as two:
        first = (await broker.until(lambda: broker.reports.get(NODE))).incarnation
        two.signal("first", signal.SIGSTOP)
        two.start_second(alone=True)
        await two.says("second", "does not speak with its successor")
        two.signal("first", number)
        if number == signal.SIGKILL:
            await two.says("second", "egress ready")
            await broker.until(lambda: broker.reports[NODE].incarnation != first)
        else:
            await ended(two)
            assert two.first.is_alive()
            assert broker.reports[NODE].incarnation == first
            assert "egress ready" not in two.log("second")
