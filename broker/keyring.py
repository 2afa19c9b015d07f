"""The keys of the cluster: the broker's own, worker tokens, and the keys of workers that these were exchanged for.

An SQLite file beside the store, private to its owner. Unlike the store it is not held: ``camshaft token`` writes to it
while the broker runs, and the broker looks whether it changed (``refresh``). It keeps digests of tokens, never tokens.

A node's name belongs to the token with which it first joined: no other token gets it, also not when its worker is away.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import zmq
from zmq.utils import z85

from broker.admission import MEMBER_KEPT, JoinRefusedError, Member, make_room, take_name, use_token
from broker.database import Format, Place, data_version, make_tables, opened, transaction
from common.config import Config
from common.control import NodeName, Role
from common.curve import Keys
from common.endpoints import Endpoints
from common.errors import ConfigError
from common.seal import STREAM_KEY_BYTES
from common.token import SECRET_BYTES, WorkerToken

LOCK_TIMEOUT = 2.0  # seconds: another process writes for a few milliseconds …
BROKER_LOCK_TIMEOUT = 0.2  # … and a broker does not stand still for one that was stopped while it did
SEEN_INTERVAL = 3_600.0  # seconds between two times that a member's sign of life is written down
MAX_TOKENS = 1_000
EXPIRED_KEPT = 7 * 86_400.0  # seconds for which a worker is told that its token has expired, and not that it is unknown
_ROLES = frozenset(Role)  # one of a newer release is nobody here, and no damage either

FORMAT = Format(
    0x43414D4B,  # "CAMK"
    version=1,
    schema="""
CREATE TABLE broker (public BLOB NOT NULL, secret BLOB NOT NULL, media BLOB NOT NULL) STRICT;
CREATE TABLE token (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    role TEXT NOT NULL,
    node TEXT NOT NULL,
    expires REAL,
    uses INTEGER,
    made REAL NOT NULL,
    revoked INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE member (
    key TEXT PRIMARY KEY, role TEXT NOT NULL, node TEXT NOT NULL UNIQUE, token TEXT NOT NULL, seen REAL NOT NULL
) STRICT;
""",
)


@dataclass(frozen=True, slots=True)
class Token:
    """A worker token, as far as it is kept. Times are Unix seconds; ``None`` means no limit."""

    id: str
    role: Role
    node: str  # the only name it can be used for; empty: any that is free
    expires: float | None
    uses: int | None  # that are left
    made: float
    revoked: bool
    nodes: tuple[str, ...] = ()  # that joined with it


def open_keyring(config: Config, endpoints: Endpoints) -> Keyring | None:
    """The keyring if workers join by tokens: the bus is on TCP, there is no one secret, and a token was ever made.

    Raises ``ConfigError`` if the file cannot be used.
    """
    path = keyring_path(config.store.path)
    if endpoints.directory is not None or config.cluster.secret or not path.exists():
        return None
    return Keyring(path, lock_timeout=BROKER_LOCK_TIMEOUT)


def keyring_path(store: Path) -> Path:
    """Where the keyring of the broker with this store is."""
    return store.with_name(f"{store.name}.keys")


class Keyring:
    """The open file. Every method may raise ``sqlite3.Error`` if the disk fails; opening raises ``ConfigError``."""

    def __init__(self, path: Path, *, lock_timeout: float = LOCK_TIMEOUT) -> None:
        with opened(path, FORMAT, lock_timeout) as self._database:
            self._place = Place(path)
            with transaction(self._database):
                if make_tables(self._database, path, FORMAT):
                    row = (*zmq.curve_keypair(), secrets.token_bytes(32))
                    self._database.execute("INSERT INTO broker VALUES (?, ?, ?)", row)
            row = self._database.execute("SELECT public, secret, media FROM broker").fetchone()
            self.public, self.secret, self._media = row  # Z85 the first two, as pyzmq takes them
            self._version = data_version(self._database)
            self._read_members()
            self._revoked: list[Member] = []
            self._forgotten: dict[str, Member] = {}  # the last one by its token: it may have stayed, and said nothing

    def close(self) -> None:
        """Close the file; twice is fine."""
        self._database.close()

    @property
    def keys(self) -> Keys:
        """The broker's."""
        return Keys(self.public, self.secret, b"", b"")

    # Tokens: for the operator

    def make_token(
        self, role: Role, *, node: str = "", expires: float | None = None, uses: int | None = None, now: float
    ) -> WorkerToken:
        """A new token. ``expires`` is a Unix time. Raises ``ConfigError`` if there are too many."""
        token = WorkerToken.make(z85.decode(self.public))
        with self._writing():
            self._database.execute(
                "DELETE FROM token WHERE expires < ? AND id NOT IN (SELECT token FROM member)", (now - EXPIRED_KEPT,)
            )
            if self._database.execute("SELECT count(*) FROM token").fetchone()[0] >= MAX_TOKENS:
                raise ConfigError(f"there are {MAX_TOKENS} worker tokens; revoke some with `camshaft token revoke`")
            row = (token.id, token.digest, role.value, node, expires, uses, now)
            self._database.execute("INSERT INTO token VALUES (?, ?, ?, ?, ?, ?, ?, 0)", row)
        return token

    def own_token(self, role: Role, *, now: float) -> WorkerToken:
        """The token of the workers that ``serve`` starts beside the broker; the one before is worth nothing then."""
        token = WorkerToken(z85.decode(self.public), _own_id(role), secrets.token_bytes(SECRET_BYTES))
        row = (token.id, token.digest, role.value, "", None, None, now)
        with self._writing():
            self._database.execute("INSERT OR REPLACE INTO token VALUES (?, ?, ?, ?, ?, ?, ?, 0)", row)
        return token

    def disown(self, role: Role) -> None:
        """Forget the token of our own workers of this role, and their keys: there are none of them any more."""
        with self._writing():
            self._database.execute("DELETE FROM member WHERE token = ?", (_own_id(role),))
            self._database.execute("DELETE FROM token WHERE id = ?", (_own_id(role),))
        self._read_members()

    def tokens(self) -> list[Token]:
        """All tokens of roles that there are in this release, oldest first."""
        nodes: dict[str, list[str]] = {}
        for token, node in self._database.execute("SELECT token, node FROM member ORDER BY node"):
            nodes.setdefault(token, []).append(node)
        rows = self._database.execute(
            "SELECT id, role, node, expires, uses, made, revoked FROM token ORDER BY made, id"
        )
        return [
            Token(id, Role(role), node, expires, uses, made, bool(revoked), tuple(nodes.get(id, ())))
            for id, role, node, expires, uses, made, revoked in rows
            if role in _ROLES
        ]

    def revoke(self, name: str) -> tuple[str, ...]:
        """Take back a token and the keys it was exchanged for, or the key of one node. Returns the nodes this ends.

        Raises ``ConfigError`` if there is neither.
        """
        run = self._database.execute
        with self._writing():
            known = run("UPDATE token SET revoked = 1 WHERE id = ?", (name,)).rowcount
            nodes = [node for (node,) in run("SELECT node FROM member WHERE token = ? ORDER BY node", (name,))]
            run("DELETE FROM member WHERE token = ?", (name,))
            if not known:
                nodes = [node for (node,) in run("SELECT node FROM member WHERE node = ?", (name,))]
                run("DELETE FROM member WHERE node = ?", (name,))
            if not known and not nodes:
                raise ConfigError(f"there is no worker token and no worker {name!r}; see `camshaft token list`")
        self._read_members()
        return tuple(nodes)

    # Members: for the broker

    def member(self, key: str) -> Member | None:
        """The worker that has this key (Z85)."""
        return self._members.get(key)

    def member_named(self, node: str) -> Member | None:
        """The worker of this name."""
        return self._by_node.get(node)

    def stream_key(self, camera: str, node: str) -> bytes:
        """The key by which ``node`` seals frames of ``camera``; the same after a restart. Empty if it is no member."""
        member = self._by_node.get(node)
        if member is None:
            return b""
        return hmac.digest(self._media, f"{camera}\0{member.key}".encode(), hashlib.sha256)[:STREAM_KEY_BYTES]

    def refresh(self) -> None:
        """See what others changed: ``camshaft token``, and the broker where the relay is a process of its own."""
        self._place.check()
        version = data_version(self._database)
        if version == self._version:
            return
        taken_back = {id for (id,) in self._database.execute("SELECT id FROM token WHERE revoked")}
        before = self._members
        self._read_members()
        self._version = version
        # Who joins is seen at that moment, and has keys forgotten that were seen longer ago than ``MEMBER_KEPT``.
        arrivals = (member.seen for key, member in self._members.items() if key not in before)
        forgotten = max(arrivals, default=0.0) - MEMBER_KEPT
        for member in [member for key, member in before.items() if key not in self._members]:
            if member.seen < forgotten:
                self._forgotten[member.token] = member
            elif member.token in taken_back or not self._came_back(member):
                self._revoked.append(member)
        self._revoked += [self._forgotten.pop(token) for token in taken_back & self._forgotten.keys()]

    def _came_back(self, member: Member) -> bool:
        """Whether its worker, or another of its token, has its name by another key: it was started again."""
        holder = self._by_node.get(member.node)
        return holder is not None and holder.token == member.token

    def take_revoked(self) -> Collection[Member]:
        """The members whose keys were revoked by others since this was last asked."""
        self.refresh()
        revoked, self._revoked = self._revoked, []
        return revoked

    def admit(
        self,
        token: str,
        secret: bytes,
        key: str,
        role: Role,
        node: NodeName,
        *,
        lives: Callable[[NodeName], bool],
        now: float,
    ) -> Member:
        """Make the worker with this key (Z85) a member, unless it is one.

        ``lives`` says whether a node of that name is at work. Raises ``JoinRefusedError``.
        """
        self.refresh()
        known = self._members.get(key)
        if known is not None and (known.role, known.node) == (role, node):
            return known
        if known is not None:
            raise JoinRefusedError(
                f"its key is that of the {known.role} worker {known.node!r}: start it with --node {known.node}, "
                "or give each worker a --cluster-key-file of its own"
            )
        with self._writing():
            use_token(self._database, token, secret, role, node, now=now)
            take_name(self._database, token, role, node, self._by_node.get(node), lives)
            make_room(self._database, lives, now=now)
            member = Member(key, role, node, token, now)
            row = (key, role.value, node, token, now)
            self._database.execute("INSERT INTO member VALUES (?, ?, ?, ?, ?)", row)
        self._read_members()
        return member

    def saw(self, member: Member, now: float) -> None:
        """Note a sign of life of the member."""
        if now - member.seen >= SEEN_INTERVAL:
            self._database.execute("UPDATE member SET seen = ? WHERE key = ?", (now, member.key))
            self._enter(Member(member.key, member.role, member.node, member.token, now))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Bar all other writers of the file that is where ours was."""
        self._place.check()
        with transaction(self._database):
            yield

    def _read_members(self) -> None:
        rows = self._database.execute("SELECT key, role, node, token, seen FROM member").fetchall()
        self._members: dict[str, Member] = {}
        self._by_node: dict[str, Member] = {}
        for key, role, node, token, seen in rows:
            if role in _ROLES:
                self._enter(Member(key, Role(role), node, token, seen))

    def _enter(self, member: Member) -> None:
        self._members[member.key] = self._by_node[member.node] = member


def _own_id(role: Role) -> str:
    return f"serve{role.value[:3]}"
