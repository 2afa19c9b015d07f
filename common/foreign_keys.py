"""Keys that people bring along from the files of go2rtc, MediaMTX and Frigate; no I/O.

A key of theirs is answered with the name that the same thing has here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

GO2RTC, MEDIAMTX, FRIGATE = "go2rtc", "MediaMTX", "Frigate"
_EITHER = f"go2rtc's or {MEDIAMTX}"

_SECTIONS: Mapping[str, tuple[str, str]] = {
    "streams": (GO2RTC, "cameras"),
    "api": (_EITHER, "http"),
    "rtsp": (_EITHER, ""),
    "rtmp": (_EITHER, ""),
    "srtp": (GO2RTC, ""),
    "webrtc": (_EITHER, "media"),
    "hls": (_EITHER, ""),
    "mp4": (GO2RTC, ""),
    "homekit": (GO2RTC, ""),
    "hass": (GO2RTC, ""),
    "ngrok": (GO2RTC, ""),
    "exec": (GO2RTC, ""),
    "preload": (GO2RTC, "cameras.NAME.on_demand"),
    "publish": (GO2RTC, ""),
    "paths": (MEDIAMTX, "cameras"),
    "pathDefaults": (MEDIAMTX, "cameras"),
    "logLevel": (MEDIAMTX, "log.level"),
    "webrtcAddress": (MEDIAMTX, "http.listen"),
    "webrtcLocalUDPAddress": (MEDIAMTX, "media.port"),
    "webrtcAdditionalHosts": (MEDIAMTX, "media.advertise"),
    "webrtcICEServers2": (MEDIAMTX, "http.ice_servers"),
    "go2rtc": (FRIGATE, "cameras"),
    "ffmpeg": (f"go2rtc's or {FRIGATE}", ""),
} | dict.fromkeys(
    ("mqtt", "detectors", "detect", "record", "snapshots", "motion", "objects", "birdseye", "model", "camera_groups"),
    (FRIGATE, ""),
)
"""Keys of the whole file: whose each is, and what stands in its place here."""

_OF_CAMERA: Mapping[str, tuple[str, str]] = {
    "source": (MEDIAMTX, "url"),
    "sourceOnDemand": (MEDIAMTX, "on_demand"),
    "sourceOnDemandCloseAfter": (MEDIAMTX, "keep_after"),
    "sourceFingerprint": (MEDIAMTX, "tls.fingerprint"),
    "rtspTransport": (MEDIAMTX, "transport"),
    "sourceProtocol": (MEDIAMTX, "transport"),
    "ffmpeg": (FRIGATE, "url"),
    "detect": (FRIGATE, "streams.sub"),
    "live": (FRIGATE, "streams"),
}
"""Keys of a camera: whose each is, and what stands in its place here."""

_MEDIAMTX_KEY = re.compile(
    r"(api|auth|hls|log|metrics|moq|multicast|playback|pprof|rtcp|rtmp|rtp|rtsp|runOn|srt|srtp|udp|webrtc|write|read)"
    r"[A-Z0-9]\w{0,60}"
)
"""MediaMTX's names for settings of the whole file, which no other program writes like that."""


def foreign(at: Sequence[str | int]) -> str:
    """A sentence about the unknown key that ``at`` leads to; empty if it is nobody's that is known."""
    known: tuple[str, str] | None = None
    match at:
        case (str(key),):
            known = _SECTIONS.get(key) or ((MEDIAMTX, "") if _MEDIAMTX_KEY.fullmatch(key) else None)
        case ("cameras", _, str(key)):
            known = _OF_CAMERA.get(key)
    if known is None:
        return ""
    whose, ours = known
    instead = f"Camshaft calls it `{ours}`" if ours else "Camshaft has nothing like it"
    return f"this is {whose}'s; {instead}; `camshaft import FILE` converts such a file"
