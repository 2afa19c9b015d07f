"""Marks for browsers in which a user has signed in before; no I/O.

A mark is good until a time, for one user, and for as long as that user has the same password. None is kept: whoever
has the secret can tell what was made with it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

NONCE_BYTES = 12


class Devices:
    """Makes marks and knows them again. ``hash`` is that of the user's password, empty where there is no such user."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def mark(self, name: str, hash: str, *, expires: float) -> str:
        """A mark for a browser in which the user has just signed in, good until then (Unix time)."""
        nonce = f"{int(expires)}.{secrets.token_urlsafe(NONCE_BYTES)}"
        return f"{nonce}.{self._digest(nonce, name, hash)}"

    def knows(self, name: str, hash: str, mark: str, *, now: float) -> bool:
        """Whether ``mark`` was made for that user with that password, and is good yet."""
        nonce, _, digest = mark.rpartition(".")
        expires = nonce.partition(".")[0]
        if not hmac.compare_digest(self._digest(nonce, name, hash).encode(), digest.encode(errors="replace")):
            return False
        return now < int(expires)  # which is what we wrote

    def _digest(self, nonce: str, name: str, hash: str) -> str:
        text = f"{nonce}\0{name}\0{hash}"
        return hmac.digest(self._secret, text.encode(errors="replace"), hashlib.sha256).hex()
