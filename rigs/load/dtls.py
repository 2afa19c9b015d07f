"""DTLS-SRTP over OpenSSL's memory buffers (RFC 5764): no socket, no task; datagrams in, datagrams out."""

from __future__ import annotations

import contextlib
import datetime
import struct
from dataclasses import dataclass
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

Profile = Literal["SRTP_AEAD_AES_128_GCM", "SRTP_AEAD_AES_256_GCM", "SRTP_AES128_CM_SHA1_80"]

KEY_LENGTHS: dict[str, tuple[int, int]] = {  # bytes of master key and salt (RFC 7714 12, RFC 3711 5.2)
    "SRTP_AEAD_AES_128_GCM": (16, 12),
    "SRTP_AEAD_AES_256_GCM": (32, 12),
    "SRTP_AES128_CM_SHA1_80": (16, 14),
}
MTU = 1200  # bytes of a datagram


class DtlsError(Exception):
    """The handshake failed, or the peer is not who its description said."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What the handshake agreed on; keys are master key and salt."""

    profile: str
    local: bytes
    remote: bytes


class Identity:
    """A certificate and the contexts made from it, shared by all viewers: making one costs more than a handshake."""

    def __init__(self, profiles: tuple[str, ...]) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "viewer")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .sign(key, hashes.SHA256())
        )
        self.fingerprint = _colons(certificate.fingerprint(hashes.SHA256()))
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)  # by fingerprint
        context.use_certificate(certificate)
        context.use_privatekey(key)
        context.set_cipher_list(b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES")
        context.set_tlsext_use_srtp(b":".join(profile.encode() for profile in profiles))
        self.context = context


class Dtls:
    """One association. ``done`` once the handshake is over and the peer's fingerprint was right."""

    def __init__(self, identity: Identity, fingerprint: tuple[str, str], *, server: bool) -> None:
        self.done = False
        self.closed = False
        self._fingerprint = fingerprint
        self._server = server
        self._connection = SSL.Connection(identity.context, None)
        if server:
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()
        self._connection.set_ciphertext_mtu(MTU)

    def start(self) -> list[bytes]:
        """The first flight, if it is ours."""
        return self._shake()

    def receive(self, datagram: bytes) -> list[bytes]:
        """Take a datagram; returns those to be sent. Raises ``DtlsError``."""
        self._connection.bio_write(datagram)
        if not self.done:
            return self._shake()
        try:
            self._connection.recv(MTU)
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
        profile = self._connection.get_selected_srtp_profile().decode()
        if profile not in KEY_LENGTHS:
            raise DtlsError(f"no common SRTP profile ({profile or 'none'})")
        key, salt = KEY_LENGTHS[profile]
        material = self._connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
        client = material[:key] + material[2 * key : 2 * key + salt]
        server = material[key : 2 * key] + material[2 * key + salt :]
        return Keys(profile, server, client) if self._server else Keys(profile, client, server)

    def _shake(self) -> list[bytes]:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return self._flights()
        except SSL.Error as exc:
            raise DtlsError(f"handshake failed: {exc}") from None
        function, expected = self._fingerprint
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        known = {"sha-256": hashes.SHA256(), "sha-384": hashes.SHA384(), "sha-512": hashes.SHA512()}.get(function)
        if known is None or certificate is None or _colons(certificate.fingerprint(known)) != expected:
            raise DtlsError(f"the peer's certificate does not have the {function} fingerprint of its description")
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
        datagrams: list[bytes] = []
        at = 0
        while at + 13 <= len(pending):
            size = 13 + struct.unpack_from("!H", pending, at + 11)[0]  # RFC 6347 4.1: the length ends the header
            record = pending[at : at + size]
            if datagrams and len(datagrams[-1]) + size <= MTU:
                datagrams[-1] += record
            else:
                datagrams.append(record)
            at += size
        return datagrams


def _colons(digest: bytes) -> str:
    return digest.hex(":").upper()
