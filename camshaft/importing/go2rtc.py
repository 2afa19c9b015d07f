"""go2rtc's ``go2rtc.yaml``: streams by name, each of one source or several.

Several sources of a stream are tried and mixed by what a viewer takes. Here the first that can be taken is the camera,
and its sub-stream a second one whose address says so, or another stream that is called ``NAME_sub``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from camshaft.importing.address import Address
from camshaft.importing.found import Camera, Found, is_host, mapping, shown, texts

PROGRAM = "go2rtc"
LEVELS = {"trace": "debug", "debug": "debug", "info": "info", "warn": "warning", "error": "error", "fatal": "error"}
MAX_LINKS = 4  # from stream to stream: one that names itself never ends …
MAX_LINKED = 8  # … and streams that one leads to in all: where each names all others there are millions of ways
MAX_SOURCES = 16  # of one stream that are looked at; people write two or three
_SUB_NAME = re.compile(r"(?P<main>.+?)[_.-]?(?:sub(?:[_-]?stream)?|low(?:[_-]?res)?|lq|sd)", re.IGNORECASE)
_MAIN_ENDS = ("", "_main", "-main", "_hd", "-hd", "_hq", "-hq")
_PULLED = re.compile(r"(?:rtsp[sx]?|http[sx]?|rtmps?|srt|udp)://", re.IGNORECASE)
_OPTION = re.compile(r"#(?=[a-z_]+(?:[=#]|\Z))")  # behind an address; another # may be a password's
_DEVICE = re.compile(r"/dev/|device(?:\?|$)")
_LOST = ("header", "rotate", "raw", "drawtext")  # options without which the picture is another one, or none
_ITSELF = re.compile(r"rtsp://(?:[^@/]*@)?(?:127\.0\.0\.1|localhost|\[::1\]):8554/(?P<name>[^?#/]+)", re.IGNORECASE)
_AT_ITS_PORT = re.compile(r"rtsp://(?:[^@/]*@)?[^@/]+:8554/(?P<name>[^?#/]+)", re.IGNORECASE)
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(?P<port>\d{1,5}))?")
_LISTEN = re.compile(r"[^/]*:(?P<port>\d{1,5})(?:/udp)?")


@dataclass(frozen=True, slots=True)
class Source:
    """One source that can be taken."""

    address: Address
    transport: str = ""


class Streams:
    """The streams of a file, and which of them have been taken. ``known``: variables that the file sets itself."""

    def __init__(self, section: object, found: Found, known: Mapping[str, str] = MappingProxyType({})) -> None:
        self._found = found
        self.known = known
        self.sources: dict[str, list[Source]] = {}
        self.used: set[str] = set()
        self._refused: set[str] = set()  # of which it has been said
        self._raw = {str(name): _raw(value) for name, value in mapping(section).items() if isinstance(name, str | int)}
        for name in self._raw:
            self.sources[name] = self._read(name, (name,), {name})
        mains = ((name, self._main_of(name)) for name, sources in self.sources.items() if sources)
        self._mains = {name: main for name, main in mains if main is not None}  # by the name of the sub-stream
        self._subs = {main: name for name, main in self._mains.items() if main not in self._mains}

    def take_rest(self) -> None:
        """Make a camera of each stream that is none's yet."""
        for name in self.sources:
            if name not in self.used and self._subs.get(self._mains.get(name, "")) != name:
                self.take(name)

    def take(self, name: str) -> None:
        """Make a camera of a stream, and of that which is called as its sub-stream is."""
        self.used.add(name)
        sources = self.sources[name]
        if not sources:
            if name not in self._refused:
                self._found.leave(name, "none of its sources can be used")
            return
        camera = Camera(name, sources[0].address)
        if sources[0].transport:
            camera.settings["transport"] = sources[0].transport
        others = [source.address for source in sources[1:] if source.address != camera.url]
        if (sub := self._subs.get(name)) is not None:
            camera.sub = self.sources[sub][0].address
            self.used.add(sub)
        elif others and others[0].is_sub and not camera.url.is_sub:
            camera.sub = others.pop(0)
        if others:
            camera.comments.append(f"{len(others)} more of its sources left out: here a stream has one source")
        self._found.add(camera)

    def _main_of(self, name: str) -> str | None:
        match = _SUB_NAME.fullmatch(name)
        mains = [match["main"] + end for end in _MAIN_ENDS] if match else []
        return next((main for main in mains if self.sources.get(main)), None)

    def _read(self, name: str, way: tuple[str, ...], linked: set[str]) -> list[Source]:
        """The sources of a stream that can be taken. ``way`` are the streams that led here, ``linked`` all so far."""
        sources: list[Source] = []
        for text in self._raw.get(name, [])[:MAX_SOURCES]:
            inner = text.removeprefix("ffmpeg:")
            plain, *options = _OPTION.split(inner)
            other = stream_of(plain) or plain.partition("?")[0]
            if other in self._raw:
                if other not in linked and len(way) < MAX_LINKS and len(linked) < MAX_LINKED:
                    linked.add(other)
                    sources += self._read(other, (*way, other), linked)
                continue  # else: converted from itself, which is done here without being asked for
            transport = next((o.partition("=")[2] for o in options if o.startswith("transport=")), "")
            if why := refusal(plain, transport):
                if len(way) == 1:  # else it is told where it stands
                    self._refused.add(name)
                    self._found.leave(name, why)
            else:
                if lost := [key for key in _LOST if any(option.startswith(f"{key}=") for option in options)]:
                    self._found.leave(f"{name}, {', '.join(lost)}", "not an option of a camera here")
                sources.append(Source(Address.of(plain, self.known), transport if transport in ("tcp", "udp") else ""))
        return sources


def read(document: Mapping[Any, Any]) -> Found:
    """The cameras and settings of a ``go2rtc.yaml``."""
    found = Found(PROGRAM)
    Streams(document.get("streams"), found).take_rest()
    settings(document, found)
    found.leave_keys(document, ("streams", "webrtc", "log"))
    return found


def settings(document: Mapping[Any, Any], found: Found) -> None:
    """Take over what of go2rtc's settings has a counterpart here."""
    level = mapping(document.get("log")).get("level")
    if isinstance(level, str) and level in LEVELS:
        found.set("log", "level", LEVELS[level])
    webrtc(mapping(document.get("webrtc")), found)


def webrtc(section: Mapping[Any, Any], found: Found) -> None:
    """Take over what viewers are told, and the port: the one of ``listen``, else the one that a candidate names."""
    hosts: list[str] = []
    listen = section.get("listen")
    ports = [_LISTEN.fullmatch(listen)] if isinstance(listen, str) else []
    for candidate in texts(section.get("candidates")):
        match = _HOST.fullmatch(candidate)
        ports.append(match)
        host = match["host"].strip("[]") if match else ""
        if host != "stun" and is_host(host):
            hosts.append(host)
        else:
            remedy = "write the address itself into media.advertise, or a STUN server that knows it: stun:HOST:PORT"
            found.leave(f"webrtc.candidates {shown(candidate)}", remedy)
    if hosts:
        found.set("media", "advertise", list(dict.fromkeys(hosts)))
    port = next((int(match["port"]) for match in ports if match and match["port"]), 0)
    if 0 < port <= 65_535:
        found.set("media", "port", port)


def _raw(value: object) -> list[str]:
    """The sources of a stream, as they stand there."""
    value = value.get("url") if isinstance(value, Mapping) else value
    return list(texts(value))


def stream_of(address: str, known: Collection[str] = ()) -> str:
    """The stream of go2rtc that an address leads to; empty if it leads to something else.

    One of the ``known`` names at its port is that stream, whatever name or address the machine is given there.
    """
    if match := _ITSELF.match(address):
        return match["name"]
    match = _AT_ITS_PORT.match(address)
    return match["name"] if match and match["name"] in known else ""


def refusal(plain: str, transport: str = "") -> str:
    """Why a source cannot be taken; empty if it can."""
    if transport.startswith(("ws:", "wss:")):
        return f"{shown(plain)}: RTSP over WebSocket is not supported here"
    if _PULLED.match(plain):
        problem = Address.of(plain).problem
        return problem and f"{shown(plain)}: {problem}"
    if _DEVICE.match(plain):
        return "a device on that machine; here a camera can have the url device:///dev/video0, see docs/sources.md"
    if plain.startswith("/"):
        return f"a file on that machine; here a camera can have the url file://{shown(plain)}, see docs/sources.md"
    kind = shown(plain.partition(":")[0])
    return f"a source of the kind {kind}: is not known here; the camera's rtsp:// address is what to look for"
