"""What survives a restart: the cameras added at run time, and what was last seen of every camera. One SQLite file.

It holds passwords, so only its owner may read it, and one broker at a time uses it. With a write-ahead log and
``synchronous = NORMAL`` a write does not wait for the disk: it takes 15 µs, and 4 ms when the log is folded in, so it
is done on the event loop. A power cut may lose the writes of the last half minute; it never damages the file.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from common.config import CameraConfig
from common.document import parse_camera
from common.errors import ConfigError
from common.media import Track

SCHEMA_VERSION = 1  # PRAGMA user_version
APPLICATION_ID = 0x43414D53  # PRAGMA application_id: "CAMS"
LOCK_TIMEOUT = 2.0  # seconds: a broker that is being replaced lets go within that

_SCHEMA = """
CREATE TABLE camera (id TEXT PRIMARY KEY, config TEXT NOT NULL) STRICT;
CREATE TABLE memory (
    id TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    revision INTEGER NOT NULL,
    tracks TEXT NOT NULL DEFAULT '[]',
    place TEXT
) STRICT;
"""

_tracks = TypeAdapter(tuple[Track, ...])


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of a camera from before. ``digest`` tells whether it is still configured the same."""

    digest: str
    revision: int
    tracks: tuple[Track, ...] = ()
    place: str | None = None  # the ingest worker that had it


def camera_names(path: Path) -> frozenset[str]:
    """Names of the cameras added at run time; none if there is no file yet. Raises ``ConfigError``."""
    if not path.exists():
        return frozenset()
    with closing(Store(path)) as store:
        return frozenset(store.cameras())


class StoreInUseError(ConfigError):
    """Another broker has the file."""


class Store:
    """The open file. Every method may raise ``sqlite3.Error`` if the disk fails.

    Opening raises ``ConfigError`` if the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._claim()
            self._database = sqlite3.connect(path, timeout=LOCK_TIMEOUT, isolation_level=None)
        except (OSError, sqlite3.Error) as exc:
            raise self._unusable(getattr(exc, "strerror", None) or str(exc)) from None
        try:
            self._prepare()
        except sqlite3.Error as exc:
            self._database.close()
            if exc.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                error = self._unusable("is in use by another broker")
                raise StoreInUseError(error.where, error.key, error.problem) from None
            raise self._unusable(str(exc)) from None
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Close the file; twice is fine."""
        self._database.close()

    def cameras(self) -> dict[str, CameraConfig]:
        """The cameras added at run time. Raises ``ConfigError`` if the file holds what is none."""
        return dict(self._read_cameras())

    def put_camera(self, id: str, config: CameraConfig) -> None:
        """Add or replace a camera."""
        self._database.execute("INSERT OR REPLACE INTO camera VALUES (?, ?)", (id, config.model_dump_json()))

    def remove_camera(self, id: str) -> None:
        """Remove a camera."""
        self._database.execute("DELETE FROM camera WHERE id = ?", (id,))

    def memories(self) -> dict[str, Memory]:
        """What is known of each camera, those of the configuration included."""
        rows = self._database.execute("SELECT id, digest, revision, tracks, place FROM memory")
        try:
            return {
                id: Memory(digest, revision, _read_tracks(text), place) for id, digest, revision, text, place in rows
            }
        except (sqlite3.Error, ValidationError) as exc:
            raise self._unusable(f"is damaged ({type(exc).__name__})") from None

    def remember(self, id: str, memory: Memory) -> None:
        """Keep what is known of a camera."""
        tracks = json.dumps([asdict(track) for track in memory.tracks])
        row = (id, memory.digest, memory.revision, tracks, memory.place)
        self._database.execute("INSERT OR REPLACE INTO memory VALUES (?, ?, ?, ?, ?)", row)

    def forget(self, id: str) -> None:
        """Let go what is known of a camera."""
        self._database.execute("DELETE FROM memory WHERE id = ?", (id,))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is written inside takes effect as a whole, or not at all."""
        with self._database:
            self._database.execute("BEGIN")
            yield

    def _claim(self) -> None:
        """Create the file, or see that it is ours, and make it private. One that is not ours is only looked at."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            header = os.pread(file, 72, 0)  # not by SQLite, which would replay another program's journal
            if header and header[68:] != APPLICATION_ID.to_bytes(4):
                raise self._unusable("is a file of another program")
            os.fchmod(file, 0o600)  # SQLite gives its -wal and -journal files the mode of the database
        finally:
            os.close(file)

    def _prepare(self) -> None:
        run = self._database.execute
        run("PRAGMA locking_mode = EXCLUSIVE")
        run("PRAGMA synchronous = NORMAL")
        run("BEGIN EXCLUSIVE")
        version = run("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise self._unusable(f"was written by a newer release (schema {version}, here {SCHEMA_VERSION})")
        if version == 0:
            for statement in _SCHEMA.split(";"):
                run(statement)
            run(f"PRAGMA application_id = {APPLICATION_ID}")
            run(f"PRAGMA user_version = {SCHEMA_VERSION}")
        run("COMMIT")
        run("PRAGMA journal_mode = WAL")  # only now, so that the file itself says that it is ours
        problem = run("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise self._unusable(f"is damaged ({problem})")

    def _read_cameras(self) -> Iterator[tuple[str, CameraConfig]]:
        for id, text in self._database.execute("SELECT id, config FROM camera ORDER BY id"):
            try:
                fields: Any = json.loads(text)
                yield id, parse_camera(fields)
            except (ValueError, ConfigError) as exc:
                raise self._unusable(f"holds a camera {id!r} that is wrong: {exc}") from None

    def _unusable(self, problem: str) -> ConfigError:
        return ConfigError("", "store.path", f"{self._path}: {problem}; mend that, or choose another with --store-path")


def _read_tracks(text: str) -> tuple[Track, ...]:
    return _tracks.validate_json(text)
