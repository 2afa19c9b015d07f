"""Whether a worker may join: what is asked of its token and of its name, and how many members there may be.

Each rule works on the keyring's tables, within the transaction that makes the worker a member: a refusal changes
nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from common.control import RELAY_NODE, NodeName, Role

MEMBER_KEPT = 30 * 86_400.0  # seconds without a sign of life after which a key is forgotten
MAX_MEMBERS = 10_000  # keys; workers that keep none get a new one at each start


@dataclass(frozen=True, slots=True)
class Member:
    """A worker that joined: its CURVE public key (Z85), and what it may be."""

    key: str
    role: Role
    node: NodeName
    token: str
    seen: float  # Unix time, to the hour


class JoinRefusedError(Exception):
    """A worker may not join; the text says why and what to do. ``passing``: trying again in a moment may help."""

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing


def use_token(database: sqlite3.Connection, id: str, secret: bytes, role: Role, node: NodeName, *, now: float) -> None:
    """Use the token once for this worker. Raises ``JoinRefusedError`` if it is not good for it."""
    select = "SELECT digest, role, node, expires, uses, revoked FROM token WHERE id = ?"
    row = database.execute(select, (id,)).fetchone()
    remedy = "make another with `camshaft token worker` on the broker's machine"
    if row is None or not hmac.compare_digest(row[0], hashlib.sha256(secret).digest()):
        raise JoinRefusedError(f"the broker does not know this worker token; {remedy}")
    _, wanted_role, wanted_node, expires, uses, revoked = row
    if revoked:
        raise JoinRefusedError(f"the worker token {id} has been revoked; {remedy}")
    if expires is not None and now >= expires:
        raise JoinRefusedError(f"the worker token {id} has expired; {remedy}")
    if wanted_role != role:
        raise JoinRefusedError(f"the worker token {id} is for {wanted_role} workers, and this is an {role}; {remedy}")
    if wanted_node and wanted_node != node:
        raise JoinRefusedError(f"the worker token {id} is for the worker {wanted_node!r}; start it with that --node")
    if uses is not None:
        if uses <= 0:
            raise JoinRefusedError(f"the worker token {id} has been used as often as it allows; {remedy}")
        database.execute("UPDATE token SET uses = uses - 1 WHERE id = ?", (id,))


def take_name(
    database: sqlite3.Connection,
    token: str,
    role: Role,
    node: NodeName,
    holder: Member | None,
    lives: Callable[[NodeName], bool],
) -> None:
    """Take the name from its ``holder``, a former worker of the same token, which comes back with a new key.

    The relay's is its own, whoever had it in a release without one. Raises ``JoinRefusedError`` if the name is another
    token's or the relay's, or if its worker lives.
    """
    owner = role is Role.RELAY and node == RELAY_NODE
    if node == RELAY_NODE and not owner:
        raise JoinRefusedError(f"the name {node!r} is the media relay's; choose another --node")
    if holder is not None and holder.token != token and not owner:
        raise JoinRefusedError(
            f"the name {node!r} belongs to a worker of another token; choose another --node, "
            f"or free it with `camshaft token revoke {node}`"
        )
    if holder is not None and lives(node):
        raise JoinRefusedError(f"a worker named {node!r} is already running; give each its own --node", passing=True)
    reserved = database.execute("SELECT id FROM token WHERE node = ? AND NOT revoked", (node,)).fetchall()
    if reserved and not owner and token not in {id for (id,) in reserved}:
        raise JoinRefusedError(
            f"the name {node!r} is kept for the worker token {reserved[0][0]}; choose another --node"
        )
    database.execute("DELETE FROM member WHERE node = ?", (node,))


def make_room(database: sqlite3.Connection, lives: Callable[[NodeName], bool], *, now: float) -> None:
    """Forget keys that nobody has used for long, and if there still are too many the one that was longest away.

    Raises ``JoinRefusedError`` if the workers of all of them are at work.
    """
    database.execute("DELETE FROM member WHERE seen < ?", (now - MEMBER_KEPT,))
    oldest_first = [node for (node,) in database.execute("SELECT node FROM member ORDER BY seen")]
    if len(oldest_first) >= MAX_MEMBERS:
        gone = next((node for node in oldest_first if not lives(node)), None)
        if gone is None:
            raise JoinRefusedError(f"{MAX_MEMBERS} workers are running, more than the cluster takes")
        database.execute("DELETE FROM member WHERE node = ?", (gone,))
