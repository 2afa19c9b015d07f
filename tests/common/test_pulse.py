"""A pulse comes from the event loop, and only as long as that turns."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from common import pulse as pulse_module
from common.pulse import Pulse


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    os.set_blocking(reading, False)
    yield reading, writing
    for end in (reading, writing):
        os.close(end)


def heard(reading: int) -> int:
    try:
        return len(os.read(reading, 1 << 20))
    except BlockingIOError:
        return 0


async def beats(reading: int, count: int) -> None:
    async with asyncio.timeout(10):
        while (count := count - heard(reading)) > 0:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def test_it_beats_at_once_and_on_until_stopped(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse_module, "PULSE_INTERVAL", 0.02)
    pulse = Pulse(pipe[1])
    assert heard(pipe[0]) == 1
    await beats(pipe[0], 3)
    pulse.stop()
    heard(pipe[0])
    await asyncio.sleep(0.1)
    assert heard(pipe[0]) == 0


async def test_a_pulse_may_be_quicker_than_the_usual_one(pipe: tuple[int, int]) -> None:
    pulse = Pulse(pipe[1], interval=0.02)
    await beats(pipe[0], 3)
    pulse.stop()


async def test_a_blocked_loop_gives_none(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse_module, "PULSE_INTERVAL", 0.02)
    pulse = Pulse(pipe[1])
    await beats(pipe[0], 2)
    time.sleep(0.2)  # noqa: ASYNC251 - that is what is tested
    assert heard(pipe[0]) == 0
    await beats(pipe[0], 1)
    pulse.stop()


async def test_a_supervisor_that_does_not_read_or_is_gone_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse_module, "PULSE_INTERVAL", 0.001)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    pulse = Pulse(writing)
    await asyncio.sleep(0.02)
    os.close(reading)
    await asyncio.sleep(0.02)
    pulse.stop()
    os.close(writing)


async def test_what_a_process_starts_does_not_inherit_the_pipe(pipe: tuple[int, int]) -> None:
    pulse = Pulse(pipe[1])
    assert not os.get_inheritable(pipe[1])
    pulse.stop()


async def test_systemd_is_told_twice_as_often_as_it_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"{tmp_path}/notify")
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", f"{tmp_path}/notify")
        pulse = Pulse(None, watchdog=0.1)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(10):
            assert [await loop.sock_recv(systemd, 100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        pulse.stop()


async def test_without_anybody_to_hear_it_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    timers: list[float] = []
    with monkeypatch.context() as patched:
        patched.setattr(asyncio.get_running_loop(), "call_at", lambda due, _call: timers.append(due))
        Pulse(None)
    assert timers == []
