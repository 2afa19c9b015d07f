"""Browsers in which somebody is signed in: a table of the people's file, and what is in memory of it.

The table has digests of cookies, never the cookies themselves. What is asked for is answered from memory. Whoever calls
a method that writes is within a transaction, and calls ``read`` once that is over.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from dataclasses import dataclass

MAX_LOGINS = 20_000  # of all; of more, the oldest is signed out
MAX_LOGINS_EACH = 50  # of one user: browsers that never signed out
_PROOF = 12  # hexadecimal digits of a login's digest by which sessions name it

_OLDEST = "DELETE FROM login WHERE digest IN (SELECT digest FROM login {} ORDER BY made DESC LIMIT -1 OFFSET ?)"


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

    def end(self, longest: float) -> float:
        """The Unix time at which it is over, where none lasts longer than so many seconds now."""
        return min(self.expires, self.made + longest)


class LoginTable:
    """All of them, once they were ``read``. Methods that use the table raise ``sqlite3.Error`` if the disk fails."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._logins: dict[bytes, Login] = {}  # by digest
        self._proofs: dict[str, Login] = {}

    def read(self) -> None:
        """Have in memory what the table has. Raises ``ValueError`` or ``TypeError`` if that is damaged."""
        rows = self._database.execute("SELECT digest, user, groups, made, expires FROM login")
        self._logins = {
            digest: Login(
                user, None if groups is None else tuple(json.loads(groups)), digest.hex()[:_PROOF], made, expires
            )
            for digest, user, groups, made, expires in rows
        }
        self._proofs = {login.proof: login for login in self._logins.values()}

    def of(self, cookie: str) -> Login | None:
        """The login of this cookie, which may have run out."""
        return self._logins.get(_digest(cookie))

    def proved(self, proof: str) -> Login | None:
        """The login of this proof, likewise."""
        return self._proofs.get(proof)

    def add(self, cookie: str, user: str, groups: tuple[str, ...] | None, *, now: float, expires: float) -> None:
        """Add a login; those that have run out are forgotten, and the oldest where there are too many."""
        run = self._database.execute
        run("DELETE FROM login WHERE expires < ?", (now,))
        kept = None if groups is None else json.dumps(groups)
        run("INSERT INTO login VALUES (?, ?, ?, ?, ?)", (_digest(cookie), user, kept, now, expires))
        run(_OLDEST.format("WHERE user = ? AND (groups IS NULL) = ?"), (user, groups is None, MAX_LOGINS_EACH))
        run(_OLDEST.format(""), (MAX_LOGINS,))

    def remove(self, cookie: str) -> None:
        """Remove the login of somebody who signs out."""
        self._database.execute("DELETE FROM login WHERE digest = ?", (_digest(cookie),))

    def remove_all(self, user: str, *, keep: str = "") -> None:
        """End all logins of a user of ours, but that of the proof ``keep``."""
        gone = [
            (digest,)
            for digest, each in self._logins.items()
            if each.user == user and each.groups is None and each.proof != keep
        ]
        self._database.executemany("DELETE FROM login WHERE digest = ?", gone)


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode(errors="replace")).digest()
