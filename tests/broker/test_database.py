from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from broker.database import Format, claim, make_tables
from common.errors import ConfigError

FORMAT = Format(0x54455354, version=2, schema="CREATE TABLE one (id TEXT); CREATE TABLE two (id TEXT)")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "test.db"


def test_a_new_file_is_its_owners_alone_and_marked_as_ours(path: Path) -> None:
    claim(path, FORMAT)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        assert make_tables(database, path, FORMAT)
        assert not make_tables(database, path, FORMAT), "they are there"
        assert database.execute("SELECT count(*) FROM two").fetchone() == (0,)
    claim(path, FORMAT)
    assert path.stat().st_mode & 0o777 == 0o600
    assert int.from_bytes(path.read_bytes()[68:72]) == FORMAT.application_id


@pytest.mark.parametrize("content", [b"cameras: {}\n" * 100, b"\0"])
def test_a_file_of_another_program_is_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="another program"):
        claim(path, FORMAT)
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_file_of_a_newer_release_is_not_used(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA user_version = 3")
        with pytest.raises(ConfigError, match=r"newer release \(schema 3, here 2\)"):
            make_tables(database, path, FORMAT)
