"""For tests of a whole egress worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.control import Report
from tests.fakes.bus import FakeBroker
from tests.fakes.egress_worker import running


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[FakeBroker]:
    async with FakeBroker(tmp_path) as broker:
        yield broker


@pytest.fixture(params=["auto", "never"], ids=["compiled", "python"])
async def report(broker: FakeBroker, request: pytest.FixtureRequest) -> AsyncIterator[Report]:
    async with running(broker, egress_compiled=request.param) as report:
        yield report
