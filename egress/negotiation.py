"""From a viewer's SDP offer and a camera's tracks to what the viewer will get (RFC 8829, RFC 9143); pure.

From the offer are taken exactly the payload types that can carry what the camera sends, with the offer's own numbers.
If there is none, the error says what the camera sends and what the browser would take.

While a camera's tracks are not known yet, every codec that we can send is kept open, and the payload type is chosen
when the stream comes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Protocol

from aiortc import sdp

from common.cameras import CameraName
from common.control import CONVERTERS_FULL
from common.errors import RequestError
from common.media import CONVERTED, G711, L16_RATES, Kind, Rendition, Track, as_it_came, converted
from egress.formats import REFUSED, Format, formats_for, mismatch
from egress.offer import MAX_CACHED, PLAYOUT_DELAY, TRANSPORT_CC, ParsedOffer, read, reduce
from egress.wire.certificate import Fingerprint, usable
from egress.wire.ice import Credentials

UNKNOWN = {
    Kind.VIDEO: tuple(Track(Kind.VIDEO, codec, 90_000) for codec in ("H264", "H265", "VP8", "VP9", "AV1")),
    Kind.AUDIO: (
        Track(Kind.AUDIO, "opus", 48_000, 2),
        *(Track(Kind.AUDIO, c, 8_000) for c in ("PCMU", "PCMA", "G722")),
        *(Track(Kind.AUDIO, "L16", rate, channels) for channels in (1, 2) for rate in L16_RATES),
    ),
}
"""The tracks that may come from a camera that has never played."""

_NO_FINGERPRINT = (
    "The SDP offer has no a=fingerprint that can be checked: one by sha-256, sha-384 or sha-512, in pairs of "
    "hexadecimal digits with colons between them."
)
_NO_H264 = (
    "The browser lacks H.264: in Firefox, turn on the OpenH264 plug-in (Add-ons, Plugins), or use another browser."
)
_RECEIVING = (None, "recvonly", "sendrecv")
_NOTHING_WANTED = (
    "The SDP offer asks for no picture or sound: a player's has a section for each with a=recvonly. "
    "An offer that sends (a=sendonly) is one of WHIP, which this address does not take."
)
_FULL = "The camera has to be converted for this browser, but every transcode worker is full; try again in a moment."
_MAX_NAMES, _MAX_NAME = 16, 24  # codecs that the sentence lists, characters of each: an offer may hold any text


@dataclass(frozen=True, slots=True)
class Section:
    """One media section that we serve."""

    mid: str
    kind: Kind
    formats: tuple[Format, ...]
    transport_cc: int = 0  # id of the transport-wide sequence number's header extension, 0 without
    playout_delay: int = 0  # id of the playout delay's, 0 without
    converted: bool = False  # whether the viewer gets what a converter makes of the camera's track
    convertible: bool = False  # whether it may get that yet, if the camera sends what it does not take
    other: bool = False  # whether it is of the other stream, as this one has no such track
    made: str = ""  # codec of what a converter makes for the viewer, if it is not the usual one

    def choose(self, codec: str, profile: str = "") -> Format | None:
        """The payload type for a stream, best profile match first; ``None`` where no decoder of the viewer's fits."""
        ranked = [(mismatch(codec, f.profile, profile), f) for f in self.formats if f.codec == codec]
        misfit, best = min(ranked, key=lambda each: each[0], default=(REFUSED, None))
        return best if misfit < REFUSED else None


@dataclass(frozen=True, slots=True)
class Negotiated:
    """The agreement of an offer and a camera's tracks."""

    sections: tuple[Section, ...]
    fingerprints: tuple[Fingerprint, ...]  # of the viewer's certificate
    ice: Credentials
    inactive: str | None  # mid of the section that has the bundle's transport and no media, if there is such a one
    offer: ParsedOffer = field(repr=False)
    places: tuple[int, ...]  # of the sections, among the media sections of the offer: names need not tell them apart


class Terms(Protocol):
    """The part of an agreement that its session keeps."""

    @property
    def sections(self) -> tuple[Section, ...]:
        """See ``Negotiated``."""

    @property
    def fingerprints(self) -> tuple[Fingerprint, ...]:
        """See ``Negotiated``."""

    @property
    def ice(self) -> Credentials:
        """See ``Negotiated``."""


def negotiate(
    offer: str,
    tracks: Iterable[Track],
    convertible: Collection[Kind] = (),
    unconverted: str = "",
    others: Iterable[Track] | None = None,
) -> Negotiated:
    """Choose what of ``offer`` to serve with the ``tracks`` of a camera's stream (none: not known yet).

    ``others`` are those of another stream that the viewer may be moved to, ``None`` if there is no such stream.

    Kinds that are ``convertible`` are served by what a converter makes where the offer takes nothing that comes, or no
    browser shows it as it should be; ``unconverted`` says why others are not.

    Raises ``RequestError``: 400 for an offer that is not valid or not WebRTC, 406 if none of its codecs will do, 503 if
    one will as soon as a converter has room.
    """
    reduced, own = reduce(offer)
    cacheable = len(reduced) <= MAX_CACHED
    common = (_negotiate if cacheable else _negotiate.__wrapped__)(
        reduced, tuple(tracks), tuple(convertible), unconverted, None if others is None else tuple(others)
    )
    fingerprints = tuple(Fingerprint(each.algorithm, own.get(each.value, "")) for each in common.fingerprints)
    if not any(map(usable, fingerprints)):
        raise RequestError(400, "not_webrtc", _NO_FINGERPRINT)
    ice = Credentials(
        own.get(common.ice.ufrag, ""), own.get(common.ice.password.decode(), "").encode("utf-8", "replace")
    )
    return replace(common, fingerprints=fingerprints, ice=ice)


@lru_cache(maxsize=32)  # parsing a browser's offer takes longer than the rest of its handshake
def _negotiate(
    reduced: str,
    tracks: tuple[Track, ...],
    convertible: tuple[Kind, ...] = (),
    unconverted: str = "",
    others: tuple[Track, ...] | None = None,
) -> Negotiated:
    """Negotiate for everybody with this browser and camera: what is a viewer's own is still a key of ``reduce``'s.

    The result is shared. Raises ``RequestError``.
    """
    offer = read(reduced)
    sections: list[Section] = []
    places: list[int] = []
    # Without BUNDLE one section is served: the picture, wherever it stands.
    for place, media in sorted(
        enumerate(offer.media), key=lambda each: not offer.bundle and each[1].kind != Kind.VIDEO
    ):
        kind = _servable_kind(media, offer, sections)
        if kind is None:
            continue
        formats, is_converted = _formats(media, kind, tracks, kind in convertible)
        of_other = not formats and kind is Kind.AUDIO and bool(others)
        if of_other and others is not None:
            formats, is_converted = _formats(media, kind, others, kind in convertible)
        spare = _spare(media, kind, formats) if kind in convertible and not is_converted else None
        if not formats:
            if kind is Kind.VIDEO and unconverted == CONVERTERS_FULL and _come(kind, tracks):
                raise RequestError(503, "converters_full", _FULL)  # rather than sound alone
            continue
        if "SAVP" not in media.profile:  # RFC 8829 5.1.2: feedback is meant whatever the profile says
            raise _not_webrtc(media, f"uses {media.profile}, not UDP/TLS/RTP/SAVPF")
        ids = _extensions(media) if kind is Kind.VIDEO else (0, 0)
        accepted = tuple(dict.fromkeys(formats + _formats_of(media, kind, others) + (spare or ())))
        may_convert = is_converted or spare is not None
        places.append(place)
        made = _made(media, kind).codec
        sections.append(Section(media.rtp.muxId, kind, accepted, *ids, is_converted, may_convert, of_other, made))
    if not sections:
        if unconverted == CONVERTERS_FULL and any(track.playable for track in tracks):
            raise RequestError(503, "converters_full", _FULL)
        raise _no_usable_codec(offer, tracks, unconverted)
    inactive = _inactive_tag(offer, [section.mid for section in sections])
    tagged = _tagged(offer, [offer.media[place] for place in places]) if inactive is None else inactive
    fingerprints, ice = _transport_of(tagged)
    mid = None if inactive is None else inactive.rtp.muxId
    return Negotiated(tuple(sections), fingerprints, ice, mid, offer, tuple(places))


def renditions_for(
    sections: Iterable[Section], camera: CameraName, tracks: Sequence[Track], convertible: Collection[Kind]
) -> dict[Kind, Rendition]:
    """The rendition of each kind for a session that has these ``sections``, and is to show ``camera`` from now on.

    Of a kind of which it takes nothing there is none. ``tracks`` are the camera's, empty if they are not known yet.
    """
    renditions: dict[Kind, Rendition] = {}
    for section in sections:
        come = _come(section.kind, tracks)
        taken = not tracks or any(section.choose(track.carried, track.profile) for track in come)
        made = section.made or CONVERTED[section.kind].codec
        may_convert = section.kind in convertible and section.choose(made) is not None
        if come and may_convert and (not taken or _is_shown_wrongly(come[0])):
            renditions[section.kind] = converted(camera, section.kind, made)
        elif taken:
            renditions[section.kind] = as_it_came(camera)
    return renditions


def _formats(
    media: sdp.MediaDescription, kind: Kind, tracks: Sequence[Track], convertible: bool
) -> tuple[tuple[Format, ...], bool]:
    """The payload types for what a viewer gets of a kind, and whether a converter makes that."""
    come = _come(kind, tracks) if tracks else UNKNOWN[kind]
    choices = [(come, False)]
    if come and tracks and convertible:
        choices.insert(0 if _is_shown_wrongly(come[0]) else 1, ((_made(media, kind),), True))
    for choice, is_converted in choices:
        if formats := tuple(found for track in choice for found in formats_for(media, track)):
            return formats, is_converted
    return (), False


def _formats_of(media: sdp.MediaDescription, kind: Kind, others: tuple[Track, ...] | None) -> tuple[Format, ...]:
    """The payload types for the stream that the viewer may be moved to."""
    if others is None:
        return ()
    come = _come(kind, others) if others else UNKNOWN[kind]
    return tuple(found for track in come for found in formats_for(media, track))


def _spare(media: sdp.MediaDescription, kind: Kind, formats: tuple[Format, ...]) -> tuple[Format, ...] | None:
    """The payload types beside ``formats`` for what a converter makes; ``None`` if the viewer does not take that."""
    track = _made(media, kind)
    if any(form.codec == track.codec for form in formats):
        return ()
    return tuple(formats_for(media, track)) or None


def _made(media: sdp.MediaDescription, kind: Kind) -> Track:
    """The track that a converter makes for the viewer: the usual, or of sound the first of ``G711`` that it takes."""
    usual = CONVERTED[kind]
    others = () if kind is Kind.VIDEO or formats_for(media, usual) else G711
    return next((track for track in others if formats_for(media, track)), usual)


def _is_shown_wrongly(track: Track) -> bool:
    """Whether a viewer that takes it shows it otherwise than it should be; sound is heard as it is, or not taken."""
    return bool(track.convert) and track.kind is Kind.VIDEO


def _come(kind: Kind, tracks: Sequence[Track]) -> tuple[Track, ...]:
    return tuple(track for track in tracks if track.kind is kind and track.playable)


def _servable_kind(media: sdp.MediaDescription, offer: ParsedOffer, served: list[Section]) -> Kind | None:
    """The kind of a section that wants media we might have; ``None`` to reject it."""
    if not media.port and media.rtp.muxId not in offer.bundle_only:  # RFC 3264 5.1: the viewer does not want it
        return None
    if media.kind not in list(Kind) or media.direction not in _RECEIVING:
        return None
    kind = Kind(media.kind)
    if any(section.kind is kind for section in served):
        return None
    if offer.bundle is None:  # without BUNDLE each section would need a transport of its own: serve one
        return None if served else kind
    return kind if media.rtp.muxId in offer.bundle else None


def _tagged(offer: ParsedOffer, served: list[sdp.MediaDescription]) -> sdp.MediaDescription:
    """The section whose transport all share; the others need not describe it (RFC 9143 7.3.1, RFC 8829 5.2.1).

    It is the group's first that we serve, that is not bundle-only and that has one. If there is none, it is the first
    that is not bundle-only and has one: what we reject there is its media.
    """
    if not offer.bundle:
        return served[0]
    by_mid = {media.rtp.muxId: media for media in offer.media}
    group = [by_mid[mid] for mid in offer.bundle if mid in by_mid]
    return min(
        group, key=lambda media: (not media.port, not (media.dtls and media.dtls.fingerprints), media not in served)
    )


def _inactive_tag(offer: ParsedOffer, served: Collection[str]) -> sdp.MediaDescription | None:
    """The first section of the bundle if it is one of media, not served, and not refused by the viewer itself.

    Chromium with the policy max-bundle takes no answer that rejects it (RFC 9143 7.3.3 would let the next one lead).
    """
    if not offer.bundle or offer.bundle[0] in served:
        return None
    first = next((media for media in offer.media if media.rtp.muxId == offer.bundle[0]), None)
    return first if first is not None and first.port and first.kind in list(Kind) and first.rtp.codecs else None


def _transport_of(media: sdp.MediaDescription) -> tuple[tuple[Fingerprint, ...], Credentials]:
    """Fingerprints and credentials of the transport that ``media`` describes.

    Raises ``RequestError`` if it is no transport of WebRTC's.
    """
    if media.dtls is None or not media.dtls.fingerprints:
        raise _not_webrtc(media, "has no a=fingerprint")
    if media.dtls.role == "server":
        raise _not_webrtc(media, "has a=setup:passive, and so has this server")
    if media.ice is None or not media.ice.usernameFragment or not media.ice.password:
        raise _not_webrtc(media, "has no a=ice-ufrag and a=ice-pwd")
    if media.ice.iceLite:
        raise _not_webrtc(media, "is ICE-lite, and so is this server")
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


def _no_usable_codec(offer: ParsedOffer, tracks: Sequence[Track], unconverted: str) -> RequestError:
    media = offer.media
    if all(_servable_kind(each, offer, []) is None for each in media):
        return RequestError(406, "nothing_wanted", _NOTHING_WANTED)
    sends = ", ".join(map(_describe, tracks)) or "H264, opus, PCMU or PCMA"
    names = sorted({c.name[:_MAX_NAME] for m in media for c in m.rtp.codecs} - {"rtx", "red", "ulpfec"})
    takes = ", ".join(name for name in names[:_MAX_NAMES] if name.isprintable()) or "nothing"
    message = f"This browser cannot play the camera. The camera sends {sends}; the offer accepts {takes}."
    if unconverted and any(track.playable for track in tracks):
        message += f" It is not converted, because {unconverted}."
        if all(track.codec != "H264" for track in tracks if track.kind is Kind.VIDEO):
            message += " Set the camera to H.264, which all browsers play."
    lacks_h264 = any(m.kind == Kind.VIDEO for m in media) and "H264" not in map(str.upper, names)
    if lacks_h264 and (not tracks or any(track.codec == "H264" and track.playable for track in tracks)):
        message += f" {_NO_H264}"
    return RequestError(406, "no_usable_codec", message)


def _describe(track: Track) -> str:
    if track.problem:
        return f"{track.codec} ({track.problem.rstrip('.')})"
    named = track.profile and "=" not in track.profile  # H.265's says nothing to people
    return f"{track.codec} (profile {track.profile})" if named else track.codec
