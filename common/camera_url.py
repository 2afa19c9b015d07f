"""A camera's URL as people paste it: with blanks and quotes around it, and in the spellings of other programs.

What can only mean one thing is put right, so that the file, the variable, the command line and the API take the same;
for the rest there is a sentence that says what to type. No sentence repeats the URL, which may hold a password.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SCHEMES = ("rtsp://", "rtsps://")
MAX_QUOTES = 4  # around each other: a configuration's, a shell's, a chat's

_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))  # zero width: chats and web pages leave them
_QUOTES = {'"': '"', "'": "'", "`": "`", "<": ">", "\u201c": "\u201d", "\u2018": "\u2019", "\u201e": "\u201c"}
_SCHEME = re.compile(r"(rtspx|rtsps?):?([/\\]{1,4})|(rtspx|rtsps?):", re.IGNORECASE)
_OTHER_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,15})://", re.IGNORECASE)
_HOST = re.compile(r"[^/?#\s]")
# UniFi's copy button adds it, and then everything comes encrypted; without it the same stream comes plain.
_ENABLE_SRTP = re.compile(r"([?&])enablesrtp(?:=[^&#]{0,64})?(&|(?=#)|\Z)", re.IGNORECASE)


class PastedUrl(NamedTuple):
    """A URL that begins with ``rtsp://`` or ``rtsps://``. ``unverified``: its spelling says not to verify TLS."""

    url: str
    unverified: bool


def read_pasted(text: str) -> PastedUrl:
    """Read what somebody pasted. Raises ``ValueError`` with what it has to be instead."""
    text = text.translate(_INVISIBLE).strip()
    for _ in range(MAX_QUOTES):
        if len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
            text = text[1:-1].strip()
    found = _SCHEME.match(text)
    if not found:
        raise ValueError(_no_scheme(text))
    scheme, slashes, rest = (found[1] or found[3]).lower(), found[2] or "", text[found.end() :]
    if "\\" in slashes:
        rest = rest.replace("\\", "/")
    if not _HOST.match(rest) or any(c.isspace() or not c.isprintable() for c in rest):
        raise ValueError(
            "must be rtsp://host[:port][/path] without spaces (write %20); user:password@ may stand before the host"
        )
    start = rest.rfind("@") + 1
    path = rest[start:].replace("&amp;", "&")  # from the source of a web page
    path = _ENABLE_SRTP.sub(lambda match: match[1] if match[2] else "", path)
    unverified = scheme == "rtspx"  # go2rtc's and Frigate's spelling for UniFi
    return PastedUrl(f"{'rtsps' if unverified else scheme}://{rest[:start]}{path}", unverified)


def _no_scheme(text: str) -> str:
    must = f"must start with {' or '.join(SCHEMES)}"
    other = _OTHER_SCHEME.match(text)
    if other and other[1].lower() in ("http", "https"):
        return f"{must}; this is the address of a web page, and the camera's manual or ONVIF has the one of its stream"
    if other or not text:
        return must
    return f"{must}; if this is host and path of a camera, type rtsp:// in front of it"
