"""Cameras whose tracks have to be converted: their state, and what their viewers get meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from broker.director.commands import CameraChanged, SessionEnded
from common.cameras import CameraState
from common.control import Convert, Move
from common.media import Kind, Track
from tests.fakes.stage import Stage, camera, sent, stream, viewer
from tests.fakes.stage_converting import AAC, B_FRAMES, H265, JPEG, PICTURE, SOUND, offered, stage, watch


def announced(made: Stage) -> tuple[CameraState, str]:
    status = made.director.camera("door")
    assert status is not None
    return status.state, status.detail


def test_a_camera_is_green_only_if_its_picture_can_be_shown() -> None:
    made = stage(JPEG, transcoders=0)
    state, detail = announced(made)
    assert state is CameraState.NO_PICTURE
    assert detail == "browsers do not play Motion JPEG, and no transcode worker is running to convert it"
    [change] = [command for command in made.transcode("tc-1") if isinstance(command, CameraChanged)]
    assert change.state is CameraState.PLAYING
    [change] = [command for command in made.leave("tc-1") if isinstance(command, CameraChanged)]
    assert change.state is CameraState.NO_PICTURE


def test_h265_is_for_all_browsers_only_where_it_is_converted_or_comes_otherwise() -> None:
    made = stage(H265, transcoders=0)
    assert announced(made) == (CameraState.PLAYING, "")
    assert not made.director.camera("door").for_all
    [change] = [command for command in made.transcode("tc-1") if isinstance(command, CameraChanged)]
    assert (change.video, change.for_all) == ("H265", True)
    [change] = [command for command in made.leave("tc-1") if isinstance(command, CameraChanged)]
    assert not change.for_all
    for plays in (Track(Kind.VIDEO, "H264", 90_000), AAC):
        made.ingest("in-1", stream(tracks=(plays,)))
        assert made.director.camera("door").for_all, "there is nothing else to take"


@pytest.mark.parametrize(
    ("fields", "for_all"),
    [
        ({"tracks": (Track(Kind.VIDEO, "H264", 90_000),)}, True),
        ({"tracks": (H265,)}, False),
        ({"tracks": (), "state": CameraState.CONNECTING}, True),
        ({"tracks": (), "state": CameraState.UNREACHABLE}, False),
    ],
)
def test_a_sub_stream_may_be_what_all_browsers_take(fields: dict[str, Any], for_all: bool) -> None:
    made = Stage(camera(), camera("door/sub"))
    made.ingest("in-1", stream(tracks=(H265,)), stream("door/sub", **fields))
    assert made.director.camera("door").for_all is for_all


def test_a_camera_of_which_nothing_can_be_made_is_not_green_until_something_is() -> None:
    made, damaged = stage(JPEG), "its picture cannot be decoded"
    watch(made, PICTURE)
    for problem, wanted in ((None, ""), (damaged, damaged), (None, damaged), ("", "")):
        made.transcode("tc-1", PICTURE, problem=problem)
        assert announced(made) == (CameraState.NO_PICTURE if wanted else CameraState.PLAYING, wanted)
    made.transcode("tc-1", PICTURE, problem=damaged)
    made.ingest("in-1", stream(tracks=(H265,)))
    assert announced(made) == (CameraState.PLAYING, ""), "it sends something else now"


def test_sound_of_which_nothing_can_be_made_is_named_beside_a_picture_that_plays() -> None:
    made = stage(Track(Kind.VIDEO, "H264", 90_000), AAC)
    watch(made, "door", SOUND)
    made.transcode("tc-1", SOUND, problem="its sound cannot be decoded")
    assert announced(made) == (CameraState.PLAYING, "its sound cannot be decoded")


def test_where_nothing_is_converted_it_is_said_that_there_is_no_sound() -> None:
    picture = Track(Kind.VIDEO, "H264", 90_000)
    silent = stage(picture, AAC, transcoders=0).director.camera("door")
    assert silent.sound == "The sound is not heard: browsers do not play AAC, and no transcode worker is running."
    assert silent.state is CameraState.PLAYING
    unknown = Track(Kind.AUDIO, "DVI4", 8_000, problem="ADPCM (DVI4) cannot be played")
    assert (
        stage(picture, unknown).director.camera("door").sound
        == "The sound is not heard: ADPCM (DVI4) cannot be played."
    )
    assert stage(picture, AAC).director.camera("door").sound == ""


def test_a_picture_waits_for_room_and_sound_alone_does() -> None:
    full = stage(H265)
    full.transcode("tc-1", full=True)
    assert offered(full).convertible == (Kind.AUDIO,), "no picture is promised"
    full = stage(AAC)
    full.transcode("tc-1", full=True)
    assert (offered(full).convertible, offered(full, "t").unconverted) == ((), "every transcode worker is full")


def test_a_picture_that_browsers_show_badly_is_shown_all_the_same() -> None:
    state, detail = announced(stage(B_FRAMES, transcoders=0))
    assert state is CameraState.PLAYING
    assert detail.startswith("it has B-frames")
    assert announced(stage(B_FRAMES)) == (CameraState.PLAYING, "")


def test_who_gets_a_stream_that_turns_out_to_need_conversion_goes_on_with_that() -> None:
    made = stage(Track(Kind.VIDEO, "H264", 90_000))
    watch(made, "door", session="raw")
    watch(made, PICTURE, session="converted")
    commands = made.ingest("in-1", stream(tracks=(B_FRAMES,)))
    both = (Kind.VIDEO, Kind.AUDIO)
    assert [m for _, m in sent(commands) if isinstance(m, Move)] == [Move("raw", "door", (B_FRAMES,), both)]
    assert not [c for c in commands if isinstance(c, SessionEnded)]
    assert not [m for _, m in sent(made.ingest("in-1", stream(tracks=(B_FRAMES,)))) if isinstance(m, Move)]


def test_who_came_before_the_camera_was_known_gets_it_converted_where_its_codec_alone_would_do() -> None:
    made = Stage(camera())
    made.egress("out-1")
    made.transcode("tc-1")
    watch(made, "door", session="first")
    commands = made.ingest("in-1", stream(tracks=(B_FRAMES,)))
    assert [(m.session, m.tracks) for _, m in sent(commands) if isinstance(m, Move)] == [("first", (B_FRAMES,))]


def moves(commands: list[Any]) -> list[tuple[str, tuple[Kind, ...]]]:
    """The sessions that are moved, and what of it may be converted."""
    return [(m.session, m.convertible) for _, m in sent(commands) if isinstance(m, Move)]


def test_where_no_converter_has_room_for_that_it_keeps_what_there_is_until_one_has() -> None:
    made = stage(Track(Kind.VIDEO, "H264", 90_000), transcoders=0)
    made.transcode("tc-1", full=True)
    watch(made, "door", session="raw")
    commands = made.ingest("in-1", stream(tracks=(B_FRAMES,)))
    assert moves(commands) == [("raw", (Kind.AUDIO,))]
    assert not [c for c in commands if isinstance(c, SessionEnded)]
    made.egress("out-1", viewer("raw"), subscribed=("door",))
    assert moves(made.transcode("tc-1", full=True)) == []
    assert moves(made.transcode("tc-1")) == [("raw", (Kind.VIDEO, Kind.AUDIO))]
    assert moves(made.transcode("tc-1")) == [], "once"


def test_the_picture_of_the_first_viewer_passes_where_only_the_sound_has_to_be_converted_and_none_has_room() -> None:
    made = Stage(camera())
    made.egress("out-1")
    made.transcode("tc-1", full=True)
    watch(made, "door", session="first")
    commands = made.ingest("in-1", stream(tracks=(H265, AAC)))
    assert moves(commands) == [("first", (Kind.AUDIO,))], "the sound comes when there is room"
    assert not [c for c in commands if isinstance(c, SessionEnded)]
    made.egress("out-1", subscribed=("door", SOUND))
    assert made.director.camera("door").sound.startswith("The sound is not heard yet")
    assert sent(made.transcode("tc-1"))[0] == ("tc-1", Convert(SOUND, AAC))
    assert made.director.camera("door").sound == ""


def test_without_a_converter_a_viewer_keeps_what_there_is() -> None:
    made = stage(Track(Kind.VIDEO, "H264", 90_000), transcoders=0)
    watch(made, "door")
    assert not [c for c in made.ingest("in-1", stream(tracks=(B_FRAMES,))) if isinstance(c, SessionEnded)]
