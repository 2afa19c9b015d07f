"""A cluster of this release and the one before: each role in turn is of the other one, and pictures are on.

The release before is the newest tag of an earlier one, or what ``BEFORE`` names where there is none. A copy without
history has neither; ``tests/common/test_wire.py`` then still knows what it said.
"""

from __future__ import annotations

import asyncio
import io
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import pytest

from common import __version__
from rigs.command import BOUND, Command, wait_until
from rigs.load.crowd import Crowd
from rigs.load.signalling import Whep
from rigs.process import ROOT, free_port
from tests.fakes.archives import unpack

pytestmark = pytest.mark.e2e

BEFORE = "3b9992a50a194b4e91cddf78b15f016c29c62d24"  # the last whose own wire version was the first
PICTURES = 20  # that come after a step


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout


def release_before() -> str | None:
    """A name in git of what the release before was."""
    ours = ".".join(__version__.split(".")[:2])
    try:
        tags = git("tag", "--list", "v*", "--sort=-v:refname", "--merged", "HEAD").decode().split()
        earlier = [tag for tag in tags if not tag.startswith((f"v{ours}.", f"v{ours}rc")) and tag != f"v{ours}"]
        revision = earlier[0] if earlier else BEFORE
        git("cat-file", "-e", f"{revision}^{{commit}}")
    except (OSError, subprocess.CalledProcessError):
        return None
    return revision


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the release before."""
    revision = release_before()
    if revision is None:
        pytest.skip("this copy has no history: nothing of the release before is here to be run")
    directory = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=io.BytesIO(git("archive", revision))) as archive:
        unpack(archive, directory)
    return directory


class Mixed:
    """Processes of one cluster, each of a release of its own, by names that no two share."""

    def __init__(self, directory: Path, before: Path, stack: ExitStack) -> None:
        self._directory, self._before, self._stack = directory, before, stack
        self._front = f"127.0.0.1:{free_port()}"
        self._camera = f"127.0.0.1:{free_port()}"
        (directory / "bus").mkdir()
        self._bus = {"CAMSHAFT_BROKER_ADDRESS": f"ipc://{directory}/bus"}
        self._running: dict[str, Command] = {}
        self._start("camera", ROOT, "demo-camera", "--listen", self._camera, "--size", "320x240")

    @property
    def whep(self) -> Whep:
        return Whep(f"http://{self._front}/whep/door")

    def start(self, role: str, release: str) -> None:
        """Start a process of ``old`` or ``new``."""
        checkout = self._before if release == "old" else ROOT
        name = f"{role}-{release}"
        if role == "broker":
            self._start(
                name, checkout, role, CAMSHAFT_HTTP_LISTEN=self._front, CAMSHAFT_CAMERA=f"door=rtsp://{self._camera}/"
            )
            self._running[name].page = self.page = f"http://{self._front}"
        else:
            self._start(name, checkout, role, CAMSHAFT_NODE=name)

    async def joined(self, *names: str) -> None:
        await asyncio.to_thread(wait_until, lambda: set(names) <= self._alive(), f"{names} are not all there")

    async def leave(self, role: str, release: str) -> None:
        """End a process in good order."""
        command = self._running.pop(f"{role}-{release}")
        assert await asyncio.to_thread(command.end) == 0, command.stderr

    def get(self, path: str) -> object:
        broker = next(command for name, command in self._running.items() if name.startswith("broker"))
        return broker.get(path)

    def _alive(self) -> set[str]:
        return {node["node"] for node in self.get("/api/nodes") or () if node["alive"]}  # type: ignore[attr-defined]  # JSON

    def _start(self, name: str, checkout: Path, *arguments: str, **environ: str) -> None:
        directory = self._directory / name
        directory.mkdir(exist_ok=True)
        own = self._bus | {"PYTHONPATH": str(checkout), "CAMSHAFT_DRAIN_TIMEOUT": "3"} | environ
        self._running[name] = self._stack.enter_context(Command(directory, *arguments, environ=own))


@pytest.fixture
def mixed(tmp_path: Path, before: Path) -> Iterator[Mixed]:
    with ExitStack() as stack:
        yield Mixed(tmp_path, before, stack)


async def pictures(crowd: Crowd, what: str) -> None:
    """Wait until the viewer has had some more of them."""
    crowd.begin()
    deadline = time.monotonic() + BOUND
    while (found := crowd.end().viewers)[0].frames < PICTURES:
        assert time.monotonic() < deadline, f"{what}: {found}"
        await asyncio.sleep(0.05)


async def watch(crowd: Crowd, mixed: Mixed, what: str) -> None:
    """One new viewer."""
    deadline = time.monotonic() + BOUND
    while not await crowd.join(mixed.whep):
        assert time.monotonic() < deadline, f"{what}: {crowd.end().failures}"
        await asyncio.sleep(0.1)
    await pictures(crowd, what)


async def still(mixed: Mixed, http: aiohttp.ClientSession, what: str) -> None:
    deadline = time.monotonic() + BOUND
    while time.monotonic() < deadline:
        async with http.get(f"{mixed.page}/api/cameras/door/snapshot.jpg") as response:
            if response.status == 200:
                assert (await response.read()).startswith(b"\xff\xd8")
                return
        await asyncio.sleep(0.2)
    raise AssertionError(f"{what}: no still")


async def test_pictures_are_on_whichever_role_is_of_the_release_before(mixed: Mixed) -> None:
    for role in ("broker", "ingest", "egress"):
        mixed.start(role, "old")
    await mixed.joined("ingest-old", "egress-old")
    async with Crowd() as crowd, aiohttp.ClientSession() as http:
        for role in ("ingest", "egress", "transcode"):  # while the first viewer comes
            mixed.start(role, "new")
        await watch(crowd, mixed, "all are of the release before, or spare")
        await mixed.joined("ingest-new", "egress-new", "transcode-new")

        await mixed.leave("ingest", "old")
        await pictures(crowd, "a new ingest, an old egress and broker")
        await still(mixed, http, "a new transcode")
        await crowd.leave(crowd.members)
        await mixed.leave("egress", "old")
        await watch(crowd, mixed, "all but the broker are new")
        await mixed.leave("broker", "old")
        mixed.start("broker", "new")
        await mixed.joined("ingest-new", "egress-new")
        await pictures(crowd, "all are new, and the viewer is in its session")

        for role in ("ingest", "egress", "transcode"):  # and back again
            mixed.start(role, "old")
        await mixed.joined("ingest-old", "egress-old", "transcode-old")
        for role in ("ingest", "transcode"):
            await mixed.leave(role, "new")
        await pictures(crowd, "an old ingest, a new egress and broker")
        await still(mixed, http, "an old transcode")
        await crowd.leave(crowd.members)
        await mixed.leave("egress", "new")
        await watch(crowd, mixed, "all but the broker are old")
