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


def nursery_of(serve: Cluster) -> int:
    """The process that programs are forked from."""
    children = psutil.Process(serve.process.pid).children()
    return next(child.pid for child in children if child.cmdline()[:2] == ["camshaft", "nursery"])


def descriptors_of(pid: int) -> dict[int, str]:
    """Return what a process has open, by number; what it closes meanwhile is left out."""
    opened = {}
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            opened[int(descriptor.name)] = str(descriptor.readlink())
    return opened


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
    assert [line["event"] for line in logged(err)].count("the nursery is gone: processes share no memory any more") == 1


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
