"""The front door as ``serve`` sees it."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from camshaft.ready import ask_ready, check_bus, free_listen
from common.address import page_address, split_listen
from common.claim import claimed_directory
from common.endpoints import Endpoints
from common.errors import AddressInUseError, NotNowError
from rigs.authority import Authority


@asynccontextmanager
async def server(answer: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Answers every request with ``answer``; gives its address and the requests."""
    requests: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    async with listener:
        host, port = listener.sockets[0].getsockname()
        yield f"{host}:{port}", requests


async def test_ready_when_the_answer_is_200() -> None:
    async with server(b'HTTP/1.1 200 OK\r\n\r\n{"status": "ready", "reasons": []}') as (listen, requests):
        assert await ask_ready(listen) == (True, "")
    assert requests == [f"GET /readyz HTTP/1.1\r\nHost: {listen}\r\nConnection: close\r\n\r\n".encode()]


async def test_it_is_asked_by_tls_whatever_name_its_certificate_has(tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue("cams", "cams.example")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.cert, pair.key)
    async with server(b'HTTP/1.1 200 OK\r\n\r\n{"status": "ready", "reasons": []}', tls) as (listen, _):
        assert await ask_ready(listen, "https") == (True, "")


async def test_not_ready_for_a_reason() -> None:
    async with server(b'HTTP/1.1 503 X\r\n\r\n{"reasons": ["No ingest.", "No egress."]}') as (listen, _):
        assert await ask_ready(listen) == (False, "No ingest. No egress.")


@pytest.mark.parametrize("answer", [b"", b"\xff\r\n\r\n", b"SSH-2.0\r\n", b"HTTP/1.1 404 X\r\n\r\n[]"])
async def test_not_ready_if_somebody_else_answers(answer: bytes) -> None:
    async with server(answer) as (listen, _):
        assert await ask_ready(listen) == (False, "something other than Camshaft answers")


async def test_not_ready_while_nobody_listens() -> None:
    ready, said = await ask_ready(free_listen("127.0.0.1:0"))
    assert not ready
    assert "the broker does not answer" in said


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
        (":8080", "http://127.0.0.1:8080/"),
        ("0.0.0.0:80", "http://127.0.0.1:80/"),
        ("[::]:8080", "http://[::1]:8080/"),
        ("[::1]:8080", "http://[::1]:8080/"),
        ("cam.example.org:8080", "http://cam.example.org:8080/"),
    ],
)
def test_page_address(listen: str, address: str) -> None:
    assert page_address(*split_listen(listen)) == address
    assert page_address(*split_listen(listen), "https") == address.replace("http:", "https:")


@pytest.mark.parametrize("host", ["127.0.0.1", "", "0.0.0.0", "[::1]", "localhost"])
def test_any_port_becomes_a_free_one(host: str) -> None:
    listen = free_listen(f"{host}:0")
    assert listen.startswith(f"{host}:")
    assert split_listen(listen)[1] > 0


@pytest.mark.parametrize("host", ["127.0.0.1", "", "0.0.0.0"])
def test_port_in_use_is_named_with_its_option(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"{host}:{taken.getsockname()[1]}"
        with pytest.raises(AddressInUseError) as caught:
            free_listen(listen)
    assert str(caught.value).startswith(f"http: {listen} is in use")
    assert "--http-listen" in str(caught.value)
    assert free_listen(listen) == listen


def test_another_port_in_use_is_named_with_its_own_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AddressInUseError, match="--http-redirect-from"):
            free_listen(listen, "redirect_from")


def test_bus_in_use_is_named_with_its_option(tmp_path: Path) -> None:
    endpoints = Endpoints.parse(f"ipc://{tmp_path}/bus")
    check_bus(endpoints)
    with claimed_directory(endpoints), pytest.raises(AddressInUseError, match=r"ipc://.*/bus is .*--broker-address"):
        check_bus(endpoints)
    check_bus(endpoints)


def three_free_ports() -> int:
    """The first of three in a row, below those that systems hand out."""
    while True:
        port = random.randrange(20_000, 30_000)
        with ExitStack() as stack, suppress(OSError):
            for number in range(port, port + 3):
                stack.enter_context(socket.create_server(("127.0.0.1", number)))
            return port


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("host", ["127.0.0.1", "*", "localhost"])
def test_each_of_the_three_ports_is_looked_at(which: int, host: str) -> None:
    port = three_free_ports()
    words = rf"broker: tcp://.*:{port + which} is in use .*--broker-address"
    with socket.create_server(("127.0.0.1", port + which)), pytest.raises(AddressInUseError, match=words):
        check_bus(Endpoints.parse(f"tcp://{host}:{port}"))


def test_name_of_an_interface_is_left_to_zeromq() -> None:
    check_bus(Endpoints.parse("tcp://no-such-interface:5550"))


@pytest.mark.parametrize("listen", ["192.0.2.1:80", "no.such.host.invalid:80"])
def test_host_of_another_machine_is_an_error(listen: str) -> None:
    """It may get that address, or its name servers, in a moment: a machine that has just been switched on."""
    with pytest.raises(NotNowError, match=r"http\.listen: cannot listen on"):
        free_listen(listen)
