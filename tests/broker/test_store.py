import os
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from broker import store as module
from broker.store import FORMAT, Memory, ReplacedError, Store, camera_names
from broker.vault import key_path
from common.config import StoreConfig
from common.config_cameras import CameraConfig
from common.errors import ConfigError
from common.media import Kind, Track

DOOR = CameraConfig(url="rtsp://user:secret@host/door", on_demand=True, keep_after=3.5, tls={"legacy": True})
TRACKS = (Track(Kind.VIDEO, "H264", 90_000, profile="42e01f"), Track(Kind.AUDIO, "AAC", 44_100, 2, problem="not yet"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "camshaft.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store(path)
    yield store
    store.close()


def test_cameras_survive_a_restart(store: Store, path: Path) -> None:
    store.put_camera("door", DOOR)
    store.put_camera("yard", CameraConfig(url="rtsp://host/yard"))
    store.put_camera("yard", CameraConfig(url="rtsp://host/changed"))
    store.put_camera("shed", DOOR)
    store.remove_camera("shed")
    store.close()
    again = Store(path)
    assert again.cameras() == {"door": DOOR, "yard": CameraConfig(url="rtsp://host/changed")}
    again.close()


def test_names_are_known_without_a_broker(store: Store, path: Path) -> None:
    store.put_camera("door", DOOR)
    store.close()
    assert camera_names(StoreConfig(path=path)) == {"door"}
    missing = path.with_name("missing.db")
    assert camera_names(StoreConfig(path=missing)) == set()
    assert not missing.exists()


def test_a_proof_is_written_and_changes_nothing(store: Store, path: Path) -> None:
    store.put_camera("door", DOOR)
    log = path.with_name(f"{path.name}-wal")
    before = log.stat().st_size
    store.prove()
    assert log.stat().st_size > before
    store.close()
    again = Store(path)
    assert again.cameras() == {"door": DOOR}
    again.close()


def test_a_disk_that_cannot_be_looked_at_is_not_called_full(store: Store, path: Path, monkeypatch) -> None:
    assert not store.nearly_full
    monkeypatch.setattr(module, "SCARCE", 1 << 60)
    assert store.nearly_full
    monkeypatch.setattr(store, "_path", path / "nowhere" / "at-all.db")
    assert not store.nearly_full


def test_memories_survive_a_restart(store: Store, path: Path) -> None:
    store.remember("door", Memory("digest", 1_700_000_000_000, TRACKS, "ingest-1"))
    store.remember("yard", Memory("old", 1))
    store.remember("yard", Memory("new", 2))
    store.close()
    again = Store(path)
    assert again.memories() == {
        "door": Memory("digest", 1_700_000_000_000, TRACKS, "ingest-1"),
        "yard": Memory("new", 2),
    }
    again.close()


def test_what_was_written_is_there_although_nobody_closed_the_file(path: Path) -> None:
    killed = Store(path)
    killed.put_camera("door", DOOR)
    copy = path.with_name("copy.db")  # what is on disk when the process is killed now
    for suffix in ("", "-wal"):
        Path(f"{copy}{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
    again = Store(copy, key_path(path, None))
    assert again.cameras() == {"door": DOOR}
    again.close()
    killed.close()


def test_only_the_owner_may_read_it(path: Path) -> None:
    path.touch(mode=0o644)
    store = Store(path)
    store.put_camera("door", DOOR)
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["camshaft.db", "camshaft.db-wal", "camshaft.db.secret"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    store.close()


def test_only_one_broker_may_use_it(store: Store, path: Path, monkeypatch) -> None:
    monkeypatch.setattr("broker.store.LOCK_TIMEOUT", 0.01)
    with pytest.raises(ConfigError, match=r"in use by another broker.*--store-path"):
        Store(path)


def foreign(path: Path, mode: str = "delete") -> None:
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA journal_mode = {mode}")
    database.execute("CREATE TABLE other (x)")
    database.close()


def foreign_and_killed(path: Path) -> None:
    original = path.with_name("original")
    database = sqlite3.connect(original)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE other (x)")
    for suffix in ("", "-wal"):
        path.with_name(path.name + suffix).write_bytes(original.with_name(original.name + suffix).read_bytes())
    database.close()
    original.unlink()


@pytest.mark.parametrize(
    "make",
    [
        foreign,
        lambda path: foreign(path, "wal"),
        foreign_and_killed,
        lambda path: path.write_text("cameras: {}"),
        lambda path: path.write_bytes(b"\0"),
    ],
    ids=["database", "write-ahead", "killed", "text", "short"],
)
def test_a_file_of_another_program_is_left_as_it_is(path: Path, make) -> None:
    make(path)
    path.chmod(0o644)
    before = {file.name: (file.read_bytes(), file.stat().st_mode) for file in path.parent.iterdir()}
    with pytest.raises(ConfigError, match="another program"):
        Store(path)
    assert {file.name: (file.read_bytes(), file.stat().st_mode) for file in path.parent.iterdir()} == before


def test_a_pipe_is_no_store(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="Illegal seek"):
        Store(path)


def newer(path: Path) -> None:
    Store(path).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()


def damaged(path: Path) -> None:
    store = Store(path)
    for i in range(200):
        store.put_camera(f"camera-{i}", DOOR)
    store.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    damaged(path)
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: path.write_bytes(b"cameras: {}\n" * 100), "another program"),
        (lambda path: path.mkdir(), "Is a directory"),
        (foreign, "another program"),
        (newer, "newer release"),
        (damaged, "malformed|damaged"),
        (cut_short, "malformed|damaged"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(path: Path, spoil, problem: str) -> None:
    spoil(path)
    with pytest.raises(ConfigError, match=problem) as caught:
        Store(path)
    assert caught.value.key == "store.path"
    assert str(path) in str(caught.value)


def test_a_directory_that_does_not_exist_is_named(path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory"):
        Store(path.parent / "missing" / "camshaft.db")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"url": "ftp://host/"}', '{"url": "rtsp://host/", "color": 1}'])
def test_a_stored_camera_that_is_wrong_is_named(store: Store, path: Path, text: str) -> None:
    store.put_camera("door", DOOR)
    store.close()
    alter(path, "UPDATE camera SET config = ?", text)
    again = Store(path)
    with pytest.raises(ConfigError, match="'door'"):
        again.cameras()
    again.close()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"kind": "smell"}]'])
def test_a_memory_that_is_wrong_is_named(store: Store, path: Path, text: str) -> None:
    store.remember("door", Memory("digest", 1))
    store.close()
    alter(path, "UPDATE memory SET tracks = ?", text)
    again = Store(path)
    with pytest.raises(ConfigError, match="damaged"):
        again.memories()
    again.close()


def alter(path: Path, statement: str, *values: object) -> None:
    database = sqlite3.connect(path)
    with database:
        database.execute(statement, values)
    database.close()


def test_a_file_made_by_us_is_marked_as_ours(store: Store, path: Path) -> None:
    store.close()
    assert int.from_bytes(path.read_bytes()[68:72], "big") == FORMAT.application_id  # offset in SQLite's file header


tracks = st.builds(
    Track,
    st.sampled_from(Kind),
    st.text(),
    st.integers(0, 2**31),
    st.integers(0, 8),
    profile=st.text(),
    problem=st.text(),
)


@given(tracks=st.lists(tracks, max_size=3).map(tuple), worker=st.none() | st.text())
def test_any_memory_comes_back_as_it_was(tmp_path_factory, tracks, worker) -> None:
    store = Store(tmp_path_factory.mktemp("store") / "camshaft.db")
    try:
        store.remember("door", Memory("digest", 1, tracks, worker))
        assert store.memories() == {"door": Memory("digest", 1, tracks, worker)}
    finally:
        store.close()


# What happens to the file under a running broker


def cameras_on_disk(path: Path) -> set[str]:
    """The cameras that a broker finds which starts after a crash of this one."""
    copy = path.with_name("copy.db")
    for suffix in ("", "-wal"):
        if Path(f"{path}{suffix}").exists():
            Path(f"{copy}{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
    store = Store(copy, key_path(path, None))
    try:
        return set(store.cameras())
    finally:
        store.close()
        for file in path.parent.glob("copy.db*"):
            file.unlink()


def delete(path: Path) -> None:
    path.unlink()


def delete_all(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def delete_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


def cut(path: Path) -> None:
    os.truncate(path, 1_000)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def overwrite(path: Path) -> None:
    path.write_bytes(b"\xff" * path.stat().st_size)


LOSSES = [delete, delete_all, delete_log, cut, empty, overwrite]


@pytest.mark.parametrize("lose", LOSSES)
@pytest.mark.parametrize("how", ["by the next write", "by a look"])
def test_a_file_that_is_lost_is_written_again(store: Store, path: Path, lose, how: str) -> None:
    store.put_camera("door", DOOR)
    store.put_camera("gone", DOOR)
    store.remove_camera("gone")
    store.remember("door", Memory("digest", 1, TRACKS))
    lose(path)
    if how == "by a look":
        store.check()
        assert cameras_on_disk(path) == {"door"}
    store.put_camera("yard", DOOR)
    assert cameras_on_disk(path) == {"door", "yard"}
    assert store.memories() == {"door": Memory("digest", 1, TRACKS)}
    store.close()
    again = Store(path)
    assert again.cameras() == {"door": DOOR, "yard": DOOR}
    again.close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_could_not_be_written_again_is_tried_anew(store: Store, path: Path, monkeypatch) -> None:
    for name in ("door", "yard"):
        store.put_camera(name, CameraConfig(url=f"rtsp://host/{name}"))
    with monkeypatch.context() as full:
        full.setitem(module._INSERT, "camera", "INSERT INTO nowhere VALUES (?, ?)")
        delete_all(path)
        for _ in range(2):
            with pytest.raises(sqlite3.Error):
                store.check()
    store.check()
    store.put_camera("hall", CameraConfig(url="rtsp://host/hall"))
    assert cameras_on_disk(path) == {"door", "yard", "hall"}


def test_a_file_that_was_only_touched_is_left_alone(store: Store, path: Path) -> None:
    store.put_camera("door", DOOR)
    before = path.stat().st_ino
    os.utime(path)
    store.put_camera("yard", DOOR)
    assert path.stat().st_ino == before
    assert not path.with_name(f"{path.name}.damaged").exists()


def test_another_file_in_its_place_is_not_written(store: Store, path: Path) -> None:
    store.put_camera("door", DOOR)
    other = Store(path.with_name("backup.db"))
    other.put_camera("old", DOOR)
    other.close()
    path.with_name("backup.db").replace(path)
    content = path.read_bytes()
    for write in (lambda: store.put_camera("yard", DOOR), store.check, lambda: store.remove_camera("door")):
        with pytest.raises(ReplacedError):
            write()
    assert path.read_bytes() == content


def test_a_directory_that_comes_back_has_the_file_again(tmp_path: Path) -> None:
    """A disk that is not mounted for a while."""
    path = tmp_path / "disk" / "camshaft.db"
    path.parent.mkdir()
    store = Store(path)
    store.put_camera("door", DOOR)
    path.parent.rename(tmp_path / "away")
    for _ in range(2):
        with pytest.raises(sqlite3.Error):
            store.put_camera("yard", DOOR)
    path.parent.mkdir()
    store.put_camera("shed", DOOR)
    assert cameras_on_disk(path) == {"door", "shed"}
    store.close()


def test_a_transaction_that_fails_leaves_nothing_in_memory_either(store: Store, path: Path) -> None:
    store.put_camera("door", DOOR)
    with suppress(RuntimeError), store.transaction():
        store.put_camera("yard", DOOR)
        store.remove_camera("door")
        raise RuntimeError
    path.unlink()
    store.check()
    assert cameras_on_disk(path) == {"door"}


# Passwords in it


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
    with pytest.raises(ConfigError, match=r"holds another key than .*camshaft\.db was sealed with"):
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
