"""Egress processes of one name, one after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.bus import FakeBroker
from tests.fakes.egress_processes import Processes


@pytest.fixture
async def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Processes]:
    async with FakeBroker(tmp_path) as broker:
        yield Processes(broker, tmp_path, monkeypatch)
