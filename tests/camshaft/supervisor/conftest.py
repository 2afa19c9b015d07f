"""Clusters of small programs, and what these do on SIGHUP."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.supervised import BOUND, Cluster, alive


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    clusters: list[Cluster] = []

    def start(**programs: str) -> Cluster:
        clusters.append(Cluster(tmp_path, {name.replace("_", "-"): what for name, what in programs.items()}))
        return clusters[-1]

    yield start
    for each in clusters:
        each.process.kill()
    for pid in filter(alive, clusters[0].everybody()):  # only where a test has failed; one may stand still
        os.kill(pid, signal.SIGKILL)
    for each in clusters:
        each.process.communicate(timeout=BOUND)


@pytest.fixture
def hang_up() -> Iterator[Callable[[signal.Handlers], None]]:
    """Says what children do on SIGHUP; until then it ends them, also where the tests themselves run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)

    def set_action(action: signal.Handlers) -> None:
        signal.signal(signal.SIGHUP, action)

    yield set_action
    signal.signal(signal.SIGHUP, before)
