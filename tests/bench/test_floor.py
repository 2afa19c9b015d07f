"""The floor before the viewers of the load."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bench import floor
from rigs.clip import TINY
from rigs.load.crowd import Crowd
from rigs.load.viewer import Options
from rigs.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the load generator is for Linux")


@pytest.fixture(scope="module")
def clip(pytestconfig: pytest.Config) -> Path:
    assert pytestconfig.cache is not None
    return TINY.file(pytestconfig.cache.mkdir("clips"))


@pytest.mark.parametrize("gro", [False, True])
@pytest.mark.parametrize("gso", [False, True])
async def test_the_floor_sends_what_viewers_can_decrypt(clip: Path, tmp_path: Path, gro: bool, gso: bool) -> None:
    async with Crowd(Options(sample=1), gro=gro) as crowd:
        with floor.running(floor.invite(crowd, 5), clip, TINY.fps, tmp_path, gso=gso):
            await crowd.watching()
            await until(lambda: all(viewer.checked > 50 for viewer in crowd.members))
            window = crowd.end()
    assert window.total("lost") == window.total("corrupt") == window.total("stray") == 0
    assert all(counts.frames > 10 for counts in window.viewers)


def test_the_floor_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="needs a C compiler"):
        floor.build(tmp_path)


def test_the_floor_ends_when_nobody_waits_for_it(clip: Path, tmp_path: Path) -> None:
    program = str(floor.build(tmp_path))
    (tmp_path / "packets").write_bytes(floor.packetize(clip, TINY.fps, bytes(16), bytes(12)))
    arguments = [program, "1", str(tmp_path / "packets"), "3600", "127.0.0.1:9"]
    parent = f"from subprocess import *; print(Popen({arguments!r}, stdin=PIPE).pid, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        orphan = psutil.Process(int(process.stdout.readline()))
        process.kill()
    try:
        orphan.wait(10)
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            orphan.kill()
