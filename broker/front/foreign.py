"""Addresses of other servers, which players and pages that were set up for one still ask for: what is here instead.

Nothing is looked up for it, so it tells nobody which cameras there are.
"""

from __future__ import annotations

import re

_WHEP = "a player finds WHEP at /whep/CAMERA"
_PAGE = "the page of a camera is /watch/CAMERA"
_NAME = r"(?:/[^/]{1,128}){1,4}"  # a path of MediaMTX's may have several parts

# By path and query.
_FOREIGN = tuple(
    (re.compile(asked), f"Here {said}.")
    for asked, said in (
        (rf"{_NAME}/whep/?(?:\?|\Z)", _WHEP),  # MediaMTX
        (r"/api/(?:webrtc|whep)\b", _WHEP),  # go2rtc
        (r"/rtc/v1/(?:whep|play)\b", _WHEP),  # SRS
        (r"[^?]*\?(?:[^&]*&)*direction=whep\b", _WHEP),  # OvenMediaEngine
        (rf"(?:{_NAME}/whip|/rtc/v1/whip)\b", "cameras are pulled; nobody can send video here (WHIP)"),
        (r"/(?:stream|webrtc|mse|links)\.html\b|/api/ws\b", _PAGE),  # go2rtc
        (rf"(?:{_NAME}/index|/api/stream|/hls{_NAME})\.m3u8\b", f"there is no HLS; {_PAGE}"),  # MediaMTX, go2rtc
        (r"/api/(?:frame\.jpeg|frame\.mp4|stream\.mjpeg)\b", "a still is /api/cameras/CAMERA/snapshot.jpg"),  # go2rtc
        (r"/whep/?(?:\?|\Z)", _WHEP),
        (r"[^?]{1,512}\.m3u8(?:\?|\Z)", f"there is no HLS; {_PAGE}"),
        (r"[^?]{1,512}\.(?:jpe?g|mjpe?g)(?:\?|\Z)", "a still is /api/cameras/CAMERA/snapshot.jpg"),
        (r"(?:/api)?/(?:health|healthcheck|livez?|ready|status)/?(?:\?|\Z)", "probes are /healthz and /readyz"),
        (r"/(?:docs|swagger|redoc|openapi\.json|api)/?(?:\?|\Z)", "the documentation of the API is /api/docs"),
        (r"/api/streams\b|/v[123]/(?:paths|config)/", "the list of cameras is /api/cameras"),  # go2rtc, MediaMTX
    )
)


def in_place_of(path: str) -> str:
    """A sentence about what is here in place of an address of another server's; empty if it is none.

    ``path`` is that of a request, with its query.
    """
    return next((said for asked, said in _FOREIGN if asked.match(path)), "")
