"""The file of the store, and what happens to it under a running broker."""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest

from broker import store as module
from broker.store import Memory, ReplacedError, Store
from broker.vault import key_path
from common.config_cameras import CameraConfig
from tests.fakes.stored import DOOR, TRACKS


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
