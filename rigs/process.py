"""Processes that are started, waited for until they are ready, and ended: servers, and rigs that are programs."""

from __future__ import annotations

import asyncio
import ctypes
import random
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
START_TIMEOUT = 20.0  # seconds until it listens
STOP_TIMEOUT = 8.0  # seconds from SIGTERM to SIGKILL
NOT_EPHEMERAL = (10_000, 32_768)  # ports; Linux gives those from 32,768 on to whoever asks for any

# Numbers of Linux: prctl(2), capabilities(7).
PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
CAP_SYS_NICE = 23


class StartError(Exception):
    """A server did not start; says what it wrote last."""


@asynccontextmanager
async def running(
    command: Sequence[str],
    directory: Path,
    *,
    port: int,
    host: str = "127.0.0.1",
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[subprocess.Popen[bytes]]:
    """Run ``command`` in ``directory``, with its output in ``log``, and wait until TCP ``port`` answers.

    Raises ``StartError`` if it ends or stays silent.
    """
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environ
        )
    try:
        await _listens(process, host, port, command, log)
        yield process
    finally:
        await end(process)


async def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that we have started, in good order if it does that in time."""
    process.terminate()
    try:
        await asyncio.to_thread(process.wait, STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def program(module: str, *arguments: str) -> Iterator[tuple[str, int]]:
    """Run a module of this checkout that serves until it is killed; yields its first line and its process id.

    Raises ``StartError`` if it ends without a word.
    """
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline().strip()
        if not line:
            raise StartError(f"{module} did not start")
        yield line, process.pid
    finally:
        process.kill()
        process.communicate()


def free_port(host: str = "127.0.0.1", kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port that nobody uses now, by UDP or TCP; for servers that cannot be told to take any.

    It is of none that the kernel gives by itself, so nobody comes upon it before it is used. Raises ``StartError``.
    """
    for _ in range(100):
        port = random.SystemRandom().randrange(*NOT_EPHEMERAL)
        if all(_is_free(host, port, each) for each in (kind, socket.SOCK_STREAM, socket.SOCK_DGRAM)):
            return port
    raise StartError(f"no port of {NOT_EPHEMERAL} is free at {host}")


def _is_free(host: str, port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


async def _listens(process: subprocess.Popen[bytes], host: str, port: int, command: Sequence[str], log: Path) -> None:
    deadline = asyncio.get_running_loop().time() + START_TIMEOUT
    while process.poll() is None and asyncio.get_running_loop().time() < deadline:
        try:
            _reader, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        await writer.wait_closed()
        return
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
    why = "ended at once" if process.poll() is not None else f"does not listen on {host}:{port}"
    raise StartError(f"{shlex.join(command)} {why}:\n{tail}")


def end_with_parent() -> None:
    """Have the process that begins here, and whatever it becomes by exec, killed when its parent is gone (prctl(2))."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def forbid_real_time() -> None:
    """Give no real-time priority to whatever this process starts from now on.

    A browser that root starts takes it for its sound, where it hung more than once in the kernel: what has real-time
    priority cannot be killed then, and takes a core from everything else for good. For others than root, and where
    there are no capabilities, nothing changes.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(PR_CAPBSET_DROP, CAP_SYS_NICE, 0, 0, 0)
