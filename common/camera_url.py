"""A camera's URL as people paste it: with blanks and quotes around it, and in the spellings of other programs.

What can only mean one thing is put right, so that the file, the variable, the command line and the API take the same;
for the rest there is a sentence that says what to type. No sentence repeats the URL, which may hold a password.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from difflib import get_close_matches
from typing import NamedTuple
from urllib.parse import unquote

SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt", "udp", "file", "device")
"""Schemes of sources, in the order in which people are told of them."""

ALLOWED = SCHEMES[:4]
"""Schemes that need no setting: with the others a camera could be a file or a device of the server's."""

INSIDE_HTTP = "+http"
"""Behind ``rtsp`` or ``rtsps``: for cameras of which only the web server is reached. It is allowed where those are."""

RTSP = (*SCHEMES[:2], *(f"{scheme}{INSIDE_HTTP}" for scheme in SCHEMES[:2]))
MAX_QUOTES = 4  # around each other: a configuration's, a shell's, a chat's

# Zero width, soft hyphens, and marks of the direction of writing: chats, web pages and phones leave them.
_INVISIBLE = dict.fromkeys(
    [0xAD, 0x61C, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF]
)
_QUOTES = {'"': '"', "'": "'", "`": "`", "<": ">", "\u201c": "\u201d", "\u2018": "\u2019", "\u201e": "\u201c"}
_QUOTES |= {"\u00ab": "\u00bb", "(": ")", "[": "]", "*": "*"}
_STRAY_QUOTES = "\"'`<>\u201c\u201d"  # of which the other one was not copied; no URL begins or ends with one
_STRAY_QUOTES_ALONE = _STRAY_QUOTES.translate(dict.fromkeys(map(ord, "<>")))
_NAMES = "(rtspx|rtspsh|rtsph|rtsps?(?:[+]https?)?)"
_SCHEME = re.compile(rf"{_NAMES}(?: ?[:;.,] ?([/\\]{{1,4}}) ?| ?([/\\]{{1,4}})[ :]?|:)", re.IGNORECASE)
_JSON = re.compile(r"[a-z+]{4,11}:\\/\\/", re.IGNORECASE)  # as a string stands there, slashes escaped
_INSIDE = {"rtsph": "rtsp", "rtsp+http": "rtsp"}  # of HTTP: how GStreamer, MediaMTX and others spell it
_INSIDE |= dict.fromkeys(("rtspsh", "rtsp+https", "rtsps+http", "rtsps+https"), "rtsps")
_SOURCE = re.compile(r"(https?|httpx|rtmps?|srt|udp):[/\\]{1,4}|(file|device):[/\\]{1,4}", re.IGNORECASE)
_OTHER_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,15}):(?://|(?=[?.\w]))", re.IGNORECASE)
_FILE = re.compile(r"/|~|[a-z]:[\\/]|\\\\|[^@:]+[.](?:mp4|mkv|avi|mov|ts|jpe?g|png)\Z", re.IGNORECASE)
_AGAIN = re.compile(r"(?:https?|rtsps?)://", re.IGNORECASE)
_SECOND = re.compile(r"[;,|+\s](?:[\w.-]{1,64}=)?rtsps?://", re.IGNORECASE)
_ONE = "must be one address; a second one goes to the sub-stream (streams.sub.url)"
_ALONE = "must be rtsp://host[:port][/path] alone, without spaces (write %20); user:password@ may come before the host"
_HOST = re.compile(r"[^/?#\s]")
_END_OF_HOST = re.compile(r"[/?#]")
# ffmpeg:rtsp://, vlc://rtsp://, RTSP: rtsp://, mjpeg:http://
_OF_ANOTHER = re.compile(
    r"(?:[a-z][a-z0-9+.-]{0,15}:(?://)?|rtsp(?: url)? ?: +)(?=rtsps?://)|"
    r"(?!rtsp)[a-z][a-z0-9+.-]{0,15}:(?://)?(?=https?://)",
    re.IGNORECASE,
)
_BEHIND = ",;"  # of a list
_ESCAPES = ("\\n", "\\r", "\\t")  # of a text in a program
_SHELL = re.compile(
    r"\\(?=[?=&#;!*()$'\" ])|\^(?=[&^])"
)  # how shells that help with pasting quote what they would read
_ENCODED = re.compile(r"rtsps?%3a%2f%2f", re.IGNORECASE)
_AMONG_OTHERS = re.compile(r"rtsps?://", re.IGNORECASE)
_WIDE = str.maketrans("\uff1a\uff0f\uff0e\uff20\uff1f\uff1d\uff06", ":/.@?=&")  # of East Asian keyboards
_WIDE_SCHEME = re.compile("rtsps?\uff1a", re.IGNORECASE)
_SPELLINGS = {
    **dict.fromkeys(("rtspt", "rtsp+tcp", "rtsp-tcp"), "type rtsp://, and set transport to tcp"),
    **dict.fromkeys(("rtspu", "rtsp+udp", "rtsp-udp"), "type rtsp://, and set transport to udp"),
    **dict.fromkeys(
        ("rtsp+ws", "rtsp+wss", "rtsps+ws", "rtsps+wss"),
        "RTSP inside a WebSocket is not supported; type rtsp:// with the port for RTSP",
    ),
    **dict.fromkeys(
        (
            *(
                "alsa",
                "bubble",
                "doorbird",
                "dvrip",
                "echo",
                "eseecloud",
                "exec",
                "expr",
                "ffmpeg",
                "flussonic",
                "gopro",
            ),
            "hass",
            *("homekit", "isapi", "ivideon", "kasa", "multitrans", "nest", "ring", "roborock", "tapo", "tuya", "v4l2"),
            *("vigi", "wyze", "xiaomi", "yandex"),
        ),
        "this is a go2rtc source; type the camera's own rtsp:// address, or go2rtc's: rtsp://HOST:8554/NAME",
    ),
    "udp+mpegts": "type udp://",
    **dict.fromkeys(("hls", "m3u8", "mjpeg", "mjpg", "http+mjpeg", "mjpeg+http"), "type http://, or https://"),
    **dict.fromkeys(
        ("udp+rtp", "unix+rtp", "unix+mpegts"),
        "RTP without RTSP is not supported; have it sent as MPEG-TS, and type udp://",
    ),
    "onvif": "ONVIF is not used to find a camera's address; type the rtsp:// one, which its own page shows",
    **dict.fromkeys(
        ("webrtc", "whep", "whip", "ws", "wss"), "cameras are not pulled over WebRTC; type the rtsp:// address"
    ),
    **dict.fromkeys(("rtps", "rstp", "rtp", "rtcp", "rstps", "rtssp", "rtspp"), "type rtsp://"),
}
_NAME = "(?:(?:your|camera|cam)[ _-]?)?(?:user(?:name)?|login|pass(?:word|wd)?|pwd|ip|host(?:name)?|address|port)"
_PLACEHOLDER = re.compile(
    rf"<[^<>]+>|\$?\{{(?:{_NAME}|(?-i:[A-Z0-9_]+))\}}|\[{_NAME}\]|\$(?-i:[A-Z_]{{3,}})|%(?-i:[A-Z_]{{3,}})%",
    re.IGNORECASE,
)
_HIDDEN = "*"  # in place of a user in Frigate's logs; *** is what our own answers show
NO_NAME = r"(?:(?:your|my)[-_])?(?:(?:cam|camera|nvr|dvr)[-_]?)?ip(?:[-_]?addr(?:ess)?)?"
"""In place of a host: a placeholder, in any case."""

_ONVIF = re.compile("/onvif/device_service", re.IGNORECASE)
_NO_NAME = re.compile(NO_NAME, re.IGNORECASE)
_UNKNOWN_DIGITS = re.compile(r"(?:[0-9]{1,3}|[xX*]{1,3})(?:\.(?:[0-9]{1,3}|[xXyYzZnN*]{1,3})){3}")
_PLACE_IN_PATH = re.compile(r"<[A-Za-z][\w -]*>|\[[A-Za-z_]{3,}\]|(?<!\$)\{[A-Za-z_]{3,}\}")
_DOTS = re.compile("[\u2022\u25cf]+")  # what browsers show of a password
# admin/password@192.0.2.7: what stands before the slash would be the host.
_SLASH_LOGIN = re.compile(r"[^/@?#:]+/[^/@?#]+@(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?=[:/?#]|\Z)")
_NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]*)*")  # a host that no name can be
_BARE_IPV6 = re.compile(r"[0-9a-f]*(?::[0-9a-f]*){2,}(?:%\w+)?", re.IGNORECASE)
# UniFi's copy button adds it, and then everything comes encrypted; without it the same stream comes plain.
_ENABLE_SRTP = re.compile(r"([?&])enablesrtp(?:=[^&#]{0,64})?(&|(?=#)|\Z)", re.IGNORECASE)


class PastedUrl(NamedTuple):
    """A URL of one of ``SCHEMES``. ``unverified``: its spelling says not to verify TLS."""

    url: str
    unverified: bool


def read_pasted(text: str) -> PastedUrl:
    """Read what somebody pasted. Raises ``ValueError`` with what it has to be instead."""
    text = text.translate(_INVISIBLE).strip()
    if text[:1] in _QUOTES:
        text = text.rstrip(",;")
    for _ in range(MAX_QUOTES):
        if len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
            text = text[1:-1].strip()
    text = text.strip(_STRAY_QUOTES if text.count("<") != text.count(">") else _STRAY_QUOTES_ALONE).rstrip(_BEHIND)
    while text.endswith(_ESCAPES):
        text = text[:-2]
    text = text.rstrip("\\")  # a command goes on in the next line
    if text.count(")") > text.count("("):
        text = text.rstrip(")")
    if _JSON.match(text):
        text = text.replace("\\/", "/")
    if _ENCODED.match(text):
        text = unquote(text)
    if found := _OF_ANOTHER.match(text):
        text = text[found.end() :]
    if _WIDE_SCHEME.match(text):
        text = text.translate(_WIDE)
    if found := _SOURCE.match(text):
        return _source(found, text[found.end() :])
    found = _SCHEME.match(text)
    if not found:
        raise ValueError(_no_scheme(text))
    scheme, slashes, rest = found[1].lower(), found[2] or found[3] or "", text[found.end() :]
    if "\\" in slashes:
        rest = rest.replace("\\u0026", "&").replace("\\", "/")
    if _SECOND.search(rest[rest.rfind("@") + 1 :]):
        raise ValueError(_ONE)
    if not _HOST.match(rest) or any(c.isspace() or not c.isprintable() for c in rest):
        raise ValueError(_ALONE)
    if _SLASH_LOGIN.match(rest):
        raise ValueError("put a colon between user name and password; in a path write @ as %40")
    start = rest.rfind("@") + 1
    if "/" not in rest[:start] and rest[start:].lower().startswith(f"{scheme}://"):  # a login before a whole address
        rest = rest[:start] + rest[start + len(f"{scheme}://") :]
    path = _SHELL.sub("", rest[start:].replace("\\u0026", "&").replace("&amp;", "&")).replace("\\", "/")
    host = _END_OF_HOST.split(path, maxsplit=1)[0]
    plain = unicodedata.normalize("NFKC", host)  # East Asian keyboards have digits of their own
    if " " in plain:  # an accent that stands alone
        raise ValueError(_ALONE)
    path = plain + path[len(host) :]
    _check(rest[: start - 1] if start else "", path)
    path = _ENABLE_SRTP.sub(lambda match: match[1] if match[2] else "", path)
    if "/" not in rest[:start]:  # else it may be the end of a path
        path = _plain_ipv4(path)
    unverified = scheme == "rtspx"  # go2rtc's and Frigate's spelling for UniFi
    if inner := _INSIDE.get(scheme):
        scheme = f"{inner}{INSIDE_HTTP}"
    return PastedUrl(f"{'rtsps' if unverified else scheme}://{rest[:start]}{path}", unverified)


def refusal(url: str, allowed: Collection[str]) -> str:
    """Why a camera may not have that URL; empty if it may. ``allowed`` is what ``sources.allow`` has."""
    scheme = url.partition(":")[0].lower().removesuffix(INSIDE_HTTP)
    if scheme in allowed:
        return ""
    has = ", ".join(each for each in SCHEMES if each in allowed) or "nothing"
    return f"sources of the kind {scheme}: are not allowed here; add {scheme} to sources.allow, which has {has}"


def _check(credentials: str, path: str) -> None:
    """Raises ``ValueError`` for what stands in an address until somebody puts in their own."""
    user, _, password = credentials.partition(":")
    host = _END_OF_HOST.split(path, maxsplit=1)[0]
    name, _, _port = host.partition(":")
    if (
        _PLACEHOLDER.match(host)
        or _NO_NAME.fullmatch(name)
        or (_UNKNOWN_DIGITS.fullmatch(name) and not name.replace(".", "").isdigit())
    ):
        raise ValueError("the host is a placeholder; put in the camera's real name or address")
    if _PLACEHOLDER.fullmatch(user) or user == _HIDDEN or _PLACEHOLDER.fullmatch(password) or _DOTS.fullmatch(password):
        raise ValueError("user name or password is a placeholder; put in the camera's real ones")
    if "/" not in credentials and (again := _AGAIN.match(path)):
        raise ValueError(f"must have the host behind rtsp://; leave {again[0].lower()} out")
    if _PLACE_IN_PATH.search(path, len(host)):
        raise ValueError("the path holds a placeholder; put in what the camera's manual or its own page says")
    if _SECOND.search(path):
        raise ValueError(_ONE)
    _check_host(host)


def _check_host(host: str) -> None:
    """Raises ``ValueError`` for a host and port that cannot be."""
    if _BARE_IPV6.fullmatch(host) or (("[" in host) != ("]" in host) and host.count(":") > 1):
        raise ValueError("put an IPv6 address in brackets, such as rtsp://[2001:db8::7]:554/live")
    if "," in host or ";" in host:
        raise ValueError("a host has no comma or semicolon; an address has dots, and a colon before the port")
    _, _, port = host.rpartition("]")[2].partition(":")
    if ":" in port:
        raise ValueError("the host has two ports; leave one out")
    if port and not (port.isascii() and port.isdecimal() and len(port) < 6 and 0 < int(port) < 65_536):
        raise ValueError("the port, which follows the host and a colon, must be a number from 1 to 65535")


def _plain_ipv4(path: str) -> str:
    """An IPv4 address at the beginning without leading zeros, which the system would read as octal numbers.

    Raises ``ValueError`` for numbers that are none: the system would take 192.0.2 for 192.0.0.2, and 554 for 0.0.2.42.
    """
    found = _NUMBERS.match(path)
    if not found or path[found.end() : found.end() + 1] not in ("", ":", "/", "?", "#"):
        return path
    numbers = found[0].split(".")
    if len(numbers) == 1:
        raise ValueError("the host is only a number; a port follows the host and a colon, such as rtsp://camera:554/")
    if len(numbers) != 4 or not all(each and len(each) <= 3 and int(each) <= 255 for each in numbers):
        raise ValueError("the host looks like an IPv4 address but is not one; those have four numbers up to 255")
    return ".".join(str(int(each)) for each in numbers) + path[found.end() :]


def _source(found: re.Match[str], rest: str) -> PastedUrl:
    scheme = (found[1] or found[2]).lower()
    if _ONVIF.search(rest):
        raise ValueError(_SPELLINGS["onvif"])
    if not rest or any(c.isspace() or not c.isprintable() for c in rest):
        what = "host[:port][/path]" if found[1] else "/path"
        raise ValueError(f"must be {scheme}://{what} without spaces (write %20)")
    if scheme == "httpx":  # go2rtc's spelling
        return PastedUrl(f"https://{rest}", unverified=True)
    return PastedUrl(f"{scheme}://{rest}" if found[1] else f"{scheme}:///{rest}", unverified=False)


def _no_scheme(text: str) -> str:
    must = f"must start with {', '.join(f'{scheme}://' for scheme in SCHEMES[:-1])} or {SCHEMES[-1]}://"
    if _FILE.match(text):
        whole = "the whole path, such as file:///srv/clip.mp4"
        return f"{must}; if this is a path of the server's, type file:// or device:// in front of it, and {whole}"
    if other := _OTHER_SCHEME.match(text):
        name = other[1].lower()
        if name in _SPELLINGS:
            return f"{name}:// is not known here: {_SPELLINGS[name]}"
        if close := get_close_matches(name, SCHEMES, 1, 0.75):
            return f"{name}:// is not known here: type {close[0]}://"
        if other[0].endswith("//"):
            return must
    if not text:
        return must
    if _AMONG_OTHERS.search(text):
        return "must be the address alone: begin with rtsp://, and leave out what comes before it"
    return f"{must}; if this is host and path of a camera, type rtsp:// in front of it"
