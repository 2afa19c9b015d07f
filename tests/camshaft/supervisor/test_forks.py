"""Programs that are forked from one that has imported what they need."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.fakes.supervised import Cluster, alive, catches, logged, wait_until

pytestmark = pytest.mark.slow


def nurseries_of(serve: Cluster) -> list[int]:
    """The processes that programs are forked from."""
    found = []
    for child in psutil.Process(serve.process.pid).children():
        with contextlib.suppress(psutil.Error):  # it has just ended
            found += [child.pid] if child.cmdline()[:2] == ["camshaft", "nursery"] else []
    return found


def nursery_of(serve: Cluster) -> int:
    """The process that programs are forked from."""
    return nurseries_of(serve)[0]


def descriptors_of(pid: int) -> dict[int, str]:
    """Return what a process has open, by number; what it closes meanwhile is left out."""
    opened = {}
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            opened[int(descriptor.name)] = str(descriptor.readlink())
    return opened


def sockets_of(pid: int) -> set[str]:
    return {where for where in descriptors_of(pid).values() if where.startswith("socket:")}


def test_what_is_forked_has_what_a_program_of_its_own_has(
    cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    serve = cluster(broker="wait", egress_0="wait")
    pid = serve.started("broker")
    broker, nursery = psutil.Process(pid), nursery_of(serve)
    wait_until(lambda: catches(pid, signal.SIGTERM), "it has not begun")
    assert broker.ppid() == serve.process.pid
    assert broker.cmdline()[:3] == ["camshaft", "wait", "broker"]
    assert not any(Path(f"/proc/{who}/environ").read_bytes().strip(b"\0") for who in (pid, nursery))
    opened = descriptors_of(pid)
    assert opened[0] == "/dev/null"
    sockets = {where for where in opened.values() if where.startswith("socket:")}
    assert not sockets & set(descriptors_of(nursery).values())
    serve.process.terminate()
    assert serve.end()[0] == 0
    assert not alive(nursery)


def test_who_starts_it_may_ignore_children_and_have_an_environment_that_is_no_utf_8(
    cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environb, b"ODD", b"\xfc")
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # which a program keeps that is started
    try:
        serve = cluster(broker="wait")
    finally:
        signal.signal(signal.SIGCHLD, before)
    first = serve.started("broker")
    serve.become_ready()
    os.kill(first, signal.SIGKILL)
    serve.started("broker", 2)
    nursery_of(serve)
    serve.process.terminate()
    assert serve.end()[0] == 0
    assert len(serve.pids("broker")) == 2


def test_programs_are_started_also_when_the_nursery_is_gone(cluster: Callable[..., Cluster]) -> None:
    serve = cluster(broker="wait", egress_0="wait")
    serve.started("egress-0")
    broker = serve.started("broker")
    serve.become_ready()
    os.kill(nursery_of(serve), signal.SIGKILL)
    os.kill(broker, signal.SIGKILL)
    again = serve.started("broker", 2)
    assert "program.py" in " ".join(psutil.Process(again).cmdline())
    serve.process.terminate()
    code, _, err = serve.end()
    assert code == 0
    assert [line["event"] for line in logged(err)].count("the nursery is gone: processes no longer share memory") == 1


def test_a_nursery_that_is_gone_is_followed_by_another(
    cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_NURSERY", "anew")
    serve = cluster(broker="wait", egress_0="wait")
    broker = serve.started("broker")
    serve.started("egress-0")
    serve.become_ready()
    first = nursery_of(serve)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: bool(set(nurseries_of(serve)) - {first}), "no other begins")
    assert nursery_of(serve) != first
    os.kill(broker, signal.SIGKILL)
    again = psutil.Process(serve.started("broker", 2))
    wait_until(lambda: catches(again.pid, signal.SIGTERM), "it has not begun")
    assert again.cmdline()[:3] == ["camshaft", "wait", "broker"]
    assert again.ppid() == serve.process.pid
    second = nursery_of(serve)
    assert not sockets_of(again.pid) & sockets_of(second)
    serve.process.terminate()
    assert serve.end()[0] == 0
    assert not alive(second)


@pytest.mark.parametrize("nursery", ["anew", "once"])
def test_an_upgrade_forks_from_another_nursery_if_one_can_begin(
    cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch, nursery: str
) -> None:
    monkeypatch.setenv("FAKE_NURSERY", nursery)
    serve = cluster(broker="wait")
    broker = serve.started("broker")
    serve.become_ready()
    first = nursery_of(serve)
    wait_until(lambda: catches(broker, signal.SIGTERM), "it has not begun")
    serve.process.send_signal(signal.SIGUSR2)
    again = psutil.Process(serve.started("broker", 2))
    wait_until(lambda: catches(again.pid, signal.SIGTERM), "it has not begun")
    wait_until(lambda: not alive(first), "it is kept until the upgrade has come to something")
    assert (again.cmdline()[:3] == ["camshaft", "wait", "broker"]) is (nursery == "anew")
    serve.process.terminate()
    assert serve.end()[0] == 0


def test_where_nothing_can_be_forked_programs_are_started(
    cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_NURSERY", "no")
    serve = cluster(broker="wait")
    os.kill(serve.started("broker"), signal.SIGKILL)
    serve.started("broker", 2)
    serve.become_ready()
    serve.process.terminate()
    assert serve.end()[0] == 0
