"""Signals and ends of ``serve`` and its processes, real ones."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.fakes.supervised import BOUND, Cluster, alive, catches, logged, wait_until

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("hang_up")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_everything_cleanly(cluster: Callable[..., Cluster], number: signal.Signals) -> None:
    serve = cluster(broker="wait", egress_0="wait")
    pids = [serve.started("broker"), serve.started("egress-0")]
    serve.become_ready()
    serve.process.send_signal(number)
    code, out, err = serve.end()
    assert (code, out) == (0, "")
    assert not [line for line in logged(err) if line["level"] != "debug"]
    assert not any(map(alive, pids))


@pytest.mark.usefixtures("hang_up")
def test_hang_up_ends_neither_it_nor_its_processes(cluster: Callable[..., Cluster]) -> None:
    serve = cluster(broker="wait")
    broker = serve.started("broker")
    serve.become_ready()
    for pid in (serve.process.pid, broker):
        wait_until(lambda pid=pid: catches(pid, signal.SIGHUP), "it has not begun")  # type: ignore[misc]
        os.kill(pid, signal.SIGHUP)
    os.kill(broker, signal.SIGKILL)
    serve.started("broker", 2)  # it is still there to do that
    serve.process.terminate()
    code, _, err = serve.end()
    assert code == 0
    assert [line["end"] for line in logged(err) if line["event"].startswith("process ended")] == ["by SIGKILL"]


def test_under_nohup_it_outlives_its_terminal(
    cluster: Callable[..., Cluster], hang_up: Callable[[signal.Handlers], None]
) -> None:
    hang_up(signal.SIG_IGN)
    serve = cluster(broker="wait")
    broker = serve.started("broker")
    serve.become_ready()
    serve.process.send_signal(signal.SIGHUP)
    os.kill(broker, signal.SIGKILL)
    serve.started("broker", 2)  # it is still there to do that
    serve.process.terminate()
    assert serve.end()[0] == 0


def test_program_that_ignores_the_end_is_killed_in_time(cluster: Callable[..., Cluster]) -> None:
    serve = cluster(broker="stubborn", egress_0="wait")
    stubborn = serve.started("broker")
    serve.started("egress-0")
    serve.process.terminate()
    code, _, err = serve.end()
    assert code == 0
    assert [line["programs"] for line in logged(err) if line["level"] == "warning"] == [["broker"]]
    assert not alive(stubborn)


def test_second_interrupt_ends_at_once(cluster: Callable[..., Cluster]) -> None:
    serve = cluster(broker="stubborn", egress_0="wait")
    stubborn = serve.started("broker")
    egress = serve.started("egress-0")
    serve.process.send_signal(signal.SIGINT)
    wait_until(lambda: not alive(egress), "the first interrupt was not seen")
    serve.process.send_signal(signal.SIGINT)
    _, _, err = serve.end()
    assert not [line for line in logged(err) if line["level"] == "warning"], "the bound was not waited for"
    assert not alive(stubborn)


def test_nothing_stays_behind_when_the_supervisor_is_killed(cluster: Callable[..., Cluster]) -> None:
    serve = cluster(broker="wait", ingest_0="wait", egress_0="wait")
    pids = [serve.started(name) for name in ("broker", "ingest-0", "egress-0")]
    serve.process.kill()
    wait_until(lambda: not any(map(alive, pids)), "processes stayed behind")


def test_nothing_stays_behind_when_the_supervisor_is_killed_while_it_starts(cluster: Callable[..., Cluster]) -> None:
    """A child that has not come to watching the pipe yet finds it closed when it does."""
    serve = cluster(broker="wait", ingest_0="wait", egress_0="wait")
    wait_until(lambda: bool(psutil.Process(serve.process.pid).children()), "nothing was started")
    children = psutil.Process(serve.process.pid).children()
    serve.process.kill()
    wait_until(lambda: not any(alive(child.pid) for child in children), "processes stayed behind")


def test_interrupt_of_the_terminal_reaches_the_supervisor_alone(cluster: Callable[..., Cluster]) -> None:
    serve = cluster(broker="wait")
    broker = serve.started("broker")
    assert os.getsid(broker) == broker != os.getsid(serve.process.pid)


def test_systemd_hears_of_the_cluster_and_not_of_its_processes(
    cluster: Callable[..., Cluster], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = tmp_path_factory.mktemp("systemd") / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(address))
        systemd.settimeout(BOUND)
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        monkeypatch.setenv("WATCHDOG_USEC", "1000000")
        serve = cluster(broker="wait")
        assert systemd.recv(100) == b"WATCHDOG=1"
        broker = serve.started("broker")
        assert b"NOTIFY_SOCKET" not in Path(f"/proc/{broker}/environ").read_bytes()
        serve.become_ready()
        serve.process.terminate()
        told = []
        while b"STOPPING=1" not in told:
            told.append(systemd.recv(100))
        assert b"READY=1" in told
        assert serve.end()[0] == 0
