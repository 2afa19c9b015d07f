"""The certificate by which the peers of a DTLS handshake know each other (RFC 8122): signed by itself, and as good as
the fingerprint that came with the offer or answer. Nobody looks at its name or its dates.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

_HASHES = {"sha-256": hashes.SHA256(), "sha-384": hashes.SHA384(), "sha-512": hashes.SHA512()}
_VALID_FROM, _VALID_FOR = datetime.timedelta(days=-1), datetime.timedelta(days=30)  # libwebrtc's, clocks may differ
_CIPHERS = (  # for TLS 1.2, with ECDSA certificates, as all of WebRTC has them
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA"
)


class Fingerprint(NamedTuple):
    """A certificate's hash as ``a=fingerprint`` says it (RFC 8122 5)."""

    algorithm: str  # of the hash, as "sha-256"
    value: str  # "AB:CD:…"

    def __str__(self) -> str:
        return f"{self.algorithm} {self.value}"


class Certificate:
    """A new key on P-256 and its certificate."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "WebRTC")])
        now = datetime.datetime.now(datetime.UTC)
        self.x509 = (
            x509.CertificateBuilder(name, name, self._key.public_key(), x509.random_serial_number())
            .not_valid_before(now + _VALID_FROM)
            .not_valid_after(now + _VALID_FOR)
            .sign(self._key, hashes.SHA256())
        )

    def fingerprint(self, algorithm: str = "sha-256") -> Fingerprint:
        """The certificate's hash by one of SHA-2."""
        return fingerprint(self.x509, algorithm)

    def tls_context(self) -> SSL.Context:
        """The SSL context of a TLS server with this certificate, for a client that knows its fingerprint."""
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_options(SSL.OP_NO_TICKET)
        context.use_certificate(self.x509)
        context.use_privatekey(self._key)
        return context

    def context(self, srtp_profiles: Iterable[str]) -> SSL.Context:
        """The SSL context of associations with this certificate; making it costs as much as a handshake.

        ``srtp_profiles`` are OpenSSL's names, most preferred first. Either side shows its certificate, and none is
        checked here: that is for ``vouched_for``.
        """
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_options(SSL.OP_NO_TICKET)  # no session comes back
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        context.use_certificate(self.x509)
        context.use_privatekey(self._key)
        context.set_cipher_list(_CIPHERS)
        context.set_tlsext_use_srtp(":".join(srtp_profiles).encode())
        return context


def fingerprint(certificate: x509.Certificate, algorithm: str) -> Fingerprint:
    """The hash of ``certificate`` by one of SHA-2, in lower case."""
    return Fingerprint(algorithm, certificate.fingerprint(_HASHES[algorithm]).hex(":").upper())


def usable(said: Fingerprint) -> bool:
    """Whether it can be compared with a certificate's: by a hash that we know, and of its length (RFC 8122 5)."""
    known = _HASHES.get(said.algorithm.lower())
    return known is not None and len(said.value) == 3 * known.digest_size - 1


def vouched_for(certificate: x509.Certificate, fingerprints: Iterable[Fingerprint]) -> bool:
    """Whether a description's ``fingerprints`` are the certificate's: all whose hash we know, and one at least."""
    known = [each for each in fingerprints if each.algorithm.lower() in _HASHES]
    return bool(known) and all(
        fingerprint(certificate, each.algorithm.lower()).value == each.value.upper() for each in known
    )
