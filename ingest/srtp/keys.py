"""The keys of one section's SRTP, and how packets are protected by them (RFC 3711, 6188, 7714)."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Suite:
    """One way to protect packets."""

    key_size: int  # bytes of the master key …
    salt_size: int  # … and of the master salt
    tag_size: int  # bytes of RTP's authentication tag
    gcm: bool = False

    @property
    def master_size(self) -> int:
        """Bytes of master key and salt together."""
        return self.key_size + self.salt_size


# RFC 4568 6.2, RFC 6188 4.1 and RFC 7714 14.2, by their names in SDES.
SUITES = {
    "AES_CM_128_HMAC_SHA1_80": Suite(16, 14, 10),
    "AES_CM_128_HMAC_SHA1_32": Suite(16, 14, 4),
    "AES_192_CM_HMAC_SHA1_80": Suite(24, 14, 10),
    "AES_192_CM_HMAC_SHA1_32": Suite(24, 14, 4),
    "AES_256_CM_HMAC_SHA1_80": Suite(32, 14, 10),
    "AES_256_CM_HMAC_SHA1_32": Suite(32, 14, 4),
    "AEAD_AES_128_GCM": Suite(16, 12, 16, gcm=True),
    "AEAD_AES_256_GCM": Suite(32, 12, 16, gcm=True),
}
USUAL = SUITES["AES_CM_128_HMAC_SHA1_80"]


@dataclass(frozen=True, slots=True)
class Keys:
    """A master key with its salt. Never shown."""

    suite: Suite
    master: bytes = field(repr=False)
    mki: bytes = b""  # the name of the key, which then stands in each packet
    rollovers: dict[int, int] = field(default_factory=dict)  # of sequence numbers so far, by SSRC
