"""The verdict on a viewer that never connected: which way between it and us is closed. No I/O."""

from __future__ import annotations

import ipaddress

from broker.why.evidence import Evidence
from broker.why.links import Link, Verdict, listed
from common.control import Handshake, Tried

_PORTS = (
    "Let these ports in, by UDP and TCP, at every firewall and router on the way (docs/networks.md); a TURN server "
    "(http.turn_secret) gets through where that cannot be."
)


def unreached(evidence: Evidence) -> Verdict:
    """The first link that is broken on the way between the viewer and us."""
    report = evidence.report
    assert report is not None, "its egress has reported it"
    tried = report.tried
    if tried is None:
        return Verdict(
            Link.WAY_IN,
            "The viewer has not connected, and its egress process does not say how far it came.",
            "It is of an older version, or the viewer was to come by the page's own port: look at the proxy before it.",
        )
    if not tried.offered:
        return Verdict(
            Link.ADDRESSES,
            "The egress has offered no address, so nothing could reach it.",
            "Name one in media.advertise: the machine has none that others could use.",
        )
    if not tried.heard_from:
        return _unheard(evidence, tried)
    if not tried.answered_at and tried.handshake is Handshake.NONE:
        return Verdict(
            Link.WAY_OUT,
            f"Checks come from {listed(tried.heard_from)}, and our answers do not arrive there.",
            "A firewall here lets nothing out, or a router sends it back another way.",
        )
    if tried.handshake is not Handshake.DONE:
        come = "began and was not completed" if tried.handshake is Handshake.BEGUN else "never began"
        return Verdict(
            Link.HANDSHAKE,
            f"The way to {listed(tried.heard_from)} is open, and the handshake of the encryption {come}.",
            "Packets of more than 1,200 bytes may be lost on the way (a tunnel's MTU), or something drops DTLS.",
        )
    return Verdict(
        Link.HANDSHAKE,
        "The handshake was completed, and the viewer has chosen no way for the media.",
        "It may have left before; else its WebRTC is not as the standard has it (RFC 8445 8.1.1).",
    )


def _unheard(evidence: Evidence, tried: Tried) -> Verdict:
    page, offered = evidence.page, listed(tried.offered)
    if page is not None and not page.local:
        return Verdict(
            Link.BROWSER,
            "The browser has no address of its own for WebRTC, so it tried nothing.",
            "An extension, a VPN or a policy (WebRTC IP handling) keeps it from that.",
        )
    if page is not None and (refused := [each for each in page.errors if " 401" in each or " 403" in each]):
        return Verdict(
            Link.WAY_IN,
            f"Nothing reaches {offered}, and the TURN server refuses the viewer: {refused[0]}.",
            "http.turn_secret has to be the TURN server's own (static-auth-secret), and both clocks have to be right.",
        )
    if _is_public(evidence.address) and not any(map(_is_public, map(_host, tried.offered))):
        return Verdict(
            Link.ADDRESSES,
            f"The viewer is at {evidence.address}, and was offered addresses of this network alone: {offered}.",
            "Name the public address in media.advertise (or stun:HOST there), and forward the ports to this machine.",
        )
    if page is not None and _is_another(page.host, tuple(map(_host, tried.offered))):
        return Verdict(
            Link.ADDRESSES,
            f"The viewer's page came from {page.host}, and media was offered at other addresses alone: {offered}.",
            f"If this machine is known by {page.host} outside, as one behind a router and a container are, name it in "
            "media.advertise, and forward or publish the ports of media as well, by UDP and TCP (docs/networks.md).",
        )
    if not any(each.endswith(" tcp") for each in tried.offered):
        return Verdict(
            Link.WAY_IN,
            f"Nothing gets from the viewer to {offered}, and TCP was not offered.",
            f"Take media.tcp: off away. {_PORTS}",
        )
    return Verdict(Link.WAY_IN, f"Nothing gets from the viewer to {offered}.", _PORTS)


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
