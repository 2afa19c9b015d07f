"""SRTP keys and protection (RFC 3711, RFC 7714) for what we send; pure but for the ciphers.

AES-GCM is done by ``egress.native`` where that was built, else with ``cryptography``'s ``AESGCM.encrypt_into``, which
writes into the datagram and never copies the payload; both are byte-identical to libsrtp (tests hold that), and the hot
path calls them directly. Peers without GCM get libsrtp's AES-CM. SRTCP always goes through libsrtp: it is rare, and its
index is then somebody else's care.

The one rule of GCM: two different packets never share (SSRC, ROC, sequence number). What is sent again goes out as RTX
with its own SSRC and sequence, or byte-identical.
"""

from __future__ import annotations

from aiortc.rtcdtlstransport import SRTPProtectionProfile
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from egress import native

GCM_SALT_SIZE = 12  # bytes, RFC 7714 12
_LABEL_ENCRYPTION, _LABEL_SALT = 0x00, 0x02  # RFC 3711 4.3.2


def derive(master_key: bytes, master_salt: bytes, label: int, size: int) -> bytes:
    """RFC 3711 4.3.1 with AES-CM and a key derivation rate of 0.

    A 96-bit salt is padded on the right to 112 bits (RFC 7714 11).
    """
    x = int.from_bytes(master_salt.ljust(14, b"\0"), "big") ^ (label << 48)
    cipher = Cipher(algorithms.AES(master_key), modes.CTR((x << 16).to_bytes(16, "big")))
    return cipher.encryptor().update(bytes(size))


class GcmKeys:
    """What encrypting one viewer's RTP takes.

    ``encrypt_into(nonce, payload, header, out)`` writes ciphertext and tag; the compiled fan-out takes ``cipher``.
    The nonce of a packet is ``(iv(ssrc) ^ index).to_bytes(12, "big")`` with ``index`` = ROC << 16 | sequence number
    (RFC 7714 8.1).
    """

    __slots__ = ("_salt", "cipher", "encrypt_into")

    def __init__(self, profile: SRTPProtectionProfile, master: bytes, *, compiled: bool) -> None:
        master_key, master_salt = master[: profile.key_length], master[profile.key_length :]
        key = derive(master_key, master_salt, _LABEL_ENCRYPTION, profile.key_length)
        self.encrypt_into = AESGCM(key).encrypt_into
        self.cipher = native.cipher(key) if compiled else None
        self._salt = int.from_bytes(derive(master_key, master_salt, _LABEL_SALT, GCM_SALT_SIZE), "big")

    def iv(self, ssrc: int) -> int:
        """The part of the nonce that is the same for all packets of ``ssrc``."""
        return self._salt ^ (ssrc << 48)
