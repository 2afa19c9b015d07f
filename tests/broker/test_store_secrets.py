"""Passwords in the store: sealed, by a key that may be away or another's."""

import os
import sqlite3
from pathlib import Path

import pytest
import structlog

from broker import store as module
from broker.store import FORMAT, Memory, Store
from broker.vault import key_path
from common.config_cameras import CameraConfig
from common.errors import ConfigError
from tests.fakes.stored import DOOR, TRACKS, alter


def on_disk(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(directory.iterdir()) if not file.name.endswith(".secret"))


def before_sealing(path: Path, *, count: int = 1) -> None:
    """The file of a release that knew no sealing, with a write-ahead log, as it is when its broker was killed."""
    original = path.with_name("original.db")
    database = sqlite3.connect(original, isolation_level=None)
    for statement in FORMAT.schema.split(";"):
        database.execute(statement)
    database.execute(f"PRAGMA application_id = {FORMAT.application_id}")
    database.execute("PRAGMA user_version = 1")
    database.execute("PRAGMA journal_mode = WAL")
    for number in range(count):
        name = f"door-{number}" if number else "door"
        database.execute("INSERT INTO camera VALUES (?, ?)", (name, DOOR.model_dump_json()))
    database.execute("INSERT INTO memory VALUES ('door', 'digest-in-clear', 7, '[]', 'ingest-1')")
    for suffix in ("", "-wal"):
        path.with_name(path.name + suffix).write_bytes(original.with_name(original.name + suffix).read_bytes())
    database.close()
    original.unlink()


def test_no_password_is_in_the_file_in_clear(store: Store, path: Path) -> None:
    store.put_camera("door", DOOR)
    store.remember("door", Memory("digest-in-clear", 1, TRACKS))
    assert b"secret@" not in on_disk(path.parent)
    assert b"digest-in-clear" not in on_disk(path.parent)
    store.close()
    assert b"secret@" not in on_disk(path.parent)


@pytest.mark.parametrize("count", [1, 200])
def test_the_store_of_an_older_release_is_sealed(path: Path, count: int) -> None:
    before_sealing(path, count=count)
    assert on_disk(path.parent).count(b"secret@") >= count
    store = Store(path)
    assert b"secret@" not in on_disk(path.parent)
    assert b"digest-in-clear" not in on_disk(path.parent)
    store.close()
    again = Store(path)
    assert len(again.cameras()) == count
    assert again.cameras()["door"] == DOOR
    assert again.memories() == {"door": Memory("digest-in-clear", 7, (), "ingest-1")}
    again.close()


def test_sealing_that_was_killed_begins_again(path: Path, monkeypatch) -> None:
    before_sealing(path)
    monkeypatch.setattr(module, "FORMAT", module.Format(FORMAT.application_id, 1, FORMAT.schema))
    Store(path).close()  # as if it had not come to this
    monkeypatch.undo()
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA user_version").fetchone() == (1,)
    database.close()
    store = Store(path)
    store.put_camera("yard", DOOR)  # sealed, beside what is not
    alter_within(store, "PRAGMA user_version = 1")
    store.close()
    again = Store(path)
    assert again.cameras() == {"door": DOOR, "yard": DOOR}
    again.close()
    assert b"secret@" not in on_disk(path.parent)


def alter_within(store: Store, statement: str) -> None:
    store._database.execute(statement)


def test_a_camera_whose_seal_was_taken_from_another_is_wrong(store: Store, path: Path) -> None:
    store.put_camera("door", DOOR)
    store.put_camera("yard", CameraConfig(url="rtsp://host/yard"))
    store.close()
    alter(path, "UPDATE camera SET config = (SELECT config FROM camera WHERE id = 'door') WHERE id = 'yard'")
    again = Store(path)
    with pytest.raises(ConfigError, match="'yard' that is wrong: cannot be opened"):
        again.cameras()
    again.close()


def test_a_key_that_is_away_or_anothers_is_named(store: Store, path: Path) -> None:
    store.put_camera("door", DOOR)
    store.close()
    key = key_path(path, None)
    kept = key.read_text()
    key.unlink()
    with pytest.raises(
        ConfigError, match=r"is not there, .* If it is gone for good.* move .*camshaft\.db away"
    ) as caught:
        Store(path)
    assert caught.value.key == "store.key_file"
    assert not key.exists()
    key.write_text("00" * 32)
    with pytest.raises(ConfigError, match=r"holds a different key from the one that sealed .*camshaft\.db"):
        Store(path)
    elsewhere = path.with_name("elsewhere")
    elsewhere.write_text(kept)
    again = Store(path, elsewhere)
    assert again.cameras() == {"door": DOOR}
    again.close()


def test_a_key_that_is_deleted_under_us_is_written_again_where_it_is_ours(store: Store, path: Path) -> None:
    store.put_camera("door", DOOR)
    key_path(path, None).unlink()
    store.check()
    store.close()
    own = path.with_name("own")
    again = Store(path, key_path(path, None))
    assert again.cameras() == {"door": DOOR}
    again.close()
    theirs = Store(path.with_name("theirs.db"), own)
    own.unlink()
    theirs.check()
    theirs.close()
    assert not own.exists()


def test_what_may_not_be_looked_at_is_told_as_what_cannot_be_written(store: Store, path: Path) -> None:
    path.parent.chmod(0)
    if not (user := os.geteuid()):
        os.seteuid(65_534)  # root may look at everything
    try:
        with pytest.raises(sqlite3.Error, match="Permission denied"):
            store.check()
    finally:
        os.seteuid(user)
        path.parent.chmod(0o700)
    store.check()
    store.put_camera("door", DOOR)


def test_a_memory_whose_seal_does_not_open_is_dropped_for_good(store: Store, path: Path) -> None:
    store.remember("door", Memory("digest", 1))
    store.remember("yard", Memory("digest", 2))
    store.close()
    alter(path, "UPDATE memory SET digest = (SELECT digest FROM memory WHERE id = 'yard')")
    for events in ([("warning", "door")], []):
        again = Store(path)
        with structlog.testing.capture_logs() as logs:
            assert again.memories() == {"yard": Memory("digest", 2)}
        assert [(entry["log_level"], entry["stream"]) for entry in logs] == events
        again.close()
