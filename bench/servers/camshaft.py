"""Camshaft, started as people start it, and any server that somebody else has started."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.servers import Running
from rigs.cluster import Cluster
from rigs.load.signalling import Whep
from rigs.process import ROOT


@dataclass(frozen=True, slots=True)
class Camshaft:
    """A checkout's ``camshaft serve``, this one's unless another is named."""

    ingest: int = 1  # processes
    egress: int = 1
    host: str = "127.0.0.1"
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    name: str = "Camshaft"
    checkout: Path = ROOT
    transcode: int | None = None  # as ``rigs.cluster.Cluster`` has it

    def problem(self) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "camshaft", "serve", "--help"], capture_output=True, check=False, cwd=self.checkout
        )
        return "" if done.returncode == 0 else f"camshaft serve does not run: {done.stderr.decode()[-300:].strip()}"

    def version(self) -> str:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False, cwd=self.checkout
        )
        return done.stdout.strip()

    @asynccontextmanager
    async def started(self, cameras: Sequence[str], directory: Path, transport: str = "tcp") -> AsyncIterator[Running]:
        named = {f"cam{n}": {"url": url, "transport": transport} for n, url in enumerate(cameras)}
        cluster = Cluster(
            directory,
            named,
            self.ingest,
            self.egress,
            self.config,
            self.host,
            checkout=self.checkout,
            transcode=self.transcode,
        )
        async with cluster:
            streams = [Whep(cluster.whep(name)) for name in named]
            yield Running(streams, cluster.pids(), cluster.url, [f"camshaft serve --config {directory}/camshaft.yaml"])
