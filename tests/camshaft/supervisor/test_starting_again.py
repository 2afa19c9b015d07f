"""Programs that die, hang or cannot begin, as real processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.fakes.supervised import Cluster, alive, catches, logged, wait_until

pytestmark = pytest.mark.slow


def test_ready_line_comes_once(cluster: Callable[..., Cluster]) -> None:
    serve = cluster(broker="wait")
    serve.started("broker")
    serve.become_ready()
    os.kill(serve.started("broker"), signal.SIGKILL)
    serve.started("broker", 2)
    serve.process.terminate()
    assert serve.end()[:2] == (0, "")


def test_program_that_dies_is_started_again_and_the_others_stay(cluster: Callable[..., Cluster]) -> None:
    serve = cluster(broker="wait", egress_0="wait", egress_1="wait")
    others = [serve.started("broker"), serve.started("egress-1")]
    for times in (1, 2, 3):
        os.kill(serve.started("egress-0", times), signal.SIGKILL)
    serve.started("egress-0", 4)
    assert all(map(alive, others))
    serve.process.terminate()
    code, _, err = serve.end()
    assert code == 0
    warnings = [line for line in logged(err) if line["level"] == "warning"]
    assert [(line["program"], line["end"], line["pause"]) for line in warnings] == [
        ("egress-0", "by SIGKILL", 0.2),
        ("egress-0", "by SIGKILL", 0.4),
        ("egress-0", "by SIGKILL", 0.8),
    ]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="not Linux")
def test_program_keeps_to_its_core_also_when_started_again(cluster: Callable[..., Cluster]) -> None:
    everything = os.sched_getaffinity(0)
    cpu = max(everything)
    serve = cluster(egress_0=f"wait:{cpu}", broker="wait")
    for times in (1, 2):
        pid = serve.started("egress-0", times)
        wait_until(lambda pid=pid: os.sched_getaffinity(pid) == {cpu}, "it runs on other cores")  # type: ignore[misc]
        os.kill(pid, signal.SIGKILL)
    assert os.sched_getaffinity(serve.started("broker")) == everything


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="not Linux")
def test_program_whose_core_is_gone_runs_on_the_others(cluster: Callable[..., Cluster]) -> None:
    serve = cluster(egress_0="wait:1023")
    pid = serve.started("egress-0")
    serve.become_ready()
    assert os.sched_getaffinity(pid) == os.sched_getaffinity(0)


@pytest.mark.parametrize(
    ("behaviour", "exit_code", "message"),
    [
        ("config-error", 2, "camshaft: camshaft.yaml, line 7: media.port: is wrong\n"),
        ("address-in-use", 3, "camshaft: media: UDP port 8189 is in use by another program; free it, or"),
    ],
)
def test_program_that_cannot_start_ends_everything_with_its_exit_code_and_message(
    cluster: Callable[..., Cluster], behaviour: str, exit_code: int, message: str
) -> None:
    serve = cluster(broker="wait", egress_0=behaviour)
    code, out, err = serve.end()
    assert (code, out) == (exit_code, "")
    assert message in err
    assert "camshaft: egress-0 cannot start (see its own message above); everything else is stopped.\n" in err
    assert ("--http-listen" in err) is (exit_code == 3)
    assert len(serve.pids("egress-0")) == 1


def test_program_that_keeps_dying_at_start_is_given_up(
    cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_FALSE_STARTS", "4")
    serve = cluster(broker="wait", ingest_0="crash")
    code, _, err = serve.end()
    assert code == 1
    assert "camshaft: ingest-0 cannot start (it ended 4 times in a row, last with exit code 1);" in err
    assert len(serve.pids("ingest-0")) == 4


def test_program_that_worked_once_is_not_given_up(
    cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_FALSE_STARTS", "2")
    serve = cluster(broker="wait")
    serve.started("broker")
    serve.become_ready()
    for times in (1, 2, 3):
        os.kill(serve.started("broker", times), signal.SIGKILL)
    serve.started("broker", 4)
    serve.process.terminate()
    assert serve.end()[0] == 0


def hung(err: str) -> list[str]:
    return [line["program"] for line in logged(err) if line["event"] == "process hangs; killing it"]


def test_what_is_stopped_or_blocked_is_killed_and_started_again_and_the_others_stay(
    cluster: Callable[..., Cluster],
) -> None:
    serve = cluster(broker="wait", egress_0="wait", ingest_0="blocked-once")
    others = serve.started("egress-0")
    serve.become_ready()
    stopped = serve.started("broker")
    wait_until(lambda: catches(stopped, signal.SIGTERM), "it has not begun")
    os.kill(stopped, signal.SIGSTOP)
    serve.started("broker", 2)
    serve.started("ingest-0", 2)
    assert not alive(stopped)
    assert alive(others)
    serve.process.terminate()
    code, _, err = serve.end()
    assert code == 0
    assert sorted(hung(err)) == ["broker", "ingest-0"]


def test_a_supervisor_that_stood_still_forgives(cluster: Callable[..., Cluster]) -> None:
    """As it does when a machine was suspended: everybody else stood still as well, or was not heard."""
    serve = cluster(broker="wait", egress_0="wait")
    pids = [serve.started("broker"), serve.started("egress-0")]
    serve.become_ready()
    for pid in pids:
        wait_until(lambda pid=pid: catches(pid, signal.SIGTERM), "it has not begun")  # type: ignore[misc]
    serve.process.send_signal(signal.SIGSTOP)
    os.kill(pids[0], signal.SIGSTOP)
    time.sleep(7)  # more than a process may be silent for
    serve.process.send_signal(signal.SIGCONT)
    os.kill(pids[0], signal.SIGCONT)
    time.sleep(1)
    assert all(map(alive, pids))
    serve.process.terminate()
    code, _, err = serve.end()
    assert (code, hung(err)) == (0, [])
