"""Conversions that go from one worker to another, as one drains or another camera has the name."""

from __future__ import annotations

from dataclasses import replace

from broker.director.conversions import HANDED_OVER_AFTER
from common.control import Convert, EndConversion, Load, Made, Report, Role
from common.media import Rendition
from tests.fakes.stage import Stage, camera, sent, stream
from tests.fakes.stage_converting import AAC, B_FRAMES, H265, PICTURE, offered, stage, watch


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
