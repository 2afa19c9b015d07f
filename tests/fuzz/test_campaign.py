"""The outcome of a run is told whatever its inputs do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import campaign, table
from tests.fuzz.target import Target


def _fail(data: bytes) -> None:
    if data == b"crash":
        raise RuntimeError("a finding")


def test_a_kept_input_that_fails_ends_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target("parts", "nothing", _fail, (b"crash", b"fine"))
    monkeypatch.setitem(table.TARGETS, "parts", target)
    (tmp_path / "slow-1").write_bytes(b"fine")
    (tmp_path / "slow-1.txt").write_text("it was slow with its paths counted")
    slow, slowest = campaign._slow(target, tmp_path)
    assert slow == 0
    assert slowest < target.slow
    assert not list(tmp_path.iterdir()), "what is slow only where paths are counted is no finding"
