"""Streams of one camera: the one that a viewer is shown, and its way from one to the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from broker.director.commands import CameraChanged, OfferRefused, SessionEnded
from broker.director.events import StreamWish, ViewerLeft, ViewerOffered, ViewerWishes, Wish
from broker.director.state import FIRST_FAILURE, GRACE
from broker.director.streams import JUDGED, PATIENCE, ROOM
from broker.director.suspects import DEATHS, SUSPENSION
from common.cameras import CameraState
from common.control import WEBSOCKET, Answered, Assign, Convert, Move, Offer, Release, TrackStats, ViewerReport
from common.media import Kind, Track
from tests.fakes.stage import H264, Stage, camera, of, sent, stream, viewer

OPUS = Track(Kind.AUDIO, "opus", 48_000, 2)
SUB_TRACK = replace(H264, width=640, height=360)
MAIN_BITRATE = 4_000_000  # bit/s
FULL, TILE = 1080, 240


class Scene:
    """A camera with two streams, an ingest and an egress, and one viewer."""

    def __init__(self, *beside: str, **sub: Any) -> None:
        others = [camera(name) for name in beside]
        self.stage = Stage(camera("door"), camera("door/sub", on_demand=True), *others)
        self.stage.ingest("in-1", stream("door"), *map(stream, beside))
        self.stage.egress("out-1")
        self.sub = sub
        self.main: dict[str, Any] = {}
        self.octets = 0

    def offer(self, wish: Wish) -> str:
        """The stream that a viewer is given."""
        commands = self.stage(ViewerOffered("s", "door", "offer", wish))
        [offer] = [message for _, message in sent(commands) if isinstance(message, Offer)]
        self.stage.hear("out-1", Answered("s", "answer"))
        return offer.camera

    def second(self, shown: str, **report: Any) -> list[Any]:
        """A second passes in which the camera sends 4 Mb/s; the moves that are ordered."""
        self.stage.now += 1.0
        self.octets += MAIN_BITRATE // 8
        main = stream("door", stats=(TrackStats(Kind.VIDEO, bytes=self.octets),), **self.main)
        fields = {"tracks": (SUB_TRACK,)} | self.sub
        ordered = self.stage.ingest("in-1", main, stream("door/sub", **fields))
        ordered += self.stage.egress("out-1", replace(viewer("s", shown), **{"packets": self.octets // 1_000} | report))
        return [message for _, message in sent(ordered + self.stage.tick()) if isinstance(message, Move)]

    def shown(self) -> str:
        return self.stage.director.session("s").camera


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize(
    ("wish", "given"),
    [
        (Wish(), "door"),
        (Wish(StreamWish.MAIN, TILE), "door"),
        (Wish(StreamWish.SUB, FULL), "door/sub"),
        (Wish(StreamWish.AUTO, FULL), "door"),
        (Wish(StreamWish.AUTO, TILE), "door/sub"),
    ],
)
def test_an_offer_gets_the_stream_that_it_asks_for_or_that_suits_its_height(
    scene: Scene, wish: Wish, given: str
) -> None:
    assert scene.offer(wish) == given


def test_a_stream_that_nobody_watches_is_not_pulled(scene: Scene) -> None:
    assert scene.stage.worker_of("door/sub") is None
    commands = scene.stage(ViewerOffered("s", "door", "offer", Wish(StreamWish.SUB)))
    assert [m.camera.id for _, m in sent(commands) if isinstance(m, Assign)] == ["door/sub"]
    scene.stage(ViewerLeft("s"))
    ordered = []
    for _ in range(12):
        ordered += sent(scene.stage.tick(1.0) + scene.stage.ingest("in-1", stream("door"), stream("door/sub")))
    assert ("in-1", Release("door/sub")) in ordered


def test_a_camera_without_a_sub_stream_says_so() -> None:
    stage = Stage(camera("door"))
    stage.egress("out-1")
    [refused] = of(OfferRefused, stage(ViewerOffered("s", "door", "offer", Wish(StreamWish.SUB))))
    assert (refused.status, refused.code) == (404, "unknown_stream")
    assert "no sub-stream" in refused.message


@pytest.mark.parametrize("what", ["out-1", "in-1"])
def test_a_stream_that_may_be_what_ends_its_workers_is_shown_to_nobody_while_the_other_plays(
    what: str,
) -> None:
    scene = Scene("yard")
    stage, small = scene.stage, Wish(StreamWish.AUTO, TILE)
    for number in range(2, DEATHS + 2):
        stage(ViewerOffered("neighbour", "yard", "offer"))  # who is not to be dark because of it
        stage.hear("out-1", Answered("neighbour", "answer"))
        assert scene.offer(small) == "door/sub"
        stage.tick(0.1)
        if what == "out-1":
            stage.egress(what, incarnation=str(number))  # it was started again
        else:
            stage.ingest(what, stream("door"), stream("yard"), incarnation=str(number))
            stage(ViewerLeft("s"))
            stage(ViewerLeft("neighbour"))
    assert scene.offer(small) == "door", "that plays"
    stage(ViewerLeft("s"))
    stage.tick(SUSPENSION + 0.1)
    assert scene.offer(small) == "door/sub", "it is tried again"


def test_another_height_moves_the_viewer_and_the_order_is_repeated_until_it_is_done(scene: Scene) -> None:
    scene.offer(Wish(StreamWish.AUTO, FULL))
    assert scene.second("door") == []
    ordered = sent(scene.stage(ViewerWishes("s", Wish(StreamWish.AUTO, TILE))))
    assert ("out-1", Move("s", "door/sub")) in ordered
    assert [move.camera for move in scene.second("door")] == ["door/sub"], "it was lost"
    assert scene.second("door/sub") == []
    scene.stage(ViewerWishes("s", Wish(StreamWish.AUTO, FULL)))
    assert [move.camera for move in scene.second("door/sub")] == ["door"]
    assert scene.second("door") == []


def test_who_wishes_something_else_all_the_time_is_moved_ever_more_seldom(scene: Scene) -> None:
    scene.offer(Wish(StreamWish.AUTO, FULL))
    moves = []
    for number in range(60 * 50):
        scene.stage.now += 0.02
        commands = scene.stage(ViewerWishes("s", Wish(StreamWish.AUTO, TILE if number % 2 else FULL)))
        moves += [message for _, message in sent(commands) if isinstance(message, Move)]
        if number % 50 == 49:
            scene.second(scene.shown())
    assert 3 <= len(moves) <= 8
    scene.stage(ViewerWishes("s", Wish(StreamWish.AUTO, TILE)))
    for _ in range(80):
        scene.second(scene.shown())
    assert scene.shown() == "door/sub", "in the end it has what it wishes"
    scene.stage(ViewerWishes("s", Wish(StreamWish.AUTO, FULL)))
    assert scene.shown() == "door", "and after some calm at once again"


def test_who_named_a_stream_stays_with_it_whatever_it_shows(scene: Scene) -> None:
    scene.offer(Wish(StreamWish.MAIN, FULL))
    scene.stage(ViewerWishes("s", Wish(StreamWish.MAIN, TILE)))
    assert scene.second("door") == []


def test_the_height_of_the_sub_stream_decides_once_it_is_known(scene: Scene) -> None:
    scene.sub = {"tracks": (replace(H264, height=90),)}
    assert scene.offer(Wish(StreamWish.AUTO, TILE)) == "door/sub"
    assert [move.camera for move in scene.second("door/sub")] == ["door"]


@pytest.mark.parametrize("failing", ["door", "door/sub"])
def test_a_stream_that_fails_is_left_for_the_other(failing: str) -> None:
    scene = Scene()
    wish = Wish(StreamWish.SUB if failing == "door/sub" else StreamWish.MAIN)
    scene.offer(wish)
    other = {"door": "door/sub", "door/sub": "door"}[failing]
    broken = stream(failing, state=CameraState.UNREACHABLE)
    scene.stage.ingest("in-1", broken, stream(other))
    scene.stage.tick(1.0)
    assert scene.shown() == other
    assert scene.stage.state_of("door") is CameraState.PLAYING, "the camera has a picture"
    shown = []
    for _ in range(round(FIRST_FAILURE) + 2):
        scene.second(other)
        shown.append(scene.shown())
    assert shown[:20] == [other] * 20, "it may flap"
    assert shown[-1] == failing, "it is what was asked for"


def test_where_both_fail_the_main_streams_state_is_the_cameras(scene: Scene) -> None:
    states = {"door": CameraState.UNREACHABLE, "door/sub": CameraState.UNAUTHORIZED}
    commands = scene.stage.ingest("in-1", *(stream(name, state=state) for name, state in states.items()))
    assert scene.stage.state_of("door") is CameraState.UNREACHABLE
    assert scene.stage.director.camera("door").itself[0] is CameraState.UNREACHABLE
    assert {change.camera for change in of(CameraChanged, commands)} == {"door"}, "the other is not pulled"


def test_a_stream_of_whose_picture_the_viewer_takes_nothing_is_given_up(scene: Scene) -> None:
    scene.offer(Wish(StreamWish.AUTO, TILE))
    for _ in range(3):
        scene.second("door/sub")
    scene.stage(ViewerWishes("s", Wish(StreamWish.AUTO, FULL)))
    assert [move.camera for move in scene.second("door/sub", declined="door")] == ["door/sub"]
    assert scene.second("door/sub", declined="door") == []


def test_a_path_that_loses_much_gets_the_sub_stream_and_after_a_while_the_main_one_again(scene: Scene) -> None:
    scene.offer(Wish(StreamWish.AUTO, FULL))
    assert scene.second("door", packets=100) == []
    assert scene.second("door", packets=300, lost=100) == [], "its first pictures come in a burst"
    for second in range(1, 4):
        assert scene.second("door", packets=500 * second, lost=100) == []
    assert [move.camera for move in scene.second("door", packets=2_000, lost=200)] == ["door/sub"]
    quiet = [scene.second("door/sub", packets=2_100 + 100 * second) for second in range(round(PATIENCE) - 1)]
    assert quiet == [[]] * len(quiet)
    assert [move.camera for move in scene.second("door/sub", packets=9_000)] == ["door"]
    for packets in range(9_100, 9_600, 100):
        assert scene.second("door", packets=packets) == []
    assert [move.camera for move in scene.second("door", packets=9_900, lost=300)] == ["door/sub"]
    again = [scene.second("door/sub", packets=9_900) for _ in range(round(1.9 * PATIENCE))]
    assert again == [[]] * len(again), "it relapsed: twice as long"


def test_a_path_is_not_judged_by_a_few_packets(scene: Scene) -> None:
    scene.offer(Wish(StreamWish.AUTO, FULL))
    for second in range(20):
        assert scene.second("door", packets=100 + (JUDGED - 1) * second, lost=10 * second) == []


def test_who_is_left_out_by_the_pages_own_port_gets_the_sub_stream_and_the_main_one_again(scene: Scene) -> None:
    scene.offer(Wish(StreamWish.AUTO, FULL))
    for second in range(1, 6):
        assert scene.second("door", transport=WEBSOCKET, packets=80 * second, dropped=3) == []
    assert scene.second("door", transport=WEBSOCKET, packets=460, dropped=6) == [], "less than a tenth"
    ordered = scene.second("door", transport=WEBSOCKET, packets=500, dropped=21)
    assert [move.camera for move in ordered] == ["door/sub"]
    fields = {"transport": WEBSOCKET, "dropped": 21}
    moves = [scene.second("door/sub", packets=500 + 80 * second, **fields) for second in range(round(PATIENCE))]
    assert [move.camera for made in moves for move in made] == ["door"]
    for second in range(5):
        assert scene.second("door", transport="udp", packets=9_000 + 80 * second, dropped=100 * second) == [], (
            "there it counts how often the kernel was full"
        )


def test_a_path_that_is_too_narrow_gets_the_sub_stream_until_it_has_room(scene: Scene) -> None:
    scene.offer(Wish(StreamWish.AUTO, FULL))
    for _ in range(6):
        assert scene.second("door", capacity=2 * MAIN_BITRATE) == []
    assert [move.camera for move in scene.second("door", capacity=MAIN_BITRATE // 4)] == ["door/sub"]
    for _ in range(60):
        assert scene.second("door/sub", capacity=round(1.2 * MAIN_BITRATE)) == [], "nobody goes to and fro"
    moves = [scene.second("door/sub", capacity=round(2 * ROOM * MAIN_BITRATE)) for _ in range(round(PATIENCE))]
    assert [move.camera for made in moves for move in made] == ["door"]


def test_what_a_viewer_wished_of_an_earlier_broker_is_not_known_so_it_stays(scene: Scene) -> None:
    scene.stage = Stage(camera("door"), camera("door/sub", on_demand=True), started_now=True)
    scene.second("door/sub")
    scene.stage.tick(GRACE)
    assert scene.second("door/sub") == []
    assert scene.shown() == "door/sub"
    scene.stage(ViewerWishes("s", Wish(StreamWish.AUTO, FULL)))
    assert scene.shown() == "door"


def test_who_stays_where_it_was_comes_back_when_that_plays_again(scene: Scene) -> None:
    scene.stage = Stage(camera("door"), camera("door/sub", on_demand=True), started_now=True)
    scene.second("door")
    scene.stage.tick(GRACE)
    scene.main = {"state": CameraState.UNREACHABLE}
    scene.second("door")
    scene.second("door")
    assert scene.shown() == "door/sub"
    scene.main = {}
    for _ in range(round(FIRST_FAILURE) + 3):
        scene.second("door/sub")
    assert scene.shown() == "door"


def test_what_an_adopted_session_still_gets_is_kept() -> None:
    scene = Scene()
    scene.stage = Stage(
        camera("door", on_demand=True, keep_after=0.0), camera("door/sub", on_demand=True), started_now=True
    )
    scene.main = {"tracks": (H264, OPUS)}
    for _ in range(10):
        scene.second("door/sub", beside="door")
    assert scene.stage.worker_of("door") == "in-1", "its sound"


def test_a_sub_stream_that_is_taken_away_leaves_its_viewers_the_main_one(scene: Scene) -> None:
    scene.offer(Wish(StreamWish.SUB))
    scene.second("door/sub")
    commands = scene.stage.want(camera("door"))
    assert not of(SessionEnded, commands)
    assert ("out-1", Move("s", "door", (H264,), ())) in sent(commands)
    assert scene.shown() == "door"


def test_a_move_says_what_can_be_converted_of_the_stream(scene: Scene) -> None:
    h265 = Track(Kind.VIDEO, "H265", 90_000, height=360)
    scene.sub = {"tracks": (h265,)}
    scene.stage.transcode("tc-1")
    scene.offer(Wish(StreamWish.AUTO, FULL))
    scene.stage(ViewerWishes("s", Wish(StreamWish.AUTO, TILE)))
    [move] = scene.second("door")
    assert (move.tracks, move.convertible) == ((h265,), (Kind.VIDEO, Kind.AUDIO))
    assert move.revision == scene.stage.director._state.cameras["door/sub"].spec.revision > 0
    report = ViewerReport("s", "door/sub", viewer("s").state)
    ordered = sent(scene.stage.egress("out-1", report, subscribed=("door", "door/sub", "door/sub/h264")))
    assert ("tc-1", Convert("door/sub/h264", h265)) in ordered


def test_an_offer_says_what_the_other_stream_sends(scene: Scene) -> None:
    scene.second("door")  # its sub-stream was reported, and let go: it is known
    for wish, fixed in ((Wish(StreamWish.AUTO, FULL), False), (Wish(StreamWish.MAIN), True)):
        [offer] = [m for _, m in sent(scene.stage(ViewerOffered("s", "door", "x", wish))) if isinstance(m, Offer)]
        assert (offer.camera, offer.other, offer.fixed) == ("door", "door/sub", fixed)
        scene.stage(ViewerLeft("s"))


def test_a_stream_is_kept_until_its_viewer_has_the_other() -> None:
    scene = Scene()
    scene.stage = Stage(camera("door", on_demand=True, keep_after=0.0), camera("door/sub", on_demand=True))
    scene.stage.egress("out-1")
    scene.stage.ingest("in-1")
    scene.main = {"tracks": (H264, OPUS)}
    scene.offer(Wish(StreamWish.AUTO, FULL))
    scene.second("door")
    scene.stage(ViewerWishes("s", Wish(StreamWish.AUTO, TILE)))
    for _ in range(5):
        scene.second("door")
        assert scene.stage.worker_of("door") == "in-1", "its picture is still this one"
    scene.second("door/sub", beside="door")
    assert scene.stage.worker_of("door") == "in-1", "and now its sound"
    scene.second("door/sub")
    assert scene.stage.worker_of("door") is None


def test_a_stream_that_has_failed_is_not_tried_again_at_once() -> None:
    scene = Scene(state=CameraState.UNREACHABLE)
    scene.offer(Wish(StreamWish.AUTO, TILE))
    moves = [move.camera for _ in range(60) for move in scene.second(scene.shown())]
    assert moves[0] == "door"
    assert len(moves) <= 5, "and seldom after that"


def test_a_declined_stream_is_tried_again_when_it_sends_something_else(scene: Scene) -> None:
    scene.offer(Wish(StreamWish.SUB))
    scene.second("door/sub")
    scene.second("door/sub", declined="door/sub")
    assert scene.shown() == "door"
    scene.second("door", declined="door/sub")
    assert scene.shown() == "door"
    scene.sub = {"tracks": (replace(SUB_TRACK, profile="640028"),)}
    scene.second("door", declined="door/sub")
    assert scene.shown() == "door/sub"
    moves = [move for _ in range(20) for move in scene.second("door", declined="door/sub")]
    assert scene.shown() == "door", "the egress declines that as well"
    assert len(moves) <= 3


def test_who_takes_nothing_of_the_other_stream_stays_though_this_one_fails(scene: Scene) -> None:
    scene.offer(Wish(StreamWish.AUTO, FULL))
    scene.second("door", declined="door/sub")
    scene.stage.ingest("in-1", stream("door", state=CameraState.UNREACHABLE), stream("door/sub", tracks=(SUB_TRACK,)))
    assert scene.second("door", declined="door/sub") == []
    assert scene.shown() == "door"


def test_a_viewer_that_was_moved_is_converted_when_browsers_cannot_show_what_comes(scene: Scene) -> None:
    scene.stage.transcode("tc-1")
    scene.offer(Wish(StreamWish.AUTO, TILE))
    scene.second("door/sub")
    scene.sub = {"tracks": (replace(SUB_TRACK, convert="it is interlaced"),)}
    octets = TrackStats(Kind.VIDEO, bytes=scene.octets)
    changed = scene.stage.ingest("in-1", stream("door", stats=(octets,)), stream("door/sub", **scene.sub))
    [move] = [message for _, message in sent(changed) if isinstance(message, Move)]
    assert (move.camera, move.convertible) == ("door/sub", (Kind.VIDEO, Kind.AUDIO))
    assert of(SessionEnded, changed) == []
