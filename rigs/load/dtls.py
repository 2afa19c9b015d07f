"""DTLS-SRTP over OpenSSL's memory buffers (RFC 5764): no socket, no task; datagrams in, datagrams out."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from OpenSSL import SSL

from egress.wire.certificate import Certificate, Fingerprint, vouched_for
from egress.wire.dtls import DTLS_MTU, PROFILES, datagrams
from egress.wire.profiles import masters

_CIPHERS = b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES"  # some servers' certificates have RSA


class DtlsError(Exception):
    """The handshake failed, or the peer is not who its description said."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The outcome of a handshake; keys are master key and salt."""

    profile: str
    local: bytes
    remote: bytes


class Identity:
    """A certificate and the context made from it, shared by all viewers: making one costs more than a handshake."""

    def __init__(self, profiles: tuple[str, ...]) -> None:
        certificate = Certificate()
        self.fingerprint = certificate.fingerprint().value
        self.context = certificate.context(profiles)
        self.context.set_cipher_list(_CIPHERS)


class Dtls:
    """One association. ``done`` once the handshake is over and the peer's fingerprint was right."""

    def __init__(self, identity: Identity, fingerprint: tuple[str, str], *, server: bool) -> None:
        self.done = False
        self.closed = False
        self._fingerprint = Fingerprint(*fingerprint)
        self._server = server
        self._connection = SSL.Connection(identity.context, None)
        if server:
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()
        self._connection.set_ciphertext_mtu(DTLS_MTU)

    def start(self) -> list[bytes]:
        """The first flight, if it is ours."""
        return self._shake()

    def receive(self, datagram: bytes) -> list[bytes]:
        """Take a datagram; returns those to be sent. Raises ``DtlsError``."""
        self._connection.bio_write(datagram)
        if not self.done:
            return self._shake()
        try:
            self._connection.recv(DTLS_MTU)
        except SSL.ZeroReturnError:
            self.closed = True
        except SSL.Error:
            pass  # a repeated handshake message, or application data we have no use for
        return self._flights()

    def due(self) -> list[bytes]:
        """Retransmissions, if their time has come."""
        if self.done or self._connection.DTLSv1_get_timeout() != 0:
            return []
        self._connection.DTLSv1_handle_timeout()
        return self._flights()

    def close(self) -> list[bytes]:
        """A close_notify."""
        if self.done and not self.closed:
            self.closed = True
            with contextlib.suppress(SSL.Error):
                self._connection.shutdown()
        return self._flights()

    def keys(self) -> Keys:
        """SRTP profile and keys (RFC 5764 4.2). Raises ``DtlsError`` if no profile was agreed on."""
        name = self._connection.get_selected_srtp_profile().decode()
        profile = next((profile for profile in PROFILES if profile.name == name), None)
        if profile is None:
            raise DtlsError(f"no common SRTP profile ({name or 'none'})")
        client, server = masters(
            profile, self._connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * profile.master_size)
        )
        return Keys(name, server, client) if self._server else Keys(name, client, server)

    def _shake(self) -> list[bytes]:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return self._flights()
        except SSL.Error as exc:
            raise DtlsError(f"handshake failed: {exc}") from None
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None or not vouched_for(certificate, [self._fingerprint]):
            algorithm = self._fingerprint.algorithm
            raise DtlsError(f"the peer's certificate does not have the {algorithm} fingerprint of its description")
        self.done = True
        return self._flights()

    def _flights(self) -> list[bytes]:
        """Everything OpenSSL wants sent, as datagrams: it writes whole records, and a datagram takes several."""
        pending = b""
        while True:
            try:
                pending += self._connection.bio_read(65_536)
            except SSL.WantReadError:
                break
        return datagrams(pending) if pending else []
