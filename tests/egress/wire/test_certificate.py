import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from egress.wire.certificate import Certificate, Fingerprint, vouched_for

CERTIFICATE = Certificate()
OTHER = Certificate()
SHA256, SHA512 = (CERTIFICATE.fingerprint(algorithm) for algorithm in ("sha-256", "sha-512"))


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-384", "sha-512"])
def test_a_fingerprint_is_the_hash_of_the_certificate_as_it_is_sent(algorithm: str) -> None:
    sent = CERTIFICATE.x509.public_bytes(Encoding.DER)
    digest = hashlib.new(algorithm.replace("-", ""), sent).digest()
    assert str(CERTIFICATE.fingerprint(algorithm)) == f"{algorithm} {':'.join(f'{byte:02X}' for byte in digest)}"


def test_the_key_is_on_the_curve_that_every_browser_takes() -> None:
    key = CERTIFICATE.x509.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)


def test_no_two_certificates_are_the_same() -> None:
    assert CERTIFICATE.x509.serial_number != OTHER.x509.serial_number
    assert CERTIFICATE.fingerprint() != OTHER.fingerprint()


@pytest.mark.parametrize(
    ("fingerprints", "vouched"),
    [
        ([SHA256], True),
        ([SHA512, SHA256], True),
        ([Fingerprint("SHA-256", SHA256.value.lower())], True),
        ([Fingerprint("md5", "AB"), SHA256], True),
        ([OTHER.fingerprint()], False),
        ([SHA256, OTHER.fingerprint("sha-512")], False),
        ([OTHER.fingerprint(), SHA512], False),
        ([Fingerprint("sha-512", SHA256.value)], False),
        ([Fingerprint("md5", "AB")], False),
        ([Fingerprint("sha-256", "")], False),
        ([], False),
    ],
)
def test_every_fingerprint_whose_hash_is_known_must_be_right(fingerprints: list[Fingerprint], vouched: bool) -> None:
    assert vouched_for(CERTIFICATE.x509, fingerprints) is vouched
