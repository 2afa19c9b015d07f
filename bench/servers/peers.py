"""Servers that people use today, each with the least configuration that lets it forward cameras to WebRTC viewers.

They run as they would in production: RTSP over TCP in, one UDP port out where they have that, logs at warnings. Nothing
is switched off that costs CPU for each packet, and nothing on.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from bench.servers import Running
from rigs.load.signalling import Janus as JanusSignalling
from rigs.load.signalling import Whep
from rigs.process import free_port, running


@dataclass(frozen=True, slots=True)
class _Binary:
    """A server that is one file."""

    binary: str

    def problem(self) -> str:
        return "" if shutil.which(self.binary) else f"{self.binary} is not an executable file"

    def version(self) -> str:
        return (_output([self.binary, "--version"]).splitlines() or [""])[0].strip()


@dataclass(frozen=True, slots=True)
class MediaMtx(_Binary):
    """MediaMTX (Go)."""

    name: str = "MediaMTX"

    @asynccontextmanager
    async def started(self, cameras: Sequence[str], directory: Path, transport: str = "tcp") -> AsyncIterator[Running]:
        port = free_port()
        off = dict.fromkeys(("rtsp", "rtmp", "hls", "srt", "api", "metrics", "pprof", "playback"), False)
        config = off | {
            "logLevel": "warn",
            "webrtc": True,
            "webrtcAddress": f"127.0.0.1:{port}",
            "webrtcLocalUDPAddress": f"127.0.0.1:{free_port(kind=socket.SOCK_DGRAM)}",
            "webrtcIPsFromInterfaces": False,
            "webrtcAdditionalHosts": ["127.0.0.1"],
            "paths": {f"cam{n}": {"source": url, "rtspTransport": transport} for n, url in enumerate(cameras)},
        }
        (directory / "mediamtx.yml").write_text(yaml.safe_dump(config))
        async with running([self.binary, "mediamtx.yml"], directory, port=port) as process:
            streams = [Whep(f"http://127.0.0.1:{port}/cam{n}/whep") for n in range(len(cameras))]
            yield Running(streams, {"server": [process.pid]}, commands=[f"{self.binary} mediamtx.yml"])


@dataclass(frozen=True, slots=True)
class Go2Rtc(_Binary):
    """go2rtc (Go)."""

    name: str = "go2rtc"

    @asynccontextmanager
    async def started(self, cameras: Sequence[str], directory: Path, transport: str = "tcp") -> AsyncIterator[Running]:
        host = _outer_address()
        port, media = free_port(host), free_port(host)
        config = {
            "log": {"level": "warn"},
            "api": {"listen": f"{host}:{port}"},
            "rtsp": {"listen": ""},
            "srtp": {"listen": ""},
            "webrtc": {"listen": f"{host}:{media}", "candidates": [f"{host}:{media}"], "ice_servers": []},
            "streams": {f"cam{n}": f"{url}#transport={transport}" for n, url in enumerate(cameras)},
        }
        (directory / "go2rtc.yaml").write_text(yaml.safe_dump(config))
        async with running([self.binary, "-config", "go2rtc.yaml"], directory, port=port, host=host) as process:
            streams = [Whep(f"http://{host}:{port}/api/webrtc?src=cam{n}") for n in range(len(cameras))]
            yield Running(streams, {"server": [process.pid]}, commands=[f"{self.binary} -config go2rtc.yaml"])


@dataclass(frozen=True, slots=True)
class Janus:
    """Janus with its streaming plugin (C), as Debian packages it. It takes its stream from the camera by itself."""

    binary: str = "/usr/bin/janus"
    name: str = "Janus"

    def problem(self) -> str:
        if not shutil.which(self.binary):
            return "Janus is not installed: apt install janus"
        return "" if _outer_address() else "Janus offers no loopback address, and this machine has no other"

    def version(self) -> str:
        found = re.search(r"Janus version: \d+ \(([\d.]+)\)", _output([self.binary, "--version"]))
        return found[1] if found else ""

    @asynccontextmanager
    async def started(self, cameras: Sequence[str], directory: Path, transport: str = "tcp") -> AsyncIterator[Running]:
        port, address = free_port(), _outer_address()
        libraries = next(Path("/usr/lib").glob("*/janus"), Path("/usr/lib/janus"))
        # Its own folders stay empty but for what is used: every other plugin would only start threads.
        for kind, name in (("transports", "libjanus_http.so"), ("plugins", "libjanus_streaming.so")):
            (directory / kind).mkdir()
            (directory / kind / name).symlink_to(next((libraries / kind).glob(f"{name}*")))
        general = {
            "configs_folder": str(directory),
            "plugins_folder": str(directory / "plugins"),
            "transports_folder": str(directory / "transports"),
            "debug_level": 2,
        }
        nat = {"ice_enforce_list": address, "ice_ignore_list": "vmnet"}
        _jcfg(directory / "janus.jcfg", {"general": general, "nat": nat, "media": {}, "certificates": {}})
        http = {"json": "compact", "http": True, "port": port, "ip": "127.0.0.1", "https": False, "base_path": "/janus"}
        _jcfg(directory / "janus.transport.http.jcfg", {"general": http, "admin": {"admin_http": False}})
        mountpoints = {f"cam{n}": _mountpoint(n + 1, url) for n, url in enumerate(cameras)}
        _jcfg(directory / "janus.plugin.streaming.jcfg", mountpoints)
        command = [self.binary, "--configs-folder", str(directory)]
        async with running(command, directory, port=port) as process:
            url = f"http://127.0.0.1:{port}/janus"
            streams = [JanusSignalling(url, n + 1, address) for n in range(len(cameras))]
            yield Running(streams, {"server": [process.pid]}, commands=[" ".join(command)])


def _mountpoint(number: int, url: str) -> dict[str, object]:
    # With audio it asks for a sound that the benchmark's camera does not have, and then plays nothing at all.
    return {"type": "rtsp", "id": number, "url": url, "audio": False, "video": True, "rtsp_failcheck": True}


def _jcfg(path: Path, sections: Mapping[str, Mapping[str, object]]) -> None:
    """libconfig's syntax is near enough to JSON's for what we write."""
    lines = []
    for section, values in sections.items():
        lines += [f"{section}: {{", *(f"  {name} = {json.dumps(value)}" for name, value in values.items()), "}"]
    path.write_text("\n".join([*lines, ""]))


def _outer_address() -> str:
    """An IPv4 address of this machine that is not a loopback one; packets to it still never leave the machine."""
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family == socket.AF_INET and not address.address.startswith("127."):
                return address.address
    return ""


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return done.stdout + done.stderr
