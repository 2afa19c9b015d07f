"""Opens the TCP or TLS connection to a camera, and says in one ``CameraError`` why it could not.

Certificates are verified unless the operator says otherwise: by the authorities that the system trusts, or against the
one fingerprint that was pinned, which is checked before anything is sent.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeVar

from common.cameras import CameraState, TlsSpec
from common.errors import CameraError
from common.tls import CIPHERS
from ingest.quoting import quoted
from ingest.rtsp.networks import Networks, OutsideNetworksError
from ingest.rtsp.url import RtspUrl
from ingest.rtsp.zone import may_lead
from ingest.unreached import unreached, unresolved

CONNECT_TIMEOUT = 5.0  # seconds for all addresses of a host together, TLS included

_NO_TLS = "the camera does not speak TLS on this port; write rtsp:// instead of rtsps://, or use its TLS port"
_OF_TIME = {9, 10}  # X509_V_ERR: not yet valid, or not any more
_SELF_SIGNED = {18, 19, 20, 21}  # X509_V_ERR: self-signed, or issued by an authority that nobody knows here


P = TypeVar("P", bound=asyncio.BaseProtocol)


class ForbiddenAddressError(CameraError):
    """The camera leads to an address where it has no business."""

    def __init__(self, host: str) -> None:
        what = f"the camera redirects to {quoted(host)}, which only this machine can reach"
        super().__init__(CameraState.REJECTED, what)


class CertificateError(CameraError):
    """The camera's certificate cannot be verified."""

    def __init__(self, reason: str, fingerprint: str = "") -> None:
        own = f", {fingerprint}," if fingerprint else ""
        allow = f"accept it by its tls.fingerprint{own}, or turn off tls.verify"
        super().__init__(CameraState.TLS_FAILED, f"{reason}; {allow}")
        self._reason = reason

    def shows(self, fingerprint: str) -> CertificateError:
        """The error for the same reason, which names that fingerprint."""
        return CertificateError(self._reason, fingerprint)


async def connect(
    factory: Callable[[], P],
    url: RtspUrl,
    tls: TlsSpec,
    *,
    origin: str | None = None,
    networks: Networks = Networks(),  # noqa: B008  # frozen
) -> P:
    """Connect a protocol of ``factory``'s to the host and port of ``url``.

    ``origin`` is the address of the camera that redirected there, if one did: see ``zone``. Raises ``CameraError``;
    ``ForbiddenAddressError`` where that camera may not lead, ``OutsideNetworksError`` where no camera may be.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + CONNECT_TIMEOUT
    found = await _resolve(url.host, url.port, deadline)
    addresses = allowed(found, url.host, origin, networks)
    context = tls_context(tls.verify and tls.fingerprint is None, tls.legacy) if url.scheme == "rtsps" else None
    for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        now = loop.time()
        until = now + (deadline - now) / left
        try:
            sock = await _reached(address, url.host, url.port, until)
            transport, protocol = await _secured(factory, sock, url, context, until)
        except CertificateError as exc:
            if left == 1:
                raise exc.shows(await _fingerprint(address, url, tls.legacy, deadline)) from None
        except CameraError:
            if left == 1:
                raise
        else:
            try:
                _check_fingerprint(transport, tls.fingerprint if context else None)
            except CameraError:
                transport.abort()
                raise
            return protocol
    raise CameraError(CameraState.HOST_UNKNOWN, f"{url.host} has no address")


async def reach(host: str, port: int, networks: Networks) -> socket.socket:
    """Connect by TCP alone: is anybody there? Raises ``CameraError`` as ``connect`` does."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + CONNECT_TIMEOUT
    addresses = allowed(await _resolve(host, port, deadline), host, None, networks)
    for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        now = loop.time()
        try:
            return await _reached(address, host, port, now + (deadline - now) / left)
        except CameraError:
            if left == 1:
                raise
    raise CameraError(CameraState.HOST_UNKNOWN, f"{host} has no address")


async def _reached(address: str, host: str, port: int, until: float) -> socket.socket:
    """A TCP connection to that address of a host."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        numeric = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        sock = socket.socket(numeric[0][0], socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            async with asyncio.timeout_at(until):
                await loop.sock_connect(sock, numeric[0][4])
        except BaseException:
            sock.close()
            raise
    except OSError as exc:  # TimeoutError among them
        raise unreached(exc, host, port, until - began) from None
    return sock


async def _secured(
    factory: Callable[[], P], sock: socket.socket, url: RtspUrl, context: ssl.SSLContext | None, until: float
) -> tuple[asyncio.Transport, P]:
    """A transport over that socket, which it owns from here on, with TLS if there is a ``context``."""
    loop, name = asyncio.get_running_loop(), url.host if context else None
    try:
        async with asyncio.timeout_at(until):
            return await loop.create_connection(factory, sock=sock, ssl=context, server_hostname=name)
    except (OSError, ssl.CertificateError) as exc:  # TimeoutError and ssl.SSLError among them
        raise _explain(exc, url) from None


async def _fingerprint(address: str, url: RtspUrl, legacy: bool, until: float) -> str:
    """The fingerprint of the certificate that is shown there; empty if none is. Nothing is said to the camera."""
    try:
        sock = await _reached(address, url.host, url.port, until)
        transport, _ = await _secured(asyncio.Protocol, sock, url, tls_context(False, legacy), until)
    except CameraError:
        return ""
    try:
        return _of_certificate(transport)
    finally:
        transport.abort()


def allowed(found: list[str], host: str, origin: str | None, networks: Networks) -> list[str]:
    """The addresses of a host that may be connected to; what is connected to is what was looked at here.

    Raises ``ForbiddenAddressError`` or ``OutsideNetworksError`` if ``found`` has none of them.
    """
    led = [address for address in found if origin is None or may_lead(origin, address)]
    if found and not led:
        raise ForbiddenAddressError(host)
    addresses = [address for address in led if networks.allows(address)]
    if led and not addresses:
        what = "it is at" if origin is None else f"it redirects to {quoted(host)}, which is"
        raise OutsideNetworksError(f"{what} {led[0]}", networks)
    return addresses


async def _resolve(host: str, port: int, deadline: float) -> list[str]:
    """The addresses of a host; one that is an address waits for no name server, nor behind names that wait for one."""
    loop = asyncio.get_running_loop()
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        try:
            async with asyncio.timeout_at(deadline):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (TimeoutError, socket.gaierror, UnicodeError) as exc:
            raise unresolved(exc, host) from None
    return list(dict.fromkeys(str(address[4][0]) for address in found))


@lru_cache(maxsize=8)
def tls_context(verify: bool, legacy: bool) -> ssl.SSLContext:
    """The context for cameras' certificates. Cached: reading the system's authorities takes tens of milliseconds."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(CIPHERS)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if legacy:  # RSA key exchange, CBC with SHA-1, small keys, TLS 1.0, renegotiation of old
        context.set_ciphers("ALL:!aNULL:@SECLEVEL=0")  # but none that does without a certificate
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.options |= getattr(ssl, "OP_LEGACY_SERVER_CONNECT", 0x4)  # named from Python 3.12 on
    return context


def _check_fingerprint(transport: asyncio.Transport, expected: str | None) -> None:
    if expected is None:
        return
    found = _of_certificate(transport)
    if found != expected.replace(":", "").lower():
        raise CameraError(
            CameraState.TLS_FAILED,
            f"the certificate's fingerprint is {found}; if that is the camera's new one, set tls.fingerprint to it",
        )


def _of_certificate(transport: asyncio.Transport) -> str:
    certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
    return hashlib.sha256(certificate).hexdigest()


def not_verified(error: ssl.SSLCertVerificationError) -> str:
    """The reason why a camera's certificate was not verified: the end of a sentence, or its beginning."""
    if error.verify_code in _SELF_SIGNED:
        return "no known authority has signed the camera's certificate"
    reason = error.verify_message or str(error.reason)
    if error.verify_code in _OF_TIME:  # a computer without a battery begins in another year
        return f"{reason}, as this server's clock says {datetime.now(UTC):%d %B %Y}"
    return reason


def _explain(error: OSError | ssl.CertificateError, url: RtspUrl) -> CameraError:
    """The error for TLS that did not come about on a connection that is there."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return CertificateError(not_verified(error))
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "").replace("_", " ").lower()
        hint = {"wrong version number": _NO_TLS, "record layer failure": _NO_TLS}.get(
            reason, f"{reason or error}; an old camera may need tls.legacy"
        )
        return CameraError(CameraState.TLS_FAILED, hint)
    if isinstance(error, TimeoutError):
        what = f"port {url.port} accepts the connection, but nothing there answers in TLS"
        return CameraError(CameraState.UNANSWERED, f"{what}; write rtsp:// if that port does not use TLS")
    if isinstance(error, ConnectionError):
        return CameraError(CameraState.TLS_FAILED, f"{_NO_TLS}; or it is so old that it needs tls.legacy")
    return CameraError(CameraState.UNREACHABLE, f"{url.host} port {url.port}: {error.strerror or error}")
