import asyncio
import ctypes
import mmap
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from common import memory
from common.memory import READ_INTERVAL, GivingBack, Rush, Shortage, _unwritten, free_bytes, give_back_aside

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


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_code_that_only_loading_needed_is_let_go_and_comes_back() -> None:
    body = """
import re
from pathlib import Path
import av, cryptography.x509, pydantic, uvloop, zmq
from common.memory import let_code_go

def mapped():
    return int(re.search(r"RssFile:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before = mapped()
let_code_go()
after = mapped()
assert zmq.curve_keypair() and pydantic.TypeAdapter(int).validate_python("1") == 1
print(before, after)
"""
    done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, check=True, cwd=ROOT)
    before, after = map(int, done.stdout.split())
    assert after < before / 2


@pytest.mark.thorough
def test_a_process_lets_go_what_only_its_start_needed() -> None:
    body = """
import asyncio, re
from pathlib import Path
import av, cryptography.x509, pydantic, uvloop, zmq
from common import process

def mapped():
    return int(re.search(r"RssFile:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

async def main(stop):
    before = mapped()
    async with asyncio.timeout(30):
        while mapped() > before / 2:
            await asyncio.sleep(0.01)

process.BEGUN = 0.05
process.run(main)
"""
    subprocess.run([sys.executable, "-c", body], check=True, cwd=ROOT)


def test_only_files_without_a_page_that_was_written_to_are_let_go(tmp_path: Path) -> None:
    """A library's text that nobody wrote to, some whose first or last page somebody did, data, memory."""
    file, pages = tmp_path / "a b.so", 4
    file.write_bytes(bytes(pages * mmap.PAGESIZE))
    places, kept = [], []
    with file.open("rb") as opened, Path("/proc/self/pagemap").open("rb", buffering=0) as pagemap:
        for page in (None, 0, pages - 1):
            mapped = mmap.mmap(opened.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
            kept.append(mapped)
            assert not any(mapped[:])  # each page is there
            if page is not None:
                mapped[page * mmap.PAGESIZE] = 1
            start = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
            places.append((start, start + len(mapped)))
        line = "{:x}-{:x} {} 00000000 {} {} /usr/lib/a b.so (deleted)\n"
        read_only = [line.format(*place, kind, "fe:00", 12) for place in places for kind in ("r--p", "r-xp")]
        others = [line.format(*places[0], *each) for each in (("rw-p", "fe:00", 12), ("r--s", "fe:00", 12))]
        others.append(f"{places[0][0]:x}-{places[0][1]:x} r-xp 00000000 00:00 0 [vdso]\n")
        assert [*_unwritten([*read_only, *others], pagemap.fileno())] == [places[0]] * 2


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


async def test_what_looks_at_nothing_gives_back_once_after_the_last_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []
    monkeypatch.setattr(memory, "give_back", lambda: given.append(time.monotonic()))
    giving = GivingBack(calm=0.1)
    for _ in range(5):
        giving.note()
        await asyncio.sleep(0.02)
    noted = time.monotonic()
    await asyncio.sleep(0.5)
    [at] = given
    assert at - noted > 0.05
    giving.note()
    giving.close()
    await asyncio.sleep(0.2)
    assert len(given) == 1
