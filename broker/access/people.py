"""People: their names, passwords and rights, and who is signed in.

An SQLite file beside the store, private to its owner. It is not held: ``camshaft user`` writes to it while the broker
runs, and the broker looks whether it changed (``refresh``). It keeps digests of passwords and of cookies, never the
passwords and the cookies themselves.

A write waits for the disk, and perhaps for another process, so whoever has an event loop has a thread do it. What is
asked for is answered from memory, by tables that are replaced and never changed; one lock keeps writes apart.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from broker.access.devices import Devices
from broker.access.groups import Groups
from broker.access.logins import Login, LoginTable
from broker.access.principal import Kind, Principal
from broker.access.users import User, Users, check_rights
from broker.database import Format, Place, data_version, make_tables, opened, transaction
from common.access import AccessRole
from common.config import Config
from common.config_access import AuthConfig
from common.errors import RequestError

LOCK_TIMEOUT = 2.0  # seconds: another process writes for a few milliseconds
SECRET_BYTES = 32

FORMAT = Format(
    0x43414D50,  # "CAMP"
    version=1,
    schema="""
CREATE TABLE device (secret BLOB NOT NULL) STRICT;
CREATE TABLE user (
    name TEXT PRIMARY KEY, hash TEXT NOT NULL, role TEXT NOT NULL, cameras TEXT NOT NULL, made REAL NOT NULL
) STRICT;
CREATE TABLE login (
    digest BLOB PRIMARY KEY, user TEXT NOT NULL, groups TEXT, made REAL NOT NULL, expires REAL NOT NULL
) STRICT;
""",
)


def open_people(config: Config) -> People:
    """The people of the broker with this configuration. Raises ``ConfigError``."""
    return People(people_path(config.store.path), config.auth)


def people_path(store: Path) -> Path:
    """Where the people of the broker with this store are."""
    return store.with_name(f"{store.name}.people")


class People:
    """The open file. Every method may raise ``sqlite3.Error`` if the disk fails; opening raises ``ConfigError``.

    Where a token or a group of the configuration may do everything, no user has to be an admin.
    """

    def __init__(self, path: Path, auth: AuthConfig = AuthConfig()) -> None:  # noqa: B008  # frozen
        self.take(auth)
        self._lock = threading.RLock()  # of the database, and of what is in memory of it
        self._users = Users()
        with opened(path, FORMAT, LOCK_TIMEOUT, one_thread=False) as self._database:
            with transaction(self._database):
                if make_tables(self._database, path, FORMAT):
                    self._database.execute("INSERT INTO device VALUES (?)", (secrets.token_bytes(SECRET_BYTES),))
            self._devices = Devices(*self._database.execute("SELECT secret FROM device").fetchone())
            self._logins = LoginTable(self._database)
            self._place, self._version = Place(path), data_version(self._database)
            self._read()

    def close(self) -> None:
        """Close the file; twice is fine."""
        with self._lock:
            self._database.close()

    def take(self, auth: AuthConfig) -> None:
        """Have these groups, and these others who may do everything, from now on."""
        self._groups = Groups(auth.groups)
        # Seconds: who makes it shorter means those who are signed in as well.
        self._longest = auth.session_hours * 3_600
        self._admin_elsewhere = self._groups.has_admin or any(
            token.role is AccessRole.ADMIN for token in auth.tokens.values()
        )

    def refresh(self) -> list[str]:
        """See what another process changed, the next time if somebody is writing now. Returns the users' names.
        Raises ``sqlite3.DatabaseError`` for a file that is damaged, or is not where it was."""
        self._place.check()
        if not self._lock.acquire(blocking=False):
            return []
        try:
            before = self._users
            if (version := data_version(self._database)) != self._version:
                self._read()
                self._version = version  # after it: what could not be read is read the next time
            return self._users.unlike(before)
        except (ValueError, TypeError) as exc:
            raise sqlite3.DatabaseError(f"is damaged ({exc})") from None
        finally:
            self._lock.release()

    # Users

    @property
    def users(self) -> list[User]:
        """All of them, by name."""
        return list(self._users)

    @property
    def has_admin(self) -> bool:
        """Whether somebody may do everything."""
        return self._users.has_admin

    def user(self, name: str, *, typed: bool = False) -> User | None:
        """The user of that name; where somebody has ``typed`` it, however the keyboard writes it."""
        return self._users.meant(name) if typed else self._users.get(name)

    def add(
        self, name: str, hash: str, role: AccessRole, cameras: tuple[str, ...], *, now: float, first: bool = False
    ) -> User:
        """A new user; the ``first`` who may do everything, if it has to be. Raises ``RequestError``."""
        user = User(name, hash, role, cameras, now)
        with self._lock:
            with self._writing():
                self.check(name, role, cameras)
                if first and self._users.has_admin:
                    raise RequestError(409, "not_first", "There is already an admin; sign in.")
                self._write(user)
            self._users = self._users.having(user)
        return user

    def check(self, name: str, role: AccessRole, cameras: tuple[str, ...]) -> None:
        """Raises ``RequestError`` if such a user cannot be added."""
        self._users.check_new(name, role, cameras, admin_elsewhere=self._admin_elsewhere)

    def change(
        self,
        name: str,
        role: AccessRole | None = None,
        cameras: tuple[str, ...] | None = None,
        *,
        hash: str | None = None,
    ) -> User:
        """Give a user these rights from now on, and this password: then all its logins are over. All or nothing.

        ``None`` is as it is when this is written, whoever changed it meanwhile. Raises ``RequestError``.
        """
        with self._lock:
            with self._writing():
                user = self._users.known(name)
                changed = User(
                    name,
                    user.hash if hash is None else hash,
                    user.role if role is None else role,
                    user.cameras if cameras is None else cameras,
                    user.made,
                )
                check_rights(changed.role, changed.cameras)
                self._users.check_last_admin(user, changed.role, admin_elsewhere=self._admin_elsewhere)
                self._write(changed)
                if hash is not None:
                    self._logins.remove_all(name)
            self._users = self._users.having(changed)
            if hash is not None:
                self._logins.read()
        return changed

    def set_password(self, name: str, hash: str, *, keep: str = "", was: str | None = None) -> None:
        """Give a user another password; all its logins but ``keep`` are over. Raises ``RequestError``.

        ``was`` is the hash that it has to have before, if that matters.
        """
        with self._lock:
            with self._writing():
                user = self._users.known(name)
                if was not in (None, user.hash):
                    raise RequestError(409, "changed_meanwhile", "Somebody else has just changed this password.")
                changed = User(name, hash, user.role, user.cameras, user.made)
                self._write(changed)
                self._logins.remove_all(name, keep=keep)
            self._users = self._users.having(changed)
            self._logins.read()

    def remove(self, name: str) -> None:
        """Take a user and its rights away. Raises ``RequestError``."""
        with self._lock:
            with self._writing():
                user = self._users.known(name)
                self._users.check_last_admin(user, None, admin_elsewhere=self._admin_elsewhere)
                self._database.execute("DELETE FROM user WHERE name = ?", (name,))
                self._logins.remove_all(name)
            self._users = self._users.without(name)
            self._logins.read()

    # Who is signed in

    def sign_in(
        self, name: str, groups: tuple[str, ...] | None = None, *, now: float, expires: float, hash: str | None = None
    ) -> str:
        """A cookie by which the user is known until ``expires``. Raises ``RequestError``.

        ``groups`` are those of somebody who has signed in elsewhere, and is no user of ours. ``hash`` is that of the
        password which was shown, if one was: it has to be the user's yet.
        """
        cookie = secrets.token_urlsafe(SECRET_BYTES)
        with self._lock:
            with self._writing():
                if groups is None:
                    self._users.check_password(name, hash)
                self._logins.add(cookie, name, groups, now=now, expires=expires)
            self._logins.read()
        return cookie

    def sign_out(self, cookie: str) -> None:
        """Make the cookie worth nothing. Anybody may ask for it: one that was worth nothing takes no work."""
        if not self.is_signed_in(cookie):
            return
        with self._lock:
            with self._writing():
                self._logins.remove(cookie)
            self._logins.read()

    def is_signed_in(self, cookie: str) -> bool:
        """Whether the cookie is worth something, or was until it ran out."""
        return self._logins.of(cookie) is not None

    def find(self, cookie: str, *, now: float) -> Principal | None:
        """The user that is signed in with this cookie."""
        login = self._logins.of(cookie)
        return None if login is None or now >= login.end(self._longest) else self._principal(login)

    def named(self, name: str, proof: str) -> Principal | None:
        """The rights of that user as of now, if the login of this proof is good yet."""
        login = self._logins.proved(proof)
        return None if login is None or login.user != name else self._principal(login)

    # Browsers that a user has signed in with before

    def device(self, name: str, *, expires: float) -> str:
        """A mark for a browser in which the user has just signed in, good until then and for this password."""
        return self._devices.mark(name, self._users.hash_of(name), expires=expires)

    def knows_device(self, name: str, mark: str, *, now: float) -> bool:
        """Whether ``device`` gave this mark for that user, and it is good yet."""
        return self._devices.knows(name, self._users.hash_of(name), mark, now=now)

    def _principal(self, login: Login) -> Principal | None:
        end = login.end(self._longest)
        if login.groups is not None:
            return Principal(Kind.OIDC, login.user, *self._groups.rights(login.groups), end, login.proof)
        user = self._users.get(login.user)
        return None if user is None else Principal(Kind.USER, user.name, user.role, user.cameras, end, login.proof)

    def _write(self, user: User) -> None:
        row = user.name, user.hash, user.role.value, json.dumps(user.cameras), user.made
        self._database.execute("INSERT OR REPLACE INTO user VALUES (?, ?, ?, ?, ?)", row)

    def _read(self) -> None:
        rows = self._database.execute("SELECT name, hash, role, cameras, made FROM user")
        self._users = Users(_user(*row) for row in rows)
        self._logins.read()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Bar all other writers while this is open, and know what they wrote before."""
        with transaction(self._database):
            self.refresh()
            yield


def _user(name: str, hash: str, role: str, cameras: str, made: float) -> User:
    return User(name, hash, AccessRole(role), tuple(json.loads(cameras)), made)
