"""Connections that do not come about, and what TLS has to show."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from common.cameras import CameraSpec, CameraState, TlsSpec
from common.errors import CameraError
from ingest.probe import probe
from ingest.rtsp import silence
from ingest.rtsp.connect import not_verified, tls_context
from rigs.camera import FakeCamera
from rigs.video import encode
from tests.fakes.viewer import Pulled, Viewer, error_of, playing

UNITS = encode()
WANTED = [list(unit) for unit in UNITS]


async def test_connection_refused() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    error = await error_of(f"rtsp://user:secret@127.0.0.1:{port}/live")
    assert error.state is CameraState.CONNECTION_REFUSED
    assert str(port) in error.detail
    assert "secret" not in str(error)


async def test_host_unknown() -> None:
    error = await error_of("rtsp://camera.invalid/live")
    assert error.state is CameraState.HOST_UNKNOWN
    assert "camera.invalid" in error.detail


async def test_name_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_args: object, **_kwargs: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("ingest.rtsp.connect.CONNECT_TIMEOUT", 0.1)
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
    error = await error_of("rtsp://camera.example/live")
    assert error.state is CameraState.HOST_UNKNOWN
    monkeypatch.setattr("ingest.rtsp.connect.CONNECT_TIMEOUT", 10.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # an address needs no name server
        port = listener.getsockname()[1]
    error = await error_of(f"rtsp://127.0.0.1:{port}/live")
    assert error.state is CameraState.CONNECTION_REFUSED


async def test_host_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.rtsp.connect.CONNECT_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        fillers = []
        for _ in range(4):  # the kernel lets nobody in once the queue is full
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        try:
            error = await error_of(f"rtsp://127.0.0.1:{listener.getsockname()[1]}/live")
        finally:
            for filler in fillers:
                filler.close()
    assert error.state is CameraState.UNREACHABLE


async def test_a_port_that_takes_connections_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.rtsp.session.REPLY_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        error = await error_of(f"rtsp://127.0.0.1:{port}/live")
    assert error.state is CameraState.UNANSWERED
    assert f"port {port} accepts the connection, but nothing there answers in RTSP" in error.detail
    assert "power" not in str(error)


async def test_a_port_that_takes_connections_and_says_nothing_of_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    tls_context(verify=True, legacy=False)  # reading the authorities is no part of the wait
    monkeypatch.setattr("ingest.rtsp.connect.CONNECT_TIMEOUT", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        error = await error_of(f"rtsps://127.0.0.1:{port}/live")
    assert error.state is CameraState.UNANSWERED
    assert f"port {port} accepts the connection, but nothing there answers in TLS; write rtsp://" in error.detail


async def test_second_address_of_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = Viewer()
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo

    async def both(host: object, port: object, **options: object) -> object:
        if host == "camera.example":
            return [(0, 0, 0, "", ("::1", port)), (0, 0, 0, "", ("127.0.0.1", port))]
        return await real(host, port, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "getaddrinfo", both)
    async with FakeCamera() as camera, playing(camera, viewer, url=f"rtsp://camera.example:{camera.port}/live"):
        await viewer.watch(5)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    """A camera's self-signed certificate and its fingerprint."""
    return make_certificate(tmp_path_factory.mktemp("tls"), ec.generate_private_key(ec.SECP256R1()))


def make_certificate(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> tuple[ssl.SSLContext, str]:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "camera")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(9))
    signed = builder.sign(key, hashes.SHA256())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (path / "camera.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM) + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if isinstance(key, rsa.RSAPrivateKey):
        context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(path / "camera.pem")
    return context, signed.fingerprint(hashes.SHA256()).hex(":").upper()


async def test_self_signed_certificates_are_refused(certificate: tuple[ssl.SSLContext, str]) -> None:
    async with FakeCamera(tls=certificate[0]) as camera:
        error = await error_of(camera)
        assert camera.requests == []
    assert error.state is CameraState.TLS_FAILED
    assert f"tls.fingerprint, {certificate[1].replace(':', '').lower()}," in error.detail


@pytest.mark.parametrize(("code", "words"), [(9, "certificate is not yet valid"), (10, "certificate has expired")])
def test_a_certificate_of_another_time_names_this_server_s_clock(code: int, words: str) -> None:
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = code, words
    assert not_verified(error).startswith(f"{words}, as this server's clock says ")


async def test_self_signed_certificates_can_be_allowed(certificate: tuple[ssl.SSLContext, str]) -> None:
    context, fingerprint = certificate
    async with FakeCamera(tls=context) as camera:
        for tls in (TlsSpec(verify=False), TlsSpec(fingerprint=fingerprint), TlsSpec(fingerprint=fingerprint.lower())):
            viewer = Viewer()
            async with playing(camera, viewer, tls=tls):
                assert await viewer.watch(5) == WANTED[:5]


async def test_another_fingerprint_is_refused_before_anything_is_said(certificate: tuple[ssl.SSLContext, str]) -> None:
    async with FakeCamera(tls=certificate[0]) as camera:
        error = await error_of(camera, tls=TlsSpec(fingerprint="00" * 32))
        assert camera.requests == []
    assert error.state is CameraState.TLS_FAILED
    assert certificate[1].replace(":", "").lower() in error.detail


async def test_old_ciphers_only_when_allowed(tmp_path: Path) -> None:
    context, _ = make_certificate(tmp_path, rsa.generate_private_key(65_537, 1_024))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA:@SECLEVEL=0")  # RSA key exchange, CBC, SHA-1
    async with FakeCamera(tls=context) as camera:
        error = await error_of(camera, tls=TlsSpec(verify=False))
        assert error.state is CameraState.TLS_FAILED
        assert "tls.legacy" in error.detail
        viewer = Viewer()
        async with playing(camera, viewer, tls=TlsSpec(verify=False, legacy=True)):
            await viewer.watch(5)


async def test_no_certificate_is_never_allowed() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("aNULL:@SECLEVEL=0")
    async with FakeCamera(tls=context) as camera:
        for verify in (True, False):
            error = await error_of(camera, tls=TlsSpec(verify=verify, legacy=True))
            assert error.state is CameraState.TLS_FAILED
        assert camera.requests == []


@pytest.mark.parametrize("rude", [False, True])
async def test_no_tls_where_it_was_asked_for(rude: bool) -> None:
    async with FakeCamera(rude=rude) as camera:
        error = await error_of(camera.url.replace("rtsp:", "rtsps:"))
    assert error.state is CameraState.TLS_FAILED
    assert "not speak TLS" in error.detail
    assert "write rtsp:// instead of rtsps://" in error.detail


async def test_plain_rtsp_to_a_tls_port(certificate: tuple[ssl.SSLContext, str]) -> None:
    async with FakeCamera(tls=certificate[0]) as camera:
        error = await error_of(camera.url.replace("rtsps:", "rtsp:"))
    assert error.state in (CameraState.NOT_RTSP, CameraState.CLOSED)
    assert "write rtsps:// instead of rtsp://" in error.detail


async def test_udp_of_an_encrypted_camera_is_warned_of(certificate: tuple[ssl.SSLContext, str]) -> None:
    tls = TlsSpec(verify=False)
    async with FakeCamera(tls=certificate[0]) as camera:
        for udp in (False, True):
            viewer = Viewer()
            async with playing(camera, viewer, udp=udp, tls=tls) as connection:
                await viewer.watch(5)
                assert ("not encrypt" in connection.tracks[0].warning) == udp


async def test_an_encrypted_camera_is_not_played_unencrypted_by_itself(
    certificate: tuple[ssl.SSLContext, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "SILENCE_TIMEOUT", 0.3)
    async with FakeCamera(tls=certificate[0], silent={"tcp"}) as camera:
        async with Pulled(camera.url, tls=TlsSpec(verify=False)) as pulled:
            await pulled.reached(CameraState.SILENT)
        with pytest.raises(CameraError, match="no media"):
            await probe(CameraSpec("x", camera.url, tls=TlsSpec(verify=False)))
        assert all("TCP" in (r.headers.get("Transport") or "") for r in camera.requests if r.method == "SETUP")


@pytest.mark.parametrize("udp", [False, True])
def test_tls_on_uvloop(udp: bool, certificate: tuple[ssl.SSLContext, str]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test_self_signed_certificates_can_be_allowed(certificate))
        runner.run(test_another_fingerprint_is_refused_before_anything_is_said(certificate))
