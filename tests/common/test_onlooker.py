"""How another process is: dead, stopped, waiting for a processor, or free."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common import onlooker as module
from common.onlooker import Condition, Onlooker, Seen, mark, waits
from rigs.command import wait_until

FIELDS = "S 1 7 7 0 -1 {flags} 0 0 0 0 0 0 0 0 20 0 1 0 {started} 0 0 0 0 0 0 0 0 {signals} 0 0 0 0"


class Kernel:
    """Files of a process as the kernel would have them."""

    def __init__(self, proc: Path, pid: int = 7) -> None:
        self.place = proc / str(pid)
        self.thread(pid)

    def thread(self, number: int, *, state: str = "S", ran: int = 0, waited: int = 0, turns: int = 0) -> None:
        """Times are in milliseconds."""
        place = self.place / "task" / str(number)
        place.mkdir(parents=True, exist_ok=True)
        (place / "schedstat").write_text(f"{ran * 10**6} {waited * 10**6} {turns}\n")
        (place / "stat").write_text(self.line(state))
        if str(number) == self.place.name:
            (self.place / "stat").write_text(self.line(state))

    @staticmethod
    def line(state: str = "S", flags: int = 0x400000, signals: int = 0, started: int = 99) -> str:
        rest = FIELDS.format(flags=flags, started=started, signals=signals).removeprefix("S")
        return f"7 (a) R (name) {state}{rest}\n"


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


@pytest.fixture
def onlooker(tmp_path: Path, kernel: Kernel) -> Onlooker:
    return Onlooker(7, proc=tmp_path)


def test_one_that_rests_is_free_and_one_that_cannot_go_on_waits(kernel: Kernel, onlooker: Onlooker) -> None:
    assert onlooker.look(1.0) is Condition.FREE
    kernel.thread(7, state="R")
    assert onlooker.look(1.2) is Condition.WAITS
    kernel.thread(7, waited=1_100, ran=1, turns=1)  # and has had its turn
    assert onlooker.look(1.4) is Condition.WAITS
    assert onlooker.look(1.6) is Condition.FREE


def test_one_that_spins_does_not_wait_whatever_others_take(kernel: Kernel, onlooker: Onlooker) -> None:
    for look in range(10):
        kernel.thread(7, state="R", ran=60 * look, waited=140 * look, turns=20 * look)
        assert onlooker.look(0.2 * look) is (Condition.FREE if look else Condition.WAITS)  # at first nobody can say


def test_one_that_spins_beside_many_is_seen_to_once_its_loop_had_enough(kernel: Kernel, onlooker: Onlooker) -> None:
    found = []
    for look in range(80):
        kernel.thread(7, state="R", ran=9_000 + 20 * look, waited=180 * look, turns=7 * look)
        found.append(onlooker.look(0.2 * look))
    assert found == [Condition.WAITS] * 50 + [Condition.FREE] * 30
    assert onlooker.look(20.0, whole=True) is Condition.WAITS, "its other threads are asked for then"


def test_of_all_its_threads_it_is_asked_where_any_of_them_counts(kernel: Kernel, onlooker: Onlooker) -> None:
    for look in (0.0, 0.2):
        kernel.thread(8, state="R")
        assert onlooker.look(look) is Condition.FREE
        assert onlooker.look(look, whole=True) is Condition.WAITS


@pytest.mark.parametrize(
    ("line", "condition"),
    [
        (Kernel.line("T"), Condition.STOPPED),
        (Kernel.line("t"), Condition.STOPPED),
        (Kernel.line("Z"), Condition.DEAD),
        (Kernel.line("R", flags=0x400004), Condition.DEAD),
        (Kernel.line(started=100), Condition.DEAD),
        (Kernel.line("R", signals=1 << signal.SIGKILL - 1), Condition.DEAD),
        ("", Condition.UNKNOWN),
    ],
)
def test_one_that_does_not_go_on_by_itself(kernel: Kernel, onlooker: Onlooker, line: str, condition: Condition) -> None:
    onlooker.look(0.8)
    (kernel.place / "stat").write_text(line)
    assert onlooker.look(1.0) is condition


def test_where_the_kernel_counts_no_waits_nothing_is_known(kernel: Kernel, onlooker: Onlooker) -> None:
    (kernel.place / "task" / "7" / "schedstat").write_text("")
    assert onlooker.look(1.0) is Condition.UNKNOWN
    assert Onlooker(8, proc=kernel.place.parent).look(1.0) is Condition.DEAD


def test_who_looks_at_itself_runs_and_waits_only_where_that_is_counted() -> None:
    before, now = Seen(1.0, runnable=True, ran=0, waited=0, turns=5), Seen(1.2, True, 10, 0, 6)
    assert not waits(None, before, own=True)
    assert not waits(before, now, own=True)
    assert waits(before, now)
    assert waits(before, Seen(1.2, True, 0, 0, 5), own=True)
    assert waits(before, Seen(1.2, False, 0, 150_000_000, 6), own=True)


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the kernel counts no waits")
def test_processes_as_they_are() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        known, onlooker = mark(child.pid), Onlooker(child.pid)
        assert mark(child.pid) == known != mark(os.getpid()) != ""
        wait_until(lambda: onlooker.look(time.monotonic()) is Condition.FREE, "it does not come to rest")
        child.send_signal(signal.SIGSTOP)
        wait_until(lambda: onlooker.look(time.monotonic()) is Condition.STOPPED, "it does not stop")
        child.kill()
        wait_until(lambda: onlooker.look(time.monotonic()) is Condition.DEAD, "it does not die")
    finally:
        child.communicate()
    assert onlooker.look(time.monotonic()) is Condition.DEAD
    assert mark(child.pid) == ""


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the kernel counts no waits")
def test_one_whose_core_others_have_waits() -> None:
    """Both would spin; one of them only while nobody else has anything to do (SCHED_IDLE)."""
    child, other = (subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2))
    try:
        os.sched_setscheduler(child.pid, os.SCHED_IDLE, os.sched_param(0))
        for each in (child, other):
            os.sched_setaffinity(each.pid, {min(os.sched_getaffinity(0))})
        onlooker = Onlooker(child.pid)
        onlooker.look(time.monotonic())
        wait_until(lambda: onlooker.look(time.monotonic()) is Condition.WAITS, "nobody sees it wait")
    finally:
        for each in (child, other):
            each.kill()
            each.wait()


def test_without_such_files_there_is_no_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_NUMBERS", Path("/nowhere"))
    assert mark(os.getpid()) == ""
