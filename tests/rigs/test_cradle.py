"""A cluster that is forked from what has imported the product, beside one that is started as a program."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from rigs import cradle, namespace
from rigs.cluster import Cluster

pytestmark = pytest.mark.e2e


def world(pid: int) -> tuple[Any, ...]:
    """The world of a process: all that it has from who started it."""
    process = psutil.Process(pid)
    numbers = {int(path.name): path.readlink() for path in Path(f"/proc/{pid}/fd").iterdir()}
    streams = [numbers[each] for each in range(3)]
    network = Path(f"/proc/{pid}/ns/net").readlink()
    limit = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    arguments = [word for word in process.cmdline() if word][-4:]  # behind them it is blank
    return process.ppid(), process.cwd(), streams, network, limit, arguments


async def test_it_is_what_the_program_would_be(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    try:
        worlds, roles = [], []
        for begin in (None, cradle.begin):
            async with Cluster(tmp_path, begin=begin, arguments=("--drain-timeout", "3")) as running:
                worlds.append(world(running.pid))
                roles.append(sorted(running.pids()))
                assert await running.stop() == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert worlds[0] == worlds[1]
    assert roles[0] == roles[1]
    assert {"broker", "egress", "ingest", "nursery"} <= set(roles[0])


async def test_it_ends_as_a_program_does(tmp_path: Path) -> None:
    async with Cluster(tmp_path, begin=cradle.begin) as running:
        with pytest.raises(subprocess.TimeoutExpired):
            running._process.wait(0.05)  # type: ignore[union-attr]
        os.kill(running.pid, signal.SIGKILL)
        assert await asyncio.to_thread(running._process.wait, 10.0) == -signal.SIGKILL  # type: ignore[union-attr]
    with (tmp_path / "said").open("wb") as said:
        refused = cradle.begin(["serve", "--http-listen", "nonsense"], tmp_path, os.environ, said.fileno())
        assert await asyncio.to_thread(refused.wait, 10.0) == 2
    assert "must be HOST:PORT" in (tmp_path / "said").read_text()


@pytest.mark.namespace
@pytest.mark.skipif(bool(namespace.missing()), reason=namespace.missing())
async def test_it_is_in_the_network_of_who_asks(tmp_path: Path) -> None:
    with namespace.two_hosts() as (server, _viewer, _link), server.entered():
        async with Cluster(tmp_path, host=server.address, begin=cradle.begin) as running:
            assert world(running.pid)[3] == Path("/proc/thread-self/ns/net").readlink()
