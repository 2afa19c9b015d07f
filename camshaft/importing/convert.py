"""From another program's file to ours, and to lines on what is not in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import yaml

from camshaft.importing import frigate, go2rtc, mediamtx
from camshaft.importing.found import Camera, Found, shown
from common.config import Config
from common.errors import ConfigError

READERS: Mapping[str, Callable[[Mapping[Any, Any]], Found]] = {
    "go2rtc": go2rtc.read,
    "mediamtx": mediamtx.read,
    "frigate": frigate.read,
}


def convert(document: object, program: str = "", where: str = "") -> Found:
    """The cameras and settings of a file, by the name of its program, or by its looks.

    Raises ``ConfigError`` for a document that is none of these.
    """
    if not isinstance(document, Mapping):
        raise ConfigError("holds no keys and values, so it is no file of go2rtc, MediaMTX or Frigate", where=where)
    program = program or _program(document)
    if not program:
        known = "streams (go2rtc), paths (MediaMTX) nor cameras with ffmpeg (Frigate)"
        raise ConfigError(f"has neither {known}; say what it is: --from", where=where)
    return READERS[program](document)


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
    cameras = document.get("cameras")
    if isinstance(document.get("go2rtc"), Mapping) or (
        isinstance(cameras, Mapping) and any(isinstance(c, Mapping) and "ffmpeg" in c for c in cameras.values())
    ):
        return "frigate"
    if isinstance(document.get("streams"), Mapping):
        return "go2rtc"
    return "mediamtx" if "paths" in document or "pathDefaults" in document else ""
