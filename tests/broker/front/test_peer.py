from __future__ import annotations

import pytest

from broker.front.peer import Proxies

OURS = Proxies(["10.0.0.0/8", "2001:db8::/32", "127.0.0.1/32"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.2.3.4, 203.0.113.9, 10.9.9.9", "203.0.113.9"),  # of what a client sends the last counts
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9, unknown", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.2, 10.0.0.3", "10.0.0.1"),
        ("10.0.0.1", "[2001:db9::1]", "2001:db9::1"),
        ("10.0.0.1", "203.0.113.9:1234", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9" + ", 10.0.0.1" * 100_000, "10.0.0.1"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("fe80::1%eth0", "203.0.113.9", "fe80::1%eth0"),
        ("2001:db8::1%eth0", "203.0.113.9", "203.0.113.9"),
        (None, "203.0.113.9", None),
        ("", "203.0.113.9", ""),
        ("a name", "203.0.113.9", "a name"),
    ],
)
def test_the_client_is_the_first_that_is_no_proxy_of_ours(peer: str, forwarded: str, client: str) -> None:
    assert OURS.client(peer, forwarded) == client


def test_without_proxies_nobody_is_believed() -> None:
    assert Proxies([]).client("127.0.0.1", "203.0.113.9") == "127.0.0.1"
