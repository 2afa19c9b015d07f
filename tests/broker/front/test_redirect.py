"""Plain HTTP beside https: browsers are led to it, and nothing else is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from broker.front.redirect import https_address
from common.errors import AddressInUseError
from rigs.authority import Authority
from rigs.process import free_port
from tests.fakes.broker import PATIENCE, RunningBroker, broker_in


@pytest.fixture
def plain_port() -> int:
    return free_port()


@pytest.fixture
async def broker(tmp_path: Path, plain_port: int) -> AsyncIterator[RunningBroker]:
    pair = Authority(tmp_path).issue("broker")
    http = {
        "listen": "127.0.0.1:0",
        "tls_cert": pair.cert,
        "tls_key": pair.key,
        "redirect_from": f"127.0.0.1:{plain_port}",
    }
    async with broker_in(tmp_path, http=http) as broker:
        yield broker


async def answer(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_browsers_are_led_to_the_same_address_by_https(broker: RunningBroker, plain_port: int) -> None:
    async with aiohttp.ClientSession() as http:
        url = f"http://localhost:{plain_port}/watch/door?a=1&b=%20"
        async with http.get(url, allow_redirects=False) as response:
            https = broker.url.replace("127.0.0.1", "localhost")
            assert (response.status, response.headers["Location"]) == (307, f"{https}watch/door?a=1&b=%20")
            assert "Strict-Transport-Security" not in response.headers
        async with http.get(f"http://127.0.0.1:{plain_port}/healthz", ssl=False) as response:
            assert (response.status, response.url.scheme) == (200, "https")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /whep/door HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nv=0", b"403"),
        (b"DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"403"),
        (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", b"403"),
        (b"GET / HTTP/1.0\r\n\r\n", b"403"),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", b"421"),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"421"),
        (b"\x00\x01\x02\x03\r\n\r\n", b"400"),
    ],
)
async def test_nothing_else_is_answered(broker: RunningBroker, plain_port: int, request_: bytes, status: bytes) -> None:
    said = await answer(plain_port, request_)
    assert said.startswith((b"HTTP/1.1 " + status, b"HTTP/1.0 " + status))
    assert b"Location" not in said


@pytest.mark.parametrize(
    ("host", "path", "port", "address"),
    [
        ("cams.example", "/", 443, "https://cams.example/"),
        ("CAMS.example:80", "/", 8443, "https://CAMS.example:8443/"),
        ("[2001:db8::1]:80", "/a?b", 443, "https://[2001:db8::1]/a?b"),
        ("192.0.2.7:", "//evil.example/", 443, "https://192.0.2.7//evil.example/"),
        ("user@cams.example", "/", 443, None),
        ("cams.example/evil", "/", 443, None),
        ("", "/", 443, None),
        ("cams.example", "*", 443, None),
        ("cams.example", "http://evil.example/", 443, None),
    ],
)
def test_the_address_by_https(host: str, path: str, port: int, address: str | None) -> None:
    assert https_address(host, path, port) == address


async def test_an_address_in_use_is_named_with_its_option(
    tmp_path: Path, broker: RunningBroker, plain_port: int
) -> None:
    pair = Authority(tmp_path).issue("second")
    http = {"listen": "127.0.0.1:0", "tls_cert": pair.cert, "tls_key": pair.key}
    (tmp_path / "second").mkdir()
    with pytest.raises(AddressInUseError, match=r"--http-redirect-from"):
        async with broker_in(tmp_path / "second", http={**http, "redirect_from": f"127.0.0.1:{plain_port}"}):
            pass
