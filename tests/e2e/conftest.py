"""Rigs for tests with real processes and foreign software.

Rigs and fakes are imported by their path from the repository's root (``from rigs.clip import Clip``, ``from
tests.fakes.broker import broker_in``): ``pythonpath = .`` puts the root on the path, and ``tests`` without
``__init__.py`` is a namespace package.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from rigs import chromium as chromium_rig
from rigs import cradle
from rigs import gst_camera as gst_rig
from rigs import namespace as namespace_rig
from rigs.chromium import Chromium, Kept
from rigs.clip import SMALL, Clip
from rigs.cluster import Cluster
from rigs.gst_camera import GstCamera
from rigs.shared_cluster import SharedCluster


@pytest.fixture(scope="session")
def clip(pytestconfig: pytest.Config) -> Callable[[Clip], Path]:
    """Encodes a clip, once for all sessions: it is kept in pytest's cache."""
    assert pytestconfig.cache is not None
    directory = pytestconfig.cache.mkdir("clips")
    return lambda wanted: wanted.file(directory)


@pytest.fixture
def gst_camera(clip: Callable[[Clip], Path]) -> Iterator[Callable[..., GstCamera]]:
    """Starts GStreamer cameras: ``gst_camera()``, or ``gst_camera(Clip(…), audio="pcmu", transports=("udp",), …)``."""
    if problem := gst_rig.missing():
        pytest.skip(problem)
    with ExitStack() as stack:
        yield lambda wanted=SMALL, **options: stack.enter_context(GstCamera(clip(wanted), wanted.fps, **options))


@pytest.fixture
async def chromium(kept_chromium: Kept) -> AsyncIterator[Chromium]:
    """A headless Chromium with a profile of its own."""
    if problem := chromium_rig.missing():
        pytest.skip(problem)
    async with chromium_rig.chromium(kept=kept_chromium) as browser:
        yield browser


@pytest.fixture
def two_hosts() -> Callable[..., Any]:
    """``with two_hosts(down=Path(…), up=Path(…)) as (server, viewer, link)``: see ``rigs.namespace``."""
    if problem := namespace_rig.missing():
        pytest.skip(problem)
    return namespace_rig.two_hosts


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Starts the product: ``running = await cluster({"front-door": camera.url}, egress=2)``."""
    async with AsyncExitStack() as stack:

        async def start(cameras: dict[str, Any] | None = None, **options: Any) -> Cluster:
            return await stack.enter_async_context(
                Cluster(tmp_path, cameras or {}, **{"begin": cradle.begin, **options})
            )

        yield start


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedCluster]:
    async with SharedCluster(tmp_path_factory.mktemp("shared")) as running:
        yield running


@pytest.fixture
async def shared_cluster(_shared_cluster: SharedCluster) -> AsyncIterator[Callable[..., Any]]:
    """Lends the cluster of this process: ``running = await shared_cluster({"front-door": camera.url})``.

    For tests that only watch cameras; see ``rigs.shared_cluster``.
    """
    async with AsyncExitStack() as stack:

        async def lend(cameras: dict[str, Any]) -> Cluster:
            return await stack.enter_async_context(_shared_cluster.lent(cameras))

        yield lend
