"""Tokens, and the keys they are exchanged for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from zmq.utils import z85

from broker import keyring as module
from broker.admission import MEMBER_KEPT, JoinRefusedError
from broker.keyring import SEEN_INTERVAL, Keyring, keyring_path
from common.control import Role
from common.errors import ConfigError
from common.token import WorkerToken
from tests.fakes.members import NOW, admit


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "camshaft.db.keys"


@pytest.fixture
def keyring(path: Path) -> Iterator[Keyring]:
    with closing(Keyring(path)) as keyring:
        yield keyring


def test_it_lies_beside_the_store_and_only_its_owner_may_read_it(keyring: Keyring, path: Path) -> None:
    assert keyring_path(path.with_name("camshaft.db")) == path
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_token_carries_the_brokers_key_and_is_kept_only_as_a_digest(keyring: Keyring, path: Path) -> None:
    token = keyring.make_token(Role.EGRESS, now=NOW)
    assert z85.encode(token.broker) == keyring.public
    assert token.secret not in path.read_bytes()
    assert str(token).encode() not in path.read_bytes()


def test_a_token_is_exchanged_for_the_workers_key(keyring: Keyring) -> None:
    token = keyring.make_token(Role.EGRESS, now=NOW)
    member = admit(keyring, token)
    assert (member.role, member.node, member.token) == (Role.EGRESS, "out-1", token.id)
    assert keyring.member(member.key) == keyring.member_named("out-1") == member
    assert keyring.tokens()[0].nodes == ("out-1",)


def test_everything_survives_a_restart(keyring: Keyring, path: Path) -> None:
    token = keyring.make_token(Role.INGEST, now=NOW)
    member = admit(keyring, token, "in-1", role=Role.INGEST)
    with closing(Keyring(path)) as again:
        assert (again.public, again.secret) == (keyring.public, keyring.secret)
        assert again.member(member.key) == member
        assert again.stream_key("door", "in-1") == keyring.stream_key("door", "in-1") != b""


def test_a_worker_that_is_a_member_needs_no_token_again(keyring: Keyring) -> None:
    token = keyring.make_token(Role.EGRESS, uses=1, expires=NOW + 10, now=NOW)
    member = admit(keyring, token)
    assert admit(keyring, token, key=member.key, now=NOW + 1_000) == member


def test_a_stream_key_is_another_for_each_camera_and_worker(keyring: Keyring) -> None:
    token = keyring.make_token(Role.INGEST, now=NOW)
    for node in ("in-1", "in-2"):
        admit(keyring, token, node, role=Role.INGEST)
    keys = {keyring.stream_key(camera, node) for camera in ("door", "yard") for node in ("in-1", "in-2")}
    assert len(keys) == 4
    assert keyring.stream_key("door", "nobody") == b""


def test_a_worker_that_comes_back_with_a_new_key_seals_with_another(keyring: Keyring) -> None:
    token = keyring.make_token(Role.INGEST, now=NOW)
    admit(keyring, token, "in-1", role=Role.INGEST)
    before = keyring.stream_key("door", "in-1")
    admit(keyring, token, "in-1", role=Role.INGEST)
    assert keyring.stream_key("door", "in-1") != before


def test_the_brokers_own_workers_have_a_token_for_each_role(keyring: Keyring) -> None:
    tokens = {role: keyring.own_token(role, now=NOW) for role in Role}
    assert {token.id: token.role for token in keyring.tokens()} == {token.id: role for role, token in tokens.items()}


def test_workers_of_serve_get_a_new_token_at_each_start_and_keep_their_names(keyring: Keyring) -> None:
    first = keyring.own_token(Role.EGRESS, now=NOW)
    admit(keyring, first, "egress-0")
    second = keyring.own_token(Role.EGRESS, now=NOW)
    assert first.id == second.id
    assert WorkerToken.parse(str(second)) == second
    with pytest.raises(JoinRefusedError, match="does not know"):
        admit(keyring, first, "egress-0")
    admit(keyring, second, "egress-0")


class TestRevoking:
    def test_a_token_and_all_keys_that_it_was_exchanged_for(self, keyring: Keyring) -> None:
        token, other = (keyring.make_token(Role.EGRESS, now=NOW) for _ in range(2))
        for node in ("out-2", "out-1"):
            admit(keyring, token, node)
        kept = admit(keyring, other, "out-3")
        assert keyring.revoke(token.id) == ("out-1", "out-2")
        assert [each.revoked for each in keyring.tokens()] == [each.id == token.id for each in keyring.tokens()]
        assert keyring.member(kept.key) == kept

    def test_what_does_not_exist(self, keyring: Keyring) -> None:
        with pytest.raises(ConfigError, match=r"no worker 'nobody'; see `camshaft token list`"):
            keyring.revoke("nobody")

    def test_a_broker_that_runs_sees_it(self, keyring: Keyring, path: Path) -> None:
        token = keyring.make_token(Role.EGRESS, now=NOW)
        member = admit(keyring, token)
        assert list(keyring.take_revoked()) == []
        with closing(Keyring(path)) as command:
            command.revoke("out-1")
        keyring.refresh()  # as at each handshake
        assert keyring.member(member.key) is None
        assert list(keyring.take_revoked()) == [member]
        assert list(keyring.take_revoked()) == []

    def test_a_worker_that_came_back_with_a_new_key_was_not_revoked(self, keyring: Keyring, path: Path) -> None:
        """The relay's keyring, where that is a process: others have written that, but nobody took anything back."""
        token = keyring.make_token(Role.EGRESS, now=NOW)
        former = admit(keyring, token)
        with closing(Keyring(path)) as relay:
            now = admit(keyring, token)
            assert list(relay.take_revoked()) == []
            assert relay.member(former.key) is None
            assert relay.member(now.key) == now
            keyring.revoke(token.id)
            assert list(relay.take_revoked()) == [now]

    def test_a_key_that_nobody_used_for_long_is_forgotten_and_not_revoked_unless_its_token_is(
        self, keyring: Keyring, path: Path
    ) -> None:
        token, other = (keyring.make_token(Role.EGRESS, now=NOW) for _ in range(2))
        silent = admit(keyring, token, "silent")
        with closing(Keyring(path)) as relay:
            admit(keyring, other, "arrival", now=NOW + MEMBER_KEPT + 1)
            assert list(relay.take_revoked()) == []
            assert relay.member(silent.key) is None
            keyring.revoke(token.id)
            assert list(relay.take_revoked()) == [silent]  # it may be connected all the same
            assert list(relay.take_revoked()) == []

    def test_a_key_that_is_revoked_is_not_taken_for_forgotten_however_long_it_was_silent(
        self, keyring: Keyring, path: Path
    ) -> None:
        token = keyring.make_token(Role.EGRESS, now=NOW)
        silent = admit(keyring, token, "silent")
        other = admit(keyring, token, "other")
        with closing(Keyring(path)) as relay:
            keyring.saw(other, NOW + 2 * MEMBER_KEPT)
            relay.refresh()
            keyring.revoke("silent")
            assert list(relay.take_revoked()) == [silent]

    def test_a_key_is_revoked_though_another_worker_has_its_name_by_now(self, keyring: Keyring, path: Path) -> None:
        other = keyring.make_token(Role.EGRESS, now=NOW)
        for name in ("token", "node"):
            token = keyring.make_token(Role.EGRESS, now=NOW)
            member = admit(keyring, token, name)
            with closing(Keyring(path)) as relay:
                keyring.revoke(token.id if name == "token" else name)
                admit(keyring, other, name)
                assert list(relay.take_revoked()) == [member]

    def test_a_token_made_while_the_broker_runs_is_known_at_once(self, keyring: Keyring, path: Path) -> None:
        with closing(Keyring(path)) as command:
            token = command.make_token(Role.EGRESS, now=NOW)
        assert admit(keyring, token).token == token.id


class TestBounds:
    def test_a_sign_of_life_is_not_written_down_at_each_report(self, keyring: Keyring, path: Path) -> None:
        member = admit(keyring, keyring.make_token(Role.EGRESS, now=NOW))
        before = path.read_bytes()
        keyring.saw(member, NOW + SEEN_INTERVAL / 2)
        assert path.read_bytes() == before

    def test_there_cannot_be_any_number_of_tokens(self, keyring: Keyring, monkeypatch) -> None:
        monkeypatch.setattr(module, "MAX_TOKENS", 2)
        keyring.make_token(Role.EGRESS, expires=NOW + 1, now=NOW)
        later = NOW + 2 + module.EXPIRED_KEPT
        for _ in range(2):
            keyring.make_token(Role.EGRESS, now=later)  # the first has expired long ago and makes room
        with pytest.raises(ConfigError, match="camshaft token revoke"):
            keyring.make_token(Role.EGRESS, now=later)


@pytest.mark.parametrize("content", [b"cameras: {}\n" * 100, b"\0"])
def test_a_file_of_another_program_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="another program"):
        Keyring(path)
    assert path.read_bytes() == content


def test_a_damaged_file_and_one_of_a_newer_release_are_named(keyring: Keyring, path: Path) -> None:
    for statement, problem in (("PRAGMA user_version = 9", "newer release"), ("DELETE FROM broker", "damaged")):
        copy = path.with_name("copy.keys")
        copy.write_bytes(path.read_bytes())
        database = sqlite3.connect(copy)
        with database:
            database.execute(statement)
        database.close()
        with pytest.raises(ConfigError, match=problem) as caught:
            Keyring(copy)
        assert str(copy) in str(caught.value)


def test_a_role_of_a_newer_release_is_passed_over(keyring: Keyring, path: Path) -> None:
    """It went back to this one, and its members and tokens are nobody here."""
    member = admit(keyring, keyring.make_token(Role.EGRESS, now=NOW))
    with closing(sqlite3.connect(path)) as newer, newer:
        newer.execute("INSERT INTO member VALUES ('its key', 'recorder', 'disk-1', 'aaaaaaaa', ?)", (NOW,))
        newer.execute("INSERT INTO token VALUES ('aaaaaaaa', x'00', 'recorder', '', NULL, NULL, ?, 0)", (NOW,))
    keyring.refresh()
    assert (keyring.member("its key"), keyring.member(member.key)) == (None, member)
    assert [token.id for token in keyring.tokens()] == [member.token]
    with closing(Keyring(path)) as again:
        assert again.member(member.key) == member


def test_a_relay_that_ends_leaves_nothing_that_a_release_without_one_would_not_know(
    keyring: Keyring, path: Path
) -> None:
    kept = admit(keyring, keyring.make_token(Role.EGRESS, now=NOW))
    with closing(Keyring(path)) as broker:
        member = admit(broker, keyring.own_token(Role.RELAY, now=NOW), "relay", role=Role.RELAY)
        keyring.disown(Role.RELAY)
        broker.refresh()
        assert broker.member(member.key) is None
        assert [token.role for token in broker.tokens()] == [Role.EGRESS]
        assert broker.member(kept.key) == kept


def test_somebody_who_reads_the_file_for_long_bars_no_later_write(keyring: Keyring, path: Path) -> None:
    """A backup, say: until it is done nothing can be written, and then everything can."""
    keyring._database.execute("PRAGMA busy_timeout = 10")
    with closing(sqlite3.connect(path, isolation_level=None)) as backup:
        backup.execute("BEGIN")
        backup.execute("SELECT * FROM token").fetchall()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            keyring.make_token(Role.EGRESS, now=1.0)
        backup.execute("ROLLBACK")
    assert keyring.make_token(Role.EGRESS, now=1.0)
    assert len(keyring.tokens()) == 1


@pytest.mark.parametrize("other", [False, True])
def test_a_file_that_was_moved_away_is_told_of_and_counts_again_once_it_is_back(
    keyring: Keyring, path: Path, other: bool
) -> None:
    """SQLite has it open still: the next start would know nobody whom that lets in, and nothing is revoked."""
    token = keyring.make_token(Role.EGRESS, now=NOW)
    member = admit(keyring, token)
    away = path.rename(path.with_suffix(".away"))
    if other:
        Keyring(path).close()
    said = "another file" if other else "moved or deleted"
    with pytest.raises(sqlite3.OperationalError, match=said):
        keyring.take_revoked()
    with pytest.raises(sqlite3.OperationalError, match=said):
        keyring.make_token(Role.EGRESS, now=NOW)
    assert keyring.member(member.key) == member, "who is known is let in"
    away.replace(path)
    with closing(Keyring(path)) as command:
        command.revoke(token.id)
    assert list(keyring.take_revoked()) == [member]
