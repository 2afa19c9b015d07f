"""The vault that seals the store's values, and the file with its key."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from broker.vault import KEY_BYTES, SealError, Vault, is_sealed, key_path, opened_vault
from common.errors import ConfigError

STORE = Path("camshaft.db")
VAULT = Vault(bytes(KEY_BYTES))


@given(text=st.text(), place=st.text())
def test_what_was_sealed_is_opened_at_its_place(text: str, place: str) -> None:
    sealed = VAULT.seal(text, place)
    assert is_sealed(sealed)
    assert VAULT.open(sealed, place) == text
    assert VAULT.seal(text, place) != sealed, "a nonce of its own"
    with pytest.raises(SealError):
        VAULT.open(sealed, f"{place}x")
    assert not Vault(b"1" * KEY_BYTES).opens(sealed, place)


@given(st.text() | st.text().map("aes256gcm:".__add__) | st.binary().map(lambda raw: f"aes256gcm:{raw.hex()}"))
def test_what_was_not_sealed_is_an_error(text: str) -> None:
    with pytest.raises(SealError):
        VAULT.open(text, "camera door")


def test_a_key_is_made_for_its_owner_alone_and_found_again(tmp_path: Path) -> None:
    path = key_path(tmp_path / "camshaft.db", None)
    made = opened_vault(path, sealed=None)
    assert path.stat().st_mode & 0o777 == 0o600
    assert opened_vault(path, sealed=STORE).open(made.seal("x", "y"), "y") == "x"
    assert [file.name for file in tmp_path.iterdir()] == ["camshaft.db.secret"]


def test_a_key_of_the_operators_is_taken_as_it_is_written_and_named_if_all_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f"  {'Aa' * 32}\n")
    path.chmod(0o644)
    with structlog.testing.capture_logs() as logs:
        assert opened_vault(path, sealed=STORE).opens(Vault(b"\xaa" * 32).seal("x", "y"), "y")
    assert [entry["event"] for entry in logs] == ["everybody on this machine can read the store's key"]
    path.chmod(0o640)
    with structlog.testing.capture_logs() as logs:
        opened_vault(path, sealed=STORE)
    assert logs == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "holds no key, which is 64 hexadecimal digits"),
        (b"secret", "holds no key"),
        (b"\xff" * 32, "holds no key"),
        (b"0" * 200, "holds no key"),
        (None, "cannot be read: it is a directory"),
    ],
)
def test_a_file_that_is_no_key_is_named(tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "key"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(ConfigError, match=problem) as caught:
        opened_vault(path, sealed=None)
    assert caught.value.key == "store.key_file"


def test_a_key_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
        opened_vault(tmp_path / "nowhere" / "key", sealed=None)


def test_a_key_is_on_the_disk_under_its_name_before_anything_is_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "key", list[tuple[bool, bool]]()
    sync = os.fsync

    def fsync(file: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(file).st_mode), path.exists()))
        sync(file)

    monkeypatch.setattr(os, "fsync", fsync)
    opened_vault(path, sealed=None)
    assert synced == [(False, False), (True, True)]
