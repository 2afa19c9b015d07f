"""The supervisor with real processes and real signals; what they do is in ``tests/fakes/program.py``."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BOUND = 60.0  # seconds: more than anything here takes on a busy machine


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


class Cluster:
    """A supervisor in a process of its own, and what its programs wrote down."""

    def __init__(self, directory: Path, programs: dict[str, str]) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [
                sys.executable,
                str(ROOT / "tests/fakes/serve.py"),
                str(directory),
                *(f"{name}={behaviour}" for name, behaviour in programs.items()),
            ],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def pids(self, name: str) -> list[int]:
        """One line for every start of a program."""
        try:
            return [int(line) for line in (self.directory / name).read_text().split()]
        except FileNotFoundError:
            return []

    def started(self, name: str, times: int = 1) -> int:
        """Wait until a program was started so many times; the newest one's process id."""
        wait_until(lambda: len(self.pids(name)) >= times, f"{name} was not started {times} times")
        return self.pids(name)[times - 1]

    def become_ready(self) -> None:
        (self.directory / "ready").touch()
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def end(self) -> tuple[int, str, str]:
        """Wait for the end: exit code, standard output, standard error."""
        out, err = self.process.communicate(timeout=BOUND)
        return self.process.returncode, out, err

    def everybody(self) -> list[int]:
        return [
            pid
            for file in self.directory.iterdir()
            if file.name not in ("ready", "changed")
            for pid in self.pids(file.name)
        ]


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


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    caught = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def logged(err: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in err.splitlines() if line.startswith("{")]


@pytest.fixture
def hang_up() -> Iterator[Callable[[signal.Handlers], None]]:
    """Says what children do on SIGHUP; until then it ends them, also where the tests themselves run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)

    def set_action(action: signal.Handlers) -> None:
        signal.signal(signal.SIGHUP, action)

    yield set_action
    signal.signal(signal.SIGHUP, before)


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


@pytest.mark.usefixtures("hang_up")
def test_a_change_is_passed_on_to_those_that_take_it(cluster: Callable[..., Cluster]) -> None:
    serve = cluster(broker="reloads", egress_0="reloads")
    serve.started("broker")
    serve.started("egress-0")
    serve.become_ready()
    wait_until(lambda: catches(serve.process.pid, signal.SIGHUP), "it has not begun")
    serve.process.send_signal(signal.SIGHUP)
    serve.started("broker.reloads")
    (serve.directory / "changed").write_text("limits.offers log.level")
    serve.process.send_signal(signal.SIGHUP)
    serve.started("broker.reloads", 2)
    serve.started("egress-0.reloads")
    serve.process.terminate()
    assert serve.end()[0] == 0
    assert len(serve.pids("egress-0.reloads")) == 1


@pytest.mark.usefixtures("hang_up")
def test_a_program_that_has_just_begun_is_told_when_it_listens(cluster: Callable[..., Cluster]) -> None:
    """SIGHUP before that would end it."""
    serve = cluster(broker="reloads")
    first = serve.started("broker")
    wait_until(lambda: catches(serve.process.pid, signal.SIGHUP), "it has not begun")
    os.kill(first, signal.SIGKILL)
    second = serve.started("broker", 2)
    serve.process.send_signal(signal.SIGHUP)
    assert serve.started("broker.reloads") == second
    serve.process.terminate()
    assert serve.end()[0] == 0
    assert serve.pids("broker") == [first, second]


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
    assert "camshaft: egress-0 cannot start (its own message is above); everything else is stopped.\n" in err
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


def hung(err: str) -> list[str]:
    return [line["program"] for line in logged(err) if line["event"] == "process hangs and is killed"]


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
