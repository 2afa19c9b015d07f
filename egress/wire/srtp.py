"""SRTP keys and protection (RFC 3711, RFC 7714) for one viewer; pure but for the ciphers.

AES-GCM is done by ``egress.native`` where that was built, else with ``cryptography``'s ``AESGCM.encrypt_into``, which
writes into the datagram and never copies the payload; both are byte-identical to libsrtp (tests hold that), and the hot
path calls them directly. Peers without GCM get libsrtp's AES-CM. SRTCP that comes goes through libsrtp; what we send is
``egress.wire.srtcp``'s.

The one rule of GCM: two different packets never share (SSRC, ROC, sequence number). What is sent again goes out as RTX
with its own SSRC and sequence, or byte-identical.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property

import pylibsrtp
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from common.srtp import RTP_LABELS, derive
from egress import native
from egress.wire.profiles import Profile
from egress.wire.srtcp import SrtcpSender, index_of

GCM_SALT_SIZE = 12  # bytes, RFC 7714 12
MAX_SSRCS = 16  # that a peer may send feedback as: libsrtp keeps a state for each; browsers have one or two
REPEAT_WINDOW = 1024  # newest packets that may be protected again, as losses are repaired without RTX; at most 32,767
MAX_RTP = 1 << 26  # packets of an SSRC, two days of video, to which libsrtp can be led in some 15 ms
_SPIN = 0x7000  # sequence numbers at once: libsrtp takes a jump of half of 2**16 for a late packet
_LABEL_ENCRYPTION, _, _LABEL_SALT = RTP_LABELS


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
    encrypted by ``egress.native``. Of a session that another process began, ``sent`` and ``heard`` are the last indices
    of SRTCP each way, by SSRC.
    """

    def __init__(
        self,
        profile: Profile,
        ours: bytes,
        theirs: bytes,
        *,
        compiled: bool,
        sent: Iterable[tuple[int, int]] = (),
        heard: Iterable[tuple[int, int]] = (),
    ) -> None:
        self.profile = profile
        self.ours, self.theirs = ours, theirs
        self.sent = SrtcpSender(profile, ours, sent)
        self.heard = dict(heard)  # the highest index of feedback that was authentic, by SSRC
        self._former = dict(self.heard)  # what is not newer than this was taken, or missed, by another process
        self._compiled = compiled
        self._inbound = pylibsrtp.Session(
            pylibsrtp.Policy(theirs, pylibsrtp.Policy.SSRC_ANY_INBOUND, srtp_profile=profile.libsrtp)
        )

    @cached_property
    def gcm_keys(self) -> GcmKeys | None:
        """Our sending keys, ``None`` if the profile is not a GCM one."""
        return GcmKeys(self.profile, self.ours, compiled=self._compiled) if self.profile.gcm else None

    def protect_rtp(self, packet: bytes) -> bytes:
        """SRTP through libsrtp, for profiles without ``gcm_keys``. Packets up to 1,356 bytes."""
        protected: bytes = self._outbound.protect(packet)
        return protected

    def protect_rtcp(self, packet: bytes) -> bytes:
        """SRTCP of a compound packet."""
        return self.sent.protect(packet)

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """The compound packet, or ``None`` if it is not authentic, was taken before, or is of one SSRC too many."""
        ssrc = int.from_bytes(packet[4:8], "big")  # in clear (RFC 3711 3.4)
        if ssrc not in self.heard and len(self.heard) >= MAX_SSRCS:
            return None
        index = index_of(packet, self.profile)
        if index <= self._former.get(ssrc, -1):
            return None
        try:
            plain: bytes = self._inbound.unprotect_rtcp(packet)
        except (pylibsrtp.Error, ValueError):  # the latter above 1,500 bytes
            return None
        self.heard[ssrc] = max(index, self.heard.get(ssrc, -1))
        return plain

    def go_on(self, ssrc: int, following: int) -> None:
        """Go on at the extended sequence number ``following``, where another process stopped with this SSRC.

        With GCM the caller numbers them. libsrtp counts by itself, and is led there by packets that nobody gets.
        """
        if self.profile.gcm or not following:
            return
        assert following <= MAX_RTP, "whoever lets a session go on here looks at that"
        for number in (*range(_SPIN, following - 1, _SPIN), following - 1):
            self._outbound.protect(
                bytes((0x80, 0)) + (number & 0xFFFF).to_bytes(2, "big") + bytes(4) + ssrc.to_bytes(4, "big")
            )

    def go_on_after(self, sent: Iterable[tuple[int, int]], heard: Iterable[tuple[int, int]]) -> None:
        """Go on after these last indices of SRTCP, each way and by SSRC, that another process came to."""
        self.sent.indices = dict(sent)
        self.heard = dict(heard)
        self._former = dict(self.heard)

    @cached_property
    def _outbound(self) -> pylibsrtp.Session:
        policy = pylibsrtp.Policy(self.ours, pylibsrtp.Policy.SSRC_ANY_OUTBOUND, srtp_profile=self.profile.libsrtp)
        policy.allow_repeat_tx = True
        policy.window_size = REPEAT_WINDOW
        return pylibsrtp.Session(policy)
