"""Encryption of SRT (draft-sharabayko-srt-01, 3.2.2 and 6): a passphrase to keys, keys to plain payloads; no I/O."""

from __future__ import annotations

import struct

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from common.errors import ProtocolError

EVEN, ODD = 1, 2  # KK, also of a data packet
SALT = 16  # bytes
LENGTHS = (16, 24, 32)  # bytes of a key
_ITERATIONS = 2_048  # 6.1.4
_SIGN = 0x12202900  # version 1, type 2, signature 0x2029, and below it KK
_AES_CTR, _SRT = 2, 2


class Keys:
    """A connection's: those that the caller made, and what the sender puts in their place later."""

    def __init__(self, passphrase: str, key: bytes, salt: bytes) -> None:
        self._passphrase = passphrase
        self._salt = salt
        self._keys = {EVEN: key}

    @property
    def message(self) -> bytes:
        """The keying material message with the first key (3.2.2)."""
        key = self._keys[EVEN]
        head = struct.pack("!IIBBBBHBB", _SIGN | EVEN, 0, _AES_CTR, 0, _SRT, 0, 0, SALT // 4, len(key) // 4)
        return head + self._salt + aes_key_wrap(self._wrapping(self._salt, len(key)), key)

    def learn(self, message: bytes) -> None:
        """Take the keys that the sender goes over to (6.1.6). Raises ``ProtocolError``."""
        if len(message) < 16 + SALT or struct.unpack_from("!I", message)[0] & ~3 != _SIGN or not message[3] & 3:
            raise ProtocolError("a message with keys of SRT cannot be read")
        which, length = message[3] & 3, message[15] * 4
        salt, wrapped = message[16 : 16 + SALT], message[16 + SALT :]
        count = which.bit_count()
        if length not in LENGTHS or len(wrapped) != 8 + count * length:
            raise ProtocolError("a message with keys of SRT has keys of another length")
        try:
            keys = aes_key_unwrap(self._wrapping(salt, length), wrapped)
        except InvalidUnwrap:
            raise ProtocolError("the SRT keys belong to another passphrase") from None
        self._salt = salt
        for number, kind in enumerate(each for each in (EVEN, ODD) if which & each):
            self._keys[kind] = keys[number * length : (number + 1) * length]

    def decrypt(self, payload: bytes, sequence: int, which: int) -> bytes:
        """The plain payload (6.2.2). Raises ``ProtocolError`` where its key is not known."""
        key = self._keys.get(which)
        if key is None:
            raise ProtocolError("a packet of SRT is encrypted by an unknown key")
        counter = int.from_bytes(self._salt[:14]) ^ sequence
        cipher = Cipher(AES(key), CTR((counter << 16).to_bytes(16))).decryptor()
        return cipher.update(payload) + cipher.finalize()

    def _wrapping(self, salt: bytes, length: int) -> bytes:
        hash_ = SHA1()  # noqa: S303  # as 6.1.4 has it; in HMAC it is sound
        return PBKDF2HMAC(hash_, length, salt[8:], _ITERATIONS).derive(self._passphrase.encode())
