"""The content of a store that tests write, and a hand that changes its file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from common.config_cameras import CameraConfig
from common.media import Kind, Track

DOOR = CameraConfig(url="rtsp://user:secret@host/door", on_demand=True, keep_after=3.5, tls={"legacy": True})
TRACKS = (Track(Kind.VIDEO, "H264", 90_000, profile="42e01f"), Track(Kind.AUDIO, "AAC", 44_100, 2, problem="not yet"))


def alter(path: Path, statement: str, *values: object) -> None:
    database = sqlite3.connect(path)
    with database:
        database.execute(statement, values)
    database.close()
