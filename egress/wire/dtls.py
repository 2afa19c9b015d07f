"""The DTLS handshake with one viewer (RFC 6347), from which come the SRTP keys (RFC 5764). No socket, task or timer.

Datagrams are pushed in, the handshake goes on within that call, and what is to be sent is handed to a function;
retransmissions are a matter of the worker's sweep, which says what time it is.

OpenSSL's state cannot leave its process. Of an association that another process made (``egress.succession``) there are
the keys alone: our last flight is repeated if the viewer repeats its own; no other handshake begins; and a record that
may be close_notify cannot be read, so it has the viewer's consent asked for, as if that were about to expire.

We are always the DTLS server (``a=setup:passive``): the server picks the SRTP profile by its own order, and as a server
Chrome never picks GCM.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from enum import Enum, auto
from functools import cached_property

from OpenSSL import SSL

from egress.wire.certificate import Certificate, Fingerprint, vouched_for
from egress.wire.profiles import SRTP_AEAD_AES_128_GCM, SRTP_AEAD_AES_256_GCM, SRTP_AES128_CM_SHA1_80, masters
from egress.wire.srtp import Srtp

PROFILES = (SRTP_AEAD_AES_128_GCM, SRTP_AEAD_AES_256_GCM, SRTP_AES128_CM_SHA1_80)
"""SRTP profiles in our order of preference: GCM costs half of CM with HMAC-SHA1, and 128 bits suffice."""

FLIGHT_TIMEOUT = 0.1  # seconds to the first repetition of a flight, doubled with each
DTLS_MTU = 1200  # bytes of a DTLS datagram, as for media
_RECORD_HEADER = 13  # bytes, RFC 6347 4.1; the length is the last two
_MAX_RECORDS = 256  # read after a datagram: more than one of port.MAX_DATAGRAM bytes holds
_CHANGE_CIPHER_SPEC, _ALERT, _HANDSHAKE = 20, 21, 22  # record types, RFC 5246 6.2.1
_RECORD_TYPES = range(20, 27)  # change_cipher_spec to ACK; DTLS 1.3's short headers are left in one piece


class Identity:
    """The identity that associations of this process share: its certificate, as an SSL context and a fingerprint."""

    def __init__(self, *, compiled: bool) -> None:
        self.compiled = compiled  # whether what we send is encrypted by egress.native
        certificate = Certificate()
        self.context = certificate.context(profile.name for profile in PROFILES)
        self.context.set_options(SSL.OP_NO_QUERY_MTU)  # there is no socket to ask; the MTU is DTLS_MTU
        self.fingerprint = certificate.fingerprint()


class _State(Enum):
    """An association is connecting, then connected, and from either it closes or fails; from there it goes nowhere."""

    CONNECTING = auto()
    CONNECTED = auto()
    CLOSED = auto()
    FAILED = auto()


class DtlsServer:
    """One viewer's DTLS association.

    ``remote`` are the fingerprints of the viewer's certificate, as its offer has them; ``send`` transmits a datagram to
    wherever the viewer is.
    """

    def __init__(self, identity: Identity, remote: Iterable[Fingerprint], send: Callable[[bytes], None]) -> None:
        self.failure = ""  # why the association failed
        self.heard = False  # whether anything of the viewer's has come
        self.doubted = False  # an alert has come that cannot be read: is the viewer still there?
        self._identity = identity
        self._remote = tuple(remote)
        self._transmit = send
        self._state = _State.CONNECTING
        self._srtp: Srtp | None = None
        self._flight: list[bytes] = []
        self._flights = 0  # that were sent, repetitions aside
        self._repeat_at = float("-inf")  # monotonic time of the flight's next repetition
        self._repeats = 0
        self._inherited = False  # another process has shaken hands

    def inherit(self, srtp: Srtp, flight: Iterable[bytes]) -> None:
        """Go on with the keys of an association that another process made, whose last ``flight`` that was."""
        self._srtp, self._flight, self._state = srtp, list(flight), _State.CONNECTED
        self._inherited = self.heard = True

    @property
    def flight(self) -> tuple[bytes, ...]:
        """Our last flight."""
        return tuple(self._flight)

    @cached_property
    def _connection(self) -> SSL.Connection:
        """OpenSSL's part, made for the first datagram: it has 22 kB, and a flood of offers is never followed up."""
        connection = SSL.Connection(self._identity.context)
        connection.set_accept_state()
        connection.set_ciphertext_mtu(DTLS_MTU)
        return connection

    @property
    def connected(self) -> bool:
        """Whether media can be protected."""
        return self._state is _State.CONNECTED

    @property
    def over(self) -> bool:
        """Whether the association failed or was closed by either side."""
        return self._state in (_State.FAILED, _State.CLOSED)

    @property
    def srtp(self) -> Srtp:
        """The protection of media; only once connected."""
        assert self._srtp is not None, "not connected yet"
        return self._srtp

    def receive(self, datagram: bytes) -> bool:
        """Take a DTLS datagram; whatever it is, it can end this association at most. ``True`` if it was answered."""
        if self.over:
            return False
        self.heard = True
        if self._inherited:
            self._receive_unread(datagram)
            return False
        flights = self._flights
        try:
            self._connection.bio_write(datagram)
            if self._state is _State.CONNECTING:
                self._shake_hands()
            else:
                for _ in range(_MAX_RECORDS):  # nobody has anything to tell us, but what is not read is kept
                    self._connection.recv(DTLS_MTU)
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:  # close_notify
            self._state = _State.CLOSED
        except SSL.Error as exc:  # a fatal alert; what is not authentic OpenSSL drops (RFC 6347 4.1.2.7)
            self._fail(f"DTLS {'handshake' if self._state is _State.CONNECTING else 'association'} failed: {exc}")
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
        if self._state is _State.CONNECTED and not self._inherited:
            with contextlib.suppress(SSL.Error):
                self._connection.shutdown()
            self._flush()
        if not self.over:
            self._state = _State.CLOSED
        self._transmit = _nowhere  # its owner, which is then freed without the help of the garbage collector

    def _receive_unread(self, datagram: bytes) -> None:
        if datagram[0] in (_CHANGE_CIPHER_SPEC, _HANDSHAKE):
            self.repeat()
        elif datagram[0] == _ALERT:
            self.doubted = True

    def _shake_hands(self) -> None:
        """Go on with the handshake. Raises ``SSL.WantReadError`` until it is over, ``SSL.Error`` if it failed."""
        self._connection.do_handshake()
        self._flush()  # our last flight, before anything protected with the keys
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None or not vouched_for(certificate, self._remote):
            return self._fail("the DTLS certificate is not the one of the offer")
        name = self._connection.get_selected_srtp_profile().decode()
        profile = next((profile for profile in PROFILES if profile.name == name), None)
        if profile is None:
            return self._fail("no SRTP profile in common")
        material = self._connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * profile.master_size)
        theirs, ours = masters(profile, material)
        self._srtp = Srtp(profile, ours, theirs, compiled=self._identity.compiled)
        self._state = _State.CONNECTED
        return None

    def _fail(self, reason: str) -> None:
        self.failure = reason
        self._state = _State.FAILED

    def _send_flight(self, flight: list[bytes]) -> None:
        self._flight, self._repeat_at, self._repeats = flight, float("-inf"), 0
        self._flights += 1
        for datagram in flight:
            self._transmit(datagram)

    def _flush(self) -> None:
        """Send what OpenSSL has written."""
        try:
            written = self._connection.bio_read(65_536)
        except SSL.Error:  # nothing
            return
        self._send_flight(datagrams(written))


def datagrams(written: bytes) -> list[bytes]:
    """Cut what OpenSSL has written, a run of records, into datagrams of up to ``DTLS_MTU`` bytes with whole records."""
    cut = []
    start = end = 0
    while end + _RECORD_HEADER <= len(written) and written[end] in _RECORD_TYPES:
        size = _RECORD_HEADER + int.from_bytes(written[end + 11 : end + 13], "big")
        if end > start and end + size - start > DTLS_MTU:
            cut.append(written[start:end])
            start = end
        end += size
    return [*cut, written[start:]]


def _nowhere(_datagram: bytes) -> None:
    """Where a closed association sends to."""
