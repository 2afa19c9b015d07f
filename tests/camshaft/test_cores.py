"""Cores that there are for us, counted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from camshaft.cores import cores, cpus, keep_to, let_go


@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("10000 100000\n", 1),
        ("1600000 100000\n", 8),
        ("", 8),
        ("1 0", 8),
        ("nonsense", 8),
    ],
)
def test_quota_of_a_container_counts(tmp_path: Path, text: str, count: int) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert cores(tmp_path / "cpu.max") == count


@pytest.mark.usefixtures("eight")
def test_affinity_counts_where_there_is_no_quota(tmp_path: Path) -> None:
    assert cores(tmp_path / "none") == 8


def test_here_is_at_least_one() -> None:
    assert cores() >= 1


@pytest.mark.usefixtures("eight")
def test_a_quota_says_nothing_of_which() -> None:
    assert cpus() == list(range(8))


def test_number_of_cores_where_the_system_does_not_say_which(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert (cpus(), cores(tmp_path / "none")) == ([], 4)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="not Linux")
def test_a_process_is_kept_to_a_core_and_let_go_with_all_of_its_threads() -> None:
    threads = "import threading; threading.Thread(target=input).start(); print(flush=True)"
    with subprocess.Popen([sys.executable, "-c", threads], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        keep_to(child.pid, cpus()[-1])
        child.stdout.readline()
        both = [int(thread.name) for thread in Path(f"/proc/{child.pid}/task").iterdir()]
        assert len(both) == 2
        keep_to(max(both), cpus()[-1])
        assert [os.sched_getaffinity(each) for each in both] == [{cpus()[-1]}] * 2
        let_go(child.pid)
        assert [os.sched_getaffinity(each) for each in both] == [set(cpus())] * 2
        child.communicate()
    let_go(child.pid)  # it has ended
    keep_to(child.pid, cpus()[0])
