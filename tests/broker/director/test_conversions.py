"""Conversions that viewers were promised: each is made once, by one worker, while somebody is subscribed to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from broker.director.conversions import FRUITLESS_FOR, HANDED_OVER_AFTER
from broker.director.events import CameraChanged, SessionEnded
from common.cameras import CameraState
from common.control import Answered, Convert, EndConversion, Load, Made, Move, Offer, Report, Role
from common.demand import Demand
from common.media import Kind, Rendition, Track
from tests.fakes.stage import Stage, camera, sent, stream, viewer

H265 = Track(Kind.VIDEO, "H265", 90_000)
JPEG = Track(Kind.VIDEO, "JPEG", 90_000, convert="browsers do not take Motion JPEG")
B_FRAMES = Track(Kind.VIDEO, "H264", 90_000, convert="it has B-frames, which browsers show in the wrong order")
AAC = Track(Kind.AUDIO, "AAC", 16_000, convert="browsers do not take AAC")
PICTURE, SOUND = "door/h264", "door/opus"


def stage(*tracks: Track, transcoders: int = 1) -> Stage:
    made = Stage(camera())
    made.ingest("in-1", stream(tracks=tracks or (H265, AAC)))
    made.egress("out-1")
    for number in range(transcoders):
        made.transcode(f"tc-{number + 1}")
    return made


def offered(made: Stage, session: str = "s") -> Offer:
    [offer] = [message for _, message in sent(made.offer(session)) if isinstance(message, Offer)]
    return offer


def watch(made: Stage, *renditions: str, session: str = "s", node: str = "out-1") -> list[tuple[str, object]]:
    offered(made, session)
    return sent(made.hear(node, Answered(session, "answer", renditions)))


def test_an_offer_says_what_may_be_promised() -> None:
    offer = offered(stage())
    assert (offer.convertible, offer.unconverted) == ((Kind.VIDEO, Kind.AUDIO), "")
    assert offer.tracks == (H265, AAC)


def test_without_a_transcode_worker_nothing_may_be_promised() -> None:
    offer = offered(stage(transcoders=0))
    assert (offer.convertible, offer.unconverted) == ((), "no transcode worker runs")


def test_what_is_promised_is_begun_at_once_and_once() -> None:
    made = stage()
    assert watch(made, PICTURE, SOUND) == [("tc-1", Convert(PICTURE, H265)), ("tc-1", Convert(SOUND, AAC))]
    assert watch(made, PICTURE, SOUND, session="t") == []
    assert sent(made.egress("out-1", subscribed=("door", PICTURE, SOUND))) == []
    assert made.director.converter(Rendition(PICTURE)) == "tc-1"


def test_what_nothing_comes_of_is_said_and_not_promised_for_a_while() -> None:
    made = stage()
    watch(made, PICTURE)
    said = [each for each in made.transcode("tc-1", PICTURE, problem="it is noise") if isinstance(each, CameraChanged)]
    assert said == [CameraChanged("door", CameraState.NO_PICTURE, "it is noise", "H265")]
    offer = offered(made, "t")
    assert (offer.convertible, offer.unconverted) == ((Kind.AUDIO,), "it is noise")
    made.now += FRUITLESS_FOR + 1.0
    said = [each for each in made.ingest("in-1", stream(tracks=(H265, AAC))) if isinstance(each, CameraChanged)]
    assert [each.state for each in said] == [CameraState.PLAYING]
    assert offered(made, "u").convertible == (Kind.VIDEO, Kind.AUDIO)


def test_a_worker_that_does_not_make_it_has_no_say_in_that() -> None:
    made = stage(transcoders=2)
    watch(made, PICTURE)
    other = ({"tc-1", "tc-2"} - {made.director.converter(Rendition(PICTURE))}).pop()
    made.transcode(other, PICTURE, problem="send money")
    assert made.state_of() is CameraState.PLAYING
    assert Kind.VIDEO in offered(made, "t").convertible


def test_something_that_comes_of_it_after_all_ends_that() -> None:
    made = stage()
    watch(made, PICTURE)
    made.transcode("tc-1", PICTURE, problem="it is noise")
    made.transcode("tc-1", PICTURE, problem="")
    assert made.state_of() is CameraState.PLAYING
    assert Kind.VIDEO in offered(made, "t").convertible


def test_other_tracks_of_the_camera_are_tried_at_once() -> None:
    made = stage()
    watch(made, PICTURE)
    made.transcode("tc-1", PICTURE, problem="it is noise")
    made.ingest("in-1", stream(tracks=(JPEG,)))
    assert Kind.VIDEO in offered(made, "t").convertible


def test_what_a_viewer_gets_as_it_comes_is_not_converted() -> None:
    made = stage()
    assert watch(made, "door") == []
    assert sent(made.egress("out-1", subscribed=("door",))) == []


def test_it_ends_when_nobody_is_subscribed_any_more() -> None:
    made = stage()
    watch(made, PICTURE)
    made.egress("out-1", subscribed=(PICTURE,))
    made.egress("out-2", subscribed=(PICTURE,))
    assert sent(made.egress("out-1")) == []
    assert sent(made.egress("out-2")) == [("tc-1", EndConversion(PICTURE))]
    assert made.director.converter(Rendition(PICTURE)) is None


def test_it_ends_with_the_egress_that_wanted_it() -> None:
    made = stage()
    watch(made, PICTURE)
    made.egress("out-1", subscribed=(PICTURE,))
    assert ("tc-1", EndConversion(PICTURE)) in sent(made.leave("out-1"))


def test_a_command_that_was_lost_is_sent_again() -> None:
    made = stage()
    watch(made, PICTURE)
    made.egress("out-1", subscribed=(PICTURE,))
    assert sent(made.transcode("tc-1")) == [("tc-1", Convert(PICTURE, H265))]
    assert sent(made.transcode("tc-1", PICTURE)) == []
    made.egress("out-1")
    assert sent(made.transcode("tc-1", PICTURE)) == [("tc-1", EndConversion(PICTURE))]


def test_the_least_loaded_worker_gets_the_next_one() -> None:
    made = stage(transcoders=2)
    made.transcode("tc-1", cpu=0.5)
    assert watch(made, PICTURE) == [("tc-2", Convert(PICTURE, H265))]
    made.transcode("tc-1", cpu=0.0)
    assert watch(made, SOUND, session="t") == [("tc-1", Convert(SOUND, AAC))], "what was just given counts"


def test_a_full_worker_gets_nothing_new_and_keeps_what_it_has() -> None:
    made = stage()
    watch(made, PICTURE)
    made.egress("out-1", subscribed=(PICTURE,))
    made.transcode("tc-1", PICTURE, full=True)
    offer = offered(made, "t")
    assert (offer.convertible, offer.unconverted) == ((Kind.VIDEO, Kind.AUDIO), ""), "sound comes when there is room"
    assert watch(made, SOUND, session="u") == []
    assert made.director.camera("door").sound.startswith("The sound is not heard yet: every transcode worker is full")
    commands = made.transcode("tc-1", PICTURE)
    assert sent(commands) == [("tc-1", Convert(SOUND, AAC))], "as soon as there is room"
    assert [each.sound for each in commands if isinstance(each, CameraChanged)] == [""]


def test_a_full_worker_may_have_room_by_the_time_that_something_is_known_of_the_camera() -> None:
    made = Stage(camera())
    made.ingest("in-1")
    made.egress("out-1")
    made.transcode("tc-1", full=True)
    assert offered(made).convertible == (Kind.VIDEO, Kind.AUDIO), "its session can go on with that"
    made.hear("out-1", Answered("s", "answer", ("door",)))
    made.ingest("in-1", stream(tracks=(H265, AAC)))
    assert sent(made.egress("out-1", subscribed=("door", PICTURE))) == []
    assert sent(made.transcode("tc-1")) == [("tc-1", Convert(PICTURE, H265))]


def test_what_a_dead_worker_made_is_made_by_another() -> None:
    made = stage(transcoders=2)
    [(node, _)] = watch(made, PICTURE)
    made.egress("out-1", subscribed=(PICTURE,))
    other = "tc-2" if node == "tc-1" else "tc-1"
    assert sent(made.leave(node)) == [(other, Convert(PICTURE, H265))]


def test_without_another_worker_it_waits_for_one() -> None:
    made = stage()
    watch(made, PICTURE)
    made.egress("out-1", subscribed=(PICTURE,))
    made.leave("tc-1")
    assert sent(made.tick()) == []
    assert sent(made.transcode("tc-9")) == [("tc-9", Convert(PICTURE, H265))]


def test_a_conversion_follows_its_cameras_codec() -> None:
    made = stage()
    watch(made, PICTURE)
    made.egress("out-1", subscribed=(PICTURE,))
    made.ingest("in-1", stream(tracks=(JPEG,)))
    assert ("tc-1", Convert(PICTURE, JPEG)) in sent(made.tick())


def test_a_camera_that_was_never_seen_is_converted_once_it_plays() -> None:
    made = Stage(camera())
    made.egress("out-1")
    made.transcode("tc-1")
    assert watch(made, PICTURE) == []
    made.ingest("in-1", stream(tracks=(H265,)))
    assert ("tc-1", Convert(PICTURE, H265)) in sent(made.tick())


def test_a_new_broker_leaves_running_conversions_alone() -> None:
    made = Stage(camera(), started_now=True, tracks={"door": (H265,)})
    assert sent(made.transcode("tc-1", PICTURE)) == []
    assert [message for _, message in sent(made.egress("out-1", subscribed=(PICTURE,)))] == []
    assert made.director.converter(Rendition(PICTURE)) == "tc-1"
    assert ("tc-1", EndConversion(PICTURE)) not in sent(made.tick(10.0))


def test_names_that_no_converter_makes_are_ignored() -> None:
    made = stage()
    names = ("door/vp8", "door/", "yard/h264", "/h264", "door/h264/x", "x" * 300)
    assert watch(made, *names) == []
    assert sent(made.egress("out-1", subscribed=names)) == []


def test_a_removed_camera_is_converted_no_more() -> None:
    made = stage()
    watch(made, PICTURE)
    made.egress("out-1", subscribed=(PICTURE,))
    assert ("tc-1", EndConversion(PICTURE)) in sent(made.want())


def announced(made: Stage) -> tuple[CameraState, str]:
    status = made.director.camera("door")
    assert status is not None
    return status.state, status.detail


def test_a_camera_is_green_only_if_its_picture_can_be_shown() -> None:
    made = stage(JPEG, transcoders=0)
    state, detail = announced(made)
    assert state is CameraState.NO_PICTURE
    assert detail == "browsers do not take Motion JPEG, and no transcode worker runs that would convert it"
    [change] = [command for command in made.transcode("tc-1") if isinstance(command, CameraChanged)]
    assert change.state is CameraState.PLAYING
    [change] = [command for command in made.leave("tc-1") if isinstance(command, CameraChanged)]
    assert change.state is CameraState.NO_PICTURE


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
    assert silent.sound == "The sound is not heard: browsers do not take AAC, and no transcode worker runs."
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


def wall(*names: str) -> Stage:
    """Cameras with Motion JPEG, all watched by one egress."""
    made = Stage(*map(camera, names))
    made.ingest("in-1", *(stream(name, tracks=(JPEG,)) for name in names))
    made.transcode("tc-1")
    made.egress("out-1", subscribed=tuple(f"{name}/h264" for name in names))
    return made


def test_a_worker_gets_a_few_at_once_and_more_when_it_has_told_its_load() -> None:
    made = wall("a", "b", "c", "d")
    running = [name for name in "abcd" if made.director.converter(Rendition(f"{name}/h264"))]
    assert running == ["a", "b"]
    assert sent(made.transcode("tc-1", "a/h264", "b/h264", full=True)) == [], "they were too much already"
    commands = sent(made.transcode("tc-1", "a/h264", "b/h264"))
    assert commands == [("tc-1", Convert("c/h264", JPEG)), ("tc-1", Convert("d/h264", JPEG))]


def test_a_change_of_codec_that_was_lost_is_sent_again() -> None:
    made = stage()
    watch(made, PICTURE)
    made.egress("out-1", subscribed=(PICTURE,))
    made.transcode("tc-1", PICTURE)
    made.ingest("in-1", stream(tracks=(JPEG,)))
    made.tick()
    assert sent(made.transcode("tc-1", PICTURE, track=H265)) == [("tc-1", Convert(PICTURE, JPEG))]
    assert sent(made.transcode("tc-1", PICTURE, track=JPEG)) == []


def test_what_may_have_killed_two_workers_waits_before_the_next() -> None:
    made = stage(transcoders=3)
    watch(made, PICTURE)
    made.egress("out-1", subscribed=(PICTURE,))

    def dies() -> list[tuple[str, object]]:
        node = made.director.converter(Rendition(PICTURE))
        assert node is not None
        return sent(made.transcode(node, incarnation="2")) + sent(made.tick())

    assert [type(message) for _, message in dies() if isinstance(message, Convert)] == [Convert], "it may be chance"
    assert not [message for _, message in dies() if isinstance(message, Convert)]
    assert made.director.converter(Rendition(PICTURE)) is None
    for node in ("tc-1", "tc-2", "tc-3"):
        made.transcode(node, incarnation="2")
    assert made.director.converter(Rendition(PICTURE)) is None
    for _ in range(3):
        made.now += 2
        for node in ("tc-1", "tc-2", "tc-3"):
            made.transcode(node, incarnation="2")
        made.egress("out-1", subscribed=(PICTURE,))
    made.tick()
    assert made.director.converter(Rendition(PICTURE)) is not None


def handing_over() -> Stage:
    """tc-1 makes a picture and drains, and tc-2 is told to make it as well."""
    made = stage()
    watch(made, PICTURE)
    made.egress("out-1", subscribed=(PICTURE,))
    made.transcode("tc-1", PICTURE)
    made.transcode("tc-2")
    assert sent(made.transcode("tc-1", PICTURE, draining=True)) == [("tc-2", Convert(PICTURE, H265))]
    return made


def test_what_a_draining_worker_makes_is_made_by_another_before_it_is_ended() -> None:
    made = handing_over()
    assert sent(made.transcode("tc-1", PICTURE, draining=True)) == []
    made.transcode("tc-2", PICTURE)
    assert sent(made.tick(HANDED_OVER_AFTER / 2)) == []
    assert sent(made.tick(HANDED_OVER_AFTER / 2)) == [("tc-1", EndConversion(PICTURE))]
    assert made.director.converter(Rendition(PICTURE)) == "tc-2"
    assert sent(made.transcode("tc-1", draining=True)) == []


def test_what_is_handed_over_goes_back_when_the_new_worker_dies_and_on_to_a_third() -> None:
    made = handing_over()
    made.leave("tc-2")
    assert made.director.converter(Rendition(PICTURE)) == "tc-1"
    made.transcode("tc-3")
    assert sent(made.transcode("tc-1", PICTURE, draining=True)) == [("tc-3", Convert(PICTURE, H265))]


def test_when_the_old_worker_dies_first_the_new_one_goes_on() -> None:
    made = handing_over()
    assert sent(made.leave("tc-1")) == []
    made.transcode("tc-2", PICTURE)
    assert sent(made.tick(HANDED_OVER_AFTER)) == []


def test_a_new_worker_that_drains_as_well_hands_over_in_its_turn() -> None:
    made = handing_over()
    made.transcode("tc-3")
    commands = sent(made.transcode("tc-2", draining=True))
    assert commands == [("tc-2", EndConversion(PICTURE)), ("tc-3", Convert(PICTURE, H265))]
    made.transcode("tc-3", PICTURE)
    assert sent(made.tick(HANDED_OVER_AFTER)) == [("tc-1", EndConversion(PICTURE))]


def test_what_is_wanted_no_more_while_it_is_handed_over_is_ended_by_both() -> None:
    made = handing_over()
    assert sent(made.egress("out-1")) == [("tc-2", EndConversion(PICTURE)), ("tc-1", EndConversion(PICTURE))]


def test_where_nobody_else_converts_a_draining_worker_ends_what_it_makes() -> None:
    made = stage()
    watch(made, PICTURE)
    made.egress("out-1", subscribed=(PICTURE,))
    assert sent(made.transcode("tc-1", PICTURE, draining=True)) == [("tc-1", EndConversion(PICTURE))]


def test_where_the_others_are_full_it_goes_on_until_one_has_room() -> None:
    made = stage()
    watch(made, PICTURE)
    made.egress("out-1", subscribed=(PICTURE,))
    made.transcode("tc-2", full=True)
    assert sent(made.transcode("tc-1", PICTURE, draining=True)) == []
    made.transcode("tc-2")
    assert sent(made.transcode("tc-1", PICTURE, draining=True)) == [("tc-2", Convert(PICTURE, H265))]


def test_what_is_made_of_a_camera_begins_anew_when_another_has_its_name() -> None:
    """With the same codecs, so that only the revision tells."""
    made = stage()
    watch(made, PICTURE)
    made.egress("out-1", subscribed=(PICTURE,))
    [(_, before)] = [each for each in sent(made.transcode("tc-1")) if isinstance(each[1], Convert)]
    assert isinstance(before, Convert)
    assert before.revision == 1
    orders = sent(made.want(camera(url="rtsp://host/another", revision=2)))
    [again] = [message for node, message in orders if node == "tc-1" and isinstance(message, Convert)]
    assert (again.rendition, again.track, again.revision) == (PICTURE, H265, 2)
    assert again.fence > before.fence
    made.ingest("in-1", stream(tracks=(H265, AAC), revision=2))
    told = Made(Rendition(PICTURE), H265, revision=1)
    report = Report("tc-1", Role.TRANSCODE, "1", load=Load(), made=(told,))
    assert [m.revision for _, m in sent(made.hear("tc-1", report)) if isinstance(m, Convert)] == [2], "it was lost"
    for revision in (0, 2):  # 0: of a worker of the release before
        report = replace(report, made=(replace(told, revision=revision),))
        assert not [m for _, m in sent(made.hear("tc-1", report)) if isinstance(m, Convert)]
    assert offered(made, "t").revision == 2


def test_who_makes_something_again_after_its_successor_died_does_so_in_an_epoch_of_its_own() -> None:
    """The successor may have published in that of the order: what begins there again is taken for old."""
    made = handing_over()
    changed = sent(made.ingest("in-1", stream(tracks=(B_FRAMES, AAC))) + made.tick())
    [last] = [order for node, order in changed if node == "tc-2" and isinstance(order, Convert)]
    made.transcode("tc-2", incarnation="2", full=True)
    again = sent(made.transcode("tc-1", PICTURE, track=H265, draining=True))
    [order] = [order for node, order in again if node == "tc-1" and isinstance(order, Convert)]
    assert (order.track, order.fence > last.fence) == (B_FRAMES, True)


def test_a_worker_in_reserve_is_promised_and_begins_to_convert_when_it_joins() -> None:
    made = Stage(camera(), reserve=True)
    made.ingest("in-1", stream(tracks=(H265,)))
    made.egress("out-1")
    assert (made.state_of(), made.demand) == (CameraState.PLAYING, Demand.NONE)
    offer = offered(made)
    assert (offer.convertible, offer.unconverted) == ((Kind.VIDEO, Kind.AUDIO), "")
    assert sent(made.hear("out-1", Answered("s", "answer", (PICTURE,)))) == []
    assert made.demand is Demand.MUCH
    assert sent(made.transcode("tc-1")) == [("tc-1", Convert(PICTURE, H265))]
    assert made.demand is Demand.SOME
    assert offered(made, "t").unconverted == ""
    made.egress("out-1", subscribed=("door",))
    assert made.demand is Demand.NONE


def test_a_camera_that_may_have_to_be_converted_has_a_worker_begin_before_anybody_watches() -> None:
    made = Stage(camera(), reserve=True)
    made.ingest("in-1", stream(tracks=(JPEG,)))
    assert (made.state_of(), made.demand) == (CameraState.PLAYING, Demand.MUCH)
    made.transcode("tc-1", full=True)
    assert made.demand is Demand.SOME
    made.leave("tc-1")
    made.want()
    assert made.demand is Demand.NONE
