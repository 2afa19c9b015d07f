"""The client against cameras on real sockets: what goes right, how it ends, and what is released."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from common.cameras import CameraSpec, CameraState, TlsSpec
from common.errors import CameraError
from ingest.probe import probe
from ingest.rtsp import client
from ingest.rtsp.client import NoMediaError
from ingest.rtsp.message import Headers, Request, Response
from rigs.camera import Answer, FakeCamera, h264_track, opus_track, pcmu_track
from rigs.video import encode
from tests.fakes.viewer import Pulled, Viewer, error_of, playing

UNITS = encode()
WANTED = [list(unit) for unit in UNITS]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("udp", [False, True])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_plays(udp: bool, host: str) -> None:
    viewer = Viewer()
    async with FakeCamera([h264_track(), opus_track()], host=host) as camera:
        async with playing(camera, viewer, udp=udp) as connection:
            assert await viewer.watch() == (WANTED * 2)[:40]
            assert viewer.started == 1
            assert [track.codec for track in connection.tracks] == ["H264", "opus"]
            video, audio = (receiver.stats for receiver in connection.stream.receivers)
            assert (video.lost, video.dropped, audio.lost, audio.dropped) == (0, 0, 0, 0)
            assert len(viewer.of("audio")) > 30
            assert {batch.epoch for batch in viewer.batches} == {5}
        await camera.asked("TEARDOWN")
    assert camera.methods == ["OPTIONS", "DESCRIBE", "SETUP", "SETUP", "PLAY", "TEARDOWN"]


@pytest.mark.parametrize("udp", [False, True])
def test_plays_on_uvloop(udp: bool) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test_plays(udp, "127.0.0.1"))


@pytest.mark.parametrize("udp", [False, True])
async def test_an_access_unit_is_published_in_one(udp: bool) -> None:
    viewer = Viewer()
    async with FakeCamera(interval=0.02) as camera, playing(camera, viewer, udp=udp):
        await viewer.watch(30)
    parts = [batch for batch in viewer.batches if not batch.unit_end]
    assert len(parts) < 15  # none but where a busy machine took its time


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_camera_with_nagles_algorithm_does_not_wait_for_us(loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "REPORT_INTERVAL", 0.0)  # what we send makes the kernel slow to acknowledge
    monkeypatch.setattr(client, "TICK", 0.02)

    async def watch() -> None:
        viewer = Viewer()
        camera = FakeCamera([h264_track(size=300)], interval=0.033, nagle=True)
        async with camera, playing(camera, viewer):
            await viewer.watch(80)
        came = [batch.arrival_ns for batch in viewer.batches if batch.unit_end]
        together = sum(after - before < 5_000_000 for before, after in pairwise(came))
        assert together < 10  # else one waits for our acknowledgement until the next is there: 30 of 80

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(watch())


@pytest.mark.parametrize("udp", [False, True])
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_the_beginning_of_a_unit_does_not_wait_for_its_end(udp: bool, loop: Any) -> None:
    async def watch() -> None:
        viewer = Viewer()
        track = h264_track(size=600)
        track.units = [track.units[0][:-1]]
        async with FakeCamera([track], interval=3_600) as camera, playing(camera, viewer, udp=udp):
            await viewer.until(lambda: bool(viewer.batches))
        assert not viewer.batches[0].unit_end

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(watch())


@pytest.mark.parametrize("udp", [False, True])
async def test_receiver_reports_go_out_from_the_start(udp: bool) -> None:
    async with (
        FakeCamera([h264_track(), pcmu_track()], silent={"tcp", "udp"}) as camera,
        playing(camera, Viewer(), udp=udp),
    ):
        if udp:
            await camera.until(lambda: sum(packet[1] == 201 for packet in camera.packets) >= 4)  # punches among them
        else:
            await camera.until(lambda: {frame.channel for frame in camera.frames} == {1, 3})
            assert all(frame.payload[1] == 201 for frame in camera.frames)


async def test_sender_reports_set_the_capture_clock() -> None:
    viewer = Viewer()
    async with FakeCamera(reports=True, interval=0.02) as camera, playing(camera, viewer):
        await viewer.watch(20)
    last = viewer.batches[-1]
    assert abs(last.arrival_ns - last.capture_ns) < 2 * 10**9


async def test_a_camera_may_put_rtp_and_rtcp_on_one_channel() -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        headers = [each for each in response.headers if each[0] != "Transport"]
        transport = ("Transport", "RTP/AVP/TCP;unicast;interleaved=0-0")
        return replace(response, headers=Headers([*headers, transport])) if request.method == "SETUP" else response

    viewer = Viewer()
    async with FakeCamera(reports=True, rewrite=rewrite) as camera, playing(camera, viewer):
        assert await viewer.watch(10) == WANTED[:10]


@pytest.mark.parametrize("udp", [False, True])
async def test_everything_is_released(udp: bool) -> None:
    async with FakeCamera([h264_track(), opus_track()]) as camera:
        before = open_files()
        for _ in range(3):
            viewer = Viewer()
            async with playing(camera, viewer, udp=udp):
                await viewer.watch(5)
        await camera.until(lambda: not camera._peers)
        assert open_files() <= before
    gc.collect()


async def test_a_camera_that_reads_no_answers_is_given_up() -> None:
    flood = bytes(Request("OPTIONS", "*", Headers([("CSeq", "1"), ("Session", "x" * 8_000)]))) * 4_000

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        with suppress(OSError):
            writer.write(flood)
            await writer.drain()
        with suppress(OSError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await error_of(f"rtsp://127.0.0.1:{port}/")
    assert error.state is CameraState.CLOSED
    assert "does not read the answers" in error.detail


async def test_a_camera_that_does_not_answer_teardown_is_not_waited_for() -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        return None if request.method == "TEARDOWN" else response

    viewer = Viewer()
    loop = asyncio.get_running_loop()
    async with FakeCamera(rewrite=rewrite) as camera:
        async with playing(camera, viewer):
            await viewer.watch(5)
            before = loop.time()
        assert loop.time() - before < 5 * client.TEARDOWN_TIMEOUT
        await camera.asked("TEARDOWN")


async def test_cancelled_sessions_say_goodbye() -> None:
    async def watch() -> None:
        async with playing(camera, viewer) as connection:
            await connection.ended()

    viewer = Viewer()
    async with FakeCamera() as camera:
        task = asyncio.create_task(watch())
        await viewer.watch(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await camera.asked("TEARDOWN")


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_goodbye_that_is_cancelled_leaves_nothing_open(loop: Any) -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        return None if request.method == "TEARDOWN" else response

    async def watch(camera: FakeCamera, viewer: Viewer) -> None:
        async with playing(camera, viewer) as connection:
            await connection.ended()

    async def cancel_twice() -> None:
        viewer = Viewer()
        async with FakeCamera(rewrite=rewrite) as camera:
            task = asyncio.create_task(watch(camera, viewer))
            await viewer.watch(5)
            for _ in range(2):
                task.cancel()
                await camera.asked("TEARDOWN")
            with pytest.raises(asyncio.CancelledError):
                await task
            await camera.until(lambda: not camera._peers)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(cancel_twice())


async def test_cancelled_while_connecting() -> None:
    async def watch() -> None:
        async with playing(camera, Viewer()):
            pass

    async with FakeCamera(rewrite=lambda _request, _response: None) as camera:
        task = asyncio.create_task(watch())
        await camera.asked("OPTIONS")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


# Ends.


async def test_the_camera_closes() -> None:
    viewer = Viewer()
    async with FakeCamera() as camera, playing(camera, viewer) as connection:
        await viewer.watch(5)
        camera.drop()
        with pytest.raises(CameraError) as caught:
            await connection.ended()
    assert caught.value.state is CameraState.CLOSED


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
    assert (error.state, error.detail) == (CameraState.HOST_UNKNOWN, "camera.invalid")


async def test_name_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_args: object, **_kwargs: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("ingest.rtsp.connect.CONNECT_TIMEOUT", 0.1)
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
    error = await error_of("rtsp://camera.example/live")
    assert error.state is CameraState.HOST_UNKNOWN


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


@pytest.mark.parametrize(
    ("banner", "state"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", CameraState.NOT_RTSP),
        (b"SSH-2.0-OpenSSH_9.6\r\n", CameraState.NOT_RTSP),
        (b"", CameraState.CLOSED),
    ],
)
async def test_something_else_answers(banner: bytes, state: CameraState) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(banner)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        error = await error_of(f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/live")
    assert error.state is state


# TLS.


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
    assert "tls.fingerprint" in error.detail


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
    monkeypatch.setattr(client, "SILENCE_TIMEOUT", 0.3)
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


# Silence.


@pytest.mark.parametrize("udp", [False, True])
async def test_no_media_at_all(udp: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PACKET_TIMEOUT" if udp else "SILENCE_TIMEOUT", 0.3)
    async with FakeCamera(silent={"tcp", "udp"}) as camera:
        error = await error_of(camera, udp=udp)
    assert isinstance(error, NoMediaError)
    assert error.state is CameraState.SILENT
    assert ("UDP" if udp else "TCP") in error.detail


@pytest.mark.parametrize("udp", [False, True])
async def test_media_that_stops(udp: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "SILENCE_TIMEOUT", 0.5)
    viewer = Viewer()
    async with FakeCamera() as camera, playing(camera, viewer, udp=udp) as connection:
        await viewer.watch(5)
        camera.silent = {"tcp", "udp"}
        with pytest.raises(CameraError) as caught:
            await connection.ended()
    assert caught.value.state is CameraState.SILENT
    assert not isinstance(caught.value, NoMediaError)


async def test_picture_that_stops_while_the_sound_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "SILENCE_TIMEOUT", 0.5)
    viewer = Viewer()
    async with FakeCamera([h264_track(), pcmu_track()]) as camera, playing(camera, viewer) as connection:
        await viewer.watch(5)
        camera.mangle = lambda packet: [packet] if packet[1] & 0x7F == 0 else []
        with pytest.raises(CameraError, match="sound goes on"):
            await connection.ended()


async def test_sound_that_stops_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "SILENCE_TIMEOUT", 0.3)
    viewer = Viewer()
    async with FakeCamera([h264_track(), pcmu_track()]) as camera:
        camera.mangle = lambda packet: [packet] if packet[1] & 0x7F else []
        async with playing(camera, viewer):
            await viewer.watch(200)


async def test_goodbye_ends_the_session_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "GOODBYE_TIMEOUT", 0.1)
    viewer = Viewer()
    async with FakeCamera() as camera, playing(camera, viewer) as connection:
        await viewer.watch(5)
        camera.goodbye = True
        with pytest.raises(CameraError, match="goodbye"):
            await connection.ended()
