"""Session keys of SRTP and SRTCP from a master key (RFC 3711 4.3); pure but for the cipher."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

# RFC 3711 4.3.2: of encryption, authentication and salt.
RTP_LABELS = (0x00, 0x01, 0x02)
RTCP_LABELS = (0x03, 0x04, 0x05)
AUTH_KEY_SIZE = 20  # bytes, of HMAC-SHA1


def derive(master_key: bytes, master_salt: bytes, label: int, size: int) -> bytes:
    """RFC 3711 4.3.1 with AES-CM and a key derivation rate of 0.

    A 96-bit salt is padded on the right to 112 bits (RFC 7714 11).
    """
    x = int.from_bytes(master_salt.ljust(14, b"\0"), "big") ^ (label << 48)
    cipher = Cipher(algorithms.AES(master_key), modes.CTR((x << 16).to_bytes(16, "big")))
    return cipher.encryptor().update(bytes(size))
