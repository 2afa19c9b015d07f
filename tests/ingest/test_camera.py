"""A camera's task: its states, what it logs, how often it tries, and what it reports."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import structlog

from common.cameras import CameraSpec, CameraState, Transport
from common.errors import CameraError
from common.media import Kind, first_epoch
from ingest import camera as camera_module
from ingest.payload import keyframes
from ingest.probe import probe
from ingest.retry import Attempts
from ingest.rtsp import silence
from ingest.rtsp.message import Headers, Request, Response
from rigs.camera import Answer, FakeCamera, FakeTrack, h264_track, opus_track, pcmu_track
from rigs.video import Packet, encode
from tests.fakes.viewer import Pulled


@pytest.fixture
def log() -> Iterator[list[dict[str, object]]]:
    """The log, as structured events."""
    with structlog.testing.capture_logs() as events:
        yield events  # type: ignore[misc]  # mutable mappings


async def test_report_while_playing() -> None:
    before = time.time()
    async with FakeCamera([h264_track(), opus_track()]) as fake, Pulled(fake.url, revision=3) as pulled:
        assert pulled.camera.report.state is CameraState.CONNECTING
        await pulled.watch(15)
        report = pulled.camera.report
    assert (report.camera, report.revision, report.state) == ("door", 3, CameraState.PLAYING)
    assert (report.transport, report.reconnects, report.last_error, report.retry_at) == ("tcp", 0, "", None)
    assert before <= report.since <= time.time()
    assert [(track.kind, track.codec, track.playable) for track in report.tracks] == [
        (Kind.VIDEO, "H264", True),
        (Kind.AUDIO, "opus", True),
    ]
    video, audio = report.stats
    assert video.frames >= 15
    assert video.keyframes >= 2
    assert video.packets > 15
    assert video.bytes > 15 * 1_000
    assert audio.packets > 10
    assert report.detail == ""


async def test_report_before_the_first_keyframe() -> None:
    fake = FakeCamera([h264_track(encode()[1:9])])
    async with fake, Pulled(fake.url) as pulled:
        report = await pulled.reached(CameraState.PLAYING)
        assert report.detail == "waiting for its first keyframe"
        assert report.stats[0].keyframes == 0


async def test_a_picture_whose_keyframe_takes_long_plays_and_one_whose_never_comes_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keyframes, "NO_KEYFRAME_NS", 0)
    async with FakeCamera([h264_track(encode()[1:9])]) as fake, Pulled(fake.url) as pulled:
        report = await pulled.reached(CameraState.PLAYING)
        assert "set a keyframe interval" in report.detail
        monkeypatch.setattr(keyframes, "NEVER_NS", 0)
        assert pulled.camera.report.state is CameraState.NO_PICTURE
        assert "set a keyframe interval" in pulled.camera.report.detail


async def test_report_of_a_picture_that_no_browser_decodes() -> None:
    units = encode(12, profile="high10", pixels="yuv420p10le")
    async with FakeCamera([h264_track(units)]) as fake, Pulled(fake.url) as pulled:
        await pulled.watch(5)
        assert pulled.state is CameraState.PLAYING
        assert "High 10" in pulled.camera.report.tracks[0].convert


async def test_report_while_away_keeps_what_was_known() -> None:
    async with FakeCamera([h264_track(), pcmu_track()]) as fake, Pulled(fake.url) as pulled:
        await pulled.watch(15)
        fake.drop()
        report = await pulled.reached(CameraState.CLOSED)
    assert [track.codec for track in report.tracks] == ["H264", "PCMU"]
    assert report.stats[0].packets > 15
    assert report.retry_at is not None
    assert report.retry_at > time.time() - 5
    assert report.last_error.startswith("The camera closed the connection")
    assert pulled.forgotten == 1


async def test_last_error_is_kept_while_playing_again() -> None:
    async with FakeCamera() as fake, Pulled(fake.url) as pulled:
        await pulled.watch(5)
        fake.drop()
        await pulled.until(lambda: pulled.camera.report.reconnects == 1)
        report = pulled.camera.report
    assert (report.state, report.retry_at) == (CameraState.PLAYING, None)
    assert "closed" in report.last_error


async def test_unplayable_tracks_are_reported_with_the_reason() -> None:
    qcelp = FakeTrack("m=audio 0 RTP/AVP 97\na=rtpmap:97 QCELP/8000\n", [], control="a")
    async with FakeCamera([h264_track(), qcelp]) as fake, Pulled(fake.url) as pulled:
        await pulled.watch(5)
        report = pulled.camera.report
    assert [(track.codec, track.playable) for track in report.tracks] == [("H264", True), ("QCELP", False)]
    assert "QCELP" in report.tracks[1].problem
    assert len(report.stats) == 1


async def test_a_track_that_the_camera_refuses_is_reported_with_the_reason() -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        return Response(453, "Not Enough Bandwidth") if request.url.endswith("trackID=2") else response

    async with FakeCamera([h264_track(), pcmu_track()], rewrite=rewrite) as fake, Pulled(fake.url) as pulled:
        await pulled.watch(5)
        assert "453" in pulled.camera.report.tracks[1].problem


async def test_sound_alone_plays() -> None:
    h266 = FakeTrack("m=video 0 RTP/AVP 96\na=rtpmap:96 H266/90000\n", [], control="v")
    async with FakeCamera([h266, pcmu_track()]) as fake, Pulled(fake.url) as pulled:
        await pulled.until(lambda: len(pulled.of("audio")) > 10)
        report = pulled.camera.report
    assert report.state is CameraState.PLAYING
    assert report.detail == f"video: {report.tracks[0].problem}"
    assert "H.266" in report.detail
    assert [(track.codec, track.playable) for track in report.tracks] == [("H266", False), ("PCMU", True)]


async def test_nothing_playable() -> None:
    h266 = FakeTrack(
        "m=video 0 RTP/AVP 96\na=rtpmap:96 H266/90000\n", [[Packet(b"\x02\x01slice", 0, True)]], control="v"
    )
    async with FakeCamera([h266]) as fake, Pulled(fake.url) as pulled:
        report = await pulled.reached(CameraState.NO_PLAYABLE_TRACK)
    assert "H.266" in report.detail
    assert "H.264" in report.last_error


async def test_a_camera_that_comes_back_as_something_else_is_reported_as_that() -> None:
    h266 = FakeTrack("m=video 0 RTP/AVP 96\na=rtpmap:96 H266/90000\n", [], control="v")
    async with FakeCamera([h264_track(), pcmu_track()]) as fake, Pulled(fake.url) as pulled:
        await pulled.watch(5)
        fake.tracks[:] = [h266]
        fake.drop()
        report = await pulled.reached(CameraState.NO_PLAYABLE_TRACK)
    assert [(track.codec, track.playable) for track in report.tracks] == [("H266", False)]
    assert report.stats == ()


async def test_what_is_said_of_a_failure_is_cut_after_the_password_was_taken_out() -> None:
    said = "x" * (camera_module.MAX_SHOWN - 20) + " rtsp://user:hunter2hunter2@camera/"
    async with FakeCamera() as fake, Pulled(fake.url) as pulled:
        await pulled.watch(1)
        pulled.camera._failed(CameraError(CameraState.REJECTED, said + "y" * 10_000))
        report = pulled.camera.report
        assert "hunter" not in report.detail + report.last_error
        assert max(len(report.detail), len(report.last_error)) <= camera_module.MAX_SHOWN


@pytest.mark.parametrize(
    ("url", "state"),
    [
        ("rtsp://user:hunter2@camera.invalid/live", CameraState.HOST_UNKNOWN),
        ("rtsp://user:hunter2@127.0.0.1:1/live", CameraState.CONNECTION_REFUSED),
        ("rtsp://user:hunter2@/live", CameraState.INVALID_URL),
    ],
)
async def test_failures_are_told_without_the_password(
    url: str, state: CameraState, log: list[dict[str, object]]
) -> None:
    async with Pulled(url) as pulled:
        report = await pulled.reached(state)
    assert report.last_error.startswith(state.sentence)
    assert "hunter2" not in repr(report) + repr(log) + repr(pulled.camera.spec)


async def test_a_failure_is_logged_once(log: list[dict[str, object]]) -> None:
    async with FakeCamera() as fake:
        url = fake.url
    async with Pulled(url) as pulled:
        for _ in range(3):
            await pulled.until(lambda: pulled.camera.report.retry_at is not None)
            await pulled.until(lambda before=pulled.camera.report.retry_at: pulled.camera.report.retry_at != before)
    failures = [(event["log_level"], event["state"]) for event in log if event["event"] == "not playing"]
    assert failures[0] == ("warning", CameraState.CONNECTION_REFUSED)
    assert len(failures) >= 3
    assert all(level == "debug" for level, _ in failures[1:])
    assert all(event["camera"] == "door" for event in log)


async def test_a_failure_after_playing_is_news(log: list[dict[str, object]]) -> None:
    async with FakeCamera() as fake, Pulled(fake.url) as pulled:
        for times in range(2):
            await pulled.until(
                lambda times=times: pulled.camera.report.reconnects == times and pulled.state is CameraState.PLAYING
            )
            fake.drop()
            await pulled.reached(CameraState.CLOSED)
    levels = [event["log_level"] for event in log if event["event"] == "not playing"]
    assert levels == ["warning", "warning"]


@pytest.mark.parametrize(("transport", "works"), [(Transport.AUTO, "tcp"), (Transport.UDP, "udp")])
async def test_no_media_says_more_than_a_transport_that_is_refused(
    transport: Transport, works: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "SILENCE_TIMEOUT", 0.3)
    monkeypatch.setattr(silence, "FIRST_PACKET_TIMEOUT", 0.3)
    async with FakeCamera(transports={works}, silent={works}) as fake:
        async with Pulled(fake.url, transport=transport) as pulled:
            await pulled.until(lambda: pulled.camera.report.retry_at is not None)
            assert pulled.state is CameraState.SILENT
            assert works.upper() in pulled.camera.report.detail
        with pytest.raises(CameraError) as caught:
            await probe(CameraSpec("x", fake.url, transport=transport))
        assert caught.value.state is CameraState.SILENT


async def test_state_does_not_flicker_while_retrying() -> None:
    async with FakeCamera() as fake:
        url = fake.url
    async with Pulled(url) as pulled:
        first = await pulled.reached(CameraState.CONNECTION_REFUSED)
        for _ in range(2):
            await pulled.until(lambda before=pulled.camera.report.retry_at: pulled.camera.report.retry_at != before)
            assert pulled.camera.report.state is CameraState.CONNECTION_REFUSED
        assert pulled.camera.report.since == first.since


async def test_an_error_of_our_own_is_logged_and_retried(
    log: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(camera_module, "connected", broken)
        async with FakeCamera() as fake, Pulled(fake.url) as pulled:
            report = await pulled.reached(CameraState.MALFORMED)
            assert "Camshaft itself failed" in report.detail
            patch.undo()
            await pulled.watch(5)
    assert [event["log_level"] for event in log if event["event"] == "unexpected error"] == ["error"]


# Pace.


async def test_a_session_that_lasted_settles_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    paces: list[str] = []

    class Counted(Attempts):
        def settled(self) -> None:
            paces.append("settled")
            super().settled()

    async def one_session(settled_after: float) -> None:
        monkeypatch.setattr(camera_module, "SETTLED_AFTER", settled_after)
        async with FakeCamera() as fake, Pulled(fake.url) as pulled:
            pulled.camera._attempts = Counted(lambda: 1.0)
            await pulled.watch(5)
            fake.drop()
            await pulled.reached(CameraState.CLOSED)

    await one_session(60.0)
    assert paces == []
    await one_session(0.0)
    assert paces == ["settled"]


async def test_every_session_has_a_later_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_module.time, "time_ns", lambda: 5_000_000)  # a clock that stands still
    async with FakeCamera() as fake, Pulled(fake.url, transport=Transport.TCP) as pulled:
        for times in range(3):
            await pulled.until(lambda times=times: len({batch.epoch for batch in pulled.batches}) == times + 1)
            fake.drop()
            await pulled.reached(CameraState.CLOSED)
    assert sorted({batch.epoch for batch in pulled.batches}) == [first_epoch(5) + n for n in range(3)]


async def test_redirects_are_counted_and_logged_once(log: list[dict[str, object]]) -> None:
    async with FakeCamera() as there:

        def rewrite(request: Request, response: Response) -> Answer:
            return Response(302, "Moved", Headers([("Location", there.url)]))

        async with FakeCamera(rewrite=rewrite) as here, Pulled(here.url) as pulled:
            await pulled.watch(3)
            there.drop()
            await pulled.until(lambda: pulled.camera.report.reconnects == 1)
            assert pulled.camera.counters["redirects"] == 2
    assert [event["to"] for event in log if event["event"] == "redirected" and event["log_level"] == "info"] == [
        there.url
    ]


async def test_a_redirect_into_the_machine_is_refused_and_counted(log: list[dict[str, object]]) -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        return Response(302, "Moved", Headers([("Location", "rtsp://169.254.169.254/")]))

    async with FakeCamera(rewrite=rewrite) as here, Pulled(here.url) as pulled:
        report = await pulled.reached(CameraState.REJECTED)
        assert pulled.camera.counters["redirects_refused"] == 1
    assert "169.254.169.254" in report.detail
    assert any(event["event"] == "not playing" for event in log)


async def test_what_is_said_of_a_failure_is_short() -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        return Response(302, "Moved", Headers([("Location", f"rtsp://169.254.169.254:{'9' * 9_000}/")]))

    async with FakeCamera(rewrite=rewrite) as here, Pulled(here.url) as pulled:
        report = await pulled.reached(CameraState.REJECTED)
    assert len(report.last_error) < 1_000
