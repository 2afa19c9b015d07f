"""The recipe for coturn, with Debian's: what a viewer reaches by it of the network that it stands in."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from aioice import stun, turn

from broker.access.principal import EVERYBODY
from broker.front.ice_servers import IceServers
from common.config import HttpConfig
from rigs import coturn as rig
from rigs import namespace
from rigs.waiting import until

PORTS = rig.RECIPE.with_name("ports.nft")
USER = "nobody"
MEDIA, OTHER = 8_189, 161  # ports of the machine with the egress
INNER = ("127.0.0.1", "0.0.0.0", "10.0.0.1", "169.254.169.254", "224.0.0.1")  # and the viewer's own
PATIENCE = 10.0  # seconds
SECRET = "not so secret, as it stands in a test"

pytestmark = [
    pytest.mark.namespace,
    pytest.mark.skipif(bool(rig.missing() or namespace.missing()), reason=rig.missing() or namespace.missing() or "-"),
]


def listening(address: str, port: int) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setblocking(False)
    opened.bind((address, port))
    return opened


async def test_viewers_reach_the_ports_of_media_and_nothing_else() -> None:
    servers = IceServers.of(HttpConfig(ice_servers=("turn:t",), turn_secret=SECRET, turn_hours=1))
    credentials = next(servers.told(EVERYBODY, None, ours=True, now=time.time()))
    with TemporaryDirectory() as name, namespace.two_hosts() as (server, viewer, _), server.entered():
        directory = Path(name)
        directory.chmod(0o777)  # pytest's own are closed to others
        at = {"host": server.address, "port": 3_478, "peer": server.address}
        media, other = listening(server.address, MEDIA), listening(server.address, OTHER)
        async with rig.coturn(directory, secret=SECRET, user=USER, **at):
            transport, _ = await turn.create_turn_endpoint(
                asyncio.DatagramProtocol,
                server_addr=(server.address, 3_478),
                username=credentials.username,
                password=credentials.credential,
            )
            client = transport._TurnTransport__inner_protocol
            try:
                for number, inner in enumerate((*INNER, viewer.address), 0x4800):
                    with pytest.raises(stun.TransactionFailed, match="403"):
                        await client.channel_bind(number, (inner, MEDIA))
                await goes(transport, (server.address, OTHER), other)  # as long as only addresses are looked at
                rules = (
                    PORTS.read_text("utf-8").replace("turnserver ", f"{USER} ").replace("192.0.2.10", server.address)
                )
                subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
                await goes(transport, (server.address, MEDIA), media)
                transport.sendto(b"once more", (server.address, OTHER))
                await until(dropped, PATIENCE)
                with pytest.raises(BlockingIOError):
                    other.recv(100)
            finally:
                transport.close()
                media.close()
                other.close()


def dropped() -> bool:
    """Whether the kernel has dropped anything by the rules."""
    shown = subprocess.run(["nft", "list", "table", "inet", "camshaft_turn"], capture_output=True, check=True).stdout
    return b"counter packets 0 " not in shown


async def goes(transport: asyncio.DatagramTransport, to: tuple[str, int], at: socket.socket) -> None:
    """Send by the relay, and wait until it has come."""
    transport.sendto(b"said by way of the relay", to)
    async with asyncio.timeout(PATIENCE):
        assert await asyncio.get_running_loop().sock_recv(at, 100) == b"said by way of the relay"
