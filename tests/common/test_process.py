"""Every process has exit codes, listens to signals, and ends with its supervisor. Real processes, real signals."""

from __future__ import annotations

import ast
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from common.control import Load
from common.errors import AddressInUseError, CamshaftError, ConfigError, NotNowError
from common.process import (
    EXIT_ADDRESS_IN_USE,
    EXIT_CONFIG,
    EXIT_FAILED,
    EXIT_NOT_NOW,
    SUPERVISOR_FD,
    CoreWaits,
    LoadMeter,
    exit_code,
    memory_limit,
    raise_file_limit,
)

ROOT = Path(__file__).parents[2]
PROLOGUE = """
import asyncio, os, sys, time
from common import process
from common.errors import AddressInUseError, CamshaftError, ConfigError, ProtocolError
def say(text):
    print(text, flush=True)
async def wait(stop):
    say("running")
    await stop.wait()
    say("stopped")
"""


@contextmanager
def program(body: str, pipe: int | None = None, fd: str | None = None) -> Iterator[subprocess.Popen[str]]:
    """A process that runs ``body`` with our prologue; ``pipe`` is its supervisor's."""
    environ = os.environ | ({SUPERVISOR_FD: fd or str(pipe)} if pipe is not None or fd else {})
    with subprocess.Popen(
        [sys.executable, "-c", PROLOGUE + body],
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        pass_fds=() if pipe is None else (pipe,),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_the_process_cleanly(number: signal.Signals) -> None:
    with program("sys.exit(process.run(wait))") as child:
        assert line(child) == "running"
        child.send_signal(number)
        out, err = child.communicate(timeout=10)
    assert (out, err, child.returncode) == ("stopped\n", "", 0)


@pytest.fixture
def default_hang_up() -> Iterator[None]:
    """Children begin with SIGHUP's usual action, also where the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("default_hang_up")
def test_hang_up_ends_nothing_and_is_logged() -> None:
    body = "from common import log\nlog.configure('info', 'json')\nsys.exit(process.run(wait))"
    with program(body) as child:
        assert line(child) == "running"
        child.send_signal(signal.SIGHUP)
        assert child.stderr is not None
        assert "SIGHUP ignored" in child.stderr.readline()
        child.terminate()
        assert child.communicate(timeout=10)[0] == "stopped\n"
        assert child.returncode == 0


@pytest.mark.usefixtures("default_hang_up")
def test_hang_up_asks_for_the_configuration_to_be_read_again() -> None:
    body = "sys.exit(process.run(wait, lambda: os.write(1, b'asked\\n')))"
    with program(body) as child:
        assert line(child) == "running"
        for _ in range(2):
            child.send_signal(signal.SIGHUP)
            assert line(child) == "asked"
        child.terminate()
        assert child.communicate(timeout=10)[0] == "stopped\n"


@pytest.mark.usefixtures("default_hang_up")
def test_under_a_supervisor_it_reads_its_configuration_again_also_where_that_runs_under_nohup(
    pipe: tuple[int, int],
) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which is kept over exec
    with program("sys.exit(process.run(wait, lambda: os.write(1, b'asked\\n')))", pipe[0]) as child:
        assert line(child) == "running"
        child.send_signal(signal.SIGHUP)
        assert line(child) == "asked"


@pytest.mark.usefixtures("default_hang_up")
def test_hang_up_of_a_terminal_that_is_gone_ends_the_process(tmp_path: Path) -> None:
    """A window was closed: the terminal is no terminal any more by the time that the signal comes."""
    ours, terminal = os.openpty()
    report = tmp_path / "report"
    body = f"""
async def main(stop):
    os.write(1, b"running\\n")
    await stop.wait()
    open({str(report)!r}, "w").write("stopped")
process.run(main)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", PROLOGUE + body], cwd=ROOT, stdin=terminal, stdout=terminal, stderr=terminal
    )
    try:
        os.close(terminal)
        assert os.read(ours, 100).startswith(b"running")
        os.close(ours)
        child.send_signal(signal.SIGHUP)
        assert child.wait(10) == 0
        assert report.read_text() == "stopped"
    finally:
        child.kill()
        child.wait()


def test_systemd_is_told_that_it_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"{tmp_path}/notify")
        systemd.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", f"{tmp_path}/notify")
        monkeypatch.setenv("WATCHDOG_USEC", "10000000")
        with program("sys.exit(process.run(wait))") as child:
            assert systemd.recv(100) == b"WATCHDOG=1"
            assert line(child) == "running"
            child.terminate()
            while (told := systemd.recv(100)) == b"WATCHDOG=1":
                pass
            assert told == b"STOPPING=1"
            assert child.wait(10) == 0


ERRORS = {
    "ConfigError('is wrong', where='camshaft.yaml, line 3', key='media.port')": (
        EXIT_CONFIG,
        "line 3: media.port: is wrong",
    ),
    "AddressInUseError('http', '127.0.0.1:80', '--http-listen')": (EXIT_ADDRESS_IN_USE, "--http-listen"),
    "CamshaftError('all is lost')": (EXIT_FAILED, "all is lost"),
    "ExceptionGroup('g', [ExceptionGroup('h', [ConfigError('x', key='a.b')])])": (EXIT_CONFIG, "a.b: x"),
}


def test_error_of_ours_is_one_sentence_and_an_exit_code() -> None:
    """One process for all of them: most of each would be its start."""
    mains = "".join(f"async def main(stop): raise {error}\nsay(process.run(main))\n" for error in ERRORS)
    with program(mains) as child:
        out, err = child.communicate(timeout=60)
    assert [int(code) for code in out.split()] == [code for code, _ in ERRORS.values()]
    for told, (_, sentence) in zip(err.splitlines(), ERRORS.values(), strict=True):
        assert told.startswith("camshaft: ")
        assert sentence in told


@pytest.mark.parametrize("error", ["ZeroDivisionError()", "ExceptionGroup('g', [ConfigError('x'), ValueError()])"])
def test_error_of_others_is_a_traceback(error: str) -> None:
    with program(f"async def main(stop): raise {error}\nsys.exit(process.run(main))") as child:
        _, err = child.communicate(timeout=10)
    assert child.returncode == 1
    assert "Traceback" in err


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for end in (reading, writing):
        with suppress(OSError):
            os.close(end)


def test_process_ends_cleanly_when_its_supervisor_dies(pipe: tuple[int, int]) -> None:
    with program("sys.exit(process.run(wait))", pipe[0]) as child:
        assert line(child) == "running"
        os.close(pipe[1])
        out, err = child.communicate(timeout=10)
    assert (out, err, child.returncode) == ("stopped\n", "", 0)


def test_process_that_hangs_ends_when_its_supervisor_dies(pipe: tuple[int, int]) -> None:
    """Neither a loop that is blocked nor a main that ignores ``stop`` can stay behind."""
    body = "process.ORPHAN_GRACE = 0.2\nasync def main(stop):\n say('running')\n time.sleep(60)\nprocess.run(main)"
    with program(body, pipe[0]) as child:
        assert line(child) == "running"
        os.close(pipe[1])
        assert child.wait(timeout=10) == EXIT_FAILED


def test_supervisor_that_is_dead_already_is_noticed(pipe: tuple[int, int]) -> None:
    os.close(pipe[1])
    with program("sys.exit(process.run(wait))", pipe[0]) as child:
        out, err = child.communicate(timeout=10)
    assert (out, err, child.returncode) == ("running\nstopped\n", "", 0)


def test_stale_variable_is_ignored() -> None:
    fds = ["0", "99", "-1", "x", "9" * 30]
    body = f"""
async def main(stop):
    try:
        await asyncio.wait_for(stop.wait(), 0.3)
    except TimeoutError:
        say("running")
for fd in {fds}:
    os.environ[{SUPERVISOR_FD!r}] = fd
    process.run(main)
"""
    with program(body) as child:
        assert child.communicate(timeout=60)[0] == len(fds) * "running\n"


def test_pipe_is_not_announced_to_children_of_the_process(pipe: tuple[int, int]) -> None:
    body = f"async def main(stop): say({SUPERVISOR_FD!r} in os.environ)\nsys.exit(process.run(main))"
    with program(body, pipe[0]) as child:
        assert line(child) == "False"


def test_a_rush_of_objects_is_no_reason_to_walk_through_all_there_are() -> None:
    body = """
import gc
async def main(stop):
    before = gc.get_stats()
    rush = [[] for _ in range(200_000)]
    young, _, old = (after["collections"] - was["collections"] for was, after in zip(before, gc.get_stats()))
    say((young > 10, old))
sys.exit(process.run(main))
"""
    with program(body) as child:
        assert line(child) == "(True, 0)"


def test_exit_code_tells_whether_starting_again_helps() -> None:
    assert exit_code(ConfigError("")) == EXIT_CONFIG
    assert exit_code(NotNowError("")) == EXIT_NOT_NOW
    assert exit_code(AddressInUseError("", "", "")) == EXIT_ADDRESS_IN_USE
    assert exit_code(CamshaftError()) == EXIT_FAILED


def test_load_meter_measures_share_of_a_core_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"cpu": 10.0, "wall": 100.0}
    monkeypatch.setattr(time, "process_time", lambda: clock["cpu"])
    monkeypatch.setattr(time, "monotonic", lambda: clock["wall"])
    meter = LoadMeter()
    assert meter.read().memory > 1 << 20
    clock.update(cpu=10.5, wall=101.0)
    first = meter.read()
    assert first.cpu == 0.5
    clock.update(cpu=10.6, wall=101.1)
    assert meter.read() == first, "over so short a time a share of CPU is noise"
    assert isinstance(first, Load)


def test_load_meter_reads_memory_less_often_than_the_share_of_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, reads = {"wall": 100.0}, []
    monkeypatch.setattr(time, "monotonic", lambda: clock["wall"])
    monkeypatch.setattr("common.process.free_bytes", lambda: reads.append(clock["wall"]) or 1)
    meter = LoadMeter()
    for clock["wall"] in (101.0, 104.0, 105.0, 106.0, 110.0):
        meter.read()
    assert reads == [100.0, 105.0, 110.0]


def test_as_many_files_may_be_open_as_the_system_allows() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[0], 256), before[1]))
        assert raise_file_limit() == before[1]
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.skipif(sys.platform != "linux", reason="it is Linux that waits")
@pytest.mark.parametrize(("most", "room"), [(1_024, 1_024), (17_000, 16_384)])
def test_files_that_are_opened_later_find_room_in_the_kernels_table(most: int, room: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < most:
        pytest.skip("the system allows fewer files")
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({most}, {most}))\n"
    with program(limited + "sys.exit(process.run(wait))") as child:
        assert line(child) == "running"
        assert f"FDSize:\t{room}\n" in Path(f"/proc/{child.pid}/status").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not enforce it")
def test_what_takes_more_than_its_memory_limit_fails_and_the_process_goes_on() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with memory_limit(2_048):
        bytearray(1 << 20)
        with pytest.raises(MemoryError):
            bytearray(4 << 30)
        with pytest.raises(OSError, match="Cannot allocate"):
            mmap.mmap(-1, 4 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    with memory_limit(0):
        assert resource.getrlimit(resource.RLIMIT_DATA) == before
        mmap.mmap(-1, 4 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()  # which nobody writes to


def test_a_stricter_limit_of_the_system_stays() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    stricter = 8 << 30
    resource.setrlimit(resource.RLIMIT_DATA, (stricter, before[1]))
    try:
        with memory_limit(16_384):
            assert resource.getrlimit(resource.RLIMIT_DATA)[0] == stricter
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def test_every_process_may_have_as_many_files_open_as_the_system_allows() -> None:
    body = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
async def main(stop):
    say(resource.getrlimit(resource.RLIMIT_NOFILE))
process.run(main)
"""
    with program(body) as process:
        soft, hard = ast.literal_eval(line(process))
    assert soft == hard


@pytest.mark.thorough
@pytest.mark.skipif(not Path("/proc/thread-self/schedstat").exists(), reason="the kernel counts no waits")
def test_a_thread_that_others_keep_from_its_core_has_waited_for_it() -> None:
    cores, ours = os.sched_getaffinity(0), min(os.sched_getaffinity(0))
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        os.sched_setaffinity(busy.pid, {ours})
        os.sched_setaffinity(0, {ours})
        waits = CoreWaits()
        before, used = waits.seconds, time.thread_time()
        while time.thread_time() - used < 0.2:
            pass
        assert waits.seconds - before > 0.02
    finally:
        os.sched_setaffinity(0, cores)
        busy.kill()
        busy.wait()


def test_without_a_kernel_that_counts_waits_there_are_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("common.process._SCHEDSTAT", tmp_path / "none")
    assert CoreWaits().seconds == 0.0
    (tmp_path / "none").write_text("1")
    assert CoreWaits().seconds == 0.0
