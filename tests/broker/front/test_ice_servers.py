"""STUN and TURN servers: each viewer is told of those that it may use, with a password of its own."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from aioice import stun, turn

from broker.access.principal import EVERYBODY, Kind, Principal
from broker.access.tokens import digest_of
from broker.front.ice_servers import IceServer, IceServers
from common.access import AccessRole
from common.config import HttpConfig
from rigs import coturn as rig
from rigs.process import free_port
from tests.fakes.broker import broker_in

INNER = ("127.0.0.2", "10.0.0.1", "192.168.1.1", "169.254.169.254", "224.0.0.1", "0.0.0.0")
QUOTA = 100  # of deploy/coturn, for each viewer
SECRET = "not so secret, as it stands in a test"
NOW = 1_700_000_000.5
STUN, STATIC, SHARED = "stun:stun.example", "turn:u:p@turn.example", "turn:turn.example:3478?transport=tcp"
SERVERS = IceServers.of(HttpConfig(ice_servers=(STUN, STATIC, SHARED), turn_secret=SECRET, turn_hours=1))
WALL = Principal(Kind.TOKEN, "wall", AccessRole.VIEWER, ("yard",))
NOBODY = Principal(Kind.OIDC, "carl", AccessRole.VIEWER)
MONITOR = Principal(Kind.JWT, "prometheus", AccessRole.MONITOR, ("*",))


def told(principal: Principal | None, *, ours: bool) -> list[str]:
    return [server.url for server in SERVERS.told(principal, None, ours=ours, now=NOW)]


@pytest.mark.parametrize(
    ("principal", "ours", "which"),
    [
        (None, True, [STUN]),
        (None, False, [STUN]),
        (EVERYBODY, True, [STUN, "turn:turn.example", SHARED]),
        (EVERYBODY, False, [STUN]),  # a page of another site, in a browser that reaches an open server
        (WALL, True, [STUN, "turn:turn.example", SHARED]),
        (WALL, False, [STUN, SHARED]),
        (NOBODY, False, [STUN]),  # it may watch nothing
        (NOBODY, True, [STUN]),
        (MONITOR, True, [STUN]),  # whatever its token says of cameras
        (MONITOR, False, [STUN]),
    ],
)
def test_passwords_are_for_those_who_may_watch(principal: Principal | None, ours: bool, which: list[str]) -> None:
    assert told(principal, ours=ours) == which


def test_a_password_is_made_as_the_draft_has_it() -> None:
    """The vector: openssl dgst -sha1 -hmac "$SECRET" -binary | base64, of the user name."""
    made = list(SERVERS.told(WALL, None, ours=False, now=NOW))[1]
    assert made == IceServer(SHARED, "1700003600:token:wall", "oANwYXiSy4Y/EBklpSYYzJGNKIc=")
    assert made.credential not in repr(made)
    assert SECRET not in repr(SERVERS)


def test_it_runs_out_no_later_than_the_right() -> None:
    soon = Principal(Kind.JWT, "anna", AccessRole.VIEWER, ("yard",), expires=NOW + 10)
    late = Principal(Kind.JWT, "anna", AccessRole.VIEWER, ("yard",), expires=NOW + 100_000)
    assert [list(SERVERS.told(each, None, ours=True, now=NOW))[2].username for each in (soon, late)] == [
        "1700000010:jwt:anna",
        "1700003600:jwt:anna",
    ]


def test_where_nobody_signs_in_each_address_has_a_name_of_its_own() -> None:
    """The server's quota is for each name: one stranger would take the relays of all. Only we know whose name it is."""
    addresses = (None, "192.0.2.7", "192.0.2.7", "192.0.2.8", "2001:db8::/64")
    made = [list(SERVERS.told(EVERYBODY, address, ours=True, now=NOW))[2].username for address in addresses]
    users = [each.partition(":")[2] for each in made]
    assert users[0] == "open"
    assert users[1] == users[2]
    assert len(set(users)) == 4
    assert not [each for each in users if "192" in each or "2001" in each]
    signed_in = {list(SERVERS.told(WALL, address, ours=True, now=NOW))[2].username for address in addresses}
    assert signed_in == {"1700003600:token:wall"}, "somebody who has signed in has one name everywhere"


@pytest.mark.parametrize("name", ["Ärzte", "a b", 'a"b', "x" * 65, "a\r\nb", "\ud800"])
def test_a_name_that_not_every_server_takes_has_another_one(name: str) -> None:
    principal = Principal(Kind.USER, name, AccessRole.ADMIN)
    user = list(SERVERS.told(principal, None, ours=True, now=NOW))[2].username.partition(":")[2]
    assert len(user) == 16
    assert user.isalnum()


def test_a_server_without_any_password_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="has neither turn:USER:PASSWORD@ nor a secret"):
        HttpConfig(ice_servers=(STATIC, SHARED))


async def test_they_come_by_link_and_by_websocket(tmp_path: Path) -> None:
    tokens = {"wall": {"sha256": digest_of("t"), "cameras": ["yard"]}}
    http = {"listen": "127.0.0.1:0", "ice_servers": [STUN, SHARED], "turn_secret": SECRET}
    async with broker_in(tmp_path, http=http, auth={"tokens": tokens}) as broker:
        async with broker.http.options("/whep/-") as answer:
            assert "token:wall" not in str(answer.headers)
        elsewhere = {"Origin": "https://elsewhere.example", "Authorization": "Bearer t"}
        async with broker.http.options("/whep/-", headers=elsewhere) as answer:
            links = answer.headers.getall("Link")
            assert f'<{SHARED}>; rel="ice-server"; username="' in links[1]
            assert ':token:wall"; credential="' in links[1]
        async with broker.http.ws_connect("/ws?token=t") as socket:
            await socket.send_json({"type": "ice_servers"})
            message = await socket.receive_json(timeout=30)
            assert message["servers"][0] == {"urls": STUN}
            assert message["servers"][1]["urls"] == SHARED
            assert message["servers"][1]["username"].endswith(":token:wall")
            assert SECRET not in str(message)


async def relay(server: str, credentials: IceServer, transport: str = "udp") -> asyncio.DatagramTransport:
    """A relay of the server's for somebody with these credentials. Raises ``aioice.stun.TransactionFailed``."""
    host, port = server.split(":")
    endpoint, _ = await turn.create_turn_endpoint(
        asyncio.DatagramProtocol,
        server_addr=(host, int(port)),
        username=credentials.username,
        password=credentials.credential,
        transport=transport,
    )
    return endpoint


async def allocated(server: str, credentials: IceServer, transport: str) -> None:
    """Have the server relay for a moment, as ``relay`` does."""
    (await relay(server, credentials, transport)).close()


@pytest.mark.skipif(bool(rig.missing()), reason=rig.missing() or "-")
async def test_a_real_server_takes_them_until_they_run_out(tmp_path: Path) -> None:
    here = {"host": "127.0.0.1", "port": free_port(), "peer": "127.0.0.1"}
    async with rig.coturn(tmp_path, secret=SECRET, **here) as server:
        servers = IceServers.of(HttpConfig(ice_servers=("turn:t",), turn_secret=SECRET, turn_hours=1))
        other = IceServers.of(HttpConfig(ice_servers=("turn:t",), turn_secret=SECRET[::-1], turn_hours=1))
        now = time.time()
        for transport in ("udp", "tcp"):
            await allocated(server, next(servers.told(WALL, None, ours=True, now=now)), transport)
        for bad in (servers.told(WALL, None, ours=True, now=now - 3_700), other.told(WALL, None, ours=True, now=now)):
            with pytest.raises(stun.TransactionFailed, match="401"):
                await allocated(server, next(bad), "udp")


@pytest.mark.skipif(bool(rig.missing()), reason=rig.missing() or "-")
async def test_a_viewer_that_asks_for_passwords_in_masses_takes_no_relay_from_others(tmp_path: Path) -> None:
    """Each password has another time in its user's name, and the server counts by what stands behind that."""
    here = {"host": "127.0.0.1", "port": free_port(), "peer": "127.0.0.1"}
    servers = IceServers.of(HttpConfig(ice_servers=("turn:t",), turn_secret=SECRET, turn_hours=1))
    relays: list[asyncio.DatagramTransport] = []
    async with rig.coturn(tmp_path, secret=SECRET, **here) as server:
        try:
            for number in range(QUOTA):
                relays += [await relay(server, next(servers.told(WALL, None, ours=True, now=time.time() + number)))]
            with pytest.raises(stun.TransactionFailed, match="486"):
                await relay(server, next(servers.told(WALL, None, ours=True, now=time.time() + QUOTA)))
            for address in (None, "192.0.2.7"):
                relays.append(await relay(server, next(servers.told(EVERYBODY, address, ours=True, now=time.time()))))
        finally:
            for each in relays:
                each.close()


@pytest.mark.skipif(bool(rig.missing()), reason=rig.missing() or "-")
async def test_a_viewer_s_relay_leads_to_an_egress_and_to_nothing_else(tmp_path: Path) -> None:
    here = {"host": "127.0.0.1", "port": free_port(), "peer": "127.0.0.1"}
    servers = IceServers.of(HttpConfig(ice_servers=("turn:t",), turn_secret=SECRET, turn_hours=1))
    async with rig.coturn(tmp_path, secret=SECRET, **here) as server:
        through = await relay(server, next(servers.told(WALL, None, ours=True, now=time.time())))
        client = through._TurnTransport__inner_protocol  # type: ignore[attr-defined]  # private, and no name of its type
        try:
            await client.channel_bind(0x4000, ("127.0.0.1", 9))
            for number, inner in enumerate(INNER, 0x4001):
                with pytest.raises(stun.TransactionFailed, match="403"):
                    await client.channel_bind(number, (inner, 9))
        finally:
            through.close()
