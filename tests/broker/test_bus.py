"""A bus that asks nobody for a key says so."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import structlog

from broker.bus import opened_bus
from common.config import Config
from common.endpoints import Part


@pytest.mark.parametrize(
    ("address", "secret", "warned"),
    [
        ("tcp://127.0.0.1:5550", "", True),
        ("tcp://127.0.0.1:5550", "a secret of the cluster", False),
        ("ipc://{directory}", "", False),
    ],
)
def test_a_bus_that_every_user_of_the_machine_reaches_is_warned_of(
    tmp_path: Path, address: str, secret: str, warned: bool
) -> None:
    config = Config.model_validate(
        {
            "broker": {"address": address.format(directory=tmp_path)},
            "cluster": {"secret": secret},
            "store": {"path": str(tmp_path / "camshaft.db")},
        }
    )
    with structlog.testing.capture_logs() as lines, opened_bus(config, Counter(), Part.CONTROL):
        assert any("open to every user" in line["event"] for line in lines) is warned
