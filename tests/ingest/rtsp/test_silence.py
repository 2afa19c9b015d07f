"""Sessions of which nothing comes, or nothing any more."""

from __future__ import annotations

from contextlib import suppress

import pytest

from common.cameras import CameraState
from common.errors import CameraError
from ingest.rtsp import silence
from ingest.rtsp.media import SessionMedia
from ingest.rtsp.silence import BRISK_ONES, MOST_PATIENCE, NoMediaError, Pace, Silence
from ingest.rtsp.url import RtspUrl
from rigs.camera import FakeCamera, h264_track, pcmu_track
from rigs.reading import Reading
from tests.fakes.viewer import Viewer, error_of, playing


@pytest.mark.parametrize("udp", [False, True])
async def test_no_media_at_all(udp: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "FIRST_PACKET_TIMEOUT" if udp else "SILENCE_TIMEOUT", 0.3)
    async with FakeCamera(silent={"tcp", "udp"}) as camera:
        error = await error_of(camera, udp=udp)
    assert isinstance(error, NoMediaError)
    assert error.state is CameraState.SILENT
    assert ("UDP" if udp else "TCP") in error.detail


@pytest.mark.parametrize("udp", [False, True])
async def test_media_that_stops(udp: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SILENCE_TIMEOUT", 0.5)
    viewer = Viewer()
    async with FakeCamera() as camera, playing(camera, viewer, udp=udp) as connection:
        await viewer.watch(5)
        camera.silent = {"tcp", "udp"}
        with pytest.raises(CameraError) as caught:
            await connection.ended()
    assert caught.value.state is CameraState.SILENT
    assert not isinstance(caught.value, NoMediaError)


async def test_picture_that_stops_while_the_sound_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SILENCE_TIMEOUT", 0.5)
    viewer = Viewer()
    async with FakeCamera([h264_track(), pcmu_track()]) as camera, playing(camera, viewer) as connection:
        await viewer.watch(5)
        camera.mangle = lambda packet: [packet] if packet[1] & 0x7F == 0 else []
        with pytest.raises(CameraError, match="sound goes on"):
            await connection.ended()


async def test_of_a_cut_line_nobody_says_that_sound_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SILENCE_TIMEOUT", 0.5)
    monkeypatch.setattr(silence, "GOES_ON", 0.2)
    viewer = Viewer()
    async with FakeCamera([h264_track(), pcmu_track()]) as camera, playing(camera, viewer) as connection:
        await viewer.watch(5)
        camera.silent = {"tcp", "udp"}
        with pytest.raises(CameraError) as caught:
            await connection.ended()
    assert caught.value.state is CameraState.SILENT
    assert "sound" not in caught.value.detail


async def test_sound_that_stops_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SILENCE_TIMEOUT", 1.0)
    viewer = Viewer()
    async with FakeCamera([h264_track(), pcmu_track()]) as camera:
        camera.mangle = lambda packet: [packet] if packet[1] & 0x7F else []
        async with playing(camera, viewer):
            await viewer.watch(400)


class Session:
    """One whose packets a test counts, on a clock of its own."""

    def __init__(self, pace: Pace | None = None) -> None:
        self.media = SessionMedia(RtspUrl.parse("rtsp://127.0.0.1/"), udp=False, epoch=1)
        self.media.stream = Reading().stream
        self.silence = Silence(self.media, pace)
        self.now = 1_000.0
        self.silence.begin(self.now)

    def pass_(self, seconds: float, *, packets: int = 0) -> None:
        self.media.stream.receivers[0].packets += packets
        self.now += seconds
        self.silence.check(self.now)

    def picture(self, seconds: float) -> None:
        """Another one comes when that has passed."""
        for _ in range(int(seconds * 4) - 1):
            self.pass_(0.25)
        self.media.stream.receivers[0].unpacking.raw += 90
        self.pass_(0.25, packets=1)

    def wait(self, step: float = 0.25) -> None:
        """Until it is given up."""
        with suppress(CameraError):
            for _ in range(30 * MOST_PATIENCE):
                self.pass_(step)
            pytest.fail("it was not given up")


@pytest.mark.parametrize("packets", [0, 7])
def test_time_in_which_this_process_stood_still_is_not_the_cameras(packets: int) -> None:
    session = Session()
    session.pass_(0.25, packets=packets)
    session.pass_(60.0)
    session.pass_(0.25, packets=5)  # what came meanwhile was read
    session.pass_(60.0)
    session.wait()
    assert session.now >= 1_000 + 120 + silence.SILENCE_TIMEOUT


def test_silence_of_a_camera_ends_its_session_on_time() -> None:
    session = Session()
    session.pass_(0.25, packets=1)
    session.wait()
    assert session.now == 1_000.25 + silence.SILENCE_TIMEOUT


def test_a_process_that_is_always_late_still_gives_up() -> None:
    session = Session()
    session.pass_(0.25, packets=1)
    session.wait(2.0)
    assert session.now <= 1_000 + 3 * silence.SILENCE_TIMEOUT


@pytest.mark.parametrize("interval", [5.0, 7.0, 15.0, 30.0])
def test_a_camera_of_few_pictures_is_given_the_time_that_it_needs(interval: float) -> None:
    pace, sessions = Pace(), 0
    while True:
        sessions += 1
        session = Session(pace)
        session.picture(0.25)
        try:
            for _ in range(20):
                session.picture(interval)
        except CameraError:
            continue
        break
    assert sessions <= 4


def test_a_camera_that_had_pictures_in_a_row_is_given_no_more() -> None:
    pace = Pace(patience=MOST_PATIENCE)
    session = Session(pace)
    session.picture(0.25)
    for _ in range(BRISK_ONES):
        session.picture(1.0)
    session.wait()
    assert session.now == 1_000.25 + BRISK_ONES + silence.SILENCE_TIMEOUT
    assert pace.patience == 1


def test_a_picture_at_play_shortly_before_the_regular_one_unlearns_nothing() -> None:
    pace = Pace(patience=4)
    session = Session(pace)
    session.picture(0.25)
    session.picture(2.0)
    session.wait()
    assert session.now == 1_002.25 + 4 * silence.SILENCE_TIMEOUT
    assert pace.patience == MOST_PATIENCE


def test_who_has_sent_pictures_is_waited_for_where_none_has_come_yet() -> None:
    """A camera of few pictures that sends none at PLAY; one that never sent any is gone."""
    for pace, patience in ((Pace(), 1), (Pace(pictured=True), 2)):
        Session(pace).wait()
        assert pace.patience == patience


async def test_goodbye_ends_the_session_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "GOODBYE_TIMEOUT", 0.1)
    viewer = Viewer()
    async with FakeCamera() as camera, playing(camera, viewer) as connection:
        await viewer.watch(5)
        camera.goodbye = True
        with pytest.raises(CameraError, match="goodbye"):
            await connection.ended()
