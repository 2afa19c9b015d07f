"""Addresses as operators write them."""

from __future__ import annotations

import pytest

from common.address import is_loopback, network_of, split_listen, split_stun_server


@pytest.mark.parametrize(
    ("value", "split"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        (":0", ("", 0)),
        ("[::1]:8080", ("::1", 8080)),
        ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
        ("host.example:65535", ("host.example", 65535)),
    ],
)
def test_split_listen(value: str, split: tuple[str, int]) -> None:
    assert split_listen(value) == split


@pytest.mark.parametrize("value", ["", "host", "8080", "::1:80", "[::1]", "h:65536", "h:-1", "h:1 ", "[h]:1", "a]:1"])
def test_split_listen_refuses(value: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        split_listen(value)


@pytest.mark.parametrize(
    ("host", "only_here"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("", False), ("0.0.0.0", False),
     ("::", False), ("192.0.2.7", False), ("cameras.example.org", False), ("fe80::1%eth0", False)],
)  # fmt: skip
def test_loopback(host: str, only_here: bool) -> None:
    assert is_loopback(host) == only_here


@pytest.mark.parametrize(
    ("value", "server"),
    [
        ("stun:stun.example.org", ("stun.example.org", 3_478)),
        ("STUN:192.0.2.1:19302", ("192.0.2.1", 19_302)),
        ("stun:[2001:db8::1]:5000", ("2001:db8::1", 5_000)),
        ("192.0.2.1", None),
        ("stun.example.org", None),
    ],
)
def test_split_stun_server(value: str, server: tuple[str, int] | None) -> None:
    assert split_stun_server(value) == server


@pytest.mark.parametrize("value", ["stun:", "stun:a:99999", "stun:a b", "stun://a", "stun:2001:db8::1"])
def test_split_stun_server_refuses(value: str) -> None:
    with pytest.raises(ValueError, match=r"such as stun:stun\.example\.org"):
        split_stun_server(value)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1:2::3", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("", None),
        ("unix:", None),
    ],
)
def test_addresses_that_one_person_commands(address: str, network: str | None) -> None:
    assert network_of(address) == network
