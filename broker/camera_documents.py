"""Cameras as people describe them to the API: a ``CameraConfig`` and its ``id``, or a patch of one.

Credentials that were shown hidden come back hidden, and are taken for those that the camera has. Every mistake is a
``RequestError`` that names the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from common.cameras import CAMERA_ID, CameraName, redact
from common.config_cameras import CameraConfig
from common.config_file import parse_camera
from common.errors import ConfigError, RequestError

_HIDDEN = "***"
_HOST_END = re.compile("[/?#]")


def described(document: Mapping[str, Any], allowed: Sequence[str]) -> tuple[CameraName, CameraConfig]:
    """The id and the configuration of a camera that is to be added. ``allowed`` are the kinds of sources there may be.

    Raises ``RequestError`` for what is wrong with it.
    """
    fields = dict(document)
    id = fields.pop("id", None)
    if not isinstance(id, str) or not CAMERA_ID.fullmatch(id):
        rule = "1 to 64 letters, digits, '.', '_' or '-', and starts with a letter or digit"
        raise _wrong("id", f"must be given: {rule}" if id is None else f"must be {rule}")
    config = _parse(fields, allowed)
    for key, url in (("url", config.url), ("streams.sub.url", config.streams.sub and config.streams.sub.url)):
        if url and _HIDDEN in url:
            raise _wrong(key, f"{_HIDDEN} stands for hidden credentials; give the real ones")
    return CameraName(id), config


def patched(id: CameraName, config: CameraConfig, patch: Mapping[str, Any], allowed: Sequence[str]) -> CameraConfig:
    """The configuration with a JSON merge patch (RFC 7396) laid over it. A hidden password is the one it has.

    Raises ``RequestError`` for what is wrong with it.
    """
    patch = dict(patch)
    if patch.pop("id", id) != id:
        raise _wrong("id", "cannot be changed; add a new camera instead")
    match patch:
        case {"streams": {"main": {"url": _} as main}}:  # which the configuration keeps as the camera's own
            patch |= {**main, "streams": {**patch["streams"], "main": None}}
    if isinstance(url := patch.get("url"), str):
        patch["url"] = _reveal(url.strip(), config.url)
    match patch:
        case {"streams": {"sub": {"url": str(url)}}}:
            revealed = _reveal(url.strip(), (config.streams.sub or config).url)
            patch["streams"] = {**patch["streams"], "sub": {**patch["streams"]["sub"], "url": revealed}}
    return _parse(_merge(config.model_dump(mode="json"), patch), allowed)


def _parse(fields: Mapping[str, Any], allowed: Sequence[str]) -> CameraConfig:
    try:
        camera = parse_camera(fields)
    except ConfigError as exc:
        raise _wrong(exc.key, exc.problem) from None
    if (refused := camera.refused(allowed)) is not None:
        raise _wrong(".".join(refused.key), refused.problem)
    return camera


def _wrong(key: str, problem: str) -> RequestError:
    return RequestError(422, "invalid_camera", f"{key}: {problem}" if key else f"{problem[0].upper()}{problem[1:]}.")


def _merge(target: dict[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7396; ``null`` brings a key's default back."""
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            target[key] = _merge(target[key], value)
        else:
            target[key] = value
    return target


def _reveal(url: str, current: str) -> str:
    """``url`` as a person sent it back, with the hidden credentials of ``current`` put in again."""
    if url == redact(current):
        return current
    if _HIDDEN not in url:
        return url
    (scheme, user, host, rest), (old_scheme, old_user, old_host, _) = _split(url), _split(current)
    if user != f"{_HIDDEN}@" or _HIDDEN in host + rest:
        raise _wrong("url", f"{_HIDDEN} stands for hidden credentials; give the real ones")
    if (scheme, host) != (old_scheme, old_host):
        # Otherwise a person who may change a camera could have its password sent to a host of theirs.
        raise _wrong("url", "the host changed, so give user and password again")
    return f"{scheme}{old_user}{host}{rest}"


def _split(url: str) -> tuple[str, str, str, str]:
    """A URL as ``rtsp://``, ``user:password@`` (which may hold any character, to the last @), host, and the rest."""
    scheme, separator, rest = url.partition("://")
    user, at, rest = rest.rpartition("@")
    end = _HOST_END.search(rest)
    host = rest[: end.start()] if end else rest
    return scheme + separator, user + at, host, rest[len(host) :]
