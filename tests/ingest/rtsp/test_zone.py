"""A camera may lead us so far and no further."""

from __future__ import annotations

import pytest

from ingest.rtsp.zone import Zone, may_lead, zone_of


@pytest.mark.parametrize(
    ("address", "zone"),
    [
        ("127.0.0.1", Zone.LOOPBACK),
        ("127.8.9.1", Zone.LOOPBACK),
        ("0.0.0.0", Zone.LOOPBACK),
        ("::", Zone.LOOPBACK),
        ("::1", Zone.LOOPBACK),
        ("::ffff:127.0.0.1", Zone.LOOPBACK),
        ("169.254.169.254", Zone.LINK),
        ("::ffff:169.254.169.254", Zone.LINK),
        ("fe80::1", Zone.LINK),
        ("fe80::1%eth0", Zone.LINK),
        ("fd00:ec2::254", Zone.LINK),
        ("100.100.100.200", Zone.LINK),
        ("10.0.0.7", Zone.ANYWHERE),
        ("192.168.1.4", Zone.ANYWHERE),
        ("fd12::1", Zone.ANYWHERE),
        ("2001:db8::1", Zone.ANYWHERE),
    ],
)
def test_zones(address: str, zone: Zone) -> None:
    assert zone_of(address) is zone


@pytest.mark.parametrize(
    ("origin", "address", "may"),
    [
        ("192.168.1.4", "192.168.1.5", True),
        ("192.168.1.4", "203.0.113.1", True),
        ("192.168.1.4", "127.0.0.1", False),
        ("192.168.1.4", "169.254.169.254", False),
        ("127.0.0.1", "::1", True),
        ("127.0.0.1", "169.254.169.254", False),
        ("169.254.3.4", "169.254.3.5", True),
        ("169.254.3.4", "127.0.0.1", False),
    ],
)
def test_a_camera_leads_only_where_it_is_itself(origin: str, address: str, may: bool) -> None:
    assert may_lead(origin, address) is may
