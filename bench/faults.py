"""Faults that a cluster on this machine can be given: deaths, hangs, cables, clocks, full disks, limits.

Each leaves the machine as it was: what is faked is faked for the cluster's processes alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path

import aiohttp
import psutil

from rigs.cable import Cable
from rigs.cluster import Cluster
from rigs.load import sdp

HANG = 10.0  # seconds for which a process is stopped, or a cable pulled
STEP = 3_600  # seconds by which the clock is moved
CAMERAS_TOO_MANY = 100  # 200 kB of them
SPARE = 8  # descriptors, and …
SPARE_MEMORY = 32 << 20  # … bytes that a process under a limit may still take
UNSEEN = 0.1  # seconds: three pictures of a camera that sends 30 a second; nobody sees one that comes later by that
WORKERS = ("ingest", "egress", "broker", "relay")
_LIBFAKETIME = "faketime/libfaketime.so.1"  # Debian: apt install faketime


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong. ``happen`` returns why it cannot happen here, empty if it did.

    ``bound``: seconds for which watchers may be in the dark.
    """

    name: str
    bound: float
    happen: Callable[[], Awaitable[str]]


def faketime() -> Path | None:
    """The library that fakes clocks, if it is there."""
    return next(Path("/usr/lib").glob(f"*/{_LIBFAKETIME}"), None)


@contextmanager
def movable_clock(directory: Path) -> Iterator[None]:
    """Processes started inside read their wall clock by way of a file, if libfaketime is there."""
    library = faketime()
    if library is None:
        yield
        return
    file = directory / "clock"
    file.write_text("+0")
    names = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_NO_CACHE": "0",
    }
    os.environ.update(names)
    try:
        yield
    finally:
        for name in names:
            del os.environ[name]


@contextmanager
def small_disk(directory: Path) -> Iterator[Path]:
    """A file system of one megabyte for the store; the directory itself where none can be mounted."""
    place = directory / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "camshaft", place], capture_output=True, check=False
    )
    try:
        yield place
    finally:
        if not mounted.returncode:
            subprocess.run(["umount", "--lazy", place], check=False)


def victim(running: Cluster, chance: random.Random) -> tuple[str, int]:
    """A worker's role and number, at random."""
    pids = running.pids()
    role = chance.choice([role for role in WORKERS if role in pids])
    return role, chance.randrange(len(pids[role]))


def each(running: Cluster, wire: Cable) -> Iterator[Fault]:
    """Every fault that there is, in order."""
    workers = [role for role in WORKERS if role in running.pids()]
    for role in workers:
        yield Fault(f"kill -9 of {role}", 5.0, partial(_signal, running, role, signal.SIGKILL))
    yield Fault("SIGTERM of the ingest that pulls", 0.5, partial(_replace_ingest, running))
    for role in workers:
        yield Fault(f"SIGSTOP of {role}", 7.0, partial(_signal, running, role, signal.SIGSTOP))
    yield Fault("camera's cable out", HANG + 8.0, partial(wire.cut, HANG))
    yield Fault("clock an hour ahead", UNSEEN, partial(_move_clock, running, STEP))
    yield Fault("clock an hour back", UNSEEN, partial(_move_clock, running, -STEP))
    yield Fault("disk full", UNSEEN, partial(_fill_disk, running))
    yield Fault("no more memory for egress", 7.0, partial(_limit, running, "egress", resource.RLIMIT_AS))
    yield Fault("no more descriptors for the broker", 5.0, partial(_limit, running, "broker", resource.RLIMIT_NOFILE))


async def _signal(running: Cluster, role: str, number: signal.Signals) -> str:
    pids = running.pids()[role]
    for pid in pids:
        os.kill(pid, number)
    if number is signal.SIGSTOP:
        await asyncio.sleep(HANG)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # replaced, as it should be
                os.kill(pid, signal.SIGCONT)
    return ""


async def _replace_ingest(running: Cluster) -> str:
    """Have the ingest that pulls the camera end in good order; the other one takes over."""
    async with aiohttp.ClientSession(running.url) as http:
        async with http.get("/api/cameras") as response:
            worker = (await response.json())[0]["worker"]
        async with http.get("/api/nodes") as response:
            pids = {node["node"]: node["pid"] for node in await response.json()}
    os.kill(pids[worker], signal.SIGTERM)
    return ""


async def _move_clock(running: Cluster, seconds: int) -> str:
    file = running.directory / "clock"
    if not file.exists():
        return "libfaketime is missing: apt install faketime"
    file.write_text(f"{seconds:+d}")
    await asyncio.sleep(HANG)
    return ""


async def _fill_disk(running: Cluster) -> str:
    """Fill the store's disk, and see that cameras that cannot be kept are refused."""
    place = running.directory / "disk"
    if not place.is_mount():
        return "no file system could be mounted: that needs root"
    filler = place / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4_096))
    answers: list[int] = []
    async with aiohttp.ClientSession() as http:
        for number in range(CAMERAS_TOO_MANY):  # the first may fit into what the store has claimed already
            camera = {"id": f"full{number}", "url": f"rtsp://192.0.2.1/{'x' * 2_000}", "on_demand": True}
            async with http.post(f"{running.url}/api/cameras", json=camera) as response:
                answers.append(response.status)
        filler.unlink()
        for number, status in enumerate(answers):
            if status == HTTPStatus.CREATED:
                async with http.delete(f"{running.url}/api/cameras/full{number}"):
                    pass
    assert HTTPStatus.SERVICE_UNAVAILABLE in answers, f"cameras were answered {answers} though the disk is full"
    return ""


async def _limit(running: Cluster, role: str, kind: int) -> str:
    """Let a process have no more than it has, and ask for more."""
    pid = running.pids()[role][0]
    process = psutil.Process(pid)
    limit = process.memory_info().vms + SPARE_MEMORY if kind == resource.RLIMIT_AS else process.num_fds() + SPARE
    soft, hard = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (limit, hard))
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            asked = (_ask(http, running.whep("cam0")) for _ in range(200))
            await asyncio.gather(*asked)
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, kind, (soft, hard))
    return ""


async def _ask(http: aiohttp.ClientSession, url: str) -> None:
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        headers = {"Content-Type": "application/sdp"}
        async with http.post(url, data=_OFFER, headers=headers, timeout=aiohttp.ClientTimeout(total=10)):
            pass


_OFFER = sdp.offer(sdp.Session("ufrag", "password" * 3, ("sha-256", ":".join(["00"] * 32)), "actpass"))
