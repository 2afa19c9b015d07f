"""Conversions that viewers were promised: each is made once, by one worker, while somebody is subscribed to it."""

from __future__ import annotations

from broker.director.commands import CameraChanged
from broker.director.conversions import FRUITLESS_FOR
from common.cameras import CameraState
from common.control import Answered, Convert, EndConversion
from common.demand import Demand
from common.media import Kind, Rendition
from tests.fakes.stage import Stage, camera, sent, stream
from tests.fakes.stage_converting import AAC, H265, JPEG, PICTURE, SOUND, offered, stage, watch


def test_an_offer_says_what_may_be_promised() -> None:
    offer = offered(stage())
    assert (offer.convertible, offer.unconverted) == ((Kind.VIDEO, Kind.AUDIO), "")
    assert offer.tracks == (H265, AAC)


def test_without_a_transcode_worker_nothing_may_be_promised() -> None:
    offer = offered(stage(transcoders=0))
    assert (offer.convertible, offer.unconverted) == ((), "no transcode worker is running")


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
