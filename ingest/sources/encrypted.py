"""Segments of HLS that are encrypted as a whole: AES-128 in CBC mode with padding (RFC 8216 4.3.2.4); no I/O."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from common.cameras import CameraState
from common.errors import CameraError
from ingest.sources.readable import Readable


class Decrypted:
    """A body, decrypted as it is read. Raises ``ValueError`` for a key or an initialisation vector that is none."""

    def __init__(self, body: Readable, key: bytes, vector: bytes) -> None:
        self._body = body
        self._cipher = Cipher(AES(key), CBC(vector)).decryptor()
        self._padding = PKCS7(128).unpadder()
        self._ended = False

    def read(self, size: int) -> bytes:
        """At least a byte; nothing at its end. Raises ``CameraError``."""
        while not self._ended:
            data = self._body.read(size)
            self._ended = not data
            try:
                plain = self._padding.update(self._cipher.update(data) if data else self._cipher.finalize())
                plain += self._padding.finalize() if self._ended else b""
            except ValueError:
                raise CameraError(CameraState.NOT_MEDIA, "a segment is not encrypted as its playlist says") from None
            if plain:
                return plain
        return b""

    def close(self) -> None:
        """Hang up."""
        self._body.close()
