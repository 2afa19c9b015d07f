"""The roles of people and programs at the front door, and the cameras that a viewer may watch."""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum
from fnmatch import fnmatchcase

from common.cameras import CameraName, split_stream

CAMERA_PATTERN = re.compile(r"[A-Za-z0-9*?][A-Za-z0-9._*?-]{0,63}")
"""A camera's name, or a pattern of names: ``*`` stands for any characters, ``?`` for one."""


class AccessRole(StrEnum):
    """The right to watch some cameras, or to do everything."""

    VIEWER = "viewer"
    ADMIN = "admin"


def covers(patterns: Collection[str], camera: CameraName) -> bool:
    """Whether one of the patterns is for this camera, or for the camera that this stream is of."""
    name, _ = split_stream(camera)
    return any(fnmatchcase(name, pattern) for pattern in patterns)
