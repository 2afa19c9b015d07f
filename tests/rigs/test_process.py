from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from rigs.process import ROOT, StartError, forbid_real_time, free_port, program, running


def test_a_program_is_ended_with_the_block() -> None:
    with program("rigs.hostile_camera", "drip") as (url, pid):
        assert url.startswith("rtsp://127.0.0.1:")
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)


def test_a_program_that_says_nothing_has_not_started() -> None:
    with pytest.raises(StartError, match=r"rigs\.clip did not start"), program("rigs.clip"):
        pass


async def test_a_server_is_there_once_it_listens(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    async with running(command, tmp_path, port=port) as process:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
    assert process.poll() is not None


async def test_a_server_that_ends_at_once_shows_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"(?s)ended at once:.*no money"):
        async with running([sys.executable, "-c", "raise SystemExit('no money')"], tmp_path, port=free_port()):
            pass


TAKE_REAL_TIME = "import os; os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(8))"


@pytest.mark.skipif(not hasattr(os, "SCHED_RR"), reason="not Linux")
def test_nothing_that_a_test_starts_gets_real_time_priority() -> None:
    forbid_real_time()  # as for all tests; once more does nothing
    child = subprocess.run(
        [sys.executable, "-c", TAKE_REAL_TIME], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "PermissionError" in child.stderr
