"""The states and tracks of cameras, as reports tell them and people see them."""

from broker.director.commands import CameraChanged, RememberTracks
from common.cameras import CameraState
from common.media import Kind, Track
from tests.fakes.stage import H264, Stage, camera, of, stream


def test_changes_of_state_are_announced_once() -> None:
    stage = Stage(camera("door"))
    assert of(CameraChanged, stage.ingest("in-1")) == [CameraChanged("door", CameraState.CONNECTING, "")]
    down = stream("door", state=CameraState.UNREACHABLE, detail="timed out", tracks=())
    expected = CameraChanged("door", CameraState.UNREACHABLE, "timed out")
    assert of(CameraChanged, stage.ingest("in-1", down)) == [expected]
    assert of(CameraChanged, stage.ingest("in-1", down)) == []
    playing = CameraChanged("door", CameraState.PLAYING, "", "H264")
    assert of(CameraChanged, stage.ingest("in-1", stream("door"))) == [playing]


def test_a_camera_whose_picture_cannot_be_played_is_not_playing() -> None:
    stage = Stage(camera("door"))
    sound = Track(Kind.AUDIO, "PCMU", 8_000)
    tracks = (Track(Kind.VIDEO, "H265", 90_000, problem="H265 cannot be forwarded yet"), sound)
    commands = stage.ingest("in-1", stream("door", tracks=tracks))
    expected = CameraChanged("door", CameraState.NO_PICTURE, "H265 cannot be forwarded yet", "H265")
    assert of(CameraChanged, commands) == [expected]
    assert stage.state_of() is CameraState.NO_PICTURE
    commands = stage.ingest("in-1", stream("door", tracks=(sound,)))  # a camera need not have a picture
    assert of(CameraChanged, commands) == [CameraChanged("door", CameraState.PLAYING, "")]


def test_a_camera_that_disappears_from_the_report_is_connecting_again() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1", stream("door"))
    assert of(CameraChanged, stage.ingest("in-1")) == [CameraChanged("door", CameraState.CONNECTING, "", "H264")]


def test_tracks_are_remembered_once_and_outlive_the_connection() -> None:
    stage = Stage(camera("door"))
    assert of(RememberTracks, stage.ingest("in-1", stream("door"))) == [RememberTracks("door", (H264,))]
    down = stream("door", state=CameraState.SILENT, tracks=())
    assert of(RememberTracks, stage.ingest("in-1", down)) == []
    assert of(RememberTracks, stage.ingest("in-1", stream("door"))) == []
    assert stage.director.camera("door").tracks == (H264,)


def test_tracks_of_an_old_revision_are_not_remembered() -> None:
    stage = Stage(camera("door", revision=2))
    assert of(RememberTracks, stage.ingest("in-1", stream("door", revision=1))) == []


def test_tracks_are_forgotten_when_the_address_changes() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1", stream("door"))
    stage.want(camera("door", revision=2, keep_after=5.0))
    assert stage.director.camera("door").tracks == (H264,)
    stage.want(camera("door", revision=3, url="rtsp://other/"))
    assert stage.director.camera("door").tracks == ()


def test_status_of_an_unknown_camera() -> None:
    assert Stage().director.camera("door") is None
