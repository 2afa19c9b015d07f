"""The roles of people and programs at the front door, and the cameras that a viewer may watch."""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache

from common.cameras import CameraName, split_stream

CAMERA_PATTERN = re.compile(r"[A-Za-z0-9*?][A-Za-z0-9._*?-]{0,63}")
"""A camera's name, or a pattern of names: ``*`` stands for any characters, ``?`` for one."""


class AccessRole(StrEnum):
    """The right to watch some cameras, to read what is measured and nothing else, or to do everything."""

    VIEWER = "viewer"
    MONITOR = "monitor"
    ADMIN = "admin"


def covers(patterns: Collection[str], camera: CameraName) -> bool:
    """Whether one of the patterns is for this camera, or for the camera that this stream is of."""
    name, _ = split_stream(camera)
    exact, wild = _parted(tuple(patterns))
    return name in exact or any(fnmatchcase(name, pattern) for pattern in wild)


@lru_cache(maxsize=256)
def _parted(patterns: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """The names, and the patterns that have to be tried one by one: a token may name a thousand cameras."""
    wild = tuple(pattern for pattern in patterns if "*" in pattern or "?" in pattern)
    return frozenset(patterns).difference(wild), wild
