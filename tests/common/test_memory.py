import asyncio
import ctypes
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from common.memory import READ_INTERVAL, Rush, Shortage, free_bytes, give_back_aside

MB = 1 << 20
ROOT = Path(__file__).parents[2]


def limited(directory: Path, limit: str, used: int = 0, cached: int = 0) -> Path:
    (directory / "memory.max").write_text(f"{limit}\n")
    (directory / "memory.current").write_text(f"{used}\n")
    (directory / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\n")
    return directory


def test_without_a_limit_the_machine_counts(tmp_path: Path) -> None:
    for cgroup in (tmp_path, limited(tmp_path, "max"), tmp_path / "none"):
        assert free_bytes(cgroup) == pytest.approx(psutil.virtual_memory().available, rel=0.5)


def test_a_containers_limit_counts_and_cached_files_do_not(tmp_path: Path) -> None:
    assert free_bytes(limited(tmp_path, str(100 * MB), used=90 * MB, cached=30 * MB)) == 40 * MB


def test_a_shortage_is_seen_a_moment_later_and_passes(tmp_path: Path) -> None:
    shortage = Shortage(20 * MB, limited(tmp_path, str(100 * MB), used=50 * MB))
    assert not shortage.now(0.0)
    limited(tmp_path, str(100 * MB), used=90 * MB)
    assert not shortage.now(READ_INTERVAL / 2), "not read that often"
    assert shortage.now(READ_INTERVAL)
    limited(tmp_path, str(100 * MB), used=70 * MB)
    assert not shortage.now(2 * READ_INTERVAL)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="not glibc")
def test_what_was_freed_is_given_back() -> None:
    """60 kB each, between what stays: the allocator keeps such pages of its own accord."""
    body = """
import psutil
from common.memory import give_back
texts = [f"{i}" + "x" * 60_000 for i in range(1_000)]
texts = texts[::100]
freed = psutil.Process().memory_info().rss
give_back()
print(freed - psutil.Process().memory_info().rss)
"""
    done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(done.stdout) > 20 << 20


def test_a_rush_is_over_once_a_while_after_the_last_who_came() -> None:
    rush = Rush(calm=5.0, late=1_000.0)
    assert not rush.over(100.0), "nobody has come"
    for now in (100.0, 103.0):
        rush.note(now)
    assert [now for now in (104.0, 107.9, 108.0, 109.0, 200.0) if rush.over(now)] == [108.0]
    rush.note(201.0)
    assert rush.over(206.0)


def test_who_could_not_look_in_time_has_had_a_rush() -> None:
    rush = Rush(calm=5.0, late=1.0)
    looks = [n / 2 for n in range(20)] + [20.0 + n / 2 for n in range(20)]
    assert [now for now in looks if rush.over(now)] == [25.0]


async def test_where_no_thread_can_be_started_the_process_goes_on() -> None:
    class Full(ThreadPoolExecutor):
        def submit(self, *_arguments, **_named):
            raise RuntimeError("can't start new thread")  # CPython's words, under ``ulimit -v`` or a limit of tasks

    asyncio.get_running_loop().set_default_executor(Full())
    await give_back_aside()
