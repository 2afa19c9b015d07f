"""For tests of rigs: a clip that is encoded in a second, and cameras that loop it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rigs import farm
from rigs.clip import TINY


@pytest.fixture(scope="module")
def clip(pytestconfig: pytest.Config) -> Path:
    """``TINY``, kept in pytest's cache."""
    assert pytestconfig.cache is not None
    return TINY.file(pytestconfig.cache.mkdir("clips"))


@pytest.fixture
def cameras(clip: Path) -> Iterator[list[str]]:
    """URLs of three cameras of a farm."""
    with farm.running(clip, TINY.fps, 3) as (urls, _pid):
        yield urls
