from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from broker.database import Format, claim, make_tables, opened, transaction
from common.errors import ConfigError, NotNowError

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


def test_a_full_disk_is_no_damage_and_may_pass(path: Path) -> None:
    with pytest.raises(NotNowError, match="full"), opened(path, FORMAT, 0.1) as database:  # noqa: PT012
        database.execute("PRAGMA max_page_count = 1")
        with transaction(database):
            make_tables(database, path, FORMAT)
            database.execute("INSERT INTO one VALUES (zeroblob(99999))")


def test_a_file_that_another_one_writes_to_is_no_damage_and_may_pass(path: Path) -> None:
    with (
        opened(path, FORMAT, 0.1) as first,
        closing(first),
        transaction(first),
        pytest.raises(NotNowError, match="locked"),
        opened(path, FORMAT, 0.01) as second,
        transaction(second),
    ):
        pytest.fail("it was barred")


def test_a_damaged_file_is_called_so(path: Path) -> None:
    claim(path, FORMAT)
    path.write_bytes(b"x" * 68 + FORMAT.application_id.to_bytes(4) + b"x" * 4000)
    with pytest.raises(ConfigError, match="is damaged") as caught, opened(path, FORMAT, 0.1) as database:
        database.execute("SELECT * FROM one")
    assert not isinstance(caught.value, NotNowError)
