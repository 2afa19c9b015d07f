"""A cluster of processes that are each started by a command of its own, as on several machines: TCP and CURVE."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from rigs.command import Command
from rigs.gst_camera import GstCamera
from rigs.process import free_port
from tests.fakes.private_bus import free_tcp_endpoints


class Parts:
    """The processes of one cluster, by name; each can be started again."""

    def __init__(self, stack: ExitStack, directory: Path, camera: str) -> None:
        self._stack = stack
        self._directory = directory
        self.listen = f"127.0.0.1:{free_port()}"
        self._environ = {
            "CAMSHAFT_BROKER_ADDRESS": free_tcp_endpoints().address,
            "CAMSHAFT_BROKER_RELAY": "apart",
            "CAMSHAFT_CLUSTER_SECRET": "s" * 16,
            "CAMSHAFT_HTTP_LISTEN": self.listen,
            "CAMSHAFT_CAMERA": f"front-door={camera}",
            "CAMSHAFT_STORE_PATH": str(directory / "camshaft.db"),
        }
        self.running: dict[str, Command] = {}

    def start(self, name: str) -> Command:
        """Run the command of that name; of several, what stands behind a hyphen tells them apart."""
        own = {} if name in ("broker", "relay") else {"CAMSHAFT_NODE": name}
        if name != "broker":
            own["CAMSHAFT_CAMERA"] = ""
        directory = self._directory / f"{name}-{len(list(self._directory.glob(f'{name}-*')))}"
        directory.mkdir()
        self.running[name] = self._stack.enter_context(
            Command(directory, name.partition("-")[0], environ=self._environ | own)
        )
        self.running[name].page = f"http://{self.listen}"
        return self.running[name]

    def signal(self, name: str, number: signal.Signals) -> None:
        self.running[name].process.send_signal(number)

    def get(self, path: str) -> Any:
        return self.running["broker"].get(path)

    def counted(self, node: str) -> dict[str, int]:
        found = next(each for each in self.get("/api/nodes") if each["node"] == node)
        counters: dict[str, int] = found["counters"]
        return counters

    def is_as_before(self, camera: GstCamera, viewers: int) -> bool:
        """Whether all have found each other; each viewer, the camera's connection and its pull are there, and once."""
        ready, sessions, nodes = self.get("/readyz"), self.get("/api/viewers"), self.get("/api/nodes")
        if (ready or {}).get("status") != "ready" or not sessions or {n["node"] for n in nodes} != self.running.keys():
            return False
        if not all(node["alive"] and "tasks" in node["counters"] for node in nodes if node["role"] == "ingest"):
            return False
        pulls = [each for node in nodes if node["role"] == "ingest" for each in node["cameras"]]
        served = sum(node["viewers"] for node in nodes if node["role"] == "egress")
        names = {session["session"] for session in sessions}
        once = len(pulls) == len(self._connections(camera)) == 1
        return once and len(sessions) == len(names) == served == viewers

    def _connections(self, camera: GstCamera) -> list[Any]:
        pids = [each.process.pid for name, each in self.running.items() if name.startswith("ingest")]
        found = [each for pid in pids for each in psutil.Process(pid).net_connections("tcp")]
        return [each for each in found if each.raddr and each.raddr.port == camera.port]
