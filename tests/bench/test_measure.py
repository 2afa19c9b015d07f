from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from bench.measure import KERNEL_ROLE, Meter, Usage, _usage, machine


@pytest.mark.thorough
def test_cpu_of_a_process_and_its_threads_is_measured() -> None:
    """A thread that has burnt CPU and is gone counts."""
    burn = "import threading, time\n"
    burn += "def work():\n while time.thread_time() < 0.3: pass\n"
    burn += "input(); t = threading.Thread(target=work); t.start(); t.join(); print(); input()"
    process = subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    meter = Meter({"busy": [process.pid], "nobody": []})
    process.stdin.write("\n")
    process.stdin.flush()
    process.stdout.readline()
    measured = meter.read()
    process.communicate("\n")
    assert measured.roles["busy"].cpu >= 0.25
    assert measured.roles["busy"].memory > 1_000_000
    assert measured.roles["nobody"] == Usage()
    assert KERNEL_ROLE in measured.roles
    assert measured.of(["busy", "nobody"]) == measured.roles["busy"]
    assert measured.busy >= 0.25


def test_cpu_is_measured_more_finely_than_in_the_systems_ticks() -> None:
    """A hundredth of a second is a twentieth of what a cluster with one camera takes in a window."""
    for _ in range(3):
        before = time.process_time()
        assert before - 1e-9 <= _usage(os.getpid()).cpu <= time.process_time() + 1e-9


def test_a_process_that_is_gone_costs_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    meter = Meter({"gone": [process.pid]})
    process.wait()
    assert meter.read().roles["gone"].cpu == 0


def test_the_machine_is_named() -> None:
    assert all(machine().values())
