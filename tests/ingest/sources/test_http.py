"""The HTTP client of a demuxer, against servers that answer as cameras do, and as others would like to."""

from __future__ import annotations

import gc
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from common.cameras import CameraState, TlsSpec
from common.errors import CameraError
from ingest.rtsp import connect as connect_module
from ingest.rtsp.auth import Authorization, Challenge
from ingest.rtsp.networks import Networks
from ingest.sources import http as http_module
from ingest.sources.http import Http
from ingest.sources.share import Share
from ingest.sources.url import SourceUrl

ALL, SHARE = Networks(), Share(200)
Answer = Callable[[BaseHTTPRequestHandler], None]


class Server(ThreadingHTTPServer):
    """Answers each path by a function; ``seen`` are the requests' paths and credentials."""

    daemon_threads = True

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.seen: list[tuple[str, str | None]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def url(self, path: str, account: str = "") -> SourceUrl:
        return SourceUrl.parse(f"http://{account}127.0.0.1:{self.port}{path}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        self.server.answers[self.path.partition("?")[0]](self)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def says(body: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.fixture
def serve() -> Iterator[Callable[[dict[str, Answer]], Server]]:
    servers: list[Server] = []

    def start(answers: dict[str, Answer]) -> Server:
        server = Server(answers)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


Serve = Callable[[dict[str, Answer]], Server]


def self_signed(directory: Path) -> tuple[ssl.SSLContext, str]:
    """A server's context with a certificate that nobody has signed, and its fingerprint."""
    key, file = ec.generate_private_key(ec.SECP256R1()), directory / "camera.pem"
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "camera")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256())
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + certificate.public_bytes(encoding))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, certificate.fingerprint(hashes.SHA256()).hex()


def body_of(http: Http, location: str = "") -> bytes:
    body, data = http.get(location), b""
    while more := body.read(1_000):
        data += more
    body.close()
    return data


def error_of(http: Http, location: str = "") -> CameraError:
    with pytest.raises(CameraError) as caught:
        http.get(location)
    return caught.value


def test_what_is_there_and_what_it_leads_to(serve: Serve) -> None:
    server = serve({"/live/a.m3u8": says(b"list", Content_Type="audio/mpegurl"), "/live/1.ts": says(b"segment")})
    http = Http(server.url("/live/a.m3u8"), TlsSpec(), ALL, SHARE)
    playlist = http.get()
    assert playlist.content_type == "audio/mpegurl"
    playlist.close()
    assert body_of(http, "1.ts") == b"segment"


@pytest.mark.parametrize("challenge", [Challenge.digest("door"), Challenge.digest("door", algorithm="SHA-256")])
def test_a_password_is_sent_as_its_digest_and_to_no_other_host(serve: Serve, challenge: Challenge) -> None:
    def login(handler: BaseHTTPRequestHandler) -> None:
        given = Authorization.parse(handler.headers.get("Authorization", ""))
        if given.verify(challenge, "GET", "admin", "p@ss word"):
            says(b"", 302, Location=str(other.url("/next")))(handler)
        else:
            says(b"", 401, WWW_Authenticate=str(challenge))(handler)

    server, other = serve({"/video": login}), serve({"/next": says(b"picture")})
    http = Http(server.url("/video", "admin:p%40ss%20word@"), TlsSpec(), ALL, SHARE)
    assert body_of(http) == b"picture"
    assert [header is not None for _, header in server.seen] == [False, True]
    assert other.seen == [("/next", None)]


def test_a_wrong_password_is_sent_once(serve: Serve) -> None:
    server = serve({"/": says(b"", 401, WWW_Authenticate=str(Challenge.digest("door")))})
    assert error_of(Http(server.url("/", "u:p@"), TlsSpec(), ALL, SHARE)).state is CameraState.UNAUTHORIZED
    assert len(server.seen) == 2


def test_a_password_that_is_missing_is_asked_for(serve: Serve) -> None:
    server = serve({"/": says(b"", 401, WWW_Authenticate='Basic realm="door"')})
    error = error_of(Http(server.url("/"), TlsSpec(), ALL, SHARE))
    assert (error.state, "the URL has none" in error.detail) == (CameraState.UNAUTHORIZED, True)


@pytest.mark.parametrize(
    ("status", "state", "said"),
    [
        (404, CameraState.NOT_FOUND, ""),
        (410, CameraState.NOT_FOUND, ""),
        (429, CameraState.FULL, ""),
        (503, CameraState.FULL, ""),
        (403, CameraState.REJECTED, "its user may not see this"),
        (405, CameraState.REJECTED, "check the path in its URL"),
        (500, CameraState.REJECTED, "restart it"),
    ],
)
def test_other_answers_have_a_state_and_say_what_to_do(
    serve: Serve, status: int, state: CameraState, said: str
) -> None:
    error = error_of(Http(serve({"/": says(b"", status)}).url("/"), TlsSpec(), ALL, SHARE))
    assert error.state is state
    assert error.detail.startswith(f"it answered {status}")
    assert said in error.detail


def test_redirects_end(serve: Serve) -> None:
    server = serve({"/": says(b"", 302, Location="/")})
    assert "more than 5 times" in error_of(Http(server.url("/"), TlsSpec(), ALL, SHARE)).detail


@pytest.mark.parametrize("location", ["file:///etc/passwd", "rtmp://h/a", "gopher://h/"])
def test_no_redirect_leads_out_of_http(serve: Serve, location: str) -> None:
    server = serve({"/": says(b"", 302, Location=location)})
    assert error_of(Http(server.url("/"), TlsSpec(), ALL, SHARE)).state is CameraState.REJECTED


def test_a_camera_elsewhere_leads_to_no_service_of_this_machine(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's host resolves to an address of another machine, as far as ``Http`` is told."""
    server, secret = serve({"/": says(b"", 302, Location="http://localhost:1/")}), serve({"/metrics": says(b"secret")})
    names = {"cam.example": ["127.0.0.1"], "localhost": ["127.0.0.1"]}
    monkeypatch.setattr(http_module, "resolved", lambda host, _port: names.get(host, [host]))
    http = Http(SourceUrl.parse(f"http://cam.example:{server.port}/"), TlsSpec(), ALL, SHARE)
    monkeypatch.setattr(connect_module, "may_lead", lambda _origin, address: not address.startswith("127."))
    for location in (f"http://127.0.0.1:{secret.port}/metrics", f"http://localhost:{secret.port}/metrics", "/"):
        error_of(http)  # which says where it comes from
        error = error_of(http, location)
        assert "only this machine can reach" in error.detail
    assert not secret.seen


def test_a_source_outside_of_the_networks_is_not_asked_nor_led_to(serve: Serve) -> None:
    inside = serve({"/": says(b"", 302, Location="http://127.0.0.2:1/")})
    for url, networks in ((inside.url("/"), "192.0.2.0/24"), (inside.url("/"), "127.0.0.1/32")):
        error = error_of(Http(url, TlsSpec(), Networks((networks,)), SHARE))
        assert error.state is CameraState.NOT_ALLOWED
        assert f"sources.networks allows {networks}" in error.detail
    assert len(inside.seen) == 1


def test_a_server_that_hangs_costs_a_bounded_time(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "READ_TIMEOUT", 0.2)
    go_on = threading.Event()

    def begin_and_hang(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"a part")
        go_on.wait(10)

    server = serve({"/silent": lambda _handler: go_on.wait(10) and None, "/half": begin_and_hang})  # type: ignore[func-returns-value]  # it waits
    assert error_of(Http(server.url("/silent"), TlsSpec(), ALL, SHARE)).state is CameraState.UNANSWERED
    body = Http(server.url("/half"), TlsSpec(), ALL, SHARE).get()
    assert body.read(100) == b"a part"
    with pytest.raises(CameraError) as caught:
        body.read(100)
    assert caught.value.state is CameraState.SILENT
    body.close()
    go_on.set()


def test_what_is_no_http_is_said_to_be_that() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            connection.recv(1_000)
            connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        url = SourceUrl.parse(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        assert error_of(Http(url, TlsSpec(), ALL, SHARE)).state is CameraState.NOT_MEDIA


def test_hosts_that_are_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert error_of(Http(SourceUrl.parse(f"http://127.0.0.1:{port}/"), TlsSpec(), ALL, SHARE)).state is (
        CameraState.CONNECTION_REFUSED
    )
    error = error_of(Http(SourceUrl.parse("http://no-such-host.invalid/"), TlsSpec(), ALL, SHARE))
    assert error.state is CameraState.HOST_UNKNOWN


def test_a_port_without_tls_is_said_to_be_that(serve: Serve) -> None:
    server = serve({"/": says(b"picture")})
    error = error_of(Http(SourceUrl.parse(f"https://127.0.0.1:{server.port}/"), TlsSpec(), ALL, SHARE))
    assert error.state is CameraState.TLS_FAILED
    assert "write http:// instead of https://" in error.detail


def test_a_port_that_says_nothing_of_tls_is_said_to_be_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "CONNECT_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        error = error_of(Http(SourceUrl.parse(f"https://127.0.0.1:{port}/"), TlsSpec(), ALL, SHARE))
    assert error.state is CameraState.UNANSWERED
    assert f"port {port} accepts the connection, but nothing there answers in TLS" in error.detail


@pytest.mark.filterwarnings("ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning")  # ssl leaves it to be found
def test_a_camera_that_hangs_up_before_tls_begins_has_not_failed_on_our_side(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def reset(*options: bool, **named: bool) -> ssl.SSLContext:
            connection, _ = listener.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            return connect_module.tls_context(*options, **named)

        monkeypatch.setattr(http_module, "tls_context", reset)
        url = SourceUrl.parse(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        assert error_of(Http(url, TlsSpec(), ALL, SHARE)).state is CameraState.TLS_FAILED
    gc.collect()


def test_tls_is_verified_or_pinned(serve: Serve, tmp_path: Path) -> None:
    context, fingerprint = self_signed(tmp_path)
    server = serve({"/": says(b"picture")})
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = SourceUrl.parse(f"https://127.0.0.1:{server.port}/")
    for tls in (TlsSpec(), TlsSpec(fingerprint="00" * 32)):
        error = error_of(Http(url, tls, ALL, SHARE))
        assert error.state is CameraState.TLS_FAILED
        assert fingerprint in error.detail
    for tls in (TlsSpec(verify=False), TlsSpec(fingerprint=fingerprint)):
        assert body_of(Http(url, tls, ALL, SHARE)) == b"picture"
    assert error_of(Http(SourceUrl.parse(f"http://127.0.0.1:{server.port}/"), TlsSpec(), ALL, SHARE)).state.failed
