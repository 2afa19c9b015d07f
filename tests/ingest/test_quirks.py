"""What real cameras get wrong, each with a camera that gets it wrong in just that way, from the socket to the batches.

The cores' own tests look closer; these show that the whole of ingest copes.
"""

from __future__ import annotations

import base64
import re
import struct
from dataclasses import replace

import pytest

from common.cameras import CameraState, Transport
from ingest.rtsp import silence
from ingest.rtsp.auth import Challenge
from ingest.rtsp.message import Headers, InterleavedFrame, Request, Response
from rigs.camera import Answer, FakeCamera, FakeTrack, h264_track, opus_track, pcmu_track
from rigs.rtp import rtp
from rigs.video import Packet, encode, kind
from tests.fakes.quirks import SETS, SLICES, SPROP, UNITS, WANTED, changed, media, plays, with_header
from tests.fakes.viewer import Pulled

# Connecting.


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.AUTO])
async def test_01_nothing_comes_over_the_first_transport(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "FIRST_PACKET_TIMEOUT", 0.3)
    monkeypatch.setattr(silence, "SILENCE_TIMEOUT", 0.5)
    first, second = ("udp", "tcp") if transport is Transport.UDP else ("tcp", "udp")
    fake = FakeCamera(silent={first})
    pulled = await plays(fake, transport=transport)
    assert pulled.camera.report.transport == second
    assert pulled.camera.report.reconnects == 0
    # 3: Hikvision wants a DESCRIBE before each SETUP.
    session = ["OPTIONS", "DESCRIBE", "SETUP", "PLAY", "TEARDOWN"]
    assert fake.methods == session * 2


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.AUTO])
async def test_02_first_transport_refused(transport: Transport) -> None:
    second = "tcp" if transport is Transport.UDP else "udp"
    fake = FakeCamera(transports={second})
    pulled = await plays(fake, transport=transport)
    assert pulled.camera.report.transport == second
    assert fake.methods[:6] == ["OPTIONS", "DESCRIBE", "SETUP", "OPTIONS", "DESCRIBE", "SETUP"]


async def test_02_tcp_answered_when_udp_was_asked_for() -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        if request.method == "SETUP" and "client_port" in (request.headers.get("Transport") or ""):
            return with_header(response, "Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")
        return response

    pulled = await plays(FakeCamera(rewrite=rewrite), transport=Transport.UDP)
    assert pulled.camera.report.transport == "tcp"


async def test_02_tcp_never_leaves_tcp() -> None:
    async with FakeCamera(transports={"udp"}) as fake, Pulled(fake.url, transport=Transport.TCP) as pulled:
        report = await pulled.reached(CameraState.REJECTED)
        assert "461" in report.detail
        assert all("TCP" in (r.headers.get("Transport") or "") for r in fake.requests if r.method == "SETUP")


async def test_02_what_worked_is_tried_first_the_next_time() -> None:
    async with FakeCamera(transports={"udp"}) as fake, Pulled(fake.url) as pulled:
        await pulled.watch(5)
        asked = fake.methods.count("SETUP")
        fake.drop()
        await pulled.until(lambda: pulled.camera.report.reconnects == 1)
        assert fake.methods.count("SETUP") == asked + 1


async def test_04_no_media_without_range_and_no_mode_allowed() -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        if "mode" in (request.headers.get("Transport") or ""):
            return Response(400, "Bad Request")
        if request.method == "PLAY" and request.headers.get("Range") != "npt=0-":
            return b"RTSP/1.0 200 OK\r\nCSeq: 9\r\n\r\n"  # and nothing comes
        return response

    await plays(FakeCamera(rewrite=rewrite))


@pytest.mark.parametrize("public", ["OPTIONS, GET_PARAMETER", "OPTIONS"])
async def test_05_keepalive_that_is_never_answered(public: str) -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        return None if "Session" in request.headers and request.method in ("OPTIONS", "GET_PARAMETER") else response

    method = "GET_PARAMETER" if "GET" in public else "OPTIONS"
    async with FakeCamera(session="1;timeout=1", public=public, rewrite=rewrite) as fake, Pulled(fake.url) as pulled:
        await fake.asked(method, 3)
        kept = [request for request in fake.requests if "Session" in request.headers and request.method == method]
        await fake.until(lambda: fake.methods.count(method) >= 4)
        assert kept[0].url == fake.url + "/"
        assert pulled.camera.report.reconnects == 0


@pytest.mark.parametrize("algorithm", ["", "MD5", "SHA-256", "SHA-512-256", "MD5-sess"])
@pytest.mark.parametrize("qop", [(), ("auth",), ("auth", "auth-int")])
async def test_06_digest_of_every_kind(algorithm: str, qop: tuple[str, ...]) -> None:
    challenge = Challenge.digest("IP Camera(12345)", algorithm=algorithm, qop=qop)
    fake = FakeCamera(username="admin", password="p@ss:w/rd", challenges=[replace(challenge, opaque="x==")])
    async with fake:
        url = fake.url.replace("://", "://admin:p@ss:w/rd@")
        async with Pulled(url) as pulled:
            assert await pulled.watch(5) == WANTED[:5]
            assert fake.wrong_logins == 0


async def test_06_strongest_of_several_challenges() -> None:
    digest = Challenge.digest("cam", algorithm="SHA-256")
    unknown = Challenge.digest("cam", algorithm="SHA3-512")
    fake = FakeCamera(username="admin", password="secret")
    fake.challenges = [Challenge.basic("cam"), unknown, Challenge.digest("cam"), digest]
    async with fake, Pulled(fake.login_url) as pulled:
        await pulled.watch(5)
        [*_, play] = [request for request in fake.requests if request.method == "PLAY"]
        assert "algorithm=SHA-256" in (play.headers.get("Authorization") or "")


async def test_07_nonce_that_goes_stale_in_mid_session() -> None:
    nonces = [Challenge.digest("cam") for _ in range(4)]
    fake = FakeCamera(username="admin", password="secret", challenges=nonces[:1], session="1;timeout=1")
    async with fake, Pulled(fake.login_url) as pulled:
        await pulled.watch(5)
        for number, nonce in enumerate(nonces[1:], 1):
            fake.challenges = [replace(nonce, stale=True)]
            before = len(fake.requests)
            await fake.until(
                lambda before=before, nonce=nonce: any(
                    nonce.nonce in (r.headers.get("Authorization") or "") for r in fake.requests[before:]
                )
            )
            assert fake.wrong_logins == number
        assert pulled.camera.report.reconnects == 0


@pytest.mark.parametrize("session", ["ab; timeout=90", "ab ;timeout=0", "ab;x=y;TIMEOUT=5", "ab"])
async def test_08_session_headers(session: str) -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        lower = [(name.lower(), value) for name, value in response.headers]
        return replace(response, headers=Headers(lower))

    fake = FakeCamera([h264_track(), pcmu_track()], session=session, rewrite=rewrite)
    await plays(fake)
    assert all(request.headers.get("Session") == "ab" for request in fake.requests if request.method == "PLAY")
    assert all("CSeq" in dict(request.headers) for request in fake.requests)


@pytest.mark.parametrize(
    "control",
    ["rtsp://10.9.9.9/live/t1", "rtsp://u:p@10.9.9.9:1/live/t1", "/t1", "?track=t1", "t1?x=y/t1"],
)
async def test_09_control(control: str) -> None:
    fake = FakeCamera([h264_track(), pcmu_track()])
    fake.tracks[0].control = control

    def rewrite(request: Request, response: Response) -> Answer:
        if request.method == "SETUP" and not request.url.startswith(fake.url):
            return Response(404, "Not Found")
        return response

    fake.rewrite = rewrite
    await plays(fake)


@pytest.mark.parametrize("control", ["", "*"])
async def test_09_control_that_says_nothing(control: str) -> None:
    fake = FakeCamera()
    fake.tracks[0].control = ""
    fake.tracks[0].extra = [f"a=control:{control}"]
    await plays(fake)
    assert [r.url for r in fake.requests if r.method == "SETUP"] == [fake.url + "/"]


@pytest.mark.parametrize(
    "base", [None, "/live/", "{url}", "rtsp://rtsp://10.0.0.1/live/", "rtsp://fe80::1/live/", "10.0.0.1:554/live/"]
)
async def test_10_content_base(base: str | None) -> None:
    fake = FakeCamera(content_base=base)
    await plays(fake)
    assert all(request.url.startswith(fake.url) for request in fake.requests)


@pytest.mark.parametrize("password", ["p%40ss", "p@ss:#?word", "50%", "ü€"])
async def test_11_passwords(password: str) -> None:
    fake = FakeCamera(username="admin", password=password.replace("%40", "@"), challenges=[Challenge.digest("cam")])
    async with fake:
        async with Pulled(fake.url.replace("://", f"://admin:{password}@")) as pulled:
            await pulled.watch(5)
        assert fake.wrong_logins == 0


def with_login(url: str) -> str:
    return url.replace("://", "://admin:secret@")


async def test_12_redirects() -> None:
    challenge = [Challenge.digest("cam")]
    async with FakeCamera(username="admin", password="secret", challenges=challenge) as there:
        for status in (301, 302, 303, 305, 307):

            def rewrite(request: Request, _response: Response, status: int = status) -> Answer:
                headers = [("CSeq", request.headers.get("CSeq") or ""), ("Location", there.url)]
                return Response(status, "Moved", Headers(headers))

            async with FakeCamera(rewrite=rewrite) as here, Pulled(with_login(here.url)) as pulled:
                await pulled.watch(5)


async def test_12_no_more_than_five_redirects() -> None:
    fake = FakeCamera()

    def rewrite(request: Request, _response: Response) -> Answer:
        return Response(302, "Found", Headers([("CSeq", request.headers.get("CSeq") or ""), ("Location", fake.url)]))

    fake.rewrite = rewrite
    async with fake, Pulled(fake.url) as pulled:
        report = await pulled.reached(CameraState.REJECTED)
        assert "redirects" in report.detail
        assert fake.methods.count("OPTIONS") == 6


async def test_12_no_credentials_for_another_host() -> None:
    fake = FakeCamera(host="::1", username="admin", password="secret", challenges=[Challenge.basic("cam")])

    async with fake as there:

        def rewrite(request: Request, _response: Response) -> Answer:
            return Response(302, "Found", Headers([("CSeq", "1"), ("Location", there.url)]))

        async with FakeCamera(rewrite=rewrite) as here, Pulled(with_login(here.url)) as pulled:
            await pulled.reached(CameraState.UNAUTHORIZED)
        assert not any("Authorization" in request.headers for request in there.requests)


async def test_13_unauthorized_without_user_agent() -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        return response if "User-Agent" in request.headers else Response(401, "Unauthorized")

    await plays(FakeCamera(rewrite=rewrite))


async def test_13_wrong_password_is_tried_once() -> None:
    fake = FakeCamera(username="admin", password="right", challenges=[Challenge.digest("cam")])
    async with fake, Pulled(fake.url.replace("://", "://admin:wrong@")) as pulled:
        report = await pulled.reached(CameraState.UNAUTHORIZED)
        assert fake.wrong_logins == 1
        assert report.retry_at is not None
        assert report.retry_at - report.since > 100
        assert "wrong" not in report.last_error


async def test_14_back_channels_and_unknown_media_are_not_set_up() -> None:
    back = FakeTrack("m=audio 0 RTP/AVP 0\n", [], control="back", extra=["a=sendonly"])
    metadata = FakeTrack(
        "m=application 0 RTP/AVP 107\na=rtpmap:107 vnd.onvif.metadata/90000\n", [], control="meta", extra=["a=recvonly"]
    )
    fake = FakeCamera([metadata, back, h264_track()])
    await plays(fake)
    assert [r.url[-5:] for r in fake.requests if r.method == "SETUP"] == ["kID=1"]


async def test_14_all_back_channels_are_none() -> None:
    fake = FakeCamera([h264_track(), pcmu_track()])
    for track in fake.tracks:
        track.extra = ["a=sendonly"]
    await plays(fake)
    assert fake.methods.count("SETUP") == 2


# SDP.


@pytest.mark.parametrize(
    "head",
    [
        "",
        "s=one\ns=two\n",
        "v=0\no=- 0xDEADBEEF 1 IN IPV4 10.0.0.1\ns=\nt=now-\n",
        "v=0\n\n\n\no=-\ns=Cam\xe9ra\nx=unknown\na=x-what\n",
    ],
)
async def test_16_heads(head: str) -> None:
    await plays(FakeCamera(sdp_head=head))


async def test_16_bare_line_feeds() -> None:
    await plays(FakeCamera(rewrite=changed("DESCRIBE", lambda r: replace(r, body=r.body.replace(b"\r\n", b"\n")))))


async def test_17_fmtp_in_another_section() -> None:
    video = h264_track(SLICES)
    video.sdp = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    sound = pcmu_track()
    sound.sdp += f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={SPROP}\n"
    await plays(FakeCamera([video, sound]))


async def test_17_payload_type_below_96() -> None:
    video = h264_track()
    video.sdp, video.payload_type = "m=video 0 RTP/AVP 35\na=rtpmap:35 H264/90000\n", 35
    await plays(FakeCamera([video]))


async def test_17_smart_payload_type() -> None:
    video = h264_track()
    video.sdp = "m=video 0 RTP/AVP smart/1/90000\na=rtpmap:96 H264/90000\n"
    await plays(FakeCamera([video]))


@pytest.mark.parametrize(
    "sprop", [SPROP.split(",")[0], "AAAA", "!", "", base64.b64encode(b"\0\0\0\1" + SETS[0]).decode()]
)
async def test_18_bogus_parameter_sets(sprop: str) -> None:
    await plays(FakeCamera([h264_track(fmtp=f";sprop-parameter-sets={sprop}")]))


async def test_19_parameter_sets_only_in_the_description() -> None:
    await plays(FakeCamera([h264_track(SLICES, fmtp=f";sprop-parameter-sets={SPROP}")]))


async def test_19_resolution_changes() -> None:
    larger = encode(20, width=640, height=480)
    async with FakeCamera([h264_track([*UNITS, *larger])]) as fake, Pulled(fake.url) as pulled:
        got = await pulled.watch(60)
        assert got == [*WANTED, *map(list, larger), *WANTED[:10]]
        assert pulled.camera.report.reconnects == 0


# RTP.


async def test_20_no_markers() -> None:
    fake = FakeCamera()
    for unit in media(fake):
        unit[:] = [replace(packet, marker=False) for packet in unit]
    await plays(fake)


async def test_20_markers_on_parameter_sets() -> None:
    fake = FakeCamera()
    for unit in media(fake):
        unit[:] = [replace(packet, marker=packet.marker or kind(packet.payload) in (7, 8)) for packet in unit]
    await plays(fake)


@pytest.mark.parametrize("code", [b"\0\0\1", b"\0\0\0\1"])
async def test_21_start_codes_inside(code: bytes) -> None:
    await plays(FakeCamera([h264_track([[code.join(unit)] for unit in UNITS])]))
    await plays(FakeCamera([h264_track([[code + nal for nal in unit] for unit in UNITS], size=20_000)]))


async def test_21_fragment_that_is_start_and_end() -> None:
    fake = FakeCamera()
    for number, unit in enumerate(UNITS):
        payloads = [bytes((nal[0] & 0xE0 | 28, 0xC0 | nal[0] & 0x1F)) + nal[1:] for nal in unit]
        media(fake)[number][:] = [Packet(payload, 0, payload is payloads[-1]) for payload in payloads]
    await plays(fake)


async def test_21_zero_padding() -> None:
    fake = FakeCamera()
    for number, unit in enumerate(UNITS):
        sizes = b"".join(len(nal).to_bytes(2) + nal for nal in unit)
        media(fake)[number][:] = [Packet(b"\x78" + sizes + bytes(number % 4), 0, True)]
    await plays(fake)


@pytest.mark.parametrize(("transport", "size"), [(Transport.UDP, 10_000), (Transport.TCP, 64_000)])
async def test_22_large_packets(transport: Transport, size: int) -> None:
    units = encode(10, width=1280, height=720)
    assert max(len(nal) for unit in units for nal in unit) > 64_000
    fake = FakeCamera([h264_track(units, size=size)], interval=0.02)
    await plays(fake, transport=transport, frames=12, wanted=[list(unit) for unit in units])


async def test_23_channels_under_plain_rtp_avp() -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        transport = response.headers.get("Transport")
        if not transport:
            return response
        return with_header(response, "Transport", re.sub(r"RTP/AVP/TCP", "RTP/AVP", transport))

    await plays(FakeCamera([h264_track(), pcmu_track()], rewrite=rewrite))


async def test_23_channels_of_the_camera_s_own() -> None:
    fake = FakeCamera([h264_track(), pcmu_track()])
    own = {0: 10, 1: 11, 2: 20, 3: 21}

    def rewrite(request: Request, response: Response) -> Answer:
        transport = response.headers.get("Transport")
        if not transport:
            return response
        return with_header(
            response, "Transport", re.sub(r"=(\d)-(\d)", lambda m: f"={own[int(m[1])]}-{own[int(m[2])]}", transport)
        )

    fake.rewrite = rewrite
    fake.wrap = lambda frame: bytes((frame[0], own[frame[1]])) + frame[2:]
    pulled = await plays(fake)
    assert len(pulled.of("audio")) > 10


async def test_23_junk_between_frames() -> None:
    fake = FakeCamera()
    count = 0

    def wrap(frame: bytes) -> bytes:
        nonlocal count
        count += 1
        return frame + bytes(range(count % 7 * 5)) if count > 3 else frame

    fake.wrap = wrap
    await plays(fake)


async def test_23_answers_between_frames() -> None:
    fake = FakeCamera()
    fake.wrap = lambda frame: frame + b"RTSP/1.0 200 OK\r\nCSeq: 77\r\n\r\n" + bytes(InterleavedFrame(99, b"whatever"))
    await plays(fake)


@pytest.mark.parametrize("foreign", [False, True])
async def test_24_no_server_port(foreign: bool) -> None:
    pulled = await plays(FakeCamera(name_ports=False, foreign_port=foreign), transport=Transport.UDP)
    assert pulled.camera.report.transport == "udp"


@pytest.mark.parametrize("transports", [{"udp"}, {"udp", "tcp"}])
async def test_24_another_port_than_it_said(transports: set[str]) -> None:
    fake = FakeCamera(foreign_port=True, transports=transports, interval=0.02)
    async with fake, Pulled(fake.url, transport=Transport.UDP) as pulled:
        units = await pulled.watch(20)
        assert units[0] in WANTED
        assert pulled.camera.report.transport == "udp"


async def test_24_another_address_than_the_camera_s_is_named() -> None:
    fake = FakeCamera(foreign_port=True, foreign_host="127.0.0.2", transports={"udp"})
    async with fake, Pulled(fake.url) as pulled:
        report = await pulled.reached(CameraState.SILENT)
        assert "packets come from 127.0.0.2" in report.detail
        assert pulled.batches == []


async def test_24_holes_are_punched_before_play() -> None:
    fake = FakeCamera([h264_track(), pcmu_track()])
    punched: list[int] = []

    def rewrite(request: Request, response: Response) -> Answer:
        if request.method == "PLAY":
            punched.append(len(fake.packets))
        return response

    fake.rewrite = rewrite
    async with fake, Pulled(fake.url, transport=Transport.UDP) as pulled:
        await pulled.watch(5)
        await fake.until(lambda: len(fake.packets) >= 4)
        assert {len(packet) for packet in fake.packets[:4]} == {12, 28}
    assert punched


async def test_25_shuffled_repeated_and_lost() -> None:
    fake = FakeCamera()
    held: list[bytes] = []

    def mangle(packet: bytes) -> list[bytes]:
        if packet[3] % 5 == 0 and not held:
            held.append(packet)
            return []
        return [packet, packet, *[held.pop() for _ in held]]

    fake.mangle = mangle
    pulled = await plays(fake, transport=Transport.UDP)
    [stats] = pulled.camera.report.stats
    assert stats.lost == stats.dropped == 0
    assert stats.duplicates > 20
    assert stats.reordered > 5


async def test_25_numbers_that_start_again() -> None:
    fake = FakeCamera()
    offset = 0

    def mangle(packet: bytes) -> list[bytes]:
        sequence = int.from_bytes(packet[2:4]) + offset
        return [packet[:2] + (sequence & 0xFFFF).to_bytes(2) + packet[4:]]

    fake.mangle = mangle
    async with fake, Pulled(fake.url, transport=Transport.UDP) as pulled:
        await pulled.watch(20)
        offset = -2_000
        before = len(pulled.units())
        await pulled.watch(before + 30)
        assert pulled.camera.report.reconnects == 0


async def test_25_another_source_in_mid_stream() -> None:
    fake = FakeCamera([h264_track(), pcmu_track()])
    async with fake, Pulled(fake.url) as pulled:
        await pulled.watch(15)
        fake.tracks[0].ssrc = 77
        await pulled.until(lambda: len({batch.epoch for batch in pulled.of("video")}) == 2)
        await pulled.until(lambda: len({batch.epoch for batch in pulled.of("audio")}) == 2)
        first, second = sorted({batch.epoch for batch in pulled.batches})
        assert next(batch for batch in pulled.of("video") if batch.epoch == second).keyframe
        assert next(batch for batch in pulled.of("video") if batch.epoch == second).sequence == 0
        assert pulled.camera.report.reconnects == 0
        assert first < second


async def test_26_strange_rtcp() -> None:
    fake = FakeCamera(reports=True)
    strange = [b"\x81\xca\x00\x03\0\0\0\x01\x01\x04name", b"\x80\xff\0\0", b"\x80", b"", b"\x80\xc8\0\x06"]
    fake.wrap = lambda frame: frame + b"".join(bytes(InterleavedFrame(1, packet)) for packet in strange)
    await plays(fake)


@pytest.mark.parametrize("chunk", [100, 240, 320, 1_024])
async def test_27_chunks_of_g711(chunk: int) -> None:
    async with FakeCamera([h264_track(), pcmu_track(chunk)]) as fake, Pulled(fake.url) as pulled:
        await pulled.until(lambda: len(pulled.of("audio")) > 30)
        audio = pulled.of("audio")
        assert {len(payload) for batch in audio for payload in batch.payloads} == {160}
        assert [batch.timestamp - audio[0].timestamp for batch in audio] == [160 * n for n in range(len(audio))]


async def test_28_one_timestamp_hours_off() -> None:
    fake = FakeCamera(interval=0.02)

    def mangle(packet: bytes) -> list[bytes]:
        timestamp = int.from_bytes(packet[4:8])
        if timestamp == 15 * 3_600:
            packet = packet[:4] + struct.pack("!I", timestamp + 7 * 3_600 * 90_000 & 0xFFFFFFFF) + packet[8:]
        return [packet]

    fake.mangle = mangle
    pulled = await plays(fake)
    stamps = [batch.timestamp for batch in pulled.of("video")]
    assert stamps == sorted(stamps)
    assert max(stamps) < 200 * 3_600
    assert pulled.camera.counters["timestamps_repaired"] == 1


async def test_28_a_new_timeline() -> None:
    fake = FakeCamera(interval=0.02)

    def mangle(packet: bytes) -> list[bytes]:
        timestamp = int.from_bytes(packet[4:8])
        if timestamp >= 15 * 3_600:
            timestamp = timestamp - 5 * 3_600 * 90_000 & 0xFFFFFFFF
        return [packet[:4] + struct.pack("!I", timestamp) + packet[8:]]

    fake.mangle = mangle
    pulled = await plays(fake)
    stamps = [batch.timestamp for batch in pulled.of("video")]
    assert stamps == sorted(stamps)
    assert max(stamps) < 200 * 3_600


@pytest.mark.parametrize("ticks", [0, -900])
async def test_28_timestamps_that_stand_still_or_go_back(ticks: int) -> None:
    fake = FakeCamera()
    fake.tracks[0].ticks = ticks
    pulled = await plays(fake)
    ends = [batch.timestamp for batch in pulled.of("video") if batch.unit_end]
    assert len(set(ends)) == len(ends)


async def test_29_sender_reports_without_a_clock() -> None:
    fake = FakeCamera([h264_track(), opus_track()], reports=True, interval=0.02)

    def wrap(frame: bytes) -> bytes:
        if frame[1] % 2:  # RTCP: the time is zero
            return frame[:12] + bytes(8) + frame[20:]
        return frame

    fake.wrap = wrap
    pulled = await plays(fake)
    assert pulled.camera.counters["timestamps_repaired"] > 3
    late = [batch.arrival_ns - batch.capture_ns for batch in pulled.batches]
    assert min(late) >= 0
    assert max(late) < 2 * 10**9


async def test_30_b_frames_are_named() -> None:
    units = encode(20, options="bframes=2:b-adapt=0", profile="main")
    pulled = await plays(FakeCamera([h264_track(units)]), wanted=[list(unit) for unit in units])
    [track] = pulled.camera.report.tracks
    assert "B-frames" in track.warning
    assert track.playable


# Staying connected.


async def test_31_a_camera_that_reboots() -> None:
    async with FakeCamera() as fake, Pulled(fake.url) as pulled:
        for times in range(1, 4):
            await pulled.reached(CameraState.PLAYING)
            fake.drop()
            await pulled.reached(CameraState.CLOSED)
            await pulled.until(lambda times=times: pulled.camera.report.reconnects == times)
        await pulled.until(lambda: len({batch.epoch for batch in pulled.batches}) == 4)
        assert [batch.epoch for batch in pulled.batches] == sorted(batch.epoch for batch in pulled.batches)
        for epoch in {batch.epoch for batch in pulled.batches}:
            first = next(batch for batch in pulled.batches if batch.epoch == epoch)
            assert first.keyframe
            assert first.sequence == 0
        assert "closed the connection" in pulled.camera.report.last_error
        assert pulled.forgotten == 3


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
async def test_31_a_cable_that_is_pulled(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SILENCE_TIMEOUT", 0.5)
    async with FakeCamera() as fake, Pulled(fake.url, transport=transport) as pulled:
        await pulled.watch(5)
        fake.silent = {"tcp", "udp"}  # nothing comes any more, and nothing says why
        report = await pulled.reached(CameraState.SILENT)
        assert report.stats[0].packets > 0
        fake.silent = set()
        await pulled.until(lambda: pulled.camera.report.reconnects == 1)


@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"])
@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (None, CameraState.UNREACHABLE),
        (b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nX: ", CameraState.MALFORMED),
        (b"RTSP/1.0 200 OK\r\n" + b"X: y\r\n" * 4_000, CameraState.MALFORMED),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 1048576\r\n\r\n" + bytes(1 << 20), CameraState.MALFORMED),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 500\r\n\r\nv=0\r\n", CameraState.MALFORMED),
        (b"RTSP/1.0 200 OK\r\nContent-Length: -5\r\n\r\n", CameraState.MALFORMED),
    ],
)
async def test_32_replies_that_never_end(
    method: str, answer: bytes | None, state: CameraState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.rtsp.session.REPLY_TIMEOUT", 0.1)

    def rewrite(request: Request, response: Response) -> Answer:
        return answer if request.method == method else response

    async with FakeCamera(rewrite=rewrite) as fake, Pulled(fake.url) as pulled:
        await pulled.until(lambda: pulled.state.failed)
        assert pulled.state is state


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
async def test_garbage_among_the_media(transport: Transport) -> None:
    fake = FakeCamera()
    foreign = rtp(b"\x7c\x85", 1, 1, payload_type=99)
    fake.mangle = lambda packet: [packet, b"", b"\x80", bytes(40), b"\xff" * 40, packet[:11], foreign]
    pulled = await plays(fake, transport=transport)
    [stats] = pulled.camera.report.stats
    assert stats.dropped > 200
    assert stats.lost == 0
