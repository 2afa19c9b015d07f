"""From another program's file to ours, and to lines on what is not in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

from camshaft.importing import frigate, go2rtc, homeassistant, mediamtx
from camshaft.importing.found import Camera, Found, shown
from common.config import Config
from common.errors import ConfigError

_PUT = "replace it with the contents of that file"

READERS: Mapping[str, Callable[[Mapping[Any, Any]], Found]] = {
    "go2rtc": go2rtc.read,
    "mediamtx": mediamtx.read,
    "frigate": frigate.read,
    "homeassistant": homeassistant.read,
}


def convert(document: object, program: str = "", where: str = "") -> Found:
    """The cameras and settings of a file, by the name of its program, or by its looks.

    Raises ``ConfigError`` for a document that is none of these.
    """
    if homeassistant.is_list(document):
        document = {"camera": document}
    if not isinstance(document, Mapping):
        raise ConfigError("has no keys and values, so it is not a go2rtc, MediaMTX or Frigate file", where=where)
    elsewhere = [f"{key}: {shown(text)} is in another file; {_PUT}" for key, text in _elsewhere(document)]
    program = program or _program(document)
    if not program and elsewhere:
        raise ConfigError(elsewhere[0], where=where)
    if not program:
        known = "streams (go2rtc), paths (MediaMTX), cameras with ffmpeg (Frigate) nor camera (Home Assistant)"
        raise ConfigError(f"has neither {known}; say what it is: --from", where=where)
    found = READERS[program](document)
    found.left_out += elsewhere
    return found


def _elsewhere(document: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    """Keys of cameras whose value is a tag of another file: ``!include FILE``."""
    for key in ("streams", "paths", "cameras", "camera"):
        if isinstance(text := document.get(key), str) and text.startswith("!"):
            yield key, text


def write(found: Found, name: str) -> str:
    """The text of a ``camshaft.yaml``. ``name`` is that of the file it was made from."""
    lines = [f"# Made from {shown(name)} of {found.program}. In values $$ is a dollar sign, and ${{NAME}} a variable."]
    for section in Config.model_fields:
        if section in found.settings:
            lines += ["", *_yaml({section: found.settings[section]})]
    lines += ["", "cameras:" if found.cameras else "cameras: {}"]
    for camera in found.cameras:
        lines += [f"  # {comment}" for comment in camera.comments]
        lines += [f"  {line}" for line in _yaml({camera.name: _settings(camera)})]
    return "\n".join(lines) + "\n"


def _settings(camera: Camera) -> dict[str, Any]:
    written: dict[str, Any] = {"url": camera.url.text, **camera.settings}
    if camera.sub is not None:
        written["streams"] = {"sub": {"url": camera.sub.text}}
    return written


def _yaml(document: dict[str, Any]) -> list[str]:
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100_000, default_flow_style=False)
    return text.rstrip("\n").split("\n")


def _program(document: Mapping[Any, Any]) -> str:
    """The name of the program that has such files."""
    if homeassistant.is_one(document):
        return "homeassistant"
    cameras = document.get("cameras")
    if isinstance(document.get("go2rtc"), Mapping) or (
        isinstance(cameras, Mapping) and any(isinstance(c, Mapping) and "ffmpeg" in c for c in cameras.values())
    ):
        return "frigate"
    if isinstance(document.get("streams"), Mapping):
        return "go2rtc"
    return "mediamtx" if "paths" in document or "pathDefaults" in document else ""
