"""The front door's certificate and key: read at the start, and read again when their files have changed.

* Files change by being written, replaced, or by a symbolic link on their way that leads elsewhere from now on (certbot,
  Kubernetes): what is compared is the file that a path leads to.
* Who renews a certificate writes two files, one after the other. A change is looked at when nothing has changed any
  more since the last look, and one that comes while the files are read is waited for again.
* A pair that cannot be used changes nothing: the one before goes on, and the log says so once.
* Each new pair gets a TLS context of its own. Connections that there are keep the one that they began with, and nobody
  resumes a session of an older certificate.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from common.config import HttpConfig
from common.errors import ConfigError, unreadable
from common.log import get_logger
from common.tls import CIPHERS

SOON, SHORT = 7 * 86_400.0, 0.25  # seconds, of a short life that part: whoever renews does so earlier
REMINDER_INTERVAL = 86_400.0  # seconds
_MAX_FILE = 1 << 20  # bytes: a certificate with all that leads to its authority has ten thousand
_BEGIN_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_END_KEY = b"PRIVATE KEY-----"

_State = tuple[tuple[int, ...] | None, ...]

log = get_logger()


class Certificate:
    """Gives the TLS context for new connections. Raises ``ConfigError`` if there is none at the start."""

    def __init__(self, cert: Path, key: Path | None) -> None:
        self._cert = cert
        self._key = key or cert
        self._loaded = self._seen = self._state()  # before they are read: what changes meanwhile is a change
        self.context = load(cert, key)
        self.expires: float | None = None  # Unix time
        self._soon = 0.0  # Unix time from which its end is spoken of …
        self._reminded = float("-inf")  # … and at which it was
        self._tell("certificate")

    def look(self) -> None:
        """Take a new pair, if there is one; to be called about once a second."""
        before, self._seen = self._seen, self._state()
        if self._seen == self._loaded or self._seen != before:
            return
        try:
            context = load(self._cert, self._key)
        except ConfigError as exc:
            if self._state() == self._seen:
                self._loaded = self._seen
                log.warning(
                    "certificate has changed but cannot be used; the previous one stays in use", reason=str(exc)
                )
            return
        if self._state() == self._seen:
            self._loaded, self.context = self._seen, context
            self._tell("certificate has changed")

    def remind(self, now: float) -> None:
        """Say once a day that it is about to expire, or has; ``now`` is Unix time."""
        if self.expires is None or now < self._soon or now < self._reminded + REMINDER_INTERVAL:
            return
        self._reminded, until = now, datetime.fromtimestamp(self.expires, UTC).isoformat()
        if now >= self.expires:
            log.warning("certificate has expired: browsers reject it", until=until)
        else:
            log.warning("certificate expires soon; whatever renews it may have failed", until=until)

    def _state(self) -> _State:
        """The identity of each file that the paths lead to now; ``None`` for one that is not there."""
        return tuple(_identity(path) for path in (self._cert, self._key))

    def _tell(self, event: str) -> None:
        try:
            found = x509.load_pem_x509_certificate(self._cert.read_bytes())
        except (OSError, ValueError):
            log.info(event)
            return
        until = found.not_valid_after_utc
        self.expires, self._reminded = until.timestamp(), float("-inf")
        self._soon = self.expires - min(SOON, SHORT * (until - found.not_valid_before_utc).total_seconds())
        log.info(event, subject=found.subject.rfc4514_string(), until=until.isoformat())


def certificate_of(http: HttpConfig) -> Certificate | None:
    """The certificate that is configured, ``None`` for plain HTTP. Raises ``ConfigError``."""
    return None if http.tls_cert is None else Certificate(http.tls_cert, http.tls_key)


def load(cert: Path, key: Path | None) -> ssl.SSLContext:
    """A server's TLS context for HTTP/1.1: TLS 1.2 and later.

    Raises ``ConfigError``, which says which of the two files is wrong, and how.
    """
    _check(cert, _BEGIN_CERTIFICATE, "certificate", "tls_cert")
    _check(key or cert, _END_KEY, "private key", "tls_key" if key else "tls_cert")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (OSError, ValueError) as exc:  # ssl.SSLError among them
        raise ConfigError(_reason(exc, cert, key or cert), key="http.tls_key" if key else "http.tls_cert") from None
    return context


def _identity(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _check(path: Path, mark: bytes, what: str, key: str) -> None:
    """See that a file can be read and holds ``mark``: OpenSSL's own words name no file."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE)
    except OSError as exc:
        raise ConfigError(f"{path} {unreadable(exc)}", key=f"http.{key}") from None
    if mark not in text:
        raise ConfigError(f"{path} holds no {what} in PEM form", key=f"http.{key}")


class _EncryptedKeyError(ValueError):
    """OpenSSL asked for a password."""


def _no_password() -> str:
    raise _EncryptedKeyError


def _reason(error: OSError | ValueError, cert: Path, key: Path) -> str:
    if isinstance(error, _EncryptedKeyError):
        return f"{key} is encrypted; remove its password: openssl pkey -in {key} -out ANOTHER-FILE"
    reason = getattr(error, "reason", None) or ""
    if reason == "KEY_VALUES_MISMATCH":
        return f"the key in {key} does not match the certificate in {cert}"
    words = reason.replace("_", " ").lower() or "one of them is damaged"
    return f"the certificate in {cert} and the key in {key} cannot be used: {words}"
