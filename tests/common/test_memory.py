from pathlib import Path

import psutil
import pytest

from common.memory import READ_INTERVAL, Shortage, free_bytes

MB = 1 << 20


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
