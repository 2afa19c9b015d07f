"""The roles of people and programs at the front door, and the cameras that a viewer may watch."""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum
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
    return name in exact or any(matches(name, pattern) for pattern in wild)


def matches(name: str, pattern: str) -> bool:
    """Whether the pattern is for this name; in time in proportion to both.

    Not by ``fnmatch``, which makes a regular expression of each pattern: a thousand of them take a quarter of a second.
    """
    first, *rest = pattern.split("*")
    if not _alike(name[: len(first)], first):
        return False
    if not rest:
        return len(name) == len(first)
    *middle, last = rest
    at, end = len(first), len(name) - len(last)
    if at > end or not _alike(name[end:], last):
        return False
    for part in middle:  # each as early as it can be: what comes behind has most room then
        found = _found(name, part, at, end)
        if found is None:
            return False
        at = found + len(part)
    return at <= end


def _alike(text: str, part: str) -> bool:
    return text == part or (len(text) == len(part) and all(p in ("?", t) for t, p in zip(text, part, strict=True)))


def _found(name: str, part: str, at: int, end: int) -> int | None:
    """Where the part stands first in ``name[at:end]``."""
    if "?" not in part:
        found = name.find(part, at, max(end, 0))
        return None if found < 0 else found
    places = range(at, end - len(part) + 1)
    return next((place for place in places if _alike(name[place : place + len(part)], part)), None)


@lru_cache(maxsize=256)
def _parted(patterns: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """The names, and the patterns that have to be tried one by one: a token may name a thousand cameras."""
    wild = tuple(pattern for pattern in patterns if "*" in pattern or "?" in pattern)
    return frozenset(patterns).difference(wild), wild
