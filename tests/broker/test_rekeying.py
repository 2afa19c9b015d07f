"""Another key for the store, and what is found after that was killed."""

from __future__ import annotations

import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from broker.rekeying import Rekeyed, rekey
from broker.store import Memory, Store
from broker.vault import next_key
from camshaft.store_command import rekey as rekey_command
from common.config import CameraConfig, StoreConfig
from common.errors import ConfigError

CAMERAS = {name: CameraConfig(url=f"rtsp://u:secret-of-{name}@host/") for name in ("door", "yard", "shed")}
MEMORY = Memory("digest", 7)


@pytest.fixture
def config(tmp_path: Path) -> StoreConfig:
    config = StoreConfig(path=tmp_path / "camshaft.db")
    with closing(Store(config.path)) as store:
        for name, camera in CAMERAS.items():
            store.put_camera(name, camera)
        store.remember("door", MEMORY)
    return config


def key_of(config: StoreConfig) -> Path:
    return config.path.with_name("camshaft.db.secret")


def assert_all_there(config: StoreConfig) -> None:
    with closing(Store(config.path, config.key_file)) as store:
        assert store.cameras() == CAMERAS
        assert store.memories() == {"door": MEMORY}


def sealed(config: StoreConfig) -> bytes:
    return b"".join(file.read_bytes() for file in config.path.parent.glob("camshaft.db*") if "secret" not in file.name)


def test_all_is_sealed_with_another_key_and_nothing_is_left_for_the_former(config: StoreConfig) -> None:
    key = key_of(config)
    key.chmod(0o640)
    former, before = key.read_text(), sealed(config)
    assert rekey(config) == Rekeyed(len(CAMERAS), ())
    assert key.read_text() != former
    assert stat.S_IMODE(key.stat().st_mode) == 0o640
    assert not next_key(key).exists()
    assert_all_there(config)
    values = [part.split(b"\0")[0][:60] for part in before.split(b"aes256gcm:")[1:]]
    assert len(values) == len(CAMERAS) + 1
    assert not [value for value in values if value in sealed(config)]
    key.write_text(former)
    with pytest.raises(ConfigError, match="holds a different key"):
        Store(config.path)


def test_a_key_of_the_operators_is_named_by_it_and_left_alone(config: StoreConfig, tmp_path: Path) -> None:
    other, former = tmp_path / "other", key_of(config).read_text()
    with pytest.raises(ConfigError, match="there is no file"):
        rekey(config, other)
    other.write_text("ab" * 32)
    rekey(config, other)
    assert key_of(config).read_text() == former
    assert_all_there(StoreConfig(path=config.path, key_file=other))
    link = tmp_path / "link"
    link.symlink_to(other)
    rekey(StoreConfig(path=config.path, key_file=link))
    assert link.is_symlink()
    assert other.read_text() != "ab" * 32
    assert_all_there(StoreConfig(path=config.path, key_file=link))


def test_a_store_in_use_or_away_is_not_changed(config: StoreConfig, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("broker.store.LOCK_TIMEOUT", 0.01)
    with closing(Store(config.path)), pytest.raises(ConfigError, match="in use by another broker"):
        rekey(config)
    with pytest.raises(ConfigError, match=r"there is no store at /.+; name the broker"):
        rekey(StoreConfig(path=tmp_path / "none.db"))
    assert not (tmp_path / "none.db").exists()


def test_a_key_that_cannot_be_written_is_named_before_anything_is_changed(config: StoreConfig) -> None:
    before = sealed(config)
    key_of(config).with_name("camshaft.db.secret.next.new").mkdir()
    with pytest.raises(ConfigError, match="--key"):
        rekey(config)
    assert sealed(config) == before


def full(_database: sqlite3.Connection) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def test_a_store_that_has_another_key_is_said_to_have_it_where_the_former_s_is_not_wiped(
    config: StoreConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.rekeying._wipe", full)
    former = key_of(config).read_text()
    cameras, [problem] = rekey(config)
    assert (cameras, "disk is full" in problem, "once more" in problem) == (len(CAMERAS), True, True)
    assert key_of(config).read_text() != former
    assert_all_there(config)
    other = tmp_path / "other"
    other.write_text("ab" * 32)
    ended = CliRunner().invoke(rekey_command, ["--store-path", str(config.path), "--key", str(other)], obj={})
    assert ended.exit_code == 1
    assert "The store has a new key; 3 cameras are sealed with it." in ended.stdout
    assert f"store.key_file: {other}" in ended.stdout
    assert "could not be wiped" in ended.stderr
    assert_all_there(StoreConfig(path=config.path, key_file=other))


def test_a_key_that_cannot_take_its_place_is_said_to_wait_beside_it(
    config: StoreConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_file: Path, _path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("broker.rekeying.rename", denied)
    cameras, [problem] = rekey(config)
    assert cameras == len(CAMERAS)
    assert str(next_key(key_of(config))) in problem
    monkeypatch.undo()
    assert_all_there(config)  # which takes it
    assert not next_key(key_of(config)).exists()


PROGRAM = """
import os, signal, sys
from pathlib import Path
from broker import rekeying
from broker.vault import Vault
from common.config import StoreConfig

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

sealed = 0
def second(self, text, place, seal=Vault.seal):
    global sealed
    sealed += 1
    return die() if sealed == 2 else seal(self, text, place)

where = sys.argv[2]
if where == "write":
    rekeying._seal_anew = die
elif where == "seal":
    Vault.seal = second
else:
    rekeying.rename = die
rekeying.rekey(StoreConfig(path=Path(sys.argv[1])))
"""


@pytest.mark.parametrize(("where", "by_the_next"), [("write", False), ("seal", False), ("rename", True)])
def test_one_that_was_killed_leaves_a_store_that_opens(config: StoreConfig, where: str, by_the_next: bool) -> None:
    former = key_of(config).read_text()
    ended = subprocess.run([sys.executable, "-c", PROGRAM, str(config.path), where], check=False)
    assert ended.returncode == -signal.SIGKILL
    following = next_key(key_of(config)).read_text()
    assert_all_there(config)
    assert key_of(config).read_text() == (following if by_the_next else former)
    rekey(config)
    assert key_of(config).read_text() not in (former, following)
    assert not next_key(key_of(config)).exists()
    assert_all_there(config)
