"""Types of fields that several messages have, with what bounds them.

A value that a newer release has, and this one does not know, makes no message invalid.
"""

from __future__ import annotations

from typing import Annotated, NewType

from pydantic import AfterValidator, BeforeValidator, Field

from common.cameras import CameraState, or_else
from common.media import Kind, Track

MAX_TEXT = 1_000  # characters of any text in a report: a sentence or an address, and some of them quote a camera
MAX_TRACKS = 16  # of one camera; more than the two that are played, as a newer ingest may list others
MAX_WAYS = 32  # addresses and ports of one viewer that are told: it has 16, and a machine of ours rarely more
MAX_MEASURES = 16  # of one worker, and …
MAX_BUCKETS = 64  # … numbers of each: ``common.histogram`` has a quarter of both


def _short(tracks: tuple[Track, ...]) -> tuple[Track, ...]:
    if any(len(text) > MAX_TEXT for t in tracks for text in (t.codec, t.profile, t.problem, t.warning, t.convert)):
        raise ValueError("a track's text is too long")
    return tracks


def of_known_kind(items: object) -> object:
    """Without tracks, or statistics of tracks, of a kind that a newer release has."""
    if not isinstance(items, list | tuple):
        return items
    return [item for item in items if not isinstance(item, dict) or item.get("kind") in _KINDS]


def of_known_tracks(items: object) -> object:
    """Without renditions of a track of such a kind."""
    if not isinstance(items, list | tuple):
        return items
    return [item for item in items if not isinstance(item, dict) or of_known_kind([item.get("track")])]


def _known_kinds(kinds: object) -> object:
    return [kind for kind in kinds if kind in _KINDS] if isinstance(kinds, list | tuple) else kinds


_KINDS = frozenset(Kind)

SHORT = Field(max_length=MAX_TEXT)
Text = Annotated[str, SHORT]
Ways = Annotated[tuple[Text, ...], Field(max_length=MAX_WAYS)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[Number, AfterValidator(lambda share: max(0.0, share))]
"""A share of one core. One below zero would draw every camera and viewer to the worker that claims it."""

Tracks = Annotated[
    tuple[Track, ...], BeforeValidator(of_known_kind), Field(max_length=MAX_TRACKS), AfterValidator(_short)
]
OfferedTracks = Annotated[tuple[Track, ...], BeforeValidator(of_known_kind)]
Kinds = Annotated[tuple[Kind, ...], BeforeValidator(_known_kinds)]
State = Annotated[CameraState, BeforeValidator(or_else(CameraState.UNKNOWN))]

NodeName = NewType("NodeName", str)
"""The name of a worker's process; no other of the cluster has it."""
