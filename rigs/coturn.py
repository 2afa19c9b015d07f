"""A real TURN server before a cluster: Debian's coturn, with the recipe of ``deploy/coturn``.

It is started with the very arguments that ``compose.yaml`` has for it; only the file is somewhere else.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import yaml

from rigs.authority import Issued
from rigs.process import running

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "deploy/coturn/turnserver.conf"
TLS_PORT = 443
_IN_CONTAINER = "/etc/coturn/turnserver.conf"


def missing() -> str:
    """Why it cannot be started here; empty if it can."""
    return "" if shutil.which("turnserver") else "turnserver is missing: apt install coturn"


@asynccontextmanager
async def coturn(
    directory: Path, *, secret: str, host: str, port: int, peer: str, tls: Issued | None = None, user: str = ""
) -> AsyncIterator[str]:
    """Relay from ``host:port`` to ``peer`` for those who have a password by ``secret``; yields HOST:PORT.

    It runs as ``user``, if one is named. With ``tls`` also from TCP port 443, by TLS, as ``docs/networks.md`` has it.
    """
    text = RECIPE.read_text("utf-8")
    for before, after in (
        ("listening-port=3478", f"listening-port={port}\nlistening-ip={host}\nrelay-ip={host}"),
        ("#static-auth-secret=", f"static-auth-secret={secret}"),
        ("192.0.2.10", peer),
    ):
        assert before in text
        text = text.replace(before, after)
    text += f"pidfile={directory}/turnserver.pid\nuserdb={directory}/turnserver.db\n"
    if user:
        text += f"proc-user={user}\n"
    if peer.startswith("127."):
        text += "allow-loopback-peers\n"
    if tls is not None:
        assert "no-tls\n" in text
        text = text.replace("no-tls\n", f"tls-listening-port={TLS_PORT}\ncert={tls.cert}\npkey={tls.key}\n")
    file = directory / "turnserver.conf"
    file.write_text(text)
    service = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]["coturn"]
    assert f"./deploy/coturn/turnserver.conf:{_IN_CONTAINER}:ro" in service["volumes"]
    command = ["turnserver", *(str(file) if word == _IN_CONTAINER else word for word in service["command"])]
    async with running(command, directory, host=host, port=port):
        yield f"{host}:{port}"
