"""The measurement of ingest's cost runs and counts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.e2e
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_measures(transport: str) -> None:
    options = ["--cameras", "2", "--seconds", "1", "--bitrate", "500000", "--transport", transport]
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "bench.ingest_cost", *options]
    result = json.loads(subprocess.run(command, capture_output=True, check=True, cwd=root, timeout=60).stdout)
    assert result["transport"] == transport
    assert result["packets_per_second"] > 50
    assert result["us_per_packet"] > 0
    assert result["lost"] == result["dropped"] == 0
