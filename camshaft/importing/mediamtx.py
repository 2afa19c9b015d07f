"""MediaMTX's ``mediamtx.yml``: paths by name, of which those are cameras that it pulls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from camshaft.importing.address import Address
from camshaft.importing.found import Camera, Found, is_host, mapping, shown, switched, texts
from common.address import split_ice_server
from common.config_file import parse_camera
from common.config_types import MIN_SECRET
from common.errors import ConfigError

PROGRAM = "MediaMTX"
LEVELS = {"debug": "debug", "info": "info", "warn": "warning", "error": "error"}
MOST_KEPT = 86_400.0  # seconds, of ``keep_after``
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|h|m|s|d)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_PULLED = re.compile(r"(?:rtsps?(?:\+https?)?|rtmps?|https?|srt|udp)://", re.IGNORECASE)
_MPEG_TS = re.compile(r"udp\+mpegts(?=://)", re.IGNORECASE)  # its newer name for what udp:// is
_SOURCES = {"rpiCamera": "is a camera inside that machine", "redirect": "redirects players, and pulls nothing"}
_GROUP = re.compile(r"\$(?:G\d|MTX_\w)")
_TAKEN = (
    "paths",
    "pathDefaults",
    "logLevel",
    "webrtcAdditionalHosts",
    "webrtcICEHostNAT1To1IPs",
    "webrtcLocalUDPAddress",
    "webrtcICEUDPMuxAddress",
    "webrtcICEServers2",
)


def read(document: Mapping[Any, Any]) -> Found:
    """The cameras and settings of a ``mediamtx.yml``."""
    found = Found(PROGRAM)
    defaults = mapping(document.get("pathDefaults"))
    for name, path in mapping(document.get("paths")).items():
        if isinstance(name, str | int):
            _take(str(name), {**defaults, **mapping(path)}, found)
    _settings(document, found)
    found.leave_keys(document, _TAKEN)
    return found


def _take(name: str, path: Mapping[Any, Any], found: Found) -> None:
    source = path.get("source", "publisher")
    source = _MPEG_TS.sub("udp", source) if isinstance(source, str) else source
    if name.startswith("~") or name in ("all", "all_others"):
        found.leave(name, "matches many paths; here a camera has one name")
    elif source == "publisher" or not isinstance(source, str):
        found.leave(name, "waits for a publisher, but here cameras are pulled")
    elif source in _SOURCES:
        found.leave(name, _SOURCES[source])
    elif not _PULLED.match(source) or _GROUP.search(source):
        found.leave(name, f"{shown(source)} is not the address of a camera that could be pulled here")
    else:
        camera = Camera(name, Address(source.replace("$", "$$")))
        _take_options(camera, path)
        found.add(camera)


def _take_options(camera: Camera, path: Mapping[Any, Any]) -> None:
    transport = path.get("rtspTransport", path.get("sourceProtocol"))
    if transport in ("tcp", "udp", "multicast"):
        camera.settings["transport"] = transport
    elif transport not in (None, "automatic"):
        camera.comments.append(f"transport {shown(str(transport)) if isinstance(transport, str) else '?'} not taken")
    if switched(path.get("sourceOnDemand")):
        camera.settings["on_demand"] = True
        kept = _seconds(path.get("sourceOnDemandCloseAfter"))
        if kept is not None:
            camera.settings["keep_after"] = min(kept, MOST_KEPT)
    fingerprint = path.get("sourceFingerprint")
    if isinstance(fingerprint, str) and fingerprint:
        tls = {"fingerprint": fingerprint}
        try:
            parse_camera({"url": camera.url.example, "tls": tls})
        except ConfigError as exc:
            camera.comments.append(f"sourceFingerprint not taken: {exc.problem}")
        else:
            camera.settings["tls"] = tls


def _settings(document: Mapping[Any, Any], found: Found) -> None:
    level = document.get("logLevel")
    if isinstance(level, str) and level in LEVELS:
        found.set("log", "level", LEVELS[level])
    hosts = []
    for key in ("webrtcAdditionalHosts", "webrtcICEHostNAT1To1IPs"):
        for host in texts(document.get(key)):
            if is_host(host):
                hosts.append(host.replace("$", "$$"))
            else:
                found.leave(f"{key} {shown(host)}", "is no name or address; media.advertise has those of this machine")
    if hosts:
        found.set("media", "advertise", hosts)
    address = document.get("webrtcLocalUDPAddress", document.get("webrtcICEUDPMuxAddress"))
    port = re.fullmatch(r"[^/]*:(\d{1,5})", address) if isinstance(address, str) else None
    if port and 0 < int(port[1]) <= 65_535:
        found.set("media", "port", int(port[1]))
    servers = document.get("webrtcICEServers2")
    secrets: set[str] = set()
    taken = [
        text for each in (servers if isinstance(servers, list) else []) if (text := _ice_server(each, found, secrets))
    ]
    if taken:
        found.set("http", "ice_servers", [text.replace("$", "$$") for text in taken])
    for secret in secrets:
        found.set("http", "turn_secret", secret.replace("$", "$$"))


def _ice_server(server: object, found: Found, secrets: set[str]) -> str:
    """A STUN or TURN server as it is written here; empty if it cannot be. One secret of them may be taken."""
    fields = mapping(server)
    url, user, password = (fields.get(key) for key in ("url", "username", "password"))
    if not isinstance(url, str):
        return ""
    scheme, _, rest = url.partition(":")
    if user == "AUTH_SECRET" and isinstance(password, str):
        if len(password) < MIN_SECRET or secrets - {password}:
            problem = (
                f"its secret differs from the one before, or has fewer than {MIN_SECRET} characters (http.turn_secret)"
            )
            found.leave(f"webrtcICEServers2 {shown(url)}", problem)
            return ""
        secrets.add(password)
    elif isinstance(user, str) and user and isinstance(password, str):
        url = f"{scheme}:{quote(user, safe='')}:{quote(password, safe='')}@{rest}"
    elif scheme.startswith("turn"):
        found.leave(f"webrtcICEServers2 {shown(url)}", "it has no user and password")
        return ""
    try:
        split_ice_server(url)
    except ValueError as exc:
        found.leave(f"webrtcICEServers2 {shown(url)}", str(exc))
        return ""
    return url


def _seconds(value: object) -> float | None:
    """A duration as Go writes it: ``1m30s``."""
    if not isinstance(value, str) or not re.fullmatch(rf"(?:{_PART.pattern}){{1,6}}", value):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(value))
