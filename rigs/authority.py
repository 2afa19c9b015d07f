"""A certificate authority of a test's own, and servers' certificates by it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Issued:
    """The files of one certificate and of its key."""

    cert: Path
    key: Path

    @property
    def serial(self) -> int:
        """The certificate's serial number, which no other one has."""
        return x509.load_pem_x509_certificate(self.cert.read_bytes()).serial_number


@dataclass
class Authority:
    """Keeps everything in ``directory``; ``file`` is its own certificate, for those who are to trust it."""

    directory: Path
    file: Path = field(init=False)

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of a test")])
        self.file = self.directory / "authority.pem"
        own = self._builder(self._name, self._key.public_key(), days=10)
        own = own.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.file.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def issue(
        self, name: str, *hosts: str, days: float = 5, password: bytes = b"", directory: Path | None = None
    ) -> Issued:
        """``NAME.crt`` and ``NAME.key`` for ``hosts`` (this machine's loopback by default)."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        alternatives = x509.SubjectAlternativeName([_alternative(host) for host in hosts or ("127.0.0.1", "localhost")])
        builder = self._builder(subject, key.public_key(), days).add_extension(alternatives, critical=False)
        issued = Issued((directory or self.directory) / f"{name}.crt", (directory or self.directory) / f"{name}.key")
        issued.cert.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        encryption = BestAvailableEncryption(password) if password else NoEncryption()
        issued.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        return issued

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: float) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=10))
            .not_valid_after(now + timedelta(days=days))
        )


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
