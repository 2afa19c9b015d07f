"""SRTP keys and protection (RFC 3711, RFC 7714) for one viewer; pure but for the ciphers.

AES-GCM is done by ``egress.native`` where that was built, else with ``cryptography``'s ``AESGCM.encrypt_into``, which
writes into the datagram and never copies the payload; both are byte-identical to libsrtp (tests hold that), and the hot
path calls them directly. Peers without GCM get libsrtp's AES-CM. SRTCP always goes through libsrtp: it is rare, and its
index is then somebody else's care.

The one rule of GCM: two different packets never share (SSRC, ROC, sequence number). What is sent again goes out as RTX
with its own SSRC and sequence, or byte-identical.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import pylibsrtp
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from egress import native

GCM_SALT_SIZE = 12  # bytes, RFC 7714 12
MAX_SSRCS = 16  # that a peer may send feedback as: libsrtp keeps a state for each; browsers have one or two
REPEAT_WINDOW = 1024  # newest packets that may be protected again, as losses are repaired without RTX; at most 32,767
_LABEL_ENCRYPTION, _LABEL_SALT = 0x00, 0x02  # RFC 3711 4.3.2


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


def derive(master_key: bytes, master_salt: bytes, label: int, size: int) -> bytes:
    """RFC 3711 4.3.1 with AES-CM and a key derivation rate of 0.

    A 96-bit salt is padded on the right to 112 bits (RFC 7714 11).
    """
    x = int.from_bytes(master_salt.ljust(14, b"\0"), "big") ^ (label << 48)
    cipher = Cipher(algorithms.AES(master_key), modes.CTR((x << 16).to_bytes(16, "big")))
    return cipher.encryptor().update(bytes(size))


EncryptInto = Callable[[bytes, bytes, bytes, memoryview], object]


class GcmKeys:
    """The keys that encrypt one viewer's RTP.

    ``encrypt_into(nonce, payload, header, out)`` writes ciphertext and tag; the compiled fan-out takes ``cipher``.
    The nonce of a packet is ``(iv(ssrc) ^ index).to_bytes(12, "big")`` with ``index`` = ROC << 16 | sequence number
    (RFC 7714 8.1).
    """

    __slots__ = ("_encrypt_into", "_key", "_salt", "cipher")

    def __init__(self, profile: Profile, master: bytes, *, compiled: bool) -> None:
        master_key, master_salt = master[: profile.key_size], master[profile.key_size :]
        key = derive(master_key, master_salt, _LABEL_ENCRYPTION, profile.key_size)
        self._key = key
        self._encrypt_into: EncryptInto | None = None
        self.cipher = native.cipher(key) if compiled else None
        self._salt = int.from_bytes(derive(master_key, master_salt, _LABEL_SALT, GCM_SALT_SIZE), "big")

    @property
    def encrypt_into(self) -> EncryptInto:
        """Made when it is first asked for: it has 2.6 kB, which a viewer of the compiled loop alone need not."""
        if self._encrypt_into is None:
            self._encrypt_into = AESGCM(self._key).encrypt_into
        return self._encrypt_into

    def iv(self, ssrc: int) -> int:
        """The part of the nonce that is the same for all packets of ``ssrc``."""
        return self._salt ^ (ssrc << 48)


class Srtp:
    """The SRTP session with one viewer: keys for the hot path, and libsrtp for everything else.

    ``ours`` and ``theirs`` are master key and salt of what we and the viewer send; ``compiled`` tells whether RTP is
    encrypted by ``egress.native``.
    """

    def __init__(self, profile: Profile, ours: bytes, theirs: bytes, *, compiled: bool) -> None:
        self.profile = profile
        self._ours = ours
        self._compiled = compiled
        policy = pylibsrtp.Policy(ours, pylibsrtp.Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile.libsrtp)
        policy.allow_repeat_tx = True
        policy.window_size = REPEAT_WINDOW
        self._outbound = pylibsrtp.Session(policy)
        self._inbound = pylibsrtp.Session(
            pylibsrtp.Policy(theirs, pylibsrtp.Policy.SSRC_ANY_INBOUND, srtp_profile=profile.libsrtp)
        )
        self._ssrcs: set[bytes] = set()  # of feedback that was authentic

    @cached_property
    def gcm_keys(self) -> GcmKeys | None:
        """Our sending keys, ``None`` if the profile is not a GCM one."""
        return GcmKeys(self.profile, self._ours, compiled=self._compiled) if self.profile.gcm else None

    def protect_rtp(self, packet: bytes) -> bytes:
        """SRTP through libsrtp, for profiles without ``gcm_keys``. Packets up to 1,356 bytes."""
        return self._outbound.protect(packet)

    def protect_rtcp(self, packet: bytes) -> bytes:
        """SRTCP of a compound packet."""
        return self._outbound.protect_rtcp(packet)

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """The compound packet, or ``None`` if it is not authentic, or of one SSRC too many."""
        ssrc = packet[4:8]  # in clear (RFC 3711 3.4)
        if ssrc not in self._ssrcs and len(self._ssrcs) >= MAX_SSRCS:
            return None
        try:
            plain = self._inbound.unprotect_rtcp(packet)
        except (pylibsrtp.Error, ValueError):  # the latter above 1,500 bytes
            return None
        self._ssrcs.add(ssrc)
        return plain
