"""``camshaft user`` and ``camshaft token new``: what the operator types, and what a broker then knows."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from broker.access.passwords import is_right
from broker.access.people import People
from broker.access.tokens import StaticTokens
from camshaft.cli import cli
from common.config_file import load


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def camshaft(*arguments: str, typed: str = "a long password\n") -> Result:
    return CliRunner().invoke(cli, arguments, input=typed)


def said(*arguments: str, typed: str = "a long password\n") -> str:
    result = camshaft(*arguments, typed=typed)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: str, typed: str = "a long password\n") -> str:
    result = camshaft(*arguments, typed=typed)
    assert result.exit_code != 0
    assert "Traceback" not in result.output
    return result.output


@pytest.mark.parametrize("command", [["list"], ["password", "anna"], ["remove", "anna"]])
def test_users_are_not_looked_for_where_no_broker_has_its_store(command: list[str], directory: Path) -> None:
    """Somebody is in another directory, and is not to find a file there afterwards."""
    assert f"{directory}/camshaft.db.people does not exist" in refused("user", *command)
    assert list(directory.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone makes files for others")
def test_what_root_makes_is_for_the_directory_s_owner(directory: Path) -> None:
    """The broker of the systemd unit has a user of its own, and reads the file."""
    os.chown(directory, 4_242, 4_343)
    said("user", "add", "anna", "--role", "admin")
    made = directory / "camshaft.db.people"
    assert (made.stat().st_uid, made.stat().st_gid, made.stat().st_mode & 0o777) == (4_242, 4_343, 0o600)


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone makes files for others")
def test_root_gives_nothing_away_through_a_link(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("roots") / "target"
    os.chown(directory, 4_242, 4_343)
    (directory / "camshaft.db.people").symlink_to(elsewhere)
    camshaft("user", "add", "anna", "--role", "admin")
    assert not elsewhere.exists() or elsewhere.stat().st_uid == 0


def test_a_user_that_is_added_can_sign_in() -> None:
    assert f"is added, for the broker whose store is {Path.cwd()}/camshaft.db" in said(
        "user", "add", "anna", "--role", "admin"
    )
    said("user", "add", "ben", "--camera", "yard", "--camera", "shop-*")
    assert [line.split() for line in said("user", "list").splitlines()] == [
        ["NAME", "ROLE", "CAMERAS"],
        ["anna", "admin", "all"],
        ["ben", "viewer", "yard,", "shop-*"],
    ]
    with closing(People(Path("camshaft.db.people"))) as people:
        anna = people.user("anna")
        assert anna is not None
        assert is_right("a long password", anna.hash)
        cookie = people.sign_in("ben", now=0.0, expires=1.0)
        said("user", "password", "ben", typed="another password\n")
        people.refresh()
        ben = people.user("ben")
        assert ben is not None
        assert is_right("another password", ben.hash)
        assert people.find(cookie, now=0.0) is None
        said("user", "remove", "ben")
        people.refresh()
        assert people.user("ben") is None


def test_a_user_is_given_other_rights() -> None:
    said("user", "add", "anna", "--role", "admin")
    said("user", "add", "ben", "--camera", "yard")

    def ben() -> list[str]:
        return said("user", "list").splitlines()[2].split()[1:]

    said("user", "edit", "ben", "--camera", "hall", "--camera", "shop-*")
    assert ben() == ["viewer", "hall,", "shop-*"]
    said("user", "edit", "ben", "--role", "monitor")
    assert ben() == ["monitor", "none"]
    said("user", "edit", "ben", "--role", "viewer", "--camera", "*")
    assert ben() == ["viewer", "*"]
    said("user", "edit", "ben", "--role", "admin")
    said("user", "edit", "anna", "--role", "viewer", "--camera", "*")
    assert "is the only admin" in refused("user", "edit", "ben", "--role", "viewer")
    for wrong, sentence in (
        (["ben"], "say what to change"),
        (["ben", "--camera", "a b"], "not a camera's name"),
        (["ben", "--role", "monitor", "--camera", "yard"], "watches no camera"),
        (["eve", "--role", "admin"], "no user 'eve'"),
    ):
        assert sentence in refused("user", "edit", *wrong)


@pytest.mark.parametrize(
    ("arguments", "typed", "sentence"),
    [
        (["add", "ben"], "a long password\n", "needs cameras"),
        (["add", "ben", "--camera", "*"], "a long password\n", "first user must be an admin"),
        (["add", "ben", "--camera", "a b"], "a long password\n", "not a camera's name"),
        (["add", "a b", "--role", "admin"], "a long password\n", "letters"),
        (["add", "anna", "--role", "admin"], "short\n", "8 to 1000"),
        (["add", "anna", "--role", "admin"], "", "8 to 1000"),
        (["password", "anna"], "a long password\n", "no user"),
        (["remove", "anna"], "a long password\n", "no user"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], typed: str, sentence: str) -> None:
    assert sentence in refused("user", *arguments, typed=typed)


def test_the_only_admin_stays() -> None:
    said("user", "add", "anna", "--role", "admin")
    assert "only admin" in refused("user", "remove", "anna")


def test_a_new_token_is_known_once_its_lines_are_in_the_file(directory: Path) -> None:
    first, _, lines = said("token", "new", "wall", "--camera", "shop-*", "--expires", "90d").partition("\n")
    (directory / "camshaft.yaml").write_text(lines.partition("file:\n")[2])
    tokens = StaticTokens(load(directory / "camshaft.yaml", {}, {}).auth.tokens)
    wall = tokens.find(first)
    assert wall is not None
    assert (wall.label, wall.cameras, wall.is_admin) == ("token:wall", ("shop-*",), False)
    assert wall.expires is not None

    answer = json.loads(said("token", "new", "boss", "--role", "admin", "--json"))
    (directory / "camshaft.yaml").write_text(yaml.safe_dump({"auth": answer["auth"]}))
    boss = StaticTokens(load(directory / "camshaft.yaml", {}, {}).auth.tokens).find(answer["token"])
    assert boss is not None
    assert boss.is_admin


def test_a_token_without_a_right_is_not_made() -> None:
    assert "names no cameras, so it gives no rights; write --camera NAME" in refused("token", "new", "wall")
    assert "--camera: must be a camera's name" in refused("token", "new", "wall", "--camera", "a[b]")
    assert "token a b: " in refused("token", "new", "a b", "--camera", "yard")
    assert "watches none" in refused("token", "new", "prometheus", "--role", "monitor", "--camera", "yard")
    assert "not a time such as" in refused("token", "new", "wall", "--camera", "*", "--expires", "soon")
