"""People: their names, passwords and rights, and who is signed in.

An SQLite file beside the store, private to its owner. It is not held: ``camshaft user`` writes to it while the broker
runs, and the broker looks whether it changed (``refresh``). It keeps digests of passwords and of cookies, never the
passwords and the cookies themselves.

A write waits for the disk, and perhaps for another process, so whoever has an event loop has a thread do it. What is
asked for is answered from memory, by tables that are replaced and never changed; one lock keeps writes apart.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from broker.access.groups import Groups
from broker.access.principal import Kind, Principal
from broker.database import Format, data_version, make_tables, opened, transaction
from common.access import AccessRole
from common.config import Config
from common.config_access import AuthConfig
from common.errors import RequestError

LOCK_TIMEOUT = 2.0  # seconds: another process writes for a few milliseconds
MAX_USERS = 10_000
MAX_LOGINS = 20_000  # of all; of more, the oldest is signed out
MAX_LOGINS_EACH = 50  # of one user: browsers that never signed out
SECRET_BYTES = 32
USER_NAME = re.compile(r"[^\W_][\w.@-]{0,63}")
_PROOF = 12  # hexadecimal digits of a login's digest by which sessions name it

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


@dataclass(frozen=True, slots=True)
class User:
    """A person. ``hash`` is the password's, by Argon2."""

    name: str
    hash: str
    role: AccessRole
    cameras: tuple[str, ...]
    made: float


@dataclass(frozen=True, slots=True)
class Login:
    """A browser in which somebody is signed in, until ``expires`` (Unix time).

    ``groups`` are those of somebody who has signed in elsewhere; ``None`` for a user of ours.
    """

    user: str
    groups: tuple[str, ...] | None
    proof: str
    made: float
    expires: float


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
        self._users: dict[str, User] = {}
        with opened(path, FORMAT, LOCK_TIMEOUT, one_thread=False) as self._database:
            with transaction(self._database):
                if make_tables(self._database, path, FORMAT):
                    self._database.execute("INSERT INTO device VALUES (?)", (secrets.token_bytes(SECRET_BYTES),))
            (self._device,) = self._database.execute("SELECT secret FROM device").fetchone()
            self._version = data_version(self._database)
            self._read()

    def close(self) -> None:
        """Close the file; twice is fine."""
        with self._lock:
            self._database.close()

    def take(self, auth: AuthConfig) -> None:
        """Have these groups, and these others who may do everything, from now on."""
        self._groups = Groups(auth.groups)
        self._admin_elsewhere = self._groups.has_admin or any(
            token.role is AccessRole.ADMIN for token in auth.tokens.values()
        )

    def refresh(self) -> None:
        """See what another process changed; the next time, if somebody is writing now."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if (version := data_version(self._database)) != self._version:
                self._read()
                self._version = version  # after it: what could not be read is read the next time
        except (ValueError, TypeError) as exc:
            raise sqlite3.DatabaseError(f"is damaged ({exc})") from None
        finally:
            self._lock.release()

    # Users

    @property
    def users(self) -> list[User]:
        """All of them, by name."""
        return sorted(self._users.values(), key=lambda user: user.name)

    @property
    def has_admin(self) -> bool:
        """Whether somebody may do everything."""
        return any(user.role is AccessRole.ADMIN for user in self._users.values())

    def user(self, name: str) -> User | None:
        """The user of that name."""
        return self._users.get(name)

    def add(
        self, name: str, hash: str, role: AccessRole, cameras: tuple[str, ...], *, now: float, first: bool = False
    ) -> User:
        """A new user; the ``first`` who may do everything, if it has to be. Raises ``RequestError``."""
        user = User(name, hash, role, cameras, now)
        with self._lock:
            with self._writing():
                self.check(name, role, cameras)
                if first and self.has_admin:
                    raise RequestError(409, "not_first", "There is an admin already; sign in.")
                self._write(user)
            self._users = {**self._users, name: user}
        return user

    def check(self, name: str, role: AccessRole, cameras: tuple[str, ...]) -> None:
        """Raises ``RequestError`` if such a user cannot be added."""
        check_name(name)
        check_rights(role, cameras)
        if name in self._users:
            raise RequestError(409, "user_exists", f"There is a user {name!r} already.")
        if len(self._users) >= MAX_USERS:
            raise RequestError(409, "too_many_users", f"There are {MAX_USERS} users; remove some first.")
        if not self.has_admin and not self._admin_elsewhere and role is not AccessRole.ADMIN:
            raise RequestError(409, "no_admin", "The first user must be an admin, or nobody could add another.")

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
                user = self._known(name)
                changed = User(
                    name,
                    user.hash if hash is None else hash,
                    user.role if role is None else role,
                    user.cameras if cameras is None else cameras,
                    user.made,
                )
                check_rights(changed.role, changed.cameras)
                self._check_last_admin(user, changed.role)
                self._write(changed)
                if hash is not None:
                    self._sign_out_all(name, "")
            self._users = {**self._users, name: changed}
            if hash is not None:
                self._read_logins()
        return changed

    def set_password(self, name: str, hash: str, *, keep: str = "", was: str | None = None) -> None:
        """Give a user another password; all its logins but ``keep`` are over. Raises ``RequestError``.

        ``was`` is the hash that it has to have before, if that matters.
        """
        with self._lock:
            with self._writing():
                user = self._known(name)
                if was not in (None, user.hash):
                    raise RequestError(409, "changed_meanwhile", "Somebody else has just changed this password.")
                changed = User(name, hash, user.role, user.cameras, user.made)
                self._write(changed)
                self._sign_out_all(name, keep)
            self._users = {**self._users, name: changed}
            self._read_logins()

    def remove(self, name: str) -> None:
        """Take a user and its rights away. Raises ``RequestError``."""
        with self._lock:
            with self._writing():
                self._check_last_admin(self._known(name), None)
                self._database.execute("DELETE FROM user WHERE name = ?", (name,))
                self._sign_out_all(name, "")
            self._users = {each: user for each, user in self._users.items() if each != name}
            self._read_logins()

    # Who is signed in

    def sign_in(
        self, name: str, groups: tuple[str, ...] | None = None, *, now: float, expires: float, hash: str | None = None
    ) -> str:
        """A cookie by which the user is known until ``expires``. Raises ``RequestError``.

        ``groups`` are those of somebody who has signed in elsewhere, and is no user of ours. ``hash`` is that of the
        password which was shown, if one was: it has to be the user's yet.
        """
        cookie = secrets.token_urlsafe(SECRET_BYTES)
        digest = _digest(cookie)
        with self._lock:
            with self._writing():
                if groups is None:
                    self._check_password(name, hash)
                run = self._database.execute
                run("DELETE FROM login WHERE expires < ?", (now,))
                kept = None if groups is None else json.dumps(groups)
                run("INSERT INTO login VALUES (?, ?, ?, ?, ?)", (digest, name, kept, now, expires))
                oldest = (
                    "DELETE FROM login WHERE digest IN "
                    "(SELECT digest FROM login {} ORDER BY made DESC LIMIT -1 OFFSET ?)"
                )
                run(oldest.format("WHERE user = ? AND (groups IS NULL) = ?"), (name, groups is None, MAX_LOGINS_EACH))
                run(oldest.format(""), (MAX_LOGINS,))
            self._read_logins()
        return cookie

    def sign_out(self, cookie: str) -> None:
        """The cookie is worth nothing any more. Anybody may ask for it: one that was worth nothing takes no work."""
        if not self.is_signed_in(cookie):
            return
        with self._lock:
            with self._writing():
                self._database.execute("DELETE FROM login WHERE digest = ?", (_digest(cookie),))
            self._read_logins()

    def is_signed_in(self, cookie: str) -> bool:
        """Whether the cookie is worth something, or was until it ran out."""
        return _digest(cookie) in self._logins

    def find(self, cookie: str, *, now: float) -> Principal | None:
        """The user that is signed in with this cookie."""
        login = self._logins.get(_digest(cookie))
        return None if login is None or now >= login.expires else self._principal(login)

    def named(self, name: str, proof: str) -> Principal | None:
        """The rights of that user as of now, if the login of this proof is good yet."""
        login = self._proofs.get(proof)
        return None if login is None or login.user != name else self._principal(login)

    # Browsers that a user has signed in with before

    def device(self, name: str, *, expires: float) -> str:
        """A mark for a browser in which the user has just signed in, good until then and for this password."""
        nonce = f"{int(expires)}.{secrets.token_urlsafe(12)}"
        return f"{nonce}.{self._mark(nonce, name)}"

    def knows_device(self, name: str, mark: str, *, now: float) -> bool:
        """Whether ``device`` gave this mark for that user, and it is good yet."""
        nonce, _, digest = mark.rpartition(".")
        expires = nonce.partition(".")[0]
        if not hmac.compare_digest(self._mark(nonce, name).encode(), digest.encode(errors="replace")):
            return False
        return now < int(expires)  # which is what we wrote

    def _mark(self, nonce: str, name: str) -> str:
        user = self._users.get(name)
        text = f"{nonce}\0{name}\0{user.hash if user is not None else ''}"
        return hmac.digest(self._device, text.encode(errors="replace"), hashlib.sha256).hex()

    def _principal(self, login: Login) -> Principal | None:
        if login.groups is not None:
            role, cameras = self._groups.rights(login.groups)
            return Principal(Kind.OIDC, login.user, role, cameras, login.expires, login.proof)
        user = self._users.get(login.user)
        if user is None:
            return None
        return Principal(Kind.USER, user.name, user.role, user.cameras, login.expires, login.proof)

    def _known(self, name: str) -> User:
        user = self._users.get(name)
        if user is None:
            raise RequestError(404, "unknown_user", f"There is no user {name[:64]!r}.")
        return user

    def _check_password(self, name: str, hash: str | None) -> None:
        user = self._users.get(name)
        if hash is not None and (user is None or user.hash != hash):
            raise wrong_password()
        self._known(name)

    def _check_last_admin(self, user: User, role: AccessRole | None) -> None:
        others = self._admin_elsewhere or any(
            each.role is AccessRole.ADMIN and each is not user for each in self._users.values()
        )
        if user.role is AccessRole.ADMIN and role is not AccessRole.ADMIN and not others:
            raise RequestError(409, "last_admin", f"{user.name} is the only admin; make another one first.")

    def _write(self, user: User) -> None:
        row = user.name, user.hash, user.role.value, json.dumps(user.cameras), user.made
        self._database.execute("INSERT OR REPLACE INTO user VALUES (?, ?, ?, ?, ?)", row)

    def _sign_out_all(self, name: str, keep: str) -> None:
        """Within a transaction."""
        gone = [
            (digest,)
            for digest, each in self._logins.items()
            if each.user == name and each.groups is None and each.proof != keep
        ]
        self._database.executemany("DELETE FROM login WHERE digest = ?", gone)

    def _read(self) -> None:
        rows = self._database.execute("SELECT name, hash, role, cameras, made FROM user")
        self._users = {
            name: User(name, hash, AccessRole(role), tuple(json.loads(cameras)), made)
            for name, hash, role, cameras, made in rows
        }
        self._read_logins()

    def _read_logins(self) -> None:
        rows = self._database.execute("SELECT digest, user, groups, made, expires FROM login")
        self._logins = {
            digest: Login(
                user, None if groups is None else tuple(json.loads(groups)), digest.hex()[:_PROOF], made, expires
            )
            for digest, user, groups, made, expires in rows
        }
        self._proofs = {login.proof: login for login in self._logins.values()}

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Nobody else writes while this is open, and what others have written before is known."""
        with transaction(self._database):
            self.refresh()
            yield


def check_name(name: str) -> None:
    """Raises ``RequestError`` for what is no user's name."""
    if not USER_NAME.fullmatch(name):
        sentence = "A user's name has 1 to 64 letters, digits, '.', '_', '@' or '-', the first a letter or digit."
        raise RequestError(422, "invalid_name", sentence)


def check_rights(role: AccessRole, cameras: tuple[str, ...]) -> None:
    """Raises ``RequestError`` for a viewer who could watch nothing, and a monitor who seems to watch something."""
    if role is AccessRole.VIEWER and not cameras:
        raise RequestError(422, "no_cameras", "A viewer needs cameras: names, or patterns such as shop-*; * is all.")
    if role is AccessRole.MONITOR and cameras:
        raise RequestError(422, "no_viewer", "A monitor reads /metrics and watches no camera; leave cameras out.")


def wrong_password() -> RequestError:
    """The refusal of whoever shows one, whatever was wrong."""
    return RequestError(403, "wrong_password", "Name or password is wrong.")


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode(errors="replace")).digest()
