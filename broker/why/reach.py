"""The verdict on a viewer that never connected: which way between it and us is closed. No I/O."""

from __future__ import annotations

import ipaddress

from broker.why.evidence import Evidence
from broker.why.links import BrokenLink, Verdict, listed
from common.control import Handshake, Tried

_PORTS = (
    "Open these ports, for UDP and TCP, in every firewall and router on the way (docs/networks.md). Where you cannot, "
    "a TURN server (http.turn_secret) gets through."
)


def unreached(evidence: Evidence) -> Verdict:
    """The first link that is broken on the way between the viewer and us."""
    report = evidence.report
    assert report is not None, "its egress has reported it"
    tried = report.tried
    if tried is None:
        return Verdict(
            BrokenLink.WAY_IN,
            "The viewer has not connected, and its egress process does not say how far it got.",
            "It runs an older version, or the viewer was using the page's own port: check the proxy in front of that.",
        )
    if not tried.offered:
        return Verdict(
            BrokenLink.ADDRESSES,
            "The egress offered no address, so nothing could reach it.",
            "Name one in media.advertise: the machine has no address that others can use.",
        )
    if not tried.heard_from:
        return _unheard(evidence, tried)
    if not tried.answered_at and tried.handshake is Handshake.NONE:
        return Verdict(
            BrokenLink.WAY_OUT,
            f"Checks arrive from {listed(tried.heard_from)}, but our answers do not get back there.",
            "A firewall here lets nothing out, or a router sends the answers another way.",
        )
    if tried.handshake is not Handshake.DONE:
        come = "began but did not finish" if tried.handshake is Handshake.BEGUN else "never began"
        return Verdict(
            BrokenLink.HANDSHAKE,
            f"The path to {listed(tried.heard_from)} is open, but the encryption handshake {come}.",
            "Packets larger than 1,200 bytes may be lost on the way (a tunnel's MTU), or something drops DTLS.",
        )
    return Verdict(
        BrokenLink.HANDSHAKE,
        "The handshake was completed, but the viewer chose no path for the media.",
        "It may have left before; if not, its WebRTC does not follow the standard (RFC 8445 8.1.1).",
    )


def _unheard(evidence: Evidence, tried: Tried) -> Verdict:
    page, offered = evidence.page, listed(tried.offered)
    if page is not None and not page.local:
        return Verdict(
            BrokenLink.BROWSER,
            "The browser has no address of its own for WebRTC, so it tried nothing.",
            "An extension, a VPN or a policy (WebRTC IP handling) prevents that.",
        )
    if page is not None and (refused := [each for each in page.errors if " 401" in each or " 403" in each]):
        return Verdict(
            BrokenLink.WAY_IN,
            f"Nothing reaches {offered}, and the TURN server refuses the viewer: {refused[0]}.",
            "http.turn_secret has to match the TURN server's static-auth-secret, and both clocks have to be right.",
        )
    if _is_public(evidence.address) and not any(map(_is_public, map(_host, tried.offered))):
        return Verdict(
            BrokenLink.ADDRESSES,
            f"The viewer is at {evidence.address}, but was offered only addresses of this network: {offered}.",
            "Name the public address in media.advertise (or stun:HOST there), and forward the ports to this machine.",
        )
    if page is not None and _is_another(page.host, tuple(map(_host, tried.offered))):
        return Verdict(
            BrokenLink.ADDRESSES,
            f"The viewer's page came from {page.host}, but media was offered only at other addresses: {offered}.",
            f"If {page.host} is this machine's outside address, as behind a router or in a container, name it in "
            "media.advertise, and also forward or publish the media ports, for UDP and TCP (docs/networks.md).",
        )
    if not any(each.endswith(" tcp") for each in tried.offered):
        return Verdict(
            BrokenLink.WAY_IN,
            f"Nothing gets from the viewer to {offered}, and TCP was not offered.",
            f"Remove media.tcp: off. {_PORTS}",
        )
    return Verdict(BrokenLink.WAY_IN, f"Nothing gets from the viewer to {offered}.", _PORTS)


def _host(address: str) -> str:
    """The host of ``192.0.2.7:8189 tcp`` or ``[2001:db8::1]:8189``."""
    return address.split(" ")[0].rpartition(":")[0].strip("[]")


def _is_another(host: str, offered: tuple[str, ...]) -> bool:
    """Whether a host is an address that others may use, and none of those offered. Of a name that cannot be told."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return not address.is_loopback and str(address) not in offered


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("/")[0]).is_global
    except ValueError:
        return False
