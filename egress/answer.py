"""Writes the SDP answer to an offer that was understood (RFC 8829, RFC 9143, RFC 8839); pure.

A section that we do not serve is rejected with port 0; the first of a bundle is answered as inactive instead, because
Chromium looks there for the transport of all. Of an ICE restart it is only a fragment.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiortc import sdp
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from common.media import Kind
from egress.formats import Format
from egress.media.feed import Source
from egress.negotiation import Negotiated, Section
from egress.offer import PLAYOUT_DELAY, TRANSPORT_CC

_TCP_HOST_PREFERENCE = 90  # as browsers have it: below host (126), peer and server reflexive (110, 100) by UDP
_PASSIVE = 4
_FEEDBACK = {("nack", None), ("nack", "pli"), ("ccm", "fir"), ("goog-remb", None)}


@dataclass(frozen=True, slots=True)
class TransportDescription:
    """Our side of the transport that every section shares (RFC 9143)."""

    ufrag: str
    password: str = field(repr=False)
    fingerprint: str  # "sha-256 AB:CD…"
    candidates: tuple[tuple[str, int], ...]  # address and port, most preferred first
    tcp_candidates: tuple[tuple[str, int], ...] = ()  # the same of those who accept connections


def write_answer(
    negotiated: Negotiated, transport: TransportDescription, sources: Mapping[Kind, Source], name: str
) -> str:
    """The SDP answer. ``name`` identifies the media stream to the page and groups audio with video."""
    served = dict(zip(negotiated.places, negotiated.sections, strict=True))
    inactive = negotiated.inactive
    lines = [
        "v=0",
        f"o=- {secrets.randbits(62)} 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        f"a=msid-semantic: WMS {name}",
    ]
    if negotiated.offer.bundle:
        mids = [section.mid for section in negotiated.sections]
        lines.append(f"a=group:BUNDLE {' '.join(mids if inactive is None else [inactive, *mids])}")
    for place, media in enumerate(negotiated.offer.media):
        if section := served.get(place):
            lines += _served(media, section, transport, sources[section.kind], name)
        else:
            inactivated = media.rtp.muxId == inactive
            lines += _inactive(media, transport) if inactivated else _rejected(media, transport)
    return "\r\n".join(lines) + "\r\n"


def write_fragment(transport: TransportDescription, mid: str, kind: Kind) -> str:
    """Our side of an ICE restart, for a session of whose bundle ``mid`` is one: an ICE fragment (RFC 8840 9)."""
    lines = [
        "a=ice-lite",
        f"a=ice-ufrag:{transport.ufrag}",
        f"a=ice-pwd:{transport.password}",
        f"m={kind} 9 UDP/TLS/RTP/SAVPF 0",
        *([f"a=mid:{mid}"] if mid else []),
        *_candidates(transport),
    ]
    return "\r\n".join(lines) + "\r\n"


def _rejected(media: sdp.MediaDescription, transport: TransportDescription) -> list[str]:
    """RFC 8829 5.3.1: port 0, the offer's protocol and one of its formats.

    The transport is said here, too: GStreamer's webrtcbin refuses an answer with a section that has no fingerprint. And
    the format's codec, without which pion does ("payload type not found").
    """
    head = f"m={media.kind} 0 {media.profile} {media.fmt[0]}"
    named = [f"a=rtpmap:{each.payloadType} {each}" for each in media.rtp.codecs if each.payloadType == media.fmt[0]]
    return [head, "c=IN IP4 0.0.0.0", "a=inactive", *_mid(media), *_transport(transport), *named]


def _inactive(media: sdp.MediaDescription, transport: TransportDescription) -> list[str]:
    """No media, but the transport of the bundle (RFC 9143 7.3.1)."""
    codec = media.rtp.codecs[0]
    return [
        f"m={media.kind} 9 {media.profile} {codec.payloadType}",
        "c=IN IP4 0.0.0.0",
        *_mid(media),
        "a=inactive",
        *_transport(transport),
        f"a=rtpmap:{codec.payloadType} {codec}",
        *_candidates(transport),
    ]


def _mid(media: sdp.MediaDescription) -> list[str]:
    return [f"a=mid:{media.rtp.muxId}"] if media.rtp.muxId else []


def _served(
    media: sdp.MediaDescription, section: Section, transport: TransportDescription, source: Source, name: str
) -> list[str]:
    by_type = {codec.payloadType: codec for codec in media.rtp.codecs}
    types = [pt for f in section.formats for pt in (f.payload_type, f.rtx) if pt is not None]
    lines = [
        f"m={media.kind} 9 {media.profile} {' '.join(map(str, types))}",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        *_mid(media),
        "a=sendonly",
        *_transport(transport),
        f"a=msid:{name} {name}-{media.kind}",
    ]
    if section.transport_cc:
        lines.append(f"a=extmap:{section.transport_cc} {TRANSPORT_CC}")
    if section.playout_delay:
        lines.append(f"a=extmap:{section.playout_delay} {PLAYOUT_DELAY}")
    for each in section.formats:
        lines += _format_lines(by_type[each.payload_type], each, transport_cc=bool(section.transport_cc))
    # Chromium takes the first a=ssrc of a section for the media's, so the RTX one comes second.
    named = [source.ssrc]
    if any(each.rtx is not None for each in section.formats):
        lines.append(f"a=ssrc-group:FID {source.ssrc} {source.rtx_ssrc}")
        named.append(source.rtx_ssrc)
    return [*lines, *(f"a=ssrc:{ssrc} cname:{name}" for ssrc in named), *_candidates(transport)]


def _transport(transport: TransportDescription) -> list[str]:
    return [
        "a=rtcp-mux",
        f"a=ice-ufrag:{transport.ufrag}",
        f"a=ice-pwd:{transport.password}",
        f"a=fingerprint:{transport.fingerprint}",
        "a=setup:passive",
    ]


def _format_lines(codec: RTCRtpCodecParameters, accepted: Format, *, transport_cc: bool) -> list[str]:
    pt = codec.payloadType
    lines = [f"a=rtpmap:{pt} {codec}"]
    lines += [
        f"a=rtcp-fb:{pt} {feedback.type}{f' {feedback.parameter}' if feedback.parameter else ''}"
        for feedback in codec.rtcpFeedback
        if (feedback.type, feedback.parameter) in _FEEDBACK or (transport_cc and feedback.type == "transport-cc")
    ]
    if codec.parameters:
        lines.append(f"a=fmtp:{pt} {sdp.parameters_to_sdp(codec.parameters)}")
    if accepted.rtx is not None:
        lines += [f"a=rtpmap:{accepted.rtx} rtx/{codec.clockRate}", f"a=fmtp:{accepted.rtx} apt={pt}"]
    return lines


def _candidates(transport: TransportDescription) -> list[str]:
    lines = [_candidate(rank, address, port) for rank, (address, port) in enumerate(transport.candidates)]
    first = len(lines)
    lines += [_tcp_candidate(first, rank, *endpoint) for rank, endpoint in enumerate(transport.tcp_candidates)]
    return [*lines, "a=end-of-candidates"]


def _candidate(rank: int, address: str, port: int) -> str:
    """RFC 8839 5.1; priority as RFC 8445 5.1.2.1: type preference 126 for host, then our order."""
    priority = (126 << 24) | ((65_535 - rank) << 8) | 255
    return f"a=candidate:{rank + 1} 1 udp {priority} {address} {port} typ host"


def _tcp_candidate(first: int, rank: int, address: str, port: int) -> str:
    """RFC 6544 4.5; all of them come after UDP, for which 4.2 lowers the type preference.

    The local preference is 4.2's, too: direction 4 for a host candidate that is passive, then our order.
    """
    priority = (_TCP_HOST_PREFERENCE << 24) | ((_PASSIVE << 13 | 8_191 - rank) << 8) | 255
    return f"a=candidate:{first + rank + 1} 1 tcp {priority} {address} {port} typ host tcptype passive"
