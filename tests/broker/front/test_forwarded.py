from __future__ import annotations

import pytest

from broker.front import forwarded
from broker.front.peer import Proxies

OURS = Proxies(["10.0.0.0/8", "2001:db8::/32", "127.0.0.1/32"])


@pytest.mark.parametrize(
    ("lines", "elements"),
    [
        (["for=192.0.2.43"], [{"for": "192.0.2.43"}]),
        (['For="[2001:db8:cafe::17]:4711"'], [{"for": "[2001:db8:cafe::17]:4711"}]),  # RFC 7239 4
        (
            ["for=192.0.2.60;proto=http;by=203.0.113.43"],
            [{"for": "192.0.2.60", "proto": "http", "by": "203.0.113.43"}],
        ),
        (["for=192.0.2.43, for=198.51.100.17"], [{"for": "192.0.2.43"}, {"for": "198.51.100.17"}]),
        (["for=192.0.2.43", "for=198.51.100.17"], [{"for": "192.0.2.43"}, {"for": "198.51.100.17"}]),
        (["for=192.0.2.43:80;host=cams.example:8443"], [{"for": "192.0.2.43:80", "host": "cams.example:8443"}]),
        (['host="a\\"b,c;d";proto=https'], [{"host": 'a"b,c;d', "proto": "https"}]),
        ([" for=1.2.3.4 ; proto=https ,, "], [{"for": "1.2.3.4", "proto": "https"}]),
        (["for=_hidden, for=unknown"], [{"for": "_hidden"}, {"for": "unknown"}]),
        ([""], []),
        ([";,;"], []),
        (["for"], []),
        (["for="], []),
        (["for=a;for=b"], []),
        (['for="a'], []),
        (["for=a b"], []),
        # A client's open quote, and what a proxy adds behind it.
        (['for=1.2.3.4;x=", for="[2001:db8::9]:80"'], []),
        (['for=1.2.3.4, x="', "for=10.9.9.9"], [{"for": "10.9.9.9"}]),
        (["for=1.2.3.4, " * 500], []),
    ],
)
def test_each_proxy_has_an_element(lines: list[str], elements: list[dict[str, str]]) -> None:
    assert list(forwarded.read(lines)) == elements


@pytest.mark.parametrize(
    ("peer", "line", "client", "host"),
    [
        ("10.0.0.1", "for=203.0.113.9;host=cams.example", "203.0.113.9", "cams.example"),
        ("10.0.0.1", 'for="[2001:db9::1]:_p";host=cams.example', "2001:db9::1", "cams.example"),
        # What stands left of the client that our outermost proxy names is the client's own invention.
        ("10.0.0.1", "for=1.2.3.4;host=evil, for=203.0.113.9;host=a, for=10.0.0.2;host=b", "203.0.113.9", "a"),
        ("10.0.0.1", "for=1.2.3.4;host=evil, for=unknown;host=a", "10.0.0.1", "a"),
        ("10.0.0.1", "for=1.2.3.4;host=evil, host=a", "10.0.0.1", "a"),
        ("10.0.0.1", "for=10.0.0.3;host=a, for=10.0.0.2", "10.0.0.1", "a"),
        ("10.0.0.1", "", "10.0.0.1", ""),
        ("192.0.2.1", "for=203.0.113.9;host=evil", "192.0.2.1", ""),
    ],
)
def test_our_outermost_proxy_says_by_whom_and_as_what_we_were_asked(
    peer: str, line: str, client: str, host: str
) -> None:
    chain = forwarded.read([line])
    assert OURS.client_of(peer, chain) == client
    assert OURS.outermost(peer, chain).get("host", "") == host
