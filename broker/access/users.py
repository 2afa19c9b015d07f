"""Users of ours, and the rules of who may be one; no I/O.

A name is one person's, a viewer has cameras, and somebody may do everything at any time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from unicodedata import normalize

from common.access import AccessRole
from common.errors import RequestError

MAX_USERS = 10_000
USER_NAME = re.compile(r"[^\W_][\w.@-]{0,63}")


@dataclass(frozen=True, slots=True)
class User:
    """A person. ``hash`` is the password's, by Argon2; ``made`` is Unix time."""

    name: str
    hash: str
    role: AccessRole
    cameras: tuple[str, ...]
    made: float


class Users:
    """All users as they are at a time: replaced by another one and never changed, so it may be read while one is made.

    ``admin_elsewhere``, where a rule has it: somebody who is no user may do everything, too.
    """

    def __init__(self, users: Iterable[User] = ()) -> None:
        self._users = {user.name: user for user in users}
        self._plain: dict[str, User | None] = {}  # ``None``: an earlier release made several that are alike
        for user in self._users.values():
            self._plain[plain(user.name)] = None if plain(user.name) in self._plain else user

    def __iter__(self) -> Iterator[User]:
        return iter(sorted(self._users.values(), key=lambda user: user.name))

    def get(self, name: str) -> User | None:
        """The user of that name."""
        return self._users.get(name)

    def meant(self, name: str) -> User | None:
        """The user of that name, however a keyboard writes it: phones begin with a capital."""
        return self._users.get(name) or self._plain.get(plain(name))

    def known(self, name: str) -> User:
        """The user of that name. Raises ``RequestError`` if there is none."""
        user = self._users.get(name)
        if user is None:
            raise RequestError(404, "unknown_user", f"There is no user {name[:64]!r}.")
        return user

    def hash_of(self, name: str) -> str:
        """The hash of that user's password; empty if there is no such user."""
        user = self._users.get(name)
        return "" if user is None else user.hash

    @property
    def has_admin(self) -> bool:
        """Whether one of them may do everything."""
        return any(user.role is AccessRole.ADMIN for user in self._users.values())

    def unlike(self, others: Users) -> list[str]:
        """The names of users who are not the same there: new, gone, or changed."""
        names = self._users | others._users
        return sorted(name for name in names if self.get(name) != others.get(name))

    def having(self, user: User) -> Users:
        """All of them and this one, which takes the place of one of its name."""
        return Users([*self._users.values(), user])

    def without(self, name: str) -> Users:
        """All others."""
        return Users(user for user in self._users.values() if user.name != name)

    def check_new(self, name: str, role: AccessRole, cameras: tuple[str, ...], *, admin_elsewhere: bool) -> None:
        """Raises ``RequestError`` if such a user cannot be added."""
        check_name(name)
        check_rights(role, cameras)
        if plain(name) in self._plain:
            alike = next(each for each in self._users if plain(each) == plain(name))
            raise RequestError(409, "user_exists", f"There is already a user {alike!r}.")
        if len(self._users) >= MAX_USERS:
            raise RequestError(409, "too_many_users", f"There are {MAX_USERS} users already; remove some first.")
        if not self.has_admin and not admin_elsewhere and role is not AccessRole.ADMIN:
            raise RequestError(409, "no_admin", "The first user must be an admin, or nobody could add another.")

    def check_password(self, name: str, hash: str | None) -> None:
        """Raises ``RequestError`` if the user has not the password with this hash any more; ``None`` is any.

        There may be no such user by now.
        """
        if hash is not None and self.hash_of(name) != hash:
            raise wrong_password()
        self.known(name)

    def check_last_admin(self, user: User, role: AccessRole | None, *, admin_elsewhere: bool) -> None:
        """Raises ``RequestError`` if nobody could do everything, were this one's role another, or ``None``: removed."""
        others = admin_elsewhere or any(
            each.role is AccessRole.ADMIN and each is not user for each in self._users.values()
        )
        if user.role is AccessRole.ADMIN and role is not AccessRole.ADMIN and not others:
            raise RequestError(409, "last_admin", f"{user.name} is the only admin; make another first.")


def plain(name: str) -> str:
    """A user's name without what keyboards add to it: case, width, and accents of their own (Unicode 5.18.4, D146)."""
    return normalize("NFKC", normalize("NFKC", name).casefold())


def check_name(name: str) -> None:
    """Raises ``RequestError`` for what is no user's name."""
    if not USER_NAME.fullmatch(name):
        sentence = "A user's name has 1 to 64 letters, digits, '.', '_', '@' or '-', and starts with a letter or digit."
        raise RequestError(422, "invalid_name", sentence)


def check_rights(role: AccessRole, cameras: tuple[str, ...]) -> None:
    """Raises ``RequestError`` for a viewer who could watch nothing, and a monitor who seems to watch something."""
    if role is AccessRole.VIEWER and not cameras:
        raise RequestError(422, "no_cameras", "A viewer needs cameras: names, or patterns such as shop-*; * means all.")
    if role is AccessRole.MONITOR and cameras:
        raise RequestError(422, "no_viewer", "A monitor reads /metrics and watches no camera; leave cameras out.")


def wrong_password() -> RequestError:
    """The refusal of whoever shows one, whatever was wrong."""
    return RequestError(403, "wrong_password", "The name or password is wrong.")
