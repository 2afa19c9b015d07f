"""A worker token: one text that lets a worker join a cluster. It is exchanged for a key of the worker's own.

It carries the broker's public key, so that a worker gives its secret to nobody else, and a checksum, because a wrong
character in that key would be answered by silence.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass, field

from common.errors import ProtocolError

PREFIX = "camshaft-"  # people and secret scanners see what it is
KEY_BYTES = 32  # a CURVE25519 public key
ID_BYTES = 5  # 8 letters and digits in base32: a person types it to revoke the token
SECRET_BYTES = 20
CHECKSUM_BYTES = 4

_LENGTH = KEY_BYTES + ID_BYTES + SECRET_BYTES + CHECKSUM_BYTES


@dataclass(frozen=True, slots=True)
class WorkerToken:
    """``broker`` is the broker's CURVE public key, 32 bytes; ``id`` names the token in lists and logs."""

    broker: bytes
    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def make(cls, broker: bytes) -> WorkerToken:
        """A new one, unlike all others."""
        return cls(broker, _spell(secrets.token_bytes(ID_BYTES)), secrets.token_bytes(SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> WorkerToken:
        """The token of a text that ``str`` gave. Raises ``ProtocolError``, without the text in it."""
        try:
            content = base64.urlsafe_b64decode(text.strip().removeprefix(PREFIX) + "==")
        except (ValueError, binascii.Error):
            content = b""
        body, checksum = content[:-CHECKSUM_BYTES], content[-CHECKSUM_BYTES:]
        if not text.strip().startswith(PREFIX) or len(content) != _LENGTH or _checksum(body) != checksum:
            raise ProtocolError("is not a worker token; copy everything that `camshaft token worker` printed")
        key, rest = body[:KEY_BYTES], body[KEY_BYTES:]
        return cls(key, _spell(rest[:ID_BYTES]), rest[ID_BYTES:])

    @property
    def digest(self) -> bytes:
        """The part that the broker keeps of the secret: SHA-256, enough for 160 random bits."""
        return hashlib.sha256(self.secret).digest()

    def __str__(self) -> str:
        body = self.broker + base64.b32decode(self.id.upper()) + self.secret
        return PREFIX + base64.urlsafe_b64encode(body + _checksum(body)).decode().rstrip("=")


def _spell(id: bytes) -> str:
    return base64.b32encode(id).decode().lower()


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()[:CHECKSUM_BYTES]
