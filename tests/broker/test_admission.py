"""A keyring lets in the workers that it should."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from broker import admission as module
from broker.admission import MEMBER_KEPT, JoinRefusedError
from broker.keyring import Keyring
from common.control import Role
from common.token import WorkerToken
from tests.fakes.members import NOW, admit


@pytest.fixture
def keyring(tmp_path: Path) -> Iterator[Keyring]:
    with closing(Keyring(tmp_path / "camshaft.db.keys")) as keyring:
        yield keyring


class TestRefused:
    """Each with a sentence that says why and what to do."""

    def test_unknown(self, keyring: Keyring) -> None:
        with pytest.raises(JoinRefusedError, match="does not know this worker token; make another"):
            admit(keyring, WorkerToken.make(bytes(32)))

    def test_forged(self, keyring: Keyring) -> None:
        token = keyring.make_token(Role.EGRESS, now=NOW)
        with pytest.raises(JoinRefusedError, match="does not know this worker token"):
            admit(keyring, WorkerToken(token.broker, token.id, bytes(20)))

    def test_expired(self, keyring: Keyring) -> None:
        token = keyring.make_token(Role.EGRESS, expires=NOW + 60, now=NOW)
        admit(keyring, token, "out-1", now=NOW + 59)
        with pytest.raises(JoinRefusedError, match=f"{token.id} has expired; make another"):
            admit(keyring, token, "out-2", now=NOW + 60)

    def test_used_up_and_a_refusal_is_no_use(self, keyring: Keyring) -> None:
        token = keyring.make_token(Role.EGRESS, uses=2, now=NOW)
        admit(keyring, token, "out-1")
        with pytest.raises(JoinRefusedError, match="already running"):
            admit(keyring, token, "out-1", alive=("out-1",))
        admit(keyring, token, "out-2")
        with pytest.raises(JoinRefusedError, match=f"{token.id} has been used as often as it allows"):
            admit(keyring, token, "out-3")

    def test_revoked(self, keyring: Keyring) -> None:
        token = keyring.make_token(Role.EGRESS, now=NOW)
        member = admit(keyring, token)
        keyring.revoke(token.id)
        for key in ("", member.key):
            with pytest.raises(JoinRefusedError, match=f"{token.id} has been revoked"):
                admit(keyring, token, key=key)

    def test_another_role(self, keyring: Keyring) -> None:
        token = keyring.make_token(Role.EGRESS, now=NOW)
        with pytest.raises(JoinRefusedError, match="is for egress workers, and this is an ingest"):
            admit(keyring, token, role=Role.INGEST)

    def test_a_member_with_another_role_or_name(self, keyring: Keyring) -> None:
        member = admit(keyring, keyring.make_token(Role.EGRESS, now=NOW))
        token = keyring.make_token(Role.INGEST, now=NOW)
        with pytest.raises(JoinRefusedError, match="--cluster-key-file of its own"):
            admit(keyring, token, key=member.key, role=Role.INGEST)
        with pytest.raises(JoinRefusedError, match="that of the egress worker 'out-1': start it with --node out-1"):
            admit(keyring, token, "out-2", key=member.key)

    def test_another_name_than_the_tokens(self, keyring: Keyring) -> None:
        token = keyring.make_token(Role.EGRESS, node="wall", now=NOW)
        with pytest.raises(JoinRefusedError, match="is for the worker 'wall'; start it with that --node"):
            admit(keyring, token, "out-1")
        admit(keyring, token, "wall")


class TestNames:
    def test_a_live_workers_name_is_taken(self, keyring: Keyring) -> None:
        token = keyring.make_token(Role.EGRESS, now=NOW)
        member = admit(keyring, token)
        with pytest.raises(JoinRefusedError, match="a worker named 'out-1' is already running") as caught:
            admit(keyring, token, alive=("out-1",))
        assert caught.value.passing, "its former self may be dead and not known to be"
        assert keyring.member_named("out-1") == member

    def test_a_worker_that_was_started_again_gets_its_name_and_its_former_key_is_worth_nothing(self, keyring) -> None:
        token = keyring.make_token(Role.EGRESS, now=NOW)
        former, now = admit(keyring, token), admit(keyring, token)
        assert keyring.member(former.key) is None
        assert keyring.member_named("out-1") == now

    def test_no_other_token_gets_it_also_not_when_its_worker_is_away(self, keyring: Keyring) -> None:
        admit(keyring, keyring.make_token(Role.EGRESS, now=NOW))
        other = keyring.make_token(Role.EGRESS, now=NOW)
        with pytest.raises(
            JoinRefusedError, match=r"belongs to a worker of another token.*camshaft token revoke out-1"
        ):
            admit(keyring, other)
        keyring.revoke("out-1")
        assert admit(keyring, other).token == other.id

    def test_a_name_that_a_token_is_for_is_kept_for_it(self, keyring: Keyring) -> None:
        wall = keyring.make_token(Role.EGRESS, node="wall", now=NOW)
        other = keyring.make_token(Role.EGRESS, now=NOW)
        with pytest.raises(JoinRefusedError, match=f"kept for the worker token {wall.id}"):
            admit(keyring, other, "wall")

    def test_the_relays_name_is_the_relays_alone(self, keyring: Keyring) -> None:
        """Else the real one would be refused, and the broker not ready."""
        for role in set(Role) - {Role.RELAY}:
            for node in ("", "relay"):
                token = keyring.make_token(role, node=node, now=NOW)
                with pytest.raises(JoinRefusedError, match="the name 'relay' is the media relay's; choose another"):
                    admit(keyring, token, "relay", role=role)
        admit(keyring, keyring.own_token(Role.RELAY, now=NOW), "relay", role=Role.RELAY)

    def test_the_relay_gets_its_name_also_from_a_worker_of_a_release_without_one(self, keyring: Keyring) -> None:
        former = admit(keyring, keyring.make_token(Role.EGRESS, now=NOW), "out-1")
        keyring._database.execute("UPDATE member SET node = 'relay'")
        keyring._read_members()
        own = keyring.own_token(Role.RELAY, now=NOW)
        with pytest.raises(JoinRefusedError, match="already running"):
            admit(keyring, own, "relay", role=Role.RELAY, alive=("relay",))
        admit(keyring, own, "relay", role=Role.RELAY)
        assert keyring.member(former.key) is None


class TestRoom:
    def test_keys_that_nobody_used_for_long_are_forgotten(self, keyring: Keyring) -> None:
        token = keyring.make_token(Role.EGRESS, now=NOW)
        old, seen = (admit(keyring, token, node) for node in ("old", "seen"))
        keyring.saw(seen, NOW + MEMBER_KEPT)
        admit(keyring, token, "new", now=NOW + MEMBER_KEPT + 1)
        assert keyring.member(old.key) is None
        assert keyring.member(seen.key) is not None

    def test_the_worker_that_was_away_longest_makes_room(self, keyring: Keyring, monkeypatch) -> None:
        monkeypatch.setattr(module, "MAX_MEMBERS", 2)
        token = keyring.make_token(Role.EGRESS, now=NOW)
        for moment, node in enumerate(("lives", "gone", "new")):
            admit(keyring, token, node, alive=("lives",), now=NOW + moment)
        assert keyring.tokens()[0].nodes == ("lives", "new")
        with pytest.raises(JoinRefusedError, match="more than the cluster takes"):
            admit(keyring, token, "one more", alive=("lives", "new"))
