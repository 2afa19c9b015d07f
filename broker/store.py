"""All that survives a restart: the cameras added at run time, and what was last seen of every camera. One SQLite file.

It holds passwords, so these are sealed (``broker.vault``), only its owner may read it, and one broker at a time uses
it. With a write-ahead log and ``synchronous = NORMAL`` a write does not wait for the disk: it takes 15 µs, and 4 ms
when the log is folded in, so it is done on the event loop. A power cut may lose the writes of the last half minute; it
never damages the file.

All of it is also in memory, so that a file which was deleted or damaged under us is written again: before each write,
and when ``check`` is called, we see whether the path still leads to our file. A file that somebody put in its place is
theirs, and nothing is written until one of us is started again.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from broker.database import Format, claim, make_tables, refusal, unusable
from broker.rows import Row, Rows
from broker.vault import SealError, Vault, is_sealed, key_path, vault_of
from common.cameras import CameraName
from common.config import StoreConfig
from common.config_cameras import CameraConfig
from common.config_file import parse_camera
from common.control import NodeName
from common.errors import ConfigError, NotNowError
from common.log import get_logger
from common.media import Track

SCARCE = 8 << 20  # bytes left on the disk, below which it is tried out: the log is folded in at 4 MB
LOCK_TIMEOUT = 2.0  # seconds: a broker that is being replaced lets go within that

FORMAT = Format(
    0x43414D53,  # "CAMS"
    version=2,  # the first whose values are sealed
    schema="""
CREATE TABLE camera (id TEXT PRIMARY KEY, config TEXT NOT NULL) STRICT;
CREATE TABLE memory (
    id TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    revision INTEGER NOT NULL,
    tracks TEXT NOT NULL DEFAULT '[]',
    place TEXT
) STRICT;
""",
)

_INSERT = {
    "camera": "INSERT OR REPLACE INTO camera VALUES (?, ?)",
    "memory": "INSERT OR REPLACE INTO memory VALUES (?, ?, ?, ?, ?)",
}
_SELECT = {"camera": "SELECT * FROM camera", "memory": "SELECT * FROM memory"}
_DELETE = {"camera": "DELETE FROM camera WHERE id = ?", "memory": "DELETE FROM memory WHERE id = ?"}

log = get_logger()

_tracks = TypeAdapter(tuple[Track, ...])


@dataclass(frozen=True, slots=True)
class Memory:
    """A camera as it was before. ``digest`` tells whether it is still configured the same."""

    digest: str
    revision: int
    tracks: tuple[Track, ...] = ()
    worker: NodeName | None = None  # the ingest worker that had it


def camera_names(config: StoreConfig) -> frozenset[CameraName]:
    """Names of the cameras added at run time; none if there is no file yet. Raises ``ConfigError``."""
    if not config.path.exists():
        return frozenset()
    with closing(Store(config.path, config.key_file)) as store:
        return frozenset(store.cameras())


class StoreInUseError(NotNowError):
    """The file belongs to a broker that runs."""


class ReplacedError(sqlite3.OperationalError):
    """Where our file was there is another one."""


class Store:
    """The open file. Every method may raise ``sqlite3.Error`` if the disk fails.

    Opening raises ``ConfigError`` if the file cannot be used. The second column of each table is sealed: a camera's
    configuration, and a memory's digest, which would tell whoever guesses a password that it is the one.
    """

    def __init__(self, path: Path, key_file: Path | None = None) -> None:
        self._path = path.absolute()
        self._key_path = key_path(self._path, key_file)
        self._key_is_ours = key_file is None
        self._log = self._path.with_name(f"{self._path.name}-wal")
        self._rows = Rows(_INSERT)
        self._within = False  # a transaction
        self._seen: os.stat_result | None = None  # our file after the last write; ``None`` if it is not open
        self._logged = False  # whether it has a write-ahead log
        try:
            self._open()
            self._read()
        except OSError as exc:
            raise refusal(self._path, exc) from None
        except sqlite3.Error as exc:
            if getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_OK) == sqlite3.SQLITE_BUSY:
                error = unusable(self._path, "is in use by another broker")
                raise StoreInUseError(error.problem, key=error.key) from None
            raise refusal(self._path, exc) from None

    def close(self) -> None:
        """Close the file; twice is fine."""
        self._database.close()

    def cameras(self) -> dict[CameraName, CameraConfig]:
        """The cameras added at run time. Raises ``ConfigError`` if the file holds what is none."""
        rows = self._database.execute("SELECT id, config FROM camera ORDER BY id")
        return {id: _read_camera(self._vault, self._path, id, text) for id, text in rows}

    def put_camera(self, id: CameraName, config: CameraConfig) -> None:
        """Add or replace a camera."""
        self._put("camera", (id, self._vault.seal(config.model_dump_json(), f"camera {id}")))

    def remove_camera(self, id: CameraName) -> None:
        """Remove a camera."""
        self._delete("camera", id)

    def memories(self) -> dict[CameraName, Memory]:
        """Each stream as it was before, those of the configuration too. Raises ``ConfigError`` for a damaged file.

        One whose seal does not open is dropped: it was only what was last seen, and is no reason not to start.
        """
        try:
            rows = self._database.execute("SELECT id, digest, revision, tracks, place FROM memory").fetchall()
            found = {id: _read_memory(self._vault, id, *values) for id, *values in rows}
        except (sqlite3.Error, ValidationError) as exc:
            raise unusable(self._path, f"is damaged ({type(exc).__name__})") from None
        with suppress(sqlite3.Error):  # of a full disk: the next start drops it again
            for id in [id for id, memory in found.items() if memory is None]:
                self.forget(id)
        return {id: memory for id, memory in found.items() if memory is not None}

    def remember(self, id: CameraName, memory: Memory) -> None:
        """Keep what is known of a camera."""
        tracks = json.dumps([asdict(track) for track in memory.tracks])
        digest = self._vault.seal(memory.digest, f"memory {id}")
        self._put("memory", (id, digest, memory.revision, tracks, memory.worker))

    def forget(self, id: CameraName) -> None:
        """Let go what is known of a camera."""
        self._delete("memory", id)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction: all that is written inside takes effect, or nothing."""
        self.check()
        self._within = True
        self._rows.begin()
        try:
            self._database.execute("BEGIN")
            yield
            self._database.execute("COMMIT")
        except BaseException as exc:
            self._rows.undo()
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            if isinstance(exc, sqlite3.Error) and _says_damaged(exc):
                self._write_again(f"is damaged ({exc})")  # the next one will succeed
            raise
        finally:
            self._within = False
        self._look()

    def check(self) -> None:
        """See that the file is where it was, and write it again if it is not.

        Raises ``sqlite3.Error`` if that cannot be, ``ReplacedError`` if another file is there.
        """
        self._keep_key()
        try:
            found = self._path.stat()
            log_is_away = self._logged and not self._log.exists()
        except FileNotFoundError:
            self._write_again("was deleted")
            return
        except OSError as exc:
            raise sqlite3.OperationalError(exc.strerror) from None
        if self._seen is None:
            self._write_again("could not be opened again")
        elif (found.st_dev, found.st_ino) != (self._seen.st_dev, self._seen.st_ino):
            raise ReplacedError(
                f"another file is at {self._path} now; start the broker again to use that one, or put the old one back"
            )
        elif log_is_away:
            self._write_again("lost its write-ahead log")
        elif (found.st_size, found.st_mtime_ns) != (self._seen.st_size, self._seen.st_mtime_ns):
            if problem := _damage(self._database):
                self._write_again(f"was damaged by another program ({problem})")
            else:
                self._seen = found

    def prove(self) -> None:
        """Write something that changes nothing, to see that it can be."""
        with self.transaction():
            self._database.execute(f"PRAGMA user_version = {FORMAT.version}")  # in SQLite's first page

    @property
    def nearly_full(self) -> bool:
        """Whether its disk has so little room that a write may fail."""
        return _room(self._path.parent) < SCARCE

    def _put(self, table: str, row: Row) -> None:
        with nullcontext() if self._within else self.transaction():
            self._database.execute(_INSERT[table], row)
            self._rows.change(table, row[0], row)

    def _delete(self, table: str, id: str) -> None:
        with nullcontext() if self._within else self.transaction():
            self._database.execute(_DELETE[table], (id,))
            self._rows.change(table, id, None)

    def _write_again(self, reason: str) -> None:
        """A new file with what is in memory. What is left of the old one is kept beside it."""
        log.warning("writing the camera store again from memory", path=str(self._path), reason=reason)
        self._database.close()  # first: it removes its write-ahead log by name
        self._seen = None
        try:
            if self._path.exists():
                self._path.replace(self._path.with_name(f"{self._path.name}.damaged"))
            self._log.unlink(missing_ok=True)
            self._open()
        except OSError as exc:
            raise sqlite3.OperationalError(f"{self._path} {reason}, and {exc.strerror or exc}") from None
        except ConfigError as exc:
            raise ReplacedError(exc.problem) from None
        try:
            self._database.execute("BEGIN")
            for table, rows in self._rows:
                self._database.executemany(_INSERT[table], rows.values())
            self._database.execute("COMMIT")
        except sqlite3.Error:  # the disk is full: half a file is worth less than none, which is written again
            self._database.close()
            self._seen = None
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            raise
        self._look()

    def _look(self) -> None:
        """Take in how our file looks after what we wrote."""
        with suppress(OSError):  # what is wrong is seen by the next check
            self._seen = self._path.stat()
            self._logged = self._log.exists()

    def _open(self) -> None:
        """Open the file, or make it. Raises ``OSError``, ``sqlite3.Error`` or ``ConfigError``."""
        claim(self._path, FORMAT)
        self._database = sqlite3.connect(self._path, timeout=LOCK_TIMEOUT, isolation_level=None)
        try:
            _prepare(self._database, self._path)
        except BaseException:
            self._database.close()
            raise
        self._look()

    def _read(self) -> None:
        """Have in memory what is in the file, and what opens it; or else close it."""
        try:
            for table, select in _SELECT.items():
                self._rows.fill(table, self._database.execute(select))
            self._unlock()
        except BaseException:
            self._database.close()
            raise

    def _unlock(self) -> None:
        """Have the key, and seal what an older release wrote. Raises ``ConfigError`` if it is another store's key."""
        places = {f"{table} {id}": row[1] for table, rows in self._rows for id, row in rows.items()}
        self._vault = vault_of(places, self._key_path, self._path)
        run = self._database.execute
        if run("PRAGMA user_version").fetchone()[0] == FORMAT.version:
            return
        run("PRAGMA secure_delete = ON")  # leave nothing in unused parts of the files
        with self.transaction():
            for table, rows in self._rows:
                for id, text, *others in list(rows.values()):
                    self._put(
                        table, (id, text if is_sealed(text) else self._vault.seal(text, f"{table} {id}"), *others)
                    )
        run("VACUUM")
        run("PRAGMA wal_checkpoint(TRUNCATE)")
        run(f"PRAGMA user_version = {FORMAT.version}")  # last: who is killed before it begins again
        self._look()
        log.info("cameras' passwords in the store are now sealed; earlier copies of it contain them in the clear")

    def _keep_key(self) -> None:
        """Write the key again if it is no more beside the store. One that was put elsewhere is its owner's to keep."""
        with suppress(OSError):  # the directory is away or closed to us, which is told of the store itself
            if self._key_is_ours and not self._key_path.exists():
                self._vault.write(self._key_path)
                log.warning("the store's key was missing and has been written again", path=str(self._key_path))


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    """Have the file to ourselves, with its tables."""
    run = database.execute
    run("PRAGMA locking_mode = EXCLUSIVE")
    run("PRAGMA synchronous = NORMAL")
    run("BEGIN EXCLUSIVE")
    make_tables(database, path, FORMAT)
    run("COMMIT")
    run("PRAGMA journal_mode = WAL")  # only now, so that the file itself says that it is ours
    problem = run("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        raise unusable(path, f"is damaged ({problem})")


def _room(directory: Path) -> float:
    """Bytes that we may still write there; no bound where that cannot be seen, which ``check`` tells of."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return math.inf
    return found.f_bavail * found.f_frsize


def _damage(database: sqlite3.Connection) -> str:
    """The fault of its file as it is on the disk now; empty if it has none."""
    try:
        database.execute("PRAGMA shrink_memory")  # else SQLite would look at what it remembers of the file
        problem: str = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as exc:
        return str(exc)
    return "" if problem == "ok" else problem


def _read_camera(vault: Vault, path: Path, id: CameraName, text: str) -> CameraConfig:
    try:
        return parse_camera(json.loads(vault.open(text, f"camera {id}")))
    except (ValueError, ConfigError) as exc:
        raise unusable(path, f"holds a camera {id!r} that is wrong: {exc}") from None


def _read_memory(
    vault: Vault, id: CameraName, sealed: str, revision: int, tracks: str, worker: NodeName | None
) -> Memory | None:
    """The memory; ``None`` if its seal does not open."""
    try:
        digest = vault.open(sealed, f"memory {id}")
    except SealError as exc:
        log.warning("dropping what was last seen of a stream", stream=id, reason=f"its seal {exc}")
        return None
    return Memory(digest, revision, _tracks.validate_json(tracks), worker)


def _says_damaged(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
