"""Remedies for a camera that refuses a request, or does not answer it, in words for a person; no I/O.

A maker is told by how its cameras call themselves: by the ``Server`` header, or by the realm of their login. That is
for sentences alone; nothing that is done depends on it.
"""

from __future__ import annotations

import re

from ingest.rtsp.url import RtspUrl

# Where a maker's cameras have their streams, by what their answers call the sender; the first that fits counts.
_PATHS = tuple(
    (re.compile(mark, re.MULTILINE | re.IGNORECASE), said)
    for mark, said in (
        (r"^BC Streaming Media", "Reolink's cameras have /h264Preview_01_main and /h264Preview_01_sub"),
        (r"Hikvision|^IP Camera\(", "Hikvision's cameras have /Streaming/Channels/101, and 102 for the sub-stream"),
        (
            r"Dahua|^Login to |Rtsp Server/3",
            "Dahua's and Amcrest's cameras have /cam/realmonitor?channel=1&subtype=0, and subtype=1 for the sub-stream",
        ),
        (r"^AXIS_", "Axis' cameras have /axis-media/media.amp"),
        (r"TP-LINK", "TP-Link's cameras have /stream1, and /stream2 for the sub-stream"),
        (r"iPOLiS", "Hanwha's cameras have /profile2/media.smp"),
        (r"Hipcam", "cameras of this kind have /11, and /12 for the sub-stream"),
        (r"H264DVR", "cameras of this kind have /user=NAME&password=PASSWORD&channel=1&stream=0.sdp"),
        (r"UBNT", "UniFi Protect shows the path of each of its streams"),
        (r"gortsplib", "MediaMTX has the paths that its configuration names, while something is sent there"),
    )
)

_BARE = re.compile(r"rtsps?://[^/?]*/?")
_NO_PATH = "; the URL has no path, and this camera needs one: see its own page or its manual"
_NO_STREAM = "; check the path in its URL, and restart the camera if that is right"
_NO_ACCOUNT = "; the camera may want a user name and password in its URL"
_FORBIDDEN = "; its account may not watch this stream, or the camera answers only some addresses: check its settings"
_SAID = {401, 453, 461, 503}  # what the state says, or what is tried next, is enough
_FAULTS = {406, 500, 502, 504}  # to a request that was right; Tapo answers 406 until it is restarted
_FAULT = "; restart the camera if this continues"
_PROXY = "; a proxy in between wants its own login, which is not supported: connect to the camera without it"
_NOWHERE = "; it redirects without saying where: type the address of the stream itself"

# Ports of cameras that are not for RTSP, and what they are for.
_PORTS = {
    80: "web pages",
    443: "web pages",
    8080: "web pages",
    1935: "RTMP",
    2020: "ONVIF on TP-Link's cameras",
    8000: "Hikvision's own programs",
    8800: "TP-Link's own programs",
    9000: "Reolink's own programs",
    34567: "Xiongmai's own programs",
    37777: "Dahua's own programs",
}


def remedy(status: int, method: str, url: str, *, server: str, realm: str, anonymous: bool) -> str:
    """The remedy for an answer with that status, as the end of a sentence; empty if the state says it all.

    ``method`` and ``url`` are what was asked for, ``server`` and ``realm`` are what the camera calls itself.
    ``anonymous``: its URL has no user.
    """
    if status == 403:
        return _NO_ACCOUNT if anonymous else _FORBIDDEN
    if status == 407:
        return _PROXY
    if status in (404, 410):
        named = f"{realm}\n{server}"
        unknown = _NO_PATH if _BARE.fullmatch(url) else ""
        return next((f"; {said}" for mark, said in _PATHS if mark.search(named)), unknown)
    if status == 503 and "GStreamer" in server:
        return "; GStreamer's server also says so if its pipeline does not start"
    if status in _SAID or status < 300:
        return ""
    if status < 400:
        return _NOWHERE
    return _NO_STREAM if method == "DESCRIBE" and status not in _FAULTS else _FAULT


def unanswered(method: str, url: RtspUrl | None) -> str:
    """A sentence about a request that nobody answers; ``url`` is that of the camera, if it has answered none at all."""
    said = f"no reply to {method} came in time"
    if url is None:
        return said
    if url.tunnel:
        return f"{said}: port {url.port} accepts RTSP inside HTTP but does not answer; restart the camera"
    usual = f" ({url.port} is usually for {_PORTS[url.port]})" if url.port in _PORTS else ""
    port = f"port {url.port} accepts the connection, but nothing there answers in RTSP"
    tls = ", write rtsps:// if it is the TLS port" if url.scheme == "rtsp" else ""
    return f"{said}: {port}; check that it is the RTSP port{usual}{tls}, or restart the camera, if it is full"
