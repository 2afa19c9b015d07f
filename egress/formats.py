"""Which payload types of an offer can carry a camera's track: codec, profile, retransmissions (RFC 8829 5.3); pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiortc import sdp

from common.media import CLOCK_RATES, Track

_LAST_RESORT = 100
REFUSED = _LAST_RESORT + 1  # no fit at all
_MAIN_10 = 2  # general_profile_idc, ITU-T H.265 A.3.3

# By a stream's H.264 profile, the others whose decoders can play it (RFC 6184 8.1, ITU-T H.264 A.2), best match first.
_H264 = sdp.H264Profile
_H264_DECODERS = {
    _H264.PROFILE_CONSTRAINED_BASELINE: (_H264.PROFILE_BASELINE, _H264.PROFILE_MAIN, _H264.PROFILE_HIGH),
    _H264.PROFILE_BASELINE: (_H264.PROFILE_CONSTRAINED_BASELINE,),
    _H264.PROFILE_MAIN: (_H264.PROFILE_HIGH,),
    _H264.PROFILE_CONSTRAINED_HIGH: (_H264.PROFILE_HIGH,),
    _H264.PROFILE_HIGH: (_H264.PROFILE_CONSTRAINED_HIGH,),
}
_H264_BY_IDC = {"42": _H264.PROFILE_BASELINE, "4d": _H264.PROFILE_MAIN, "64": _H264.PROFILE_HIGH}


@dataclass(frozen=True, slots=True)
class Format:
    """One payload type that the viewer accepts."""

    payload_type: int
    codec: str  # as in ``Track.carried``
    profile: str = ""  # of the offer, as in ``Track.profile``
    rtx: int | None = None  # payload type of its retransmissions (RFC 4588)


def formats_for(media: sdp.MediaDescription, track: Track) -> list[Format]:
    """The offer's payload types for ``track``: the best match, or all where the track's profile is not known."""
    if track.carried not in CLOCK_RATES:  # it travels to converters alone, in pieces that are no payloads
        return []
    wanted = track.codec.lower(), track.clock_rate
    offered = [(pt, c) for c in media.rtp.codecs if (pt := c.payloadType) is not None]
    found = [(pt, c) for pt, c in offered if (c.name.lower(), c.clockRate) == wanted]
    if track.codec == "L16":  # RFC 3551 6: one channel where a format names none
        found = [(pt, c) for pt, c in found if (c.channels or 1) == track.channels]
    rtx = {c.parameters.get("apt"): pt for pt, c in reversed(offered) if c.name.lower() == "rtx"}
    if track.codec == "H264":
        # FU-A needs mode 1 (RFC 6184 6.3). Viewers that offer no such format take it all the same: depacketisers go by
        # the NAL unit type, and GStreamer's and pion's users write formats without any parameter.
        found = [(pt, c) for pt, c in found if str(c.parameters.get("packetization-mode", "0")) == "1"] or found
    ranked = []
    for pt, codec in found:
        profile = _profile(track.codec, codec.parameters)
        misfit = mismatch(track.codec, profile, track.profile)
        if misfit < REFUSED:
            ranked.append((misfit, Format(pt, track.carried, profile, rtx.get(pt))))
    if track.profile or track.codec != "H264":
        ranked = [min(ranked, key=lambda each: each[0])] if ranked else []
    return [form for _, form in ranked]


def _profile(codec: str, parameters: Mapping[str, object]) -> str:
    """The profile that a format's parameters name, with the defaults of its payload format."""
    match codec:
        case "H264":  # RFC 6184 8.1: Baseline, level 1
            return str(parameters.get("profile-level-id", "42000a"))
        case "H265":  # RFC 7798 7.1: Main, Main tier, level 3.1
            defaults = {"profile-id": 1, "tier-flag": 0, "level-id": 93}
            return ";".join(f"{name}={parameters.get(name, default)}" for name, default in defaults.items())
        case "VP9":  # RFC 9628 6
            return str(parameters.get("profile-id", 0))
        case "AV1":  # RTP Payload Format For AV1, 7.2.1
            return str(parameters.get("profile", 0))
    return ""


def mismatch(codec: str, offered: str, sent: str) -> int:
    """How badly a decoder for profile ``offered`` fits a stream of profile ``sent``; 0 is exact."""
    match codec:
        case "H264":
            return _h264_mismatch(offered, sent)
        case "H265":
            return _h265_mismatch(offered, sent)
        case "VP9" | "AV1":  # whose decoders take one profile each; until it is known: that of 8 bits and 4:2:0
            return 0 if offered == (sent or "0") else REFUSED
    return 0


def _h265_mismatch(offered: str, sent: str) -> int:
    """RFC 7798 7.1: a decoder of Main 10 takes Main, one of a higher tier or level what is below it.

    Cameras claim higher levels than they need, so a level that is too low is a last resort and not a refusal.
    """
    if not sent:
        return 0
    try:
        have, need = (dict(field.split("=") for field in text.split(";")) for text in (offered, sent))
        profiles = int(have["profile-id"]), int(need["profile-id"])
        tiers = int(have["tier-flag"]), int(need["tier-flag"])
        levels = int(have["level-id"]), int(need["level-id"])
    except (KeyError, ValueError):
        return REFUSED
    if profiles[0] < profiles[1] or profiles[0] > _MAIN_10 or tiers[0] < tiers[1]:
        return REFUSED
    return (profiles[0] != profiles[1]) + (tiers[0] != tiers[1]) if levels[0] >= levels[1] else _LAST_RESORT


def _h264_mismatch(offered: str, sent: str) -> int:
    """Browsers on some platforms announce Constrained Baseline alone and still decode Main and High.

    So another profile of those that browsers decode is a last resort and not a refusal.
    """
    if not sent:
        return 0
    have, need = _h264_profile(offered), _h264_profile(sent)
    if need not in _H264_DECODERS:
        return _LAST_RESORT if have is need and have else REFUSED
    also = (need, *_H264_DECODERS[need])
    return also.index(have) if have in also else _LAST_RESORT


def _h264_profile(level_id: str) -> sdp.H264Profile | None:
    try:
        return sdp.parse_h264_profile_level_id(level_id)[0]
    except ValueError:  # cameras set constraint flags and levels that the strict table does not have
        return _H264_BY_IDC.get(level_id[:2].lower())
