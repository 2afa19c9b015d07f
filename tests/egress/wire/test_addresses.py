"""The addresses that viewers are told are those of now."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import Any, Self

import ifaddr
import pytest
import structlog
from aioice import stun

from egress.wire import addresses
from egress.wire.addresses import MAX_CANDIDATES, Advertised, watched
from rigs import namespace
from rigs.waiting import until


@pytest.fixture
def interfaces(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """This machine's addresses, to be changed at will."""
    found = ["192.0.2.1", "127.0.0.1"]
    monkeypatch.setattr(addresses, "_interfaces", lambda: list(found))
    return found


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Addresses that each name resolves to; one that is missing does not."""
    known: dict[str, list[str]] = {}

    async def getaddrinfo(name: str, *_: Any, **__: Any) -> list[Any]:
        if name not in known:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (each, 0)) for each in known[name]]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", lambda _self, *a, **k: getaddrinfo(*a, **k))
    return known


async def test_interfaces_are_those_of_now(interfaces: list[str]) -> None:
    advertised = Advertised()
    await advertised.refresh()
    assert advertised.now == ("192.0.2.1", "127.0.0.1")
    interfaces[:] = ["192.0.2.2", "127.0.0.1"]
    with structlog.testing.capture_logs() as events:
        await advertised.refresh()
        await advertised.refresh()
    assert advertised.now == ("192.0.2.2", "127.0.0.1")
    assert [event["event"] for event in events] == ["addresses for viewers have changed"]


async def test_a_machine_full_of_interfaces_does_not_drown_a_browser(interfaces: list[str]) -> None:
    interfaces[:] = [f"192.0.2.{number}" for number in range(200)]
    advertised = Advertised()
    await advertised.refresh()
    assert len(advertised.now) == MAX_CANDIDATES


async def test_an_address_to_listen_on_is_the_only_one(interfaces: list[str]) -> None:
    async with watched((), "192.0.2.9") as advertised:
        assert advertised.now == ("192.0.2.9",)
        assert advertised.fixed


async def test_names_replace_everything_and_are_resolved_again(
    interfaces: list[str], names: dict[str, list[str]]
) -> None:
    names["cams.example"] = ["198.51.100.1"]
    advertised = Advertised(("203.0.113.5", "cams.example"), "192.0.2.9")
    names["203.0.113.5"] = ["203.0.113.5"]
    await advertised.refresh()
    assert advertised.now == ("203.0.113.5", "198.51.100.1")
    names["cams.example"] = ["198.51.100.2"]
    await advertised.refresh()
    assert advertised.now == ("203.0.113.5", "198.51.100.2")


async def test_a_name_that_resolves_no_more_keeps_its_addresses(
    interfaces: list[str], names: dict[str, list[str]]
) -> None:
    names["cams.example"] = ["198.51.100.1"]
    advertised = Advertised(("cams.example",))
    await advertised.refresh()
    names.clear()
    with structlog.testing.capture_logs() as events:
        await advertised.refresh()
        await advertised.refresh()
    assert advertised.now == ("198.51.100.1",)
    assert not advertised.complete
    assert [event["log_level"] for event in events] == ["warning"], "it is told once"


async def test_a_name_that_a_predecessor_resolved_has_its_addresses(
    interfaces: list[str], names: dict[str, list[str]]
) -> None:
    known = {"cams.example": ("198.51.100.1",), "of no interest": ("198.51.100.9",)}
    advertised = Advertised(("cams.example",), known=known)
    await advertised.refresh()
    assert advertised.now == ("198.51.100.1",)
    names["cams.example"] = ["198.51.100.2"]
    await advertised.refresh()
    assert advertised.now == ("198.51.100.2",)
    assert advertised.resolved == {"cams.example": ["198.51.100.2"]}


async def test_names_that_do_not_resolve_yet_leave_the_machine_s_own_addresses(
    interfaces: list[str], names: dict[str, list[str]]
) -> None:
    advertised = Advertised(("cams.example", "x" * 70 + ".example"))
    await advertised.refresh()
    assert advertised.now == ("192.0.2.1", "127.0.0.1")
    names["cams.example"] = ["198.51.100.1"]
    await advertised.refresh()
    assert advertised.now == ("198.51.100.1",)


async def test_a_resolver_that_does_not_answer_keeps_nobody_from_starting(
    interfaces: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silence(*_: Any, **__: Any) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", silence)
    monkeypatch.setattr(addresses, "RESOLVE_TIMEOUT", 0.02)
    advertised = Advertised(("cams.example",))
    await advertised.refresh()
    assert advertised.now == ("192.0.2.1", "127.0.0.1")


async def test_without_descriptors_they_stay_as_they_were(
    interfaces: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    advertised = Advertised()
    await advertised.refresh()

    def fail() -> list[str]:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(addresses, "_interfaces", fail)
    await advertised.refresh()
    assert advertised.now == ("192.0.2.1", "127.0.0.1")


async def test_they_are_looked_at_each_few_seconds_where_the_system_does_not_tell(
    interfaces: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(on_change: object) -> None:
        raise OSError("not Linux")

    monkeypatch.setattr(addresses, "Netlink", missing)
    monkeypatch.setattr(addresses, "POLL_INTERVAL", 0.02)
    async with watched((), "") as advertised:
        interfaces.insert(0, "192.0.2.3")
        await until(lambda: advertised.now[0] == "192.0.2.3")


async def test_they_are_looked_at_when_the_system_tells(interfaces: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    tell: list[Callable[[], None]] = []

    class Told:
        def __init__(self, on_change: Callable[[], None]) -> None:
            tell.append(on_change)

        def close(self) -> None:
            tell.clear()

    monkeypatch.setattr(addresses, "Netlink", Told)
    monkeypatch.setattr(addresses, "SETTLE_TIME", 0.0)
    async with watched((), "") as advertised:
        interfaces.insert(0, "192.0.2.3")
        tell[0]()
        await until(lambda: advertised.now[0] == "192.0.2.3")
    assert not tell


@pytest.fixture
def host() -> Iterator[str]:
    """A host with a loopback and no network, which the test is on."""
    if problem := namespace.missing():
        pytest.skip(problem)
    name = f"camshaft-{os.getpid()}-addresses"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        with namespace.Namespace(name, "", "").entered():
            yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.mark.namespace
async def test_an_address_that_comes_late_or_changes_is_told_from_then_on(host: str) -> None:
    def ip(*arguments: str) -> None:
        subprocess.run(["ip", "-n", host, *arguments], check=True)

    async with watched((), "") as advertised:
        assert set(advertised.now) <= {"127.0.0.1", "::1"}
        ip("address", "add", "10.9.9.1/24", "dev", "lo")
        await until(lambda: advertised.now[0] == "10.9.9.1")
        ip("address", "del", "10.9.9.1/24", "dev", "lo")
        ip("address", "add", "10.9.9.77/24", "dev", "lo")
        await until(lambda: advertised.now[0] == "10.9.9.77")
        assert "10.9.9.1" not in advertised.now


class StunServer:
    """Answers each request but the first by where it says that it came from."""

    def __init__(self, seen: str) -> None:
        self.seen = seen
        self.asked = 0
        self.refusals = 0  # instead of an answer
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.uri = f"stun:127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._socket, self._answer)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _answer(self) -> None:
        data, address = self._socket.recvfrom(2_048)
        self.asked += 1
        request = stun.parse_message(data)
        answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, transaction_id=request.transaction_id)
        answer.attributes["XOR-MAPPED-ADDRESS"] = (self.seen, address[1])
        for _ in range(self.refusals):
            self._socket.sendto(b"\x01\x11" + data[2:], address)
        if self.refusals:
            return
        self._socket.sendto(b"\x01\x01 what is this?", address)
        if self.asked > 1:
            self._socket.sendto(bytes(answer), address)


async def test_a_stun_server_adds_the_address_that_it_sees(
    interfaces: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "STUN_RETRY", 0.05)
    with StunServer("203.0.113.7") as server:
        advertised = Advertised((server.uri,))
        await advertised.refresh()
        assert advertised.now == ("192.0.2.1", "127.0.0.1", "203.0.113.7")
        server.seen = "203.0.113.8"
        await advertised.refresh()
        assert advertised.now == ("192.0.2.1", "127.0.0.1", "203.0.113.8")
        named = Advertised(("198.51.100.1", server.uri))
        await named.refresh()
        assert named.now == ("198.51.100.1", "203.0.113.8")
        listening = Advertised((server.uri,), "192.0.2.9")
        assert not listening.fixed
        await listening.refresh()
        assert listening.now == ("192.0.2.9", "203.0.113.8")


async def test_a_stun_server_that_refuses_is_not_asked_again_at_once(
    interfaces: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was, as fast as its refusals came, and what it sent without end kept all else waiting."""
    monkeypatch.setattr(addresses, "RESOLVE_TIMEOUT", 0.5)
    monkeypatch.setattr(addresses, "STUN_RETRY", 0.1)
    with StunServer("203.0.113.7") as server:
        server.refusals = 50
        await Advertised((server.uri,)).refresh()
        assert 2 <= server.asked <= 5 + 1


async def test_a_stun_server_that_does_not_answer_is_told_once(
    interfaces: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "RESOLVE_TIMEOUT", 0.05)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        advertised = Advertised((f"stun:127.0.0.1:{silent.getsockname()[1]}",))
        with structlog.testing.capture_logs() as events:
            await advertised.refresh()
            await advertised.refresh()
    assert advertised.now == ("192.0.2.1", "127.0.0.1")
    assert not advertised.complete
    assert [event["event"] for event in events] == ["media.advertise: a STUN server does not answer, trying again"]


def test_bridges_to_containers_are_no_way_to_us(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        "lo": "127.0.0.1",
        "eth0": "192.0.2.1",
        "docker0": "172.17.0.1",
        "br-0123456789ab": "172.18.0.1",
        "br-lan": "192.0.2.2",
        "virbr0": "192.168.122.1",
        "veth1a2b3c": "172.19.0.1",
        "wg0": "10.8.0.1",
    }

    def adapters() -> list[ifaddr.Adapter]:
        return [ifaddr.Adapter(name, name, [ifaddr.IP(ip, 24, name)]) for name, ip in found.items()]

    monkeypatch.setattr(addresses.ifaddr, "get_adapters", adapters)
    assert addresses._interfaces() == ["192.0.2.1", "192.0.2.2", "10.8.0.1", "127.0.0.1"]
