"""SRTP protection profiles (RFC 5764 4.1.2, RFC 7714 14.2)."""

from __future__ import annotations

from dataclasses import dataclass

import pylibsrtp


@dataclass(frozen=True, slots=True)
class Profile:
    """An SRTP protection profile (RFC 5764 4.1.2, RFC 7714 14.2)."""

    name: str  # OpenSSL's
    libsrtp: int  # libsrtp's number
    key_size: int  # bytes of the master key …
    salt_size: int  # … and of the master salt
    gcm: bool

    @property
    def master_size(self) -> int:
        """Bytes of master key and salt together."""
        return self.key_size + self.salt_size


SRTP_AEAD_AES_128_GCM = Profile("SRTP_AEAD_AES_128_GCM", pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12, True)
SRTP_AEAD_AES_256_GCM = Profile("SRTP_AEAD_AES_256_GCM", pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12, True)
SRTP_AES128_CM_SHA1_80 = Profile(
    "SRTP_AES128_CM_SHA1_80", pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14, False
)


def masters(profile: Profile, material: bytes) -> tuple[bytes, bytes]:
    """The client's and the server's master key with salt, of what DTLS exported (RFC 5764 4.2)."""
    key, salt = profile.key_size, profile.salt_size
    keys, salts = material[: 2 * key], material[2 * key :]
    return keys[:key] + salts[:salt], keys[key:] + salts[salt:]
