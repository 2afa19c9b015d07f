"""``camshaft token``: what the operator of the broker's machine types, and what it prints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from broker.admission import JoinRefusedError
from broker.keyring import Keyring
from camshaft.cli import cli
from common.control import Role
from common.token import WorkerToken


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def keyring(directory: Path) -> Iterator[Keyring]:
    """As a broker holds it."""
    with closing(Keyring(directory / "camshaft.db.keys")) as keyring:
        yield keyring


def token(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["token", *arguments])


def made(*arguments: str) -> WorkerToken:
    result = token("worker", *arguments)
    assert result.exit_code == 0, result.output
    return WorkerToken.parse(result.output)


def admit(keyring: Keyring, token: WorkerToken, node: str, role: Role = Role.EGRESS, now: float | None = None) -> None:
    key = f"key of {node}"
    keyring.admit(token.id, token.secret, key, role, node, lives=lambda _: False, now=now or time.time())


def test_what_it_prints_is_a_token_of_the_broker_that_runs(keyring: Keyring) -> None:
    admit(keyring, made("--role", "ingest", "--node", "in-1"), "in-1", Role.INGEST)


def test_it_lies_beside_the_store_that_the_broker_uses(directory: Path) -> None:
    made("--role", "egress", "--store-path", "elsewhere.db")
    assert [file.name for file in directory.iterdir()] == ["elsewhere.db.keys"]


def test_lifetime_and_uses(keyring: Keyring) -> None:
    made("--role", "egress", "--expires", "2h", "--uses", "3")
    (kept,) = keyring.tokens()
    assert kept.uses == 3
    assert kept.expires == pytest.approx(time.time() + 7200, abs=60)


@pytest.mark.parametrize("time", ["", "24", "h", "-1h", "0s", "1w", "999999999d"])
def test_a_lifetime_that_is_none_is_refused(time: str, directory: Path) -> None:
    result = token("worker", "--role", "egress", "--expires", time)
    if time:  # an empty option counts as none
        assert result.exit_code == 2
        assert "is not a time such as 30m, 24h or 7d" in result.output
        assert not list(directory.iterdir())


@pytest.mark.parametrize(("name", "problem"), [("a b", "1 to 64 letters"), ("relay", "is the media relay's name")])
def test_a_name_that_no_worker_can_have_is_refused(name: str, problem: str) -> None:
    result = token("worker", "--role", "egress", "--node", name)
    assert result.exit_code == 2
    assert problem in result.output


def test_the_list_says_how_each_is_and_who_joined_and_shows_no_secret(keyring: Keyring) -> None:
    good, old, revoked, used = (
        made("--role", "egress", *more) for more in ([], ["--expires", "1s"], [], ["--uses", "1"])
    )
    admit(keyring, good, "out-1")
    admit(keyring, good, "out-2")
    admit(keyring, used, "out-3")
    token("revoke", revoked.id)
    with closing(Keyring(Path("camshaft.db.keys"))) as other:
        other._database.execute("UPDATE token SET expires = 1.0 WHERE id = ?", (old.id,))
    lines = {line.split()[0]: " ".join(line.split()) for line in token("list").output.splitlines()}
    assert lines[good.id] == f"{good.id} egress good any never any out-1, out-2"
    assert lines[used.id] == f"{used.id} egress used up any never 0 out-3"
    assert lines[revoked.id].startswith(f"{revoked.id} egress revoked")
    assert lines[old.id].startswith(f"{old.id} egress expired")
    assert str(good) not in token("list").output


def test_revoking_a_token_names_the_workers_that_it_shuts_out(keyring: Keyring) -> None:
    its = made("--role", "egress")
    admit(keyring, its, "out-1")
    assert token("revoke", its.id).output == f"Token {its.id} is revoked. Workers that this shuts out: out-1.\n"
    with pytest.raises(JoinRefusedError):
        admit(keyring, its, "out-1")


def test_revoking_a_worker_says_that_its_token_still_holds(keyring: Keyring) -> None:
    its = made("--role", "egress")
    admit(keyring, its, "out-1")
    output = token("revoke", "out-1").output
    assert "The key of worker out-1 is revoked." in output
    assert f"camshaft token revoke {its.id}" in output
    assert [member.node for member in keyring.take_revoked()] == ["out-1"]


@pytest.mark.parametrize("arguments", [["list"], ["revoke", "x"]])
def test_without_a_keyring_it_says_so_and_makes_none(arguments: list[str], directory: Path) -> None:
    result = token(*arguments)
    assert result.exit_code == 2
    assert "no worker token was made here" in result.output
    assert not list(directory.iterdir())


def test_an_empty_keyring_says_how_to_make_a_token(keyring: Keyring) -> None:
    assert "camshaft token worker --role egress" in token("list").output
