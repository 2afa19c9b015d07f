"""The words of ``probe`` on cameras."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from common.cameras import CameraSpec, CameraState, Transport
from common.errors import CameraError
from ingest import probe as probe_module
from ingest.probe import ProbeResult, probe
from ingest.rtsp import silence
from ingest.rtsp.message import Headers, Request, Response
from rigs.camera import Answer, FakeCamera, FakeTrack, h264_track, opus_track
from rigs.codecs import pictures
from rigs.tracks import X265, Image, h265_track, jpeg_track, vpx_track
from rigs.video import encode


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cameras of the tests send many frames a second: less time will do."""
    monkeypatch.setattr(probe_module, "LISTEN", 0.3)


async def look(camera: FakeCamera, longest: float = 20.0) -> ProbeResult:
    async with camera:
        return await probe(CameraSpec("x", camera.url), longest)


async def test_a_good_camera() -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        return Response(
            response.status, response.reason, Headers([*response.headers, ("Server", "Acme/2.1")]), response.body
        )

    result = await look(FakeCamera([h264_track(), opus_track()], rewrite=rewrite))
    assert (result.transport, result.server, result.problems) == (Transport.TCP, "Acme/2.1", ())
    video, audio = result.tracks
    assert (video.track.codec, video.width, video.height, video.lost) == ("H264", 320, 240, 0)
    assert video.frame_rate == 25.0
    assert video.keyframe_interval == 0.4
    assert video.track.profile == encode()[0][0][1:4].hex()
    assert video.bitrate > 100_000
    assert (audio.track.codec, audio.width, audio.frame_rate) == ("opus", 0, None)
    assert audio.bitrate > 1_000


@pytest.mark.parametrize(("method", "connections"), [("OPTIONS", 2), ("SETUP", 3)])
async def test_a_camera_that_hangs_up_is_asked_in_another_way(method: str, connections: int) -> None:
    camera = FakeCamera([h264_track(), opus_track()])

    def rewrite(request: Request, response: Response) -> Answer:
        if request.method == method and (method == "OPTIONS" or request.url.endswith("trackID=2")):
            camera.drop()
            return None
        return response

    camera.rewrite = rewrite
    result = await look(camera)
    assert result.tracks[0].frame_rate == 25.0
    assert camera.connections == connections


async def test_a_camera_that_hangs_up_at_everything_is_left_alone() -> None:
    camera = FakeCamera()

    def rewrite(_request: Request, _response: Response) -> Answer:
        camera.drop()
        return None

    camera.rewrite = rewrite
    with pytest.raises(CameraError) as caught:
        await look(camera)
    assert caught.value.state is CameraState.CLOSED
    assert camera.connections <= 5


async def test_over_udp_where_tcp_is_refused() -> None:
    assert (await look(FakeCamera(transports={"udp"}))).transport is Transport.UDP


async def test_over_udp_where_nothing_comes_over_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SILENCE_TIMEOUT", 1.0)
    assert (await look(FakeCamera(silent={"tcp"}))).transport is Transport.UDP


async def test_sound_that_cannot_be_played() -> None:
    qcelp = FakeTrack("m=audio 0 RTP/AVP 97\na=rtpmap:97 QCELP/8000\n", [], control="a")
    result = await look(FakeCamera([h264_track(), qcelp]))
    [problem] = result.problems
    assert problem.startswith("audio: QCELP")
    assert result.tracks[1].packets == 0


async def test_b_frames() -> None:
    units = encode(20, options="bframes=2:b-adapt=0", profile="main")
    result = await look(FakeCamera([h264_track(units)]))
    assert any("B-frames" in problem for problem in result.problems)


@pytest.mark.parametrize(
    ("make", "interval", "size"),
    [
        (lambda: h265_track(pictures("libx265", 45, options=X265)), 0.4, (320, 240)),
        (lambda: vpx_track("VP8", pictures("libvpx", 45, options="deadline=realtime cpu-used=8")), 0.4, (0, 0)),
        (lambda: jpeg_track([Image.encode().whole]), 0.04, (0, 0)),
    ],
)
async def test_every_codec_has_a_rate_and_keyframes(
    make: Callable[[], FakeTrack], interval: float, size: tuple[int, int]
) -> None:
    result = await look(FakeCamera([make()], interval=0.01))
    [track] = result.tracks
    assert track.keyframe_interval == pytest.approx(interval, rel=0.3)
    assert track.frame_rate == pytest.approx(25, rel=0.01)
    assert (track.width, track.height) == size
    assert not any("keyframe" in problem for problem in result.problems)


async def test_few_keyframes() -> None:
    result = await look(FakeCamera([h264_track(encode(150, gop=150))], interval=0.002))
    assert result.tracks[0].keyframe_interval == 6.0
    assert any("every 6.0 s" in problem for problem in result.problems)


@pytest.mark.thorough
async def test_one_keyframe() -> None:
    units = encode(300, gop=300)
    result = await look(FakeCamera([h264_track(units)]), 0.4)
    assert result.tracks[0].keyframe_interval is None
    assert any("no second keyframe" in problem for problem in result.problems)


async def test_no_keyframe() -> None:
    result = await look(FakeCamera([h264_track(encode()[1:9])]), 0.4)
    assert any("no keyframe" in problem for problem in result.problems)


async def test_loss() -> None:
    camera = FakeCamera(mangle=lambda packet: [packet] if packet[3] != 20 else [])
    result = await look(camera)
    assert result.tracks[0].lost >= 1
    assert any("packets were lost" in problem for problem in result.problems)


async def test_sender_reports_that_are_nonsense() -> None:
    camera = FakeCamera(reports=True, wrap=lambda frame: frame[:12] + bytes(8) + frame[20:] if frame[1] % 2 else frame)
    result = await look(camera)
    assert any("sender reports" in problem for problem in result.problems)


@pytest.mark.parametrize(
    ("url", "state"),
    [("rtsp://camera.invalid/", CameraState.HOST_UNKNOWN), ("rtsp:///", CameraState.INVALID_URL),
     ("rtsp://127.0.0.1:1/", CameraState.CONNECTION_REFUSED)],
)  # fmt: skip
async def test_no_camera(url: str, state: CameraState) -> None:
    with pytest.raises(CameraError) as caught:
        await probe(CameraSpec("x", url))
    assert caught.value.state is state


async def test_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SILENCE_TIMEOUT", 0.3)
    monkeypatch.setattr(silence, "FIRST_PACKET_TIMEOUT", 0.3)
    with pytest.raises(CameraError) as caught:
        await look(FakeCamera(silent={"tcp", "udp"}))
    assert caught.value.state is CameraState.SILENT


async def test_a_camera_that_goes_away_meanwhile() -> None:
    camera = FakeCamera()
    async with camera:
        count = 0

        def mangle(packet: bytes) -> list[bytes]:
            nonlocal count
            count += 1
            if count == 10:
                camera.drop()
            return [packet]

        camera.mangle = mangle
        with pytest.raises(CameraError) as caught:
            await probe(CameraSpec("x", camera.url))
    assert caught.value.state is CameraState.CLOSED
