"""Home Assistant: cameras of its ``configuration.yaml``, and those of ``.storage/core.config_entries``, where it keeps
what was set up on its pages.

Of its ways to have a camera those name an address that can be pulled: ``generic``, ``ffmpeg`` and ``mjpeg``. The others
speak the maker's own protocol.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any
from urllib.parse import quote

from camshaft.importing.address import Address
from camshaft.importing.found import Camera, Found, mapping, shown, switched, texts

PROGRAM = "Home Assistant"
_ENTRIES = "core.config_entries"
_KEYS = {"generic": "stream_source", "ffmpeg": "input", "mjpeg": "mjpeg_url"}
_OF_CAMERAS = re.compile("onvif|axis|amcrest|foscam|reolink|unifiprotect|hikvision|dahua|tplink|ring|nest|blink|tuya")
_ADDRESS = re.compile(r"[a-z+]{3,10}://[^\s\"']+", re.IGNORECASE)
_TRANSPORT = re.compile(r"-rtsp_transport\s+(tcp|udp_multicast|udp)\b")
_TRANSPORTS = {"tcp": "tcp", "udp": "udp", "udp_multicast": "multicast"}


def is_one(document: Mapping[Any, Any]) -> bool:
    """Whether a file looks like one of Home Assistant's."""
    named = "default_config" in document or "homeassistant" in document
    return named or document.get("key") == _ENTRIES or is_list(document.get("camera"))


def is_list(document: object) -> bool:
    """Whether it is a list of platforms, such as ``cameras.yaml`` holds."""
    return isinstance(document, list) and any("platform" in mapping(each) for each in document)


def read(document: Mapping[Any, Any]) -> Found:
    """The cameras of a ``configuration.yaml``, or of ``core.config_entries``."""
    found = Found(PROGRAM)
    cameras = document.get("camera")
    labelled = [value for key, value in document.items() if isinstance(key, str) and key.startswith("camera ")]
    for section in chain.from_iterable(each if isinstance(each, list) else [each] for each in (cameras, *labelled)):
        platform = mapping(section).get("platform")
        if isinstance(platform, str):
            _take(platform, mapping(section).get("name"), mapping(section), found)
    for entry in _entries(document):
        domain, options = entry.get("domain"), {**mapping(entry.get("data")), **mapping(entry.get("options"))}
        if isinstance(domain, str) and (domain in _KEYS or _OF_CAMERAS.search(domain)):
            _take(domain, entry.get("title"), options, found)
    return found


def _entries(document: Mapping[Any, Any]) -> Iterator[Mapping[Any, Any]]:
    entries = mapping(document.get("data")).get("entries")
    return map(mapping, entries if isinstance(entries, list) else [])


def _take(platform: str, title: object, options: Mapping[Any, Any], found: Found) -> None:
    name = title.strip() if isinstance(title, str) and title.strip() else platform
    source = next(texts(options.get(_KEYS.get(platform, ""))), "")
    address = _ADDRESS.search(source)
    if platform not in _KEYS:
        found.leave(name, f"{shown(platform)} has no address here; the camera's own page shows its rtsp:// address")
    elif elsewhere := [each for each in _login(options) if each.startswith("!")]:
        found.leave(name, f"its login is in another file ({shown(elsewhere[0])}); write it into this one")
    elif address is None:
        found.leave(name, f"{shown(source)} holds no address" if source else f"has no {_KEYS[platform]}")
    else:
        camera = Camera(name, Address.of(_with_login(address[0] if platform == "ffmpeg" else source, options)))
        transport = _TRANSPORT.search(source)
        said = transport[1] if transport else options.get("rtsp_transport")
        if isinstance(said, str) and said in _TRANSPORTS:
            camera.settings["transport"] = _TRANSPORTS[said]
        if switched(options.get("verify_ssl")) is False:
            camera.settings["tls"] = {"verify": False}
        found.add(camera)


def _with_login(url: str, options: Mapping[Any, Any]) -> str:
    """The address with user and password, which may be kept beside it."""
    login = ":".join(quote(each, safe="") for each in _login(options))
    scheme, found, rest = url.partition("://")
    if not found or not login or "@" in re.split(r"[/?#]", rest, maxsplit=1)[0]:
        return url
    return f"{scheme}://{login}@{rest}"


def _login(options: Mapping[Any, Any]) -> list[str]:
    """User and password, as far as there are any; numbers are written without quotes."""
    user, password = (
        str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        for value in (options.get("username"), options.get("password"))
    )
    return [each for each in (user, password) if each] if user else []
