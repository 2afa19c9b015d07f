"""A plain HTTP client for a demuxer's process: one GET after the other, blocking, each with a bound on its wait.

FFmpeg could do it, but would follow a playlist or a redirect to wherever it leads, with whatever certificate. Here the
first address is the operator's, and none that it leads to may be where only this machine reaches
(``ingest.rtsp.zone``); the password goes to the operator's host alone, and by its digest where that will do; TLS is
verified as for cameras.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
import time
from collections.abc import Mapping

from common.cameras import CameraState, TlsSpec
from common.errors import CameraError
from ingest.quoting import quoted
from ingest.rtsp.auth import Authenticator, Pin
from ingest.rtsp.connect import CertificateError, allowed, not_verified, tls_context
from ingest.rtsp.networks import Networks
from ingest.sources.share import Share
from ingest.sources.url import SourceUrl
from ingest.unreached import unreached, unresolved

CONNECT_TIMEOUT = 5.0  # seconds for all addresses of a host together
READ_TIMEOUT = 10.0  # seconds until the next byte
MAX_REDIRECTS = 5
_REDIRECTS = {301, 302, 303, 307, 308}


class Body:
    """An answer: its head, and its body, which is read as it comes and never back."""

    def __init__(self, response: http.client.HTTPResponse, sock: socket.socket, url: SourceUrl, share: Share) -> None:
        self.url = url
        self.status = response.status
        self.headers = response.headers
        self.content_type = response.headers.get_content_type()
        self._response, self._socket, self._share = response, sock, share

    def read(self, size: int) -> bytes:
        """At least a byte, and what else has come; nothing at its end. Raises ``CameraError``."""
        try:
            data = self._response.read1(size)
        except TimeoutError:
            raise CameraError(CameraState.SILENT, f"nothing came for {READ_TIMEOUT:.0f} s") from None
        except (OSError, ValueError, http.client.HTTPException) as exc:
            raise CameraError(CameraState.CLOSED, _said(exc)) from None
        self._share.take(len(data))
        return data

    def close(self) -> None:
        """Hang up."""
        self._response.close()
        self._socket.close()


class Http:
    """One source's requests. ``url`` is the operator's; no more than ``share`` allows is read."""

    def __init__(self, url: SourceUrl, tls: TlsSpec, networks: Networks, share: Share) -> None:
        self._url = url
        self._share = share
        self._networks = networks
        self._tls = tls
        self._origin: str | None = None  # the numeric address that the operator's URL led to
        encrypted = url.scheme == "https"
        self._authenticator = Authenticator(url.username, url.password, encrypted=encrypted, pin=Pin())

    def get(self, location: str = "", headers: Mapping[str, str] | None = None) -> Body:
        """Ask for the operator's URL, or where that leads. Raises ``CameraError``."""
        url = self._led(self._url, location) if location else self._url
        for _ in range(MAX_REDIRECTS + 1):
            body = self._request(url, headers or {})
            if body.status in (200, 206):
                return body
            body.close()
            if body.status not in _REDIRECTS or not (there := body.headers.get("Location")):
                raise _refused(body)
            url = self._led(url, there)
        raise CameraError(CameraState.REJECTED, f"it redirects more than {MAX_REDIRECTS} times")

    def _led(self, url: SourceUrl, location: str) -> SourceUrl:
        try:
            there = url.leading(location)
        except ValueError as exc:
            raise CameraError(CameraState.REJECTED, str(exc)) from None
        same = (there.host, there.port) == (self._url.host, self._url.port)
        return SourceUrl(there.scheme, there.host, there.port, there.target, self._url.username if same else None)

    def _request(self, url: SourceUrl, headers: Mapping[str, str]) -> Body:
        """Ask, and once more where the password is asked for."""
        body = self._ask(url, headers)
        ours = url.username is not None
        if body.status == 401 and ours:
            if self._authenticator.challenged(body.headers.get_all("WWW-Authenticate") or ()):
                body.close()
                body = self._ask(url, headers)
        elif ours:
            self._authenticator.accepted()
        return body

    def _ask(self, url: SourceUrl, headers: Mapping[str, str]) -> Body:
        sock = self._connected(url)
        connection = http.client.HTTPConnection(url.host, url.port)
        connection.sock = sock
        target = url.request_target
        own = {"User-Agent": "camshaft", "Accept": "*/*", "Connection": "close"}
        if url.username is not None and (header := self._authenticator.header("GET", target)):
            own["Authorization"] = header
        try:
            connection.request("GET", target, headers={**headers, **own})
            return Body(connection.getresponse(), sock, url, self._share)
        except TimeoutError:
            sock.close()
            raise CameraError(CameraState.UNANSWERED, f"it did not answer within {READ_TIMEOUT:.0f} s") from None
        except (OSError, ValueError, http.client.HTTPException) as exc:
            sock.close()
            closed = isinstance(exc, OSError)
            raise CameraError(
                CameraState.CLOSED if closed else CameraState.NOT_MEDIA, "" if closed else "it does not speak HTTP"
            ) from None

    def _connected(self, url: SourceUrl) -> socket.socket:
        addresses = allowed(resolved(url.host, url.port), url.host, self._origin, self._networks)
        deadline = time.monotonic() + CONNECT_TIMEOUT
        error: OSError = TimeoutError()
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                patience = max((deadline - time.monotonic()) / left, 0.1)
                sock = socket.create_connection((address, url.port), timeout=patience)
            except OSError as exc:
                error = exc
                continue
            self._origin = self._origin or address
            return self._secured(sock, address, url)
        raise unreached(error, url.host, url.port, CONNECT_TIMEOUT)

    def _secured(self, sock: socket.socket, address: str, url: SourceUrl) -> socket.socket:
        tls = self._tls
        sock.settimeout(CONNECT_TIMEOUT)
        if url.scheme == "https":
            context = tls_context(tls.verify and tls.fingerprint is None, tls.legacy)
            try:
                secured = context.wrap_socket(sock, server_hostname=url.host)
            except ssl.SSLCertVerificationError as exc:
                sock.close()
                shown = self._fingerprint(address, url)
                raise CertificateError(not_verified(exc), shown) from None
            except (OSError, ValueError) as exc:  # ssl.SSLError among them
                sock.close()
                raise _no_tls(exc, url.port) from None
            found = _of_certificate(secured)
            if tls.fingerprint is not None and found != tls.fingerprint.replace(":", "").lower():
                secured.close()
                raise CameraError(CameraState.TLS_FAILED, f"the certificate's fingerprint is {found}")
            sock = secured
        sock.settimeout(READ_TIMEOUT)
        return sock

    def _fingerprint(self, address: str, url: SourceUrl) -> str:
        """The fingerprint of the certificate that is shown there; empty if none is. Nothing is asked for."""
        context = tls_context(verify=False, legacy=self._tls.legacy)
        try:
            with (
                socket.create_connection((address, url.port), timeout=CONNECT_TIMEOUT) as sock,
                context.wrap_socket(sock, server_hostname=url.host) as secured,
            ):
                return _of_certificate(secured)
        except (OSError, ValueError):
            return ""


def _of_certificate(secured: ssl.SSLSocket) -> str:
    return hashlib.sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()


def _no_tls(error: OSError | ValueError, port: int) -> CameraError:
    """The error for a handshake that failed on a connection that is there."""
    if isinstance(error, TimeoutError):
        what = f"port {port} accepts the connection, but nothing there answers in TLS"
        return CameraError(CameraState.UNANSWERED, f"{what}; write http:// if that port does not use TLS")
    reason = (getattr(error, "reason", "") or "the handshake failed").replace("_", " ").lower()
    if reason in ("wrong version number", "record layer failure"):
        reason = "port does not speak TLS; write http:// instead of https://, or use its TLS port"
        return CameraError(CameraState.TLS_FAILED, f"its {reason}")
    return CameraError(CameraState.TLS_FAILED, f"{reason}; an old camera may need tls.legacy")


_STATES = {
    401: CameraState.UNAUTHORIZED,
    404: CameraState.NOT_FOUND,
    410: CameraState.NOT_FOUND,
    429: CameraState.FULL,
    503: CameraState.FULL,  # as small cameras answer a second client
}


def _refused(body: Body) -> CameraError:
    state = _STATES.get(body.status, CameraState.REJECTED)
    if state is CameraState.UNAUTHORIZED and body.url.username is None:
        return CameraError(state, "it asks for a user name and a password, but the URL has none")
    if body.status == 403:
        what = "; its user may not see this, or it answers only some addresses: check its settings"
    elif state is CameraState.REJECTED:
        what = "; restart it if this continues" if body.status >= 500 else "; check the path in its URL"
    else:
        what = ""
    return CameraError(state, f"it answered {body.status}{what}")


def resolved(host: str, port: int) -> list[str]:
    """The numeric addresses of a host. Raises ``CameraError``."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as exc:
        raise unresolved(exc, quoted(host)) from None
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def _said(error: Exception) -> str:
    return (getattr(error, "strerror", None) or "").lower()
