"""The kernel's words on links and addresses; whatever cannot be understood is taken for a change."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egress.wire.netlink import Netlink, tells_of_change

LINK_CAME, LINK_WENT, ADDRESS_CAME, ADDRESS_WENT, ROUTE_CAME, DONE = 16, 17, 20, 21, 24, 3


def message(kind: int, body: bytes = b"", length: int | None = None) -> bytes:
    """A struct nlmsghdr and what follows it, padded as the kernel does."""
    length = 16 + len(body) if length is None else length
    return struct.pack("=IHHII", length, kind, 0, 0, 0) + body + bytes(-len(body) % 4)


@pytest.mark.parametrize("kind", [LINK_CAME, LINK_WENT, ADDRESS_CAME, ADDRESS_WENT])
def test_links_and_addresses_are_changes(kind: int) -> None:
    assert tells_of_change(message(kind, bytes(24)))
    assert tells_of_change(message(ROUTE_CAME, b"12345") + message(DONE) + message(kind, bytes(8)))


@pytest.mark.parametrize("data", [b"", message(ROUTE_CAME, bytes(12)), message(ROUTE_CAME, b"123") + message(DONE)])
def test_other_news_are_none(data: bytes) -> None:
    assert not tells_of_change(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        message(ROUTE_CAME)[:15],
        message(ROUTE_CAME, length=0),
        message(ROUTE_CAME, length=15),
        message(ROUTE_CAME, length=17),
        message(ROUTE_CAME, length=0xFFFFFFFF),
        message(ROUTE_CAME, b"1234") + b"\0\0\0",
    ],
)
def test_what_cannot_be_understood_is_a_change(data: bytes) -> None:
    assert tells_of_change(data)


@given(st.binary(max_size=200))
def test_any_bytes_have_an_end(data: bytes) -> None:
    tells_of_change(data)


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=8))
def test_a_change_is_found_wherever_it_stands(messages: list[tuple[int, bytes]]) -> None:
    data = b"".join(message(kind, body) for kind, body in messages)
    assert tells_of_change(data) == any(kind in {16, 17, 20, 21} for kind, _ in messages)


@pytest.mark.skipif(not hasattr(socket, "AF_NETLINK"), reason="not Linux")
async def test_it_listens_until_closed() -> None:
    netlink = Netlink(lambda: None)
    await asyncio.sleep(0)
    netlink.close()


async def test_a_system_without_netlink_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_NETLINK", raising=False)
    with pytest.raises(OSError, match="not Linux"):
        Netlink(lambda: None)
