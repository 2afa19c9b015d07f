"""A real TURN server before a cluster: Debian's coturn, with the recipe of ``deploy/coturn``."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from rigs.process import running

RECIPE = Path(__file__).parents[1] / "deploy/coturn/turnserver.conf"


def missing() -> str:
    """Why it cannot be started here; empty if it can."""
    return "" if shutil.which("turnserver") else "turnserver is missing: apt install coturn"


@asynccontextmanager
async def coturn(directory: Path, *, secret: str, host: str, port: int, peer: str) -> AsyncIterator[str]:
    """Relay from ``host:port`` to ``peer`` for those who have a password by ``secret``; yields HOST:PORT."""
    text = RECIPE.read_text("utf-8")
    for before, after in (
        ("listening-port=3478", f"listening-port={port}\nlistening-ip={host}\nrelay-ip={host}"),
        ("#static-auth-secret=", f"static-auth-secret={secret}"),
        ("192.0.2.10", peer),
    ):
        assert before in text
        text = text.replace(before, after)
    text += f"pidfile={directory}/turnserver.pid\nuserdb={directory}/turnserver.db\n"
    if peer.startswith("127."):
        text += "allow-loopback-peers\n"
    (directory / "turnserver.conf").write_text(text)
    command = ["turnserver", "-c", str(directory / "turnserver.conf"), "--log-file=stdout", "--simple-log"]
    async with running(command, directory, host=host, port=port):
        yield f"{host}:{port}"
