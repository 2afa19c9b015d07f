"""From a viewer's SDP offer and a camera's tracks to our answer (RFC 8829, RFC 9143, RFC 8839); pure.

The answer takes from the offer exactly the payload types that can carry what the camera sends, with the offer's own
numbers and parameters. A section that we cannot serve is rejected with port 0; the first of a bundle is answered as
inactive instead, because Chromium looks there for the transport of all. If nothing can be served, the error says what
the camera sends and what the browser would take.

While a camera's tracks are not known yet, every codec that we can send is kept open, and the payload type is chosen
when the stream comes.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from aiortc import sdp
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from common.errors import RequestError
from common.media import Kind, Track
from egress.formats import Format, formats_for, mismatch
from egress.offer import MAX_CACHED, PLAYOUT_DELAY, TRANSPORT_CC, Offer, read, reduce
from egress.wire.certificate import Fingerprint
from egress.wire.ice import Credentials

UNKNOWN = {
    Kind.VIDEO: tuple(Track(Kind.VIDEO, codec, 90_000) for codec in ("H264", "H265", "VP8", "VP9", "AV1")),
    Kind.AUDIO: (
        Track(Kind.AUDIO, "opus", 48_000, 2),
        *(Track(Kind.AUDIO, c, 8_000) for c in ("PCMU", "PCMA", "G722")),
    ),
}
"""What may come from a camera that has never played."""


@dataclass(frozen=True, slots=True)
class Section:
    """One media section that we serve."""

    mid: str
    kind: Kind
    formats: tuple[Format, ...]
    transport_cc: int = 0  # id of the transport-wide sequence number's header extension, 0 without
    playout_delay: int = 0  # id of the playout delay's, 0 without

    def choose(self, codec: str, profile: str = "") -> Format | None:
        """The payload type for a stream, best profile match first."""
        usable = [f for f in self.formats if f.codec == codec]
        return min(usable, key=lambda f: mismatch(codec, f.profile, profile), default=None)


@dataclass(frozen=True, slots=True)
class Negotiated:
    """The offer, understood."""

    sections: tuple[Section, ...]
    fingerprints: tuple[Fingerprint, ...]  # of the viewer's certificate
    ice: Credentials
    offer: Offer = field(repr=False)


@dataclass(frozen=True, slots=True)
class Transport:
    """Our side of the transport that every section shares (RFC 9143)."""

    ufrag: str
    password: str = field(repr=False)
    fingerprint: str  # "sha-256 AB:CD…"
    candidates: tuple[tuple[str, int], ...]  # address and port, most preferred first


@dataclass(frozen=True, slots=True)
class Source:
    """The SSRCs of one kind of media."""

    ssrc: int
    rtx_ssrc: int


def negotiate(offer: str, tracks: Iterable[Track]) -> Negotiated:
    """Choose what of ``offer`` to serve with the camera's ``tracks`` (none: not known yet).

    Raises ``RequestError``: 400 for an offer that is not valid or not WebRTC, 406 if none of its codecs will do.
    """
    reduced, own = reduce(offer)
    cacheable = len(reduced) <= MAX_CACHED
    common = (_negotiate if cacheable else _negotiate.__wrapped__)(reduced, tuple(tracks))
    fingerprints = tuple(Fingerprint(each.algorithm, own.get(each.value, "")) for each in common.fingerprints)
    ice = Credentials(
        own.get(common.ice.ufrag, ""), own.get(common.ice.password.decode(), "").encode("utf-8", "replace")
    )
    return replace(common, fingerprints=fingerprints, ice=ice)


@lru_cache(maxsize=32)  # parsing a browser's offer takes longer than the rest of its handshake
def _negotiate(reduced: str, tracks: tuple[Track, ...]) -> Negotiated:
    """See ``negotiate``. What is returned is shared."""
    offer = read(reduced)
    wanted = {kind: tuple(t for t in tracks if t.kind is kind and t.playable) for kind in Kind} if tracks else UNKNOWN
    sections: list[Section] = []
    for media in offer.media:
        kind = _servable_kind(media, offer, sections)
        if kind is None:
            continue
        formats = tuple(f for track in wanted[kind] for f in formats_for(media, track))
        if not formats:
            continue
        if "SAVPF" not in media.profile:
            raise _not_webrtc(media, f"uses {media.profile}, not UDP/TLS/RTP/SAVPF")
        sections.append(Section(media.rtp.muxId, kind, formats, *(_extensions(media) if kind is Kind.VIDEO else ())))
    if not sections:
        raise _no_usable_codec(offer.media, tracks)
    served = [section.mid for section in sections]
    tag = _inactive_tag(offer, served)
    fingerprints, ice = _transport_of(_tagged(offer, served) if tag is None else tag)
    return Negotiated(tuple(sections), fingerprints, ice, offer)


def write_answer(negotiated: Negotiated, transport: Transport, sources: dict[Kind, Source], name: str) -> str:
    """The SDP answer. ``name`` identifies the media stream to the page and groups audio with video."""
    served = {section.mid: section for section in negotiated.sections}
    bundle = negotiated.offer.bundle
    tag = _inactive_tag(negotiated.offer, served)
    lines = [
        "v=0",
        f"o=- {secrets.randbits(62)} 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        f"a=msid-semantic: WMS {name}",
    ]
    if bundle:
        lines.append(f"a=group:BUNDLE {' '.join([tag.rtp.muxId, *served] if tag else served)}")
    for media in negotiated.offer.media:
        section = served.get(media.rtp.muxId)
        if section is not None:
            lines += _served(media, section, transport, sources[section.kind], name)
        else:
            lines += _inactive(media, transport) if media is tag else _rejected(media, transport)
    return "\r\n".join(lines) + "\r\n"


def _servable_kind(media: sdp.MediaDescription, offer: Offer, served: list[Section]) -> Kind | None:
    """The kind of a section that wants media we might have; ``None`` to reject it."""
    if not media.port and media.rtp.muxId not in offer.bundle_only:  # RFC 3264 5.1: the viewer does not want it
        return None
    if media.kind not in list(Kind) or media.direction not in (None, "recvonly", "sendrecv"):
        return None
    kind = Kind(media.kind)
    if any(section.kind is kind for section in served):
        return None
    if offer.bundle is None:  # without BUNDLE each section would need a transport of its own: serve one
        return None if served else kind
    return kind if media.rtp.muxId in offer.bundle else None


def _tagged(offer: Offer, served: list[str]) -> sdp.MediaDescription:
    """The section whose transport all share; the others need not describe it (RFC 9143 7.3.1, RFC 8829 5.2.1).

    It is the group's first that we serve and that is not bundle-only. If there is none, it is the first that is not
    bundle-only: what we reject there is its media.
    """
    by_mid = {media.rtp.muxId: media for media in offer.media}
    group = [by_mid[mid] for mid in offer.bundle or served if mid in by_mid]
    return min(group, key=lambda media: (not media.port, media.rtp.muxId not in served))


def _inactive_tag(offer: Offer, served: Collection[str]) -> sdp.MediaDescription | None:
    """The first section of the bundle if it is one of media, not served, and not refused by the viewer itself.

    Chromium with the policy max-bundle takes no answer that rejects it (RFC 9143 7.3.3 would let the next one lead).
    """
    if not offer.bundle or offer.bundle[0] in served:
        return None
    first = next((media for media in offer.media if media.rtp.muxId == offer.bundle[0]), None)
    return first if first is not None and first.port and first.kind in list(Kind) and first.rtp.codecs else None


def _transport_of(media: sdp.MediaDescription) -> tuple[tuple[Fingerprint, ...], Credentials]:
    """Those of the transport that ``media`` describes. Raises ``RequestError`` if it is none of WebRTC."""
    if media.dtls is None or not media.dtls.fingerprints:
        raise _not_webrtc(media, "has no a=fingerprint and a=setup")
    if media.dtls.role == "server":
        raise _not_webrtc(media, "has a=setup:passive, and so have we")
    if media.ice is None or not media.ice.usernameFragment or not media.ice.password:
        raise _not_webrtc(media, "has no a=ice-ufrag and a=ice-pwd")
    if media.ice.iceLite:
        raise _not_webrtc(media, "is ICE-lite, and so are we")
    if media.kind in list(Kind) and not media.rtcp_mux:
        raise _not_webrtc(media, "has no a=rtcp-mux")
    fingerprints = tuple(Fingerprint(each.algorithm, each.value) for each in media.dtls.fingerprints)
    return fingerprints, Credentials(media.ice.usernameFragment, media.ice.password.encode())


def _not_webrtc(media: sdp.MediaDescription, problem: str) -> RequestError:
    return RequestError(400, "not_webrtc", f"The SDP offer's {media.kind} section {problem}.")


def _extensions(media: sdp.MediaDescription) -> tuple[int, int]:
    """Ids of the transport-wide sequence number, if the offer has its feedback too, and of the playout delay beside it.

    Zero for one that is not to be used. One-byte headers know ids up to 14 (RFC 8285 4.2).
    """
    offered = {extension.uri: extension.id for extension in media.rtp.headerExtensions if 0 < extension.id < 15}
    if not any(feedback.type == "transport-cc" for codec in media.rtp.codecs for feedback in codec.rtcpFeedback):
        return 0, 0
    transport_cc = offered.get(TRANSPORT_CC, 0)
    return transport_cc, offered.get(PLAYOUT_DELAY, 0) if transport_cc else 0


def _no_usable_codec(media: Sequence[sdp.MediaDescription], tracks: Sequence[Track]) -> RequestError:
    sends = ", ".join(map(_describe, tracks)) or "H264, opus, PCMU or PCMA"
    names = sorted({c.name[:_MAX_NAME] for m in media for c in m.rtp.codecs} - {"rtx", "red", "ulpfec"})
    takes = ", ".join(name for name in names[:_MAX_NAMES] if name.isprintable()) or "nothing"
    message = f"This browser cannot play the camera. The camera sends {sends}; the offer takes {takes}."
    lacks_h264 = any(m.kind == Kind.VIDEO for m in media) and "H264" not in map(str.upper, names)
    if lacks_h264 and (not tracks or any(track.codec == "H264" and track.playable for track in tracks)):
        message += f" {_NO_H264}"
    return RequestError(406, "no_usable_codec", message)


def _describe(track: Track) -> str:
    if track.problem:
        return f"{track.codec} ({track.problem.rstrip('.')})"
    return f"{track.codec} (profile {track.profile})" if track.profile else track.codec


_NO_H264 = (
    "H.264 is missing in the browser: in Firefox switch on the plug-in OpenH264 (Add-ons, Plugins), "
    "or use another browser."
)
_MAX_NAMES, _MAX_NAME = 16, 24  # codecs that the sentence lists, characters of each: an offer may hold any text


def _rejected(media: sdp.MediaDescription, transport: Transport) -> list[str]:
    """RFC 8829 5.3.1: port 0, the offer's protocol and one of its formats.

    The transport is said here, too: GStreamer's webrtcbin refuses an answer with a section that has no fingerprint.
    """
    head = f"m={media.kind} 0 {media.profile} {media.fmt[0]}"
    return [head, "c=IN IP4 0.0.0.0", "a=inactive", *_mid(media), *_transport(transport)]


def _inactive(media: sdp.MediaDescription, transport: Transport) -> list[str]:
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
    media: sdp.MediaDescription, section: Section, transport: Transport, source: Source, name: str
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
    for form in section.formats:
        lines += _format_lines(by_type[form.payload_type], form, transport_cc=bool(section.transport_cc))
    # Chromium takes the first a=ssrc of a section for the media's, so the RTX one comes second.
    ssrcs = [source.ssrc]
    if any(form.rtx is not None for form in section.formats):
        lines.append(f"a=ssrc-group:FID {source.ssrc} {source.rtx_ssrc}")
        ssrcs.append(source.rtx_ssrc)
    return [*lines, *(f"a=ssrc:{ssrc} cname:{name}" for ssrc in ssrcs), *_candidates(transport)]


def _transport(transport: Transport) -> list[str]:
    return [
        "a=rtcp-mux",
        f"a=ice-ufrag:{transport.ufrag}",
        f"a=ice-pwd:{transport.password}",
        f"a=fingerprint:{transport.fingerprint}",
        "a=setup:passive",
    ]


def _format_lines(codec: RTCRtpCodecParameters, form: Format, *, transport_cc: bool) -> list[str]:
    pt = codec.payloadType
    lines = [f"a=rtpmap:{pt} {codec}"]
    lines += [
        f"a=rtcp-fb:{pt} {feedback.type}{f' {feedback.parameter}' if feedback.parameter else ''}"
        for feedback in codec.rtcpFeedback
        if (feedback.type, feedback.parameter) in _FEEDBACK or (transport_cc and feedback.type == "transport-cc")
    ]
    if codec.parameters:
        lines.append(f"a=fmtp:{pt} {sdp.parameters_to_sdp(codec.parameters)}")
    if form.rtx is not None:
        lines += [f"a=rtpmap:{form.rtx} rtx/{codec.clockRate}", f"a=fmtp:{form.rtx} apt={pt}"]
    return lines


_FEEDBACK = {("nack", None), ("nack", "pli"), ("ccm", "fir"), ("goog-remb", None)}


def _candidates(transport: Transport) -> list[str]:
    addresses = enumerate(transport.candidates)
    return [*(_candidate(rank, address, port) for rank, (address, port) in addresses), "a=end-of-candidates"]


def _candidate(rank: int, address: str, port: int) -> str:
    """RFC 8839 5.1; priority as RFC 8445 5.1.2.1: type preference 126 for host, then our order."""
    priority = (126 << 24) | ((65_535 - rank) << 8) | 255
    return f"a=candidate:{rank + 1} 1 udp {priority} {address} {port} typ host"
