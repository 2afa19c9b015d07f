"""A camera that nobody here wrote: GStreamer's RTSP server in a process of its own.

``GstCamera`` starts ``gst_server.py`` with the system's Python, the one that has ``gi``. Everything is torn down when
its context ends; the server also ends by itself when its standard input does, so a killed test leaves nothing behind.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote

SYSTEM_PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).with_name("gst_server.py")


@cache
def missing() -> str:
    """Why GStreamer's RTSP server cannot be run here; empty if it can."""
    if not Path(SYSTEM_PYTHON).exists():
        return f"{SYSTEM_PYTHON} is not there"
    check = "import gi; gi.require_version('GstRtspServer', '1.0')"
    if subprocess.run([SYSTEM_PYTHON, "-c", check], capture_output=True, check=False).returncode:
        return "GStreamer's RTSP server is missing: apt install python3-gi gir1.2-gst-rtsp-server-1.0"
    return ""


@dataclass
class GstCamera:
    """A context manager; inside it the camera runs, and ``url`` is where."""

    clip: Path  # an Annex-B file from rigs.clip
    fps: int = 30
    audio: Literal["opus", "pcmu", "pcma", "aac", ""] = "opus"
    transports: tuple[Literal["tcp", "udp"], ...] = ("tcp", "udp")
    user: str = ""
    password: str = field(default="", repr=False)
    auth: Literal["digest", "basic"] = "digest"
    address: str = "127.0.0.1"
    port: int = 0  # 0: any; once started, the port in use, kept over restarts
    path: str = "/cam"
    mtu: int = 1400  # bytes of an RTP packet
    encrypted: bool = False  # SRTP, with keys by MIKEY
    _process: subprocess.Popen[str] | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.kill()

    @property
    def url(self) -> str:
        """The camera's RTSP address with user and password, if it wants them."""
        user = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if self.user else ""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"rtsp://{user}{host}:{self.port}{self.path}"

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None, "the camera is off"
        return self._process.pid

    def start(self) -> None:
        """Switch it on, on the port it had before. Raises ``RuntimeError`` with what GStreamer said."""
        assert self._process is None, "the camera is on already"
        options = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        with tempfile.TemporaryFile("w+") as errors:  # no pipe, which would stop a chatty server when it is full
            self._process = subprocess.Popen(
                [SYSTEM_PYTHON, str(SERVER), json.dumps(options | {"clip": str(self.clip)})],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            assert self._process.stdout is not None
            line = self._process.stdout.readline()  # the server either listens or ends
            if not line:
                self.kill()
                errors.seek(0)
                raise RuntimeError(f"no camera: {errors.read().strip()}")
        self.port = json.loads(line)["port"]

    def kill(self) -> None:
        """SIGKILL: no TEARDOWN, no BYE. Twice is fine."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def restart(self, clip: Path | None = None) -> None:
        """Kill it and start it on the same port, with another clip if given: a reboot after a change of settings."""
        self.kill()
        self.clip = clip or self.clip
        self.start()

    def stall(self) -> None:
        """Send nothing and answer nothing, with every connection open: a hung camera."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """End of ``stall``."""
        os.kill(self.pid, signal.SIGCONT)

    def switch(self, clip: Path) -> None:
        """Go on with another clip in the same session: parameter sets, and perhaps the resolution, change in-band."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{clip}\n")
        self._process.stdin.flush()
