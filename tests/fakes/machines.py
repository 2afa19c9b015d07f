"""A cluster of separate processes whose workers join by tokens, as on several machines."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from rigs.command import BOUND, Command
from rigs.process import ROOT, free_port
from tests.fakes.private_bus import free_tcp_endpoints


def token(directory: Path, role: str) -> str:
    command = [sys.executable, "-P", "-m", "camshaft", "token", "worker", "--role", role, "--uses", "1"]
    made = subprocess.run(
        command, cwd=directory, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=BOUND, check=True
    )
    return made.stdout.strip()


def count(cluster: Command, name: str) -> int:
    """A counter of all nodes together."""
    return sum(node["counters"].get(name, 0) for node in cluster.get("/api/nodes") or ())


class Machines:
    """The broker's machine and those of its workers, each with a directory of its own."""

    transcode = 0  # processes that convert, as ``rigs.bystander`` asks for them: a test starts its own

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self.endpoints = free_tcp_endpoints()
        self._bus = {"CAMSHAFT_BROKER_ADDRESS": self.endpoints.address}
        self.front = f"127.0.0.1:{free_port()}"
        camera = f"127.0.0.1:{free_port()}"
        (directory / "broker").mkdir()
        self.tokens = {role: token(directory / "broker", role) for role in ("ingest", "egress")}
        self.start("camera", "demo-camera", "--listen", camera, "--size", "320x240")
        self.broker = self.start_broker(camera)
        self.workers = {
            role: self.start(role, role, CAMSHAFT_NODE=f"{role}-1", CAMSHAFT_CLUSTER_TOKEN=self.tokens[role])
            for role in self.tokens
        }

    def pids(self) -> dict[str, list[int]]:
        """The processes of the cluster, as ``rigs.bystander`` asks for them."""
        return {"broker": [self.broker.process.pid]} | {role: [at.process.pid] for role, at in self.workers.items()}

    def whep(self, camera: str) -> str:
        """Where a viewer of the camera posts its offer."""
        return f"http://{self.front}/whep/{camera}"

    def start(self, place: str, *arguments: str, **environ: str) -> Command:
        directory = self._directory / place
        directory.mkdir(exist_ok=True)
        return self._stack.enter_context(Command(directory, *arguments, environ=self._bus | environ))

    def start_broker(self, camera: str) -> Command:
        broker = self.start(
            "broker", "broker", CAMSHAFT_HTTP_LISTEN=self.front, CAMSHAFT_CAMERA=f"door=rtsp://{camera}/"
        )
        broker.page = f"http://{self.front}"
        return broker

    def camera_plays(self) -> bool:
        return [each["state"] for each in self.broker.get("/api/cameras") or ()] == ["playing"]

    def count(self, name: str) -> int:
        return count(self.broker, name)
