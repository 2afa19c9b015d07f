import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import store as module
from broker.store import FORMAT, Memory, Store, camera_names
from broker.vault import key_path
from common.config import StoreConfig
from common.config_cameras import CameraConfig
from common.errors import ConfigError
from common.media import Kind, Track
from tests.fakes.stored import DOOR, TRACKS, alter


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
