"""SRTCP that we send (RFC 3711 3.4, RFC 7714 9), with its index in our own hands; pure but for the ciphers.

An index that comes twice under one key is a nonce that does. libsrtp keeps its own to itself, and a process that goes
on with a session (``egress.succession``) has to go on with its indices. Byte-identical to libsrtp (tests hold that).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from functools import cached_property

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from common.srtp import AUTH_KEY_SIZE, RTCP_LABELS, derive
from egress.wire.profiles import Profile

MAX_INDEX = (1 << 31) - 1  # RFC 3711 3.4: 68 years of a report a second
MAX_SSRCS = 16  # under which we report: a session has one for picture and one for sound
AUTH_TAG_SIZE = 10  # bytes, of HMAC-SHA1-80 (RFC 3711 4.2)
_ENCRYPTED = 1 << 31  # E, before the index
_CLEAR = 8  # bytes in clear: the header and the first SSRC
_LABEL_ENCRYPTION, _LABEL_AUTHENTICATION, _LABEL_SALT = RTCP_LABELS


class SrtcpSender:
    """Protects compound packets with one master key and salt. ``sent`` are the last indices by SSRC."""

    def __init__(self, profile: Profile, master: bytes, sent: Iterable[tuple[int, int]] = ()) -> None:
        self.indices = dict(sent)  # of the last packet of each SSRC; the next one has the one after
        self._profile = profile
        self._key, self._salt = master[: profile.key_size], master[profile.key_size :]

    def protect(self, packet: bytes) -> bytes:
        """SRTCP of a compound packet."""
        ssrc = int.from_bytes(packet[4:_CLEAR], "big")
        index = self.indices.get(ssrc, 0) + 1
        assert index <= MAX_INDEX, "a report a second lasts longer than we do"
        self.indices[ssrc] = index
        trailer = (_ENCRYPTED | index).to_bytes(4, "big")
        clear, rest = packet[:_CLEAR], packet[_CLEAR:]
        if self._profile.gcm:  # RFC 7714 9.1: 00 00 || SSRC || 00 00 || index, xor the salt
            nonce = (self._iv ^ ssrc << 48 ^ index).to_bytes(12, "big")
            return clear + self._aead.encrypt(nonce, rest, clear + trailer) + trailer
        counter = (self._iv << 16 ^ ssrc << 64 ^ index << 16).to_bytes(16, "big")  # RFC 3711 4.1.1
        body = clear + Cipher(algorithms.AES(self._cipher_key), modes.CTR(counter)).encryptor().update(rest) + trailer
        return body + hmac.digest(self._auth_key, body, "sha1")[:AUTH_TAG_SIZE]

    @cached_property
    def _cipher_key(self) -> bytes:
        return derive(self._key, self._salt, _LABEL_ENCRYPTION, self._profile.key_size)

    @cached_property
    def _aead(self) -> AESGCM:
        return AESGCM(self._cipher_key)

    @cached_property
    def _auth_key(self) -> bytes:
        return derive(self._key, self._salt, _LABEL_AUTHENTICATION, AUTH_KEY_SIZE)

    @cached_property
    def _iv(self) -> int:
        return int.from_bytes(derive(self._key, self._salt, _LABEL_SALT, self._profile.salt_size), "big")


def index_of(packet: bytes, profile: Profile) -> int:
    """The index of an SRTCP packet: at its end, or where there is no GCM before the tag (RFC 3711 3.4)."""
    end = len(packet) if profile.gcm else len(packet) - AUTH_TAG_SIZE
    return int.from_bytes(packet[max(0, end - 4) : end], "big") & MAX_INDEX
