"""For tests of what the broker knows of its cameras: a store, a clock, and the catalogue over both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.catalogue import Catalogue
from broker.store import Store
from common.config import Config
from tests.fakes.clocks import Clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "camshaft.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store(path)
    yield store
    store.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def catalogue(store: Store, clock: Clock) -> Catalogue:
    return Catalogue(Config(), store, clock)
