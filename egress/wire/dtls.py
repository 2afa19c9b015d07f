"""DTLS-SRTP (RFC 5764) on top of aiortc's ``RTCDtlsTransport``, without its tasks.

aiortc's transport pulls datagrams in a task of its own, one a viewer. Here datagrams are pushed in, the handshake goes
on within that call, and retransmissions are a matter of the worker's sweep. Everything else is aiortc's: certificate,
SSL context, check of the peer's fingerprint, SRTP key export, libsrtp sessions. The names with an underscore that we
use are held by tests/egress/test_contract.py, and the version range is pinned in setup.cfg.

We are always the DTLS server (``a=setup:passive``): the server picks the SRTP profile by its own order, and as a server
Chrome never picks GCM.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import cached_property

import pylibsrtp
from aiortc.rtcdtlstransport import (
    SRTP_AEAD_AES_128_GCM,
    SRTP_AEAD_AES_256_GCM,
    SRTP_AES128_CM_SHA1_80,
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    SRTPProtectionProfile,
    State,
)
from OpenSSL import SSL

from egress.wire.srtp import GcmKeys

PROFILES = [SRTP_AEAD_AES_128_GCM, SRTP_AEAD_AES_256_GCM, SRTP_AES128_CM_SHA1_80]
"""SRTP profiles in our order of preference: GCM costs half of CM with HMAC-SHA1, and 128 bits suffice."""

FLIGHT_TIMEOUT = 0.1  # seconds to the first repetition of a flight, doubled with each
DTLS_MTU = 1200  # bytes of a DTLS datagram, as for media
MAX_SSRCS = 16  # that a peer may send feedback as: libsrtp keeps a state for each; browsers have one or two
_RECORD_HEADER = 13  # bytes, RFC 6347 4.1; the length is the last two
_MAX_RECORDS = 256  # read after a datagram: more than one of port.MAX_DATAGRAM bytes holds
_RECORD_TYPES = range(20, 27)  # change_cipher_spec to ACK; DTLS 1.3's short headers are left in one piece


class Identity:
    """This process's certificate, its SSL context and its fingerprint, made once for all viewers."""

    def __init__(self, *, compiled: bool) -> None:
        self.compiled = compiled  # whether what we send is encrypted by egress.native
        self.certificate = RTCCertificate.generateCertificate()
        self.context = self.certificate._create_ssl_context(PROFILES)
        self.context.set_options(SSL.OP_NO_QUERY_MTU)  # there is no socket to ask; the MTU is DTLS_MTU
        prints = self.certificate.getFingerprints()
        self.fingerprint: RTCDtlsFingerprint = next(f for f in prints if f.algorithm == "sha-256")


class DtlsServer(RTCDtlsTransport):
    """One viewer's DTLS association. ``send`` transmits a datagram to wherever the viewer is."""

    def __init__(self, identity: Identity, remote: RTCDtlsParameters, send: Callable[[bytes], None]) -> None:
        super().__init__(None, [identity.certificate])  # type: ignore[arg-type]  # ours has no pull transport
        self._srtp_profiles = PROFILES
        self._set_role("server")
        self._remote = remote
        self._compiled = identity.compiled
        self._transmit = send
        self._context = identity.context
        self._set_state(State.CONNECTING)
        self._flight: list[bytes] = []
        self._flights = 0  # that were sent, repetitions aside
        self._repeat_at = float("-inf")  # monotonic time of the flight's next repetition
        self._repeats = 0
        self._ssrcs: set[bytes] = set()  # of feedback that was authentic
        self.failure = ""  # why the handshake failed

    @cached_property
    def _connection(self) -> SSL.Connection:
        """OpenSSL's part, made for the first datagram: it has 22 kB, and a flood of offers is never followed up."""
        self._ssl = connection = SSL.Connection(self._context)  # aiortc's methods know it as _ssl
        connection.set_accept_state()
        connection.set_ciphertext_mtu(DTLS_MTU)
        return connection

    @property
    def connected(self) -> bool:
        """Whether media can be protected."""
        return self._state is State.CONNECTED

    @property
    def over(self) -> bool:
        """Whether the association failed or was closed by either side."""
        return self._state in (State.FAILED, State.CLOSED)

    @property
    def profile(self) -> SRTPProtectionProfile:
        """The negotiated SRTP profile; only once connected."""
        name = self._connection.get_selected_srtp_profile()
        return next(profile for profile in PROFILES if profile.openssl_profile == name)

    @cached_property
    def gcm_keys(self) -> GcmKeys | None:
        """Our sending keys if the profile is a GCM one; only once connected."""
        profile = self.profile
        if profile is SRTP_AES128_CM_SHA1_80:
            return None
        size = 2 * (profile.key_length + profile.salt_length)
        material = self._connection.export_keying_material(b"EXTRACTOR-dtls_srtp", size)
        master = profile.get_key_and_salt(material, 1)  # RFC 5764 4.2: the server's key is second
        return GcmKeys(profile, master, compiled=self._compiled)

    def receive(self, datagram: bytes) -> bool:
        """Take a DTLS datagram; whatever it is, it can end this association at most. ``True`` if it was answered."""
        if self.over:
            return False
        flights = self._flights
        try:
            self._connection.bio_write(datagram)
            if self._state is State.CONNECTING:
                self._shake_hands()
            else:
                for _ in range(_MAX_RECORDS):  # nobody has anything to tell us, but what is not read is kept
                    self._connection.recv(DTLS_MTU)
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:  # close_notify
            self._set_state(State.CLOSED)
        except SSL.Error as exc:  # a fatal alert; what is not authentic OpenSSL drops (RFC 6347 4.1.2.7)
            self._fail(f"DTLS {'handshake' if self._state is State.CONNECTING else 'association'} failed: {exc}")
        self._flush()
        return self._flights > flights

    def retransmit(self, now: float) -> None:
        """Send our last flight again if it has not been answered for a while; to be called while connecting.

        OpenSSL's own timer starts at a second, which a viewer with a lossy path would see (RFC 9147 5.8.2 allows less).
        """
        if not self._flight or now < self._repeat_at:
            return
        if self._repeats:
            self.repeat()
        self._repeat_at = now + FLIGHT_TIMEOUT * 2**self._repeats
        self._repeats += 1

    def repeat(self) -> None:
        """Send our last flight again."""
        for datagram in self._flight:
            self._transmit(datagram)

    def close(self) -> None:
        """Send close_notify, and nothing more."""
        if self._state is State.CONNECTED:
            with contextlib.suppress(SSL.Error):
                self._connection.shutdown()
            self._flush()
        if not self.over:
            self._set_state(State.CLOSED)
        self._transmit = _nowhere  # its owner, which is then freed without the help of the garbage collector

    def protect_rtcp(self, packet: bytes) -> bytes:
        """SRTCP of a compound packet."""
        protected: bytes = self._tx_srtp.protect_rtcp(packet)
        return protected

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """The compound packet, or ``None`` if it is not authentic, or of one SSRC too many."""
        ssrc = packet[4:8]  # in clear (RFC 3711 3.4)
        if ssrc not in self._ssrcs and len(self._ssrcs) >= MAX_SSRCS:
            return None
        try:
            plain: bytes = self._rx_srtp.unprotect_rtcp(packet)
        except (pylibsrtp.Error, ValueError):  # the latter above 1,500 bytes
            return None
        self._ssrcs.add(ssrc)
        return plain

    def protect_rtp(self, packet: bytes) -> bytes:
        """SRTP through libsrtp, for profiles without ``gcm_keys``. Packets up to 1,356 bytes."""
        protected: bytes = self._tx_srtp.protect(packet)
        return protected

    def _shake_hands(self) -> None:
        self._connection.do_handshake()
        self._flush()  # our last flight, before anything protected with the keys
        self._validate_peer_identity(self._remote)
        if not self.over:
            self._setup_srtp()
            self.failure = "no SRTP profile in common" if self.over else ""
        else:
            self.failure = "the DTLS certificate is not the one of the offer"
        if not self.failure:
            self._set_state(State.CONNECTED)

    def _fail(self, reason: str) -> None:
        self.failure = reason
        self._set_state(State.FAILED)

    def _send_flight(self, flight: list[bytes]) -> None:
        self._flight, self._repeat_at, self._repeats = flight, float("-inf"), 0
        self._flights += 1
        for datagram in flight:
            self._transmit(datagram)

    def _flush(self) -> None:
        """Send what OpenSSL has written: a run of records without datagram borders, so cut it at record borders."""
        try:
            out = self._connection.bio_read(65_536)
        except SSL.Error:  # nothing to send
            return
        flight = []
        start = end = 0
        while end + _RECORD_HEADER <= len(out) and out[end] in _RECORD_TYPES:
            size = _RECORD_HEADER + int.from_bytes(out[end + 11 : end + 13], "big")
            if end > start and end + size - start > DTLS_MTU:
                flight.append(out[start:end])
                start = end
            end += size
        self._send_flight([*flight, out[start:]])


def _nowhere(_datagram: bytes) -> None:
    """Where a closed association sends to."""
