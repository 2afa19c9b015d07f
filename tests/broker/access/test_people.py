from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from broker.access.logins import MAX_LOGINS_EACH
from broker.access.people import People, people_path
from broker.access.principal import Kind, Principal
from common.access import AccessRole
from common.config_access import AuthConfig
from common.errors import ConfigError, RequestError

NOW = 1_000_000.0
ROOT = {"tokens": {"root": {"sha256": "0" * 64, "role": "admin"}}}
VIEWER, ADMIN = AccessRole.VIEWER, AccessRole.ADMIN


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return people_path(tmp_path / "camshaft.db")


@pytest.fixture
def people(path: Path) -> Iterator[People]:
    with closing(People(path)) as people:
        people.add("anna", "hash", ADMIN, (), now=NOW)
        people.add("ben", "hash", VIEWER, ("yard", "shop-*"), now=NOW)
        yield people


def test_the_file_is_private_and_has_no_cookie_in_it(people: People, path: Path) -> None:
    cookie = people.sign_in("ben", now=NOW, expires=NOW + 10)
    assert path.stat().st_mode & 0o777 == 0o600
    assert cookie.encode() not in path.read_bytes()


def test_users_and_who_is_signed_in_outlive_the_broker(people: People, path: Path) -> None:
    cookie, mark = people.sign_in("ben", now=NOW, expires=NOW + 10), people.device("ben", expires=NOW + 100)
    people.close()
    with closing(People(path)) as again:
        assert [user.name for user in again.users] == ["anna", "ben"]
        ben = again.find(cookie, now=NOW)
        assert ben is not None
        assert ben == Principal(Kind.USER, "ben", VIEWER, ("yard", "shop-*"), NOW + 10, ben.proof)
        assert again.named("ben", ben.proof) == ben
        assert again.knows_device("ben", mark, now=NOW)


def test_a_cookie_ends_in_time(people: People) -> None:
    cookie = people.sign_in("ben", now=NOW, expires=NOW + 10)
    assert people.find(cookie, now=NOW + 9)
    assert people.find(cookie, now=NOW + 10) is None


def test_who_is_signed_in_when_the_time_for_that_is_made_shorter_is_so_no_longer_than_that(people: People) -> None:
    ours = people.sign_in("anna", now=NOW, expires=NOW + 30 * 86_400)
    elsewhere = people.sign_in("eve", ("x",), now=NOW, expires=NOW + 30 * 86_400)
    people.take(AuthConfig(session_hours=1))
    for cookie in (ours, elsewhere):
        known = people.find(cookie, now=NOW + 3_599)
        assert known is not None
        assert known.expires == NOW + 3_600
        assert people.find(cookie, now=NOW + 3_600) is None
    people.take(AuthConfig())
    assert people.find(ours, now=NOW + 3_600) is not None


def test_a_browser_is_told_apart_from_the_others(people: People) -> None:
    here, there = (people.sign_in("ben", now=NOW, expires=NOW + 10) for _ in range(2))
    people.sign_out(here)
    assert people.find(here, now=NOW) is None
    assert people.find(there, now=NOW) is not None


def test_another_password_signs_out_everywhere_else(people: People) -> None:
    here, there = (people.sign_in("ben", now=NOW, expires=NOW + 10) for _ in range(2))
    anna = people.sign_in("anna", now=NOW, expires=NOW + 10)
    ben = people.find(here, now=NOW)
    assert ben is not None
    people.set_password("ben", "another", keep=ben.proof)
    assert people.find(here, now=NOW) == ben
    assert people.find(there, now=NOW) is None
    assert people.find(anna, now=NOW) is not None
    changed = people.user("ben")
    assert changed is not None
    assert changed.hash == "another"


def test_what_is_not_changed_is_as_it_is_when_the_change_is_written(people: People, path: Path) -> None:
    cookie = people.sign_in("ben", now=NOW, expires=NOW + 10)
    people.change("ben", ADMIN, ())
    with closing(People(path)) as tool:
        tool.change("ben", VIEWER, ("yard",))
    changed = people.change("ben", hash="another")
    assert (changed.role, changed.cameras, changed.hash) == (VIEWER, ("yard",), "another")
    assert people.find(cookie, now=NOW) is None
    assert people.change("ben", cameras=("hall",)).hash == "another"
    with pytest.raises(RequestError, match="needs cameras"):
        people.change("ben", cameras=())
    with pytest.raises(RequestError, match="needs cameras"):
        people.change("ben", cameras=(), hash="third")
    ben = people.user("ben")
    assert ben is not None
    assert (ben.cameras, ben.hash) == (("hall",), "another"), "all of a change or nothing"


def test_a_user_that_is_removed_is_nobody(people: People) -> None:
    cookie = people.sign_in("ben", now=NOW, expires=NOW + 10)
    ben = people.find(cookie, now=NOW)
    assert ben is not None
    people.remove("ben")
    assert people.find(cookie, now=NOW) is None
    assert people.named("ben", ben.proof) is None
    people.add("ben", "hash", VIEWER, ("*",), now=NOW)
    assert people.find(cookie, now=NOW) is None, "another one of that name is somebody else"


def test_browsers_that_never_sign_out_are_forgotten(people: People) -> None:
    cookies = [people.sign_in("ben", now=NOW + each, expires=NOW + 999) for each in range(MAX_LOGINS_EACH + 2)]
    known = [people.find(cookie, now=NOW) is not None for cookie in cookies]
    assert known == [False] * 2 + [True] * MAX_LOGINS_EACH


def test_another_process_is_seen(people: People, path: Path) -> None:
    with closing(People(path)) as tool:
        tool.add("carl", "hash", VIEWER, ("*",), now=NOW)
        tool.change("ben", ADMIN, ())
    people.refresh()
    people.refresh()
    assert [(user.name, user.role) for user in people.users] == [("anna", ADMIN), ("ben", ADMIN), ("carl", VIEWER)]


@pytest.mark.parametrize("name", ["", " ", "a b", ".a", "a" * 65, "a/b", "a\n", "a#b", "a:b"])
def test_a_name_that_is_none(people: People, name: str) -> None:
    with pytest.raises(RequestError, match="letters"):
        people.add(name, "hash", VIEWER, ("*",), now=NOW)


def test_a_user_cannot_be_added_twice(people: People) -> None:
    with pytest.raises(RequestError, match="already"):
        people.add("ben", "hash", VIEWER, ("*",), now=NOW)


def test_there_is_always_an_admin(people: People, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="only admin"):
        people.remove("anna")
    with pytest.raises(RequestError, match="only admin"):
        people.change("anna", VIEWER, ("*",))
    people.change("ben", ADMIN, ())
    people.remove("anna")
    with closing(People(tmp_path / "new")) as new, pytest.raises(RequestError, match="first user must be an admin"):
        new.add("ben", "hash", VIEWER, ("*",), now=NOW)
    with closing(People(tmp_path / "new", AuthConfig.model_validate(ROOT))) as new:
        new.add("ben", "hash", VIEWER, ("*",), now=NOW)
        new.change("ben", ADMIN, ())
        new.remove("ben")


def test_a_viewer_has_cameras(people: People) -> None:
    with pytest.raises(RequestError, match="needs cameras"):
        people.change("ben", VIEWER, ())


@pytest.mark.parametrize("act", ["change", "remove", "set_password", "sign_in"])
def test_who_is_not_there_is_not_found(people: People, act: str) -> None:
    acts = {
        "change": lambda: people.change("x", ADMIN, ()),
        "remove": lambda: people.remove("x"),
        "set_password": lambda: people.set_password("x", "hash"),
        "sign_in": lambda: people.sign_in("x", now=NOW, expires=NOW),
    }
    with pytest.raises(RequestError) as refused:
        acts[act]()
    assert refused.value.status == 404


def test_a_device_is_known_by_its_mark_alone(people: People) -> None:
    mark = people.device("ben", expires=NOW + 100)
    assert people.knows_device("ben", mark, now=NOW)
    later = str(int(NOW + 200)) + mark[mark.index(".") :]
    for wrong in ("", "x", "x.y", mark + "0", mark.replace(".", "x."), "\udcff.\udcff", later):
        assert not people.knows_device("ben", wrong, now=NOW)
    assert not people.knows_device("anna", mark, now=NOW)


def test_a_device_is_known_for_a_time_and_until_its_users_password_is_another(people: People) -> None:
    mark = people.device("ben", expires=NOW + 100)
    assert people.knows_device("ben", mark, now=NOW + 99)
    assert not people.knows_device("ben", mark, now=NOW + 100)
    people.set_password("ben", "another hash")
    assert not people.knows_device("ben", mark, now=NOW)


def test_a_file_that_is_none_is_refused(path: Path) -> None:
    path.write_text("not a database at all, and long enough to have a header of its own, which it has: 100 characters.")
    with pytest.raises(ConfigError, match="another program"):
        People(path)


def test_a_damaged_file_is_refused(people: People, path: Path) -> None:
    people.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE user SET role = 'king'")
    with pytest.raises(ConfigError, match="damaged"):
        People(path)


def test_nothing_is_half_written(people: People) -> None:
    cookie = people.sign_in("ben", now=NOW, expires=NOW + 10)
    people._database.execute("DROP TABLE login")
    with pytest.raises(sqlite3.Error):
        people.remove("ben")
    assert people._database.execute("SELECT count(*) FROM user").fetchone() == (2,)
    assert people.find(cookie, now=NOW)


# While others write


def test_what_another_process_has_changed_meanwhile_is_not_undone(people: People, path: Path) -> None:
    """``camshaft user password`` was begun, and somebody thinks of a password while the broker goes on."""
    people.change("ben", ADMIN, ())
    with closing(People(path)) as tool:
        people.change("ben", VIEWER, ("yard",))
        tool.set_password("ben", "another")
        people.refresh()
        assert people.user("ben") == tool.user("ben")
        assert [(user.name, user.role, user.hash) for user in people.users][1] == ("ben", VIEWER, "another")
        people.remove("ben")
        for act in (
            lambda: tool.set_password("ben", "third"),
            lambda: tool.change("ben", ADMIN, ()),
            lambda: tool.sign_in("ben", now=NOW, expires=NOW + 10),
            lambda: tool.remove("ben"),
        ):
            with pytest.raises(RequestError, match="no user"):
                act()
        people.add("carl", "hash", VIEWER, ("*",), now=NOW)
        with pytest.raises(RequestError, match="already"):
            tool.add("carl", "mine", ADMIN, (), now=NOW)


def test_another_password_signs_out_who_signed_in_meanwhile(people: People, path: Path) -> None:
    with closing(People(path)) as tool:
        cookie = people.sign_in("ben", now=NOW, expires=NOW + 10)
        tool.set_password("ben", "another")
    people.refresh()
    assert people.find(cookie, now=NOW) is None


def test_two_that_remove_admins_leave_one(people: People, path: Path) -> None:
    people.change("ben", ADMIN, ())
    with closing(People(path)) as tool:
        people.remove("anna")
        with pytest.raises(RequestError, match="only admin"):
            tool.remove("ben")


def test_somebody_who_reads_the_file_for_long_breaks_nothing(people: People, path: Path) -> None:
    """A backup, say: what could not be written is as it was, and the next one is written."""
    people._database.execute("PRAGMA busy_timeout = 10")
    with closing(sqlite3.connect(path, isolation_level=None)) as backup:
        backup.execute("BEGIN")
        backup.execute("SELECT * FROM user").fetchall()
        for act in (lambda: people.remove("ben"), lambda: people.sign_in("ben", now=NOW, expires=NOW + 10)):
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                act()
        assert people.user("ben")
        backup.execute("ROLLBACK")
    assert people.find(people.sign_in("ben", now=NOW, expires=NOW + 10), now=NOW)
    people.remove("ben")


def test_to_sign_out_who_is_not_signed_in_takes_no_work(people: People, path: Path) -> None:
    """Anybody may ask for it, as often as he likes."""
    with closing(sqlite3.connect(path, isolation_level=None)) as another:
        another.execute("BEGIN IMMEDIATE")
        people.sign_out("a guess")


def test_who_signs_in_elsewhere_signs_out_no_user_of_the_same_name(people: People) -> None:
    anna = people.sign_in("anna", now=NOW, expires=NOW + 99)
    for each in range(MAX_LOGINS_EACH + 1):
        people.sign_in("anna", ("guests",), now=NOW + each, expires=NOW + 99)
    assert people.find(anna, now=NOW)


def test_what_could_not_be_read_is_read_the_next_time(people: People, path: Path) -> None:
    with closing(People(path)) as tool:
        tool.change("ben", VIEWER, ("hall",))
    with closing(sqlite3.connect(path)) as another:
        another.execute("UPDATE user SET role = 'king' WHERE name = 'anna'")
        another.commit()
        with pytest.raises(sqlite3.Error, match="damaged"):
            people.refresh()
        another.execute("UPDATE user SET role = 'admin' WHERE name = 'anna'")
        another.commit()
    people.refresh()
    assert [user.cameras for user in people.users] == [(), ("hall",)]


def test_a_password_that_is_the_users_no_more_signs_nobody_in(people: People) -> None:
    """Between the look at it and the write another may have been set, or the user removed."""
    user = people.user("ben")
    assert user is not None
    people.set_password("ben", "another hash")
    for name in ("ben", "nobody"):
        with pytest.raises(RequestError) as refused:
            people.sign_in(name, now=NOW, expires=NOW + 10, hash=user.hash)
        assert (refused.value.status, refused.value.code) == (403, "wrong_password")
    with pytest.raises(RequestError, match="changed this password"):
        people.set_password("ben", "a third", was=user.hash)
    assert people.sign_in("ben", now=NOW, expires=NOW + 10, hash="another hash")


def test_who_writes_keeps_nobody_waiting_who_asks(people: People, path: Path) -> None:
    def sign_in() -> None:
        with suppress(sqlite3.Error):  # where this takes longer than it may wait
            people.sign_in("ben", now=NOW, expires=NOW + 10)

    with closing(sqlite3.connect(path, isolation_level=None)) as command:
        command.execute("BEGIN IMMEDIATE")
        writing = threading.Thread(target=sign_in)
        writing.start()
        while people._lock.acquire(blocking=False):  # until it waits
            people._lock.release()
        people.refresh()
        assert people.user("ben") is not None
        assert people.find("x", now=NOW) is None
        assert writing.is_alive()
        command.execute("COMMIT")
        writing.join()
    assert people.sign_in("ben", now=NOW, expires=NOW + 10)


@pytest.mark.parametrize("other", [False, True])
def test_a_file_that_was_moved_away_is_told_of_and_counts_again_once_it_is_back(
    people: People, path: Path, other: bool
) -> None:
    """SQLite goes on with the file that it has open: what is written there would be lost with the next start."""
    away = path.rename(path.with_suffix(".away"))
    if other:  # as a backup that was put in its place: what is changed there would not be seen
        People(path).close()
    said = "another file" if other else "moved or deleted"
    with pytest.raises(sqlite3.OperationalError, match=said):
        people.refresh()
    with pytest.raises(sqlite3.OperationalError, match=said):
        people.add("carl", "hash", VIEWER, ("yard",), now=NOW)
    assert people.user("anna"), "who is known stays so"
    away.replace(path)
    people.add("carl", "hash", VIEWER, ("yard",), now=NOW)
    assert people.user("carl")
