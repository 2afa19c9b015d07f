"""Upgrades and successors, with real processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import psutil
import pytest

from tests.fakes.supervised import Cluster, alive, catches, logged, wait_until

pytestmark = pytest.mark.slow


def test_an_egress_that_ends_has_its_successor_started_first(cluster: Callable[..., Cluster]) -> None:
    serve = cluster(broker="wait", egress_0="heir")
    first = serve.started("egress-0")
    serve.become_ready()
    wait_until(lambda: catches(first, signal.SIGTERM), "it has not begun")
    os.kill(first, signal.SIGTERM)  # as an operator may, or the broker has it drain
    second = serve.started("egress-0", 2)
    wait_until(lambda: not alive(first), "it waits for a successor that is there")
    wait_until(lambda: catches(second, signal.SIGTERM), "it has not begun")
    serve.process.send_signal(signal.SIGUSR2)
    third = serve.started("egress-0", 3)
    wait_until(lambda: not alive(second), "it is replaced")
    wait_until(lambda: len(serve.pids("broker")) == 2, "the broker comes last")
    os.kill(third, signal.SIGKILL)
    fourth = serve.started("egress-0", 4)
    assert alive(fourth)
    assert serve.pids("egress-spare") == []
    serve.process.terminate()
    code, _, err = serve.end()
    assert code == 0
    events = [line["event"] for line in logged(err) if line["level"] != "debug"]
    assert sum(event.startswith("process ended") for event in events) == 1, "of the one that was killed"


def test_sigusr2_replaces_every_process_and_starts_a_spare_where_none_can_have_successors(
    cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")
    serve = cluster(broker="wait", egress_0="wait")
    before = {name: serve.started(name) for name in ("broker", "egress-0")}
    wait_until(lambda: catches(serve.process.pid, signal.SIGUSR2), "it has not begun")
    serve.process.send_signal(signal.SIGUSR2)  # ignored: it is not ready
    serve.become_ready()
    wait_until(lambda: all(catches(pid, signal.SIGTERM) for pid in before.values()), "they have not begun")
    serve.process.send_signal(signal.SIGUSR2)
    again = serve.started("broker", 2)
    assert "program.py" in " ".join(psutil.Process(again).cmdline()), "not a fork of what was installed before"
    spare = serve.started("egress-spare")
    assert len(serve.pids("egress-0")) == 2
    wait_until(lambda: not alive(spare), "the spare is still there")
    serve.process.terminate()
    code, _, err = serve.end()
    events = [line["event"] for line in logged(err) if line["level"] != "debug"]
    assert code == 0
    assert not any(event.startswith("process ended") for event in events)
    assert "process replaced" in events
