from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from common import neighbourhood as module
from common.neighbourhood import neighbourhood


def test_it_is_the_same_in_processes_side_by_side() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(neighbourhood) == neighbourhood() != ""


def test_where_the_system_tells_nothing_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BOOT_ID", Path("/nowhere"))
    assert neighbourhood() == ""
