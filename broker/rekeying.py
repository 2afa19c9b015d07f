"""Another key for the store, while no broker has it: in the place of the former, or in a file of the operator's.

It may be killed at any time: the new key is on the disk before anything is sealed with it, all is sealed in one
transaction, and the key takes the former one's place only when that is on the disk. See ``broker.vault``.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from broker.database import unusable
from broker.store import LOCK_TIMEOUT, Store
from broker.vault import KEY_BYTES, SealError, Vault, key_path, next_key, opened_vault, rename, vault_of
from common.config import StoreConfig
from common.errors import ConfigError

_SEALED = {"camera": "config", "memory": "digest"}  # by table the column that is sealed, for what is in its row


class Rekeyed(NamedTuple):
    """A store that has another key."""

    cameras: int  # that are sealed with it
    undone: tuple[str, ...]  # sentences: what could not be done to end the former key's use, and who does it


def rekey(config: StoreConfig, key: Path | None = None) -> Rekeyed:
    """Give the store another key.

    ``key``: a file that holds it, which is named by ``store.key_file`` from then on. Raises ``ConfigError``, and has
    changed nothing then.
    """
    if not config.path.exists():
        raise ConfigError(f"there is no store at {config.path.absolute()}; name the broker's", key="store.path")
    with closing(Store(config.path, config.key_file)) as store:  # no broker has it, and all that it holds can be read
        count = len(store.cameras())
        store.memories()  # those whose seal does not open are dropped
    path = key_path(config.path, config.key_file)
    if key is not None:
        if not key.exists():
            raise ConfigError(f"there is no file {key}; `openssl rand -hex 32` makes a key", where="--key")
        return Rekeyed(count, _seal_anew(config.path, path, opened_vault(key.absolute(), sealed=key)))
    following, vault = next_key(path), Vault(os.urandom(KEY_BYTES))
    try:
        vault.write(following, like=path)  # also over one that somebody left who was killed before it was used
    except OSError as exc:
        problem = (
            f"cannot be written: {exc.strerror}. If Camshaft cannot write the key's file, make another "
            "(openssl rand -hex 32), readable only by the broker's user, and name it with --key"
        )
        raise ConfigError(f"{following} {problem}", key="store.key_file") from None
    undone = _seal_anew(config.path, path, vault)
    try:
        rename(following, path.resolve())  # a link that leads to it stays
    except OSError as exc:
        what = f"The new key could not replace {path} ({exc.strerror})"
        undone += (f"{what}: it is in {following}, and the broker takes it from there when it may write beside it.",)
    return Rekeyed(count, undone)


def _seal_anew(store: Path, key: Path, vault: Vault) -> tuple[str, ...]:
    """Seal everything with the new ``vault``, all or nothing. Returns what is ``Rekeyed.undone`` then: nothing that the
    former opens is to be left in the files. Raises ``ConfigError``."""
    undone: tuple[str, ...] = ()
    try:
        with closing(sqlite3.connect(store, timeout=LOCK_TIMEOUT, isolation_level=None)) as database:
            run = database.execute
            run("PRAGMA locking_mode = EXCLUSIVE")
            run("PRAGMA synchronous = FULL")  # when it is done it is on the disk
            run("PRAGMA secure_delete = ON")
            run("BEGIN EXCLUSIVE")
            places = {
                (table, id): text
                for table, column in _SEALED.items()
                for id, text in run(f"SELECT id, {column} FROM {table}")  # noqa: S608 - both are ours
            }
            former = vault_of({f"{table} {id}": text for (table, id), text in places.items()}, key, store)
            for (table, id), text in places.items():
                place = f"{table} {id}"
                statement = f"UPDATE {table} SET {_SEALED[table]} = ? WHERE id = ?"  # noqa: S608 - both are ours
                run(statement, (vault.seal(former.open(text, place), place), id))
            run("COMMIT")
            try:
                _wipe(database)
            except sqlite3.Error as exc:
                what = f"What the former key opens could not be wiped from {store} and its -wal ({exc})"
                undone = (f"{what}: fix that, and give the store a new key once more.",)
    except (sqlite3.Error, SealError) as exc:
        raise unusable(store, str(exc)) from None
    return undone


def _wipe(database: sqlite3.Connection) -> None:
    """Leave nothing in the files of what was there before. Raises ``sqlite3.Error``."""
    database.execute("VACUUM")
    busy, *_ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise sqlite3.OperationalError("another program reads it")
