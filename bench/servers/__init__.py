"""The servers under test: how each is started on given cameras, how viewers come to it, and which processes it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rigs.load.signalling import Signalling


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is up."""

    streams: Sequence[Signalling]  # one for each camera, in order
    pids: Mapping[str, Sequence[int]]  # processes by role
    base_url: str = ""  # of its HTTP server
    commands: Sequence[str] = field(default=())  # what was started, for the report


class Server(Protocol):
    """A kind of server."""

    @property
    def name(self) -> str:
        """The server's name in tables."""

    def version(self) -> str:
        """The version that the server tells."""

    def problem(self) -> str:
        """Why it cannot be run here; empty if it can."""

    def started(
        self, cameras: Sequence[str], directory: Path, transport: str = "tcp"
    ) -> AbstractAsyncContextManager[Running]:
        """Run it on these RTSP URLs with its files in ``directory``; it is ready for viewers once entered.

        ``transport``: how it is told to pull the cameras, "tcp" or "udp", where it can be told.
        """
