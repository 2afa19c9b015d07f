"""One cluster for many tests that only watch: each has cameras of its own for its time, and its part of the log.

Six processes start for a cluster, which takes more than many a test does. A test that configures something, ends a
process or counts what is left behind starts one of its own.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from rigs.cluster import Cluster

_SESSION = re.compile(r'"session": "(\w+)"')
PATIENCE = 60.0  # seconds until what a test began is over


@dataclass
class SharedCluster(Cluster):
    """A cluster that is lent to one test after the other."""

    config: Mapping[str, Mapping[str, Any]] = field(
        default_factory=lambda: {"sources": {"allow": ["rtsp", "http", "rtmp", "udp", "file"]}}
    )
    transcode: int | None = None
    _log_begins: int = field(default=0, init=False, repr=False)  # of its text
    _earlier: frozenset[str] = field(default=frozenset(), init=False, repr=False)  # sessions that it told of before

    @property
    def log(self) -> str:
        """All that the cluster has written since it was lent, but for what is told of earlier tests' viewers."""
        told = super().log[self._log_begins :].splitlines(keepends=True)
        return "".join(line for line in told if not self._earlier & set(_SESSION.findall(line)))

    @asynccontextmanager
    async def lent(self, cameras: Mapping[str, str | Mapping[str, Any]]) -> AsyncIterator[SharedCluster]:
        """The cluster with these cameras; afterwards without them, and without their viewers."""
        before = super().log
        self._log_begins, self._earlier = len(before), frozenset(_SESSION.findall(before))
        async with aiohttp.ClientSession(self.url) as http:
            try:
                for name, camera in cameras.items():
                    settings = {"url": camera} if isinstance(camera, str) else camera
                    async with http.post("/api/cameras", json={"id": name, **settings}) as response:
                        assert response.status == 201, await response.text()
                yield self
            finally:
                for name in cameras:
                    async with http.delete(f"/api/cameras/{name}"):
                        pass
                await self._is_empty(http)

    async def _is_empty(self, http: aiohttp.ClientSession) -> None:
        """Wait until there are neither cameras nor viewers."""
        async with asyncio.timeout(PATIENCE):
            for path in ("/api/cameras", "/api/viewers"):
                while await (await http.get(path)).json():  # noqa: ASYNC110  # HTTP tells nobody
                    await asyncio.sleep(0.05)
