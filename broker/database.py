"""A SQLite file of ours: private to its owner, known by its header, and never one that a newer release has written."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from common.errors import ConfigError, refused

_ERRNOS = {
    sqlite3.SQLITE_BUSY: errno.EAGAIN,
    sqlite3.SQLITE_NOMEM: errno.ENOMEM,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
}
"""The results of SQLite that are no fault of the file, as the system would say them."""
_APPLICATION_ID_AT = 68  # offset in SQLite's file header, https://www.sqlite.org/fileformat.html 1.3.17


@dataclass(frozen=True, slots=True)
class Format:
    """The file's contents: ``PRAGMA application_id`` and ``user_version``, and the statements that make it."""

    application_id: int
    version: int
    schema: str


def claim(path: Path, format: Format) -> None:
    """Create the file, or see that it is ours, and make it private. One that is not ours is only looked at.

    Raises ``OSError`` or ``ConfigError``.
    """
    _make(path)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        header = os.pread(file, _APPLICATION_ID_AT + 4, 0)  # not by SQLite, which would replay another's journal
        if header and header[_APPLICATION_ID_AT:] != format.application_id.to_bytes(4):
            raise unusable(path, "is a file of another program")
        os.fchmod(file, 0o600)  # SQLite gives its -wal and -journal files the mode of the database
    finally:
        os.close(file)


def _make(path: Path) -> None:
    """Create the file, if there is none, for its directory's owner: root makes it for a broker that is somebody else.

    Raises ``OSError``.
    """
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        new = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC  # not through a link, whoever has made that
        file = os.open(path.name, new, 0o600, dir_fd=directory)
        try:
            if os.geteuid() == 0:
                owner = os.fstat(directory)
                os.fchown(file, owner.st_uid, owner.st_gid)
        finally:
            os.close(file)
    except FileExistsError:
        return
    finally:
        os.close(directory)


def make_tables(database: sqlite3.Connection, path: Path, format: Format) -> bool:
    """Make the tables of a new file, within a transaction of the caller's; whether it was new.

    Raises ``sqlite3.Error``, or ``ConfigError`` if a newer release wrote it.
    """
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version > format.version:
        raise unusable(path, f"was written by a newer release (schema {version}, here {format.version})")
    if version == 0:
        for statement in format.schema.split(";"):
            database.execute(statement)
        database.execute(f"PRAGMA application_id = {format.application_id}")
        database.execute(f"PRAGMA user_version = {format.version}")
    return bool(version == 0)


def unusable(path: Path, problem: str, *, number: int | None = None) -> ConfigError:
    """The error for a file that cannot be used; ``number`` is the system's ``errno`` if that refused it."""
    return refused(number, f"{path}: {problem}; fix that, or choose another file with --store-path", key="store.path")


def refusal(path: Path, error: OSError | sqlite3.Error) -> ConfigError:
    """The error for a file that the system does not let us use, or that SQLite finds damaged."""
    if isinstance(error, OSError):
        return unusable(path, error.strerror or str(error), number=error.errno)
    number = _ERRNOS.get(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF)  # without what it adds to them
    return unusable(path, f"is damaged ({error})" if number is None else str(error), number=number)


@contextmanager
def opened(path: Path, format: Format, lock_timeout: float, *, one_thread: bool = True) -> Iterator[sqlite3.Connection]:
    """Open a file that other processes write to as well; the block reads what it needs, or else it is closed again.

    Where it is not for ``one_thread``, its owner sees that only one at a time uses it. Raises ``ConfigError`` if it
    cannot be used, or the block finds it damaged.
    """
    try:
        claim(path, format)
        database = sqlite3.connect(path, timeout=lock_timeout, isolation_level=None, check_same_thread=one_thread)
    except (OSError, sqlite3.Error) as exc:
        raise refusal(path, exc) from None
    try:
        yield database
    except sqlite3.Error as exc:
        database.close()
        raise refusal(path, exc) from None
    except (ValueError, TypeError) as exc:
        database.close()
        raise unusable(path, f"is damaged ({exc})") from None
    except BaseException:
        database.close()
        raise


class Place:
    """The place of a file that is open. SQLite goes on with a file that was moved, deleted or replaced there."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._file = self._look()

    def check(self) -> None:
        """See that the file is where it was. Raises ``sqlite3.OperationalError``."""
        if self._look() != self._file:
            raise sqlite3.OperationalError(
                f"another file is at {self._path} now; start the broker again to use that one, or put the old one back"
            )

    def _look(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            problem = f"{self._path} was moved or deleted; put it back, or start the broker again"
            raise sqlite3.OperationalError(problem) from None
        except OSError as exc:
            raise sqlite3.OperationalError(exc.strerror) from None
        return found.st_dev, found.st_ino


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Bar all other writers while this is open. What fails leaves nothing open that would bar the next write."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")  # fails where the disk is full, or somebody reads for long
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite may have rolled it back itself
            database.execute("ROLLBACK")
        raise


def data_version(database: sqlite3.Connection) -> int:
    """A number that is another once others have written."""
    version: int = database.execute("PRAGMA data_version").fetchone()[0]
    return version
