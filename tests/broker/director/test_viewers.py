import pytest

from broker.director.commands import OfferAnswered, OfferRefused, Send, SessionEnded
from broker.director.events import (
    EndReason,
    EndSession,
    FromWorker,
    Undelivered,
    ViewerLeft,
    ViewerOffered,
    Witnessed,
)
from broker.director.offers import MAX_PENDING_CHARACTERS, OFFER_TIMEOUT
from broker.director.state import GRACE
from broker.director.vigil import DOUBT, OVERDUE
from common.control import (
    DEAD_AFTER,
    Answered,
    Ended,
    HangUp,
    Offer,
    Refused,
    Report,
    Role,
)
from common.onlooker import Condition
from common.sessions import SessionName
from tests.fakes.stage import H264, Stage, camera, of, sent, stream, viewer


@pytest.fixture
def stage() -> Stage:
    """Two cameras and one egress."""
    stage = Stage(camera("door"), camera("yard"))
    stage.egress("out-1")
    return stage


def test_an_offer_goes_to_the_egress_and_its_answer_back(stage: Stage) -> None:
    assert sent(stage.offer("s1")) == [("out-1", Offer("s1", "door", "offer of s1", revision=1))]
    assert stage.hear("out-1", Answered("s1", "sdp")) == [OfferAnswered("s1", "sdp")]
    status = stage.director.session("s1")
    assert (status.camera, status.node, status.answered) == ("door", "out-1", True)
    assert stage.director.camera("door").viewers == 1


def test_an_offer_carries_the_tracks_that_were_last_seen(stage: Stage) -> None:
    stage.ingest("in-1", stream("door"))
    stage.leave("in-1")
    assert sent(stage.offer("s1")) == [("out-1", Offer("s1", "door", "offer of s1", (H264,), revision=1))]


def test_tracks_that_an_earlier_broker_saw_are_used() -> None:
    stage = Stage(camera("door"), tracks={"door": (H264,)})
    stage.egress("out-1")
    assert sent(stage.offer("s1")) == [("out-1", Offer("s1", "door", "offer of s1", (H264,), revision=1))]


@pytest.mark.parametrize(
    ("egresses", "expected"),
    [
        ({"out-1": {"cpu": 0.5}, "out-2": {"cpu": 0.2}}, "out-2"),
        ({"out-1": {"cpu": 0.2}, "out-2": {"cpu": 0.5}}, "out-1"),
        ({"out-1": {"cpu": 0.2, "draining": True}, "out-2": {"cpu": 0.5}}, "out-2"),
        ({"out-1": {"cpu": 0.28, "subscribed": ("door",)}, "out-2": {"cpu": 0.2}}, "out-1"),
        ({"out-1": {"cpu": 0.32, "subscribed": ("door",)}, "out-2": {"cpu": 0.2}}, "out-2"),
        ({"out-1": {"cpu": 0.28, "subscribed": ("yard",)}, "out-2": {"cpu": 0.2}}, "out-2"),
        ({"out-1": {"cpu": 0.1, "subscribed": ("door",), "draining": True}, "out-2": {"cpu": 0.2}}, "out-2"),
    ],
)
def test_which_egress_a_viewer_gets(egresses: dict, expected: str) -> None:
    stage = Stage(camera("door"))
    for node, fields in egresses.items():
        stage.egress(node, **fields)
    assert stage.watch("s1") == expected


def test_viewers_of_one_camera_share_an_egress_until_it_is_clearly_busier() -> None:
    stage = Stage(camera("door"), camera("yard"))
    stage.egress("out-1")
    stage.egress("out-2")
    nodes = [stage.watch(f"s{i}") for i in range(60)]
    assert nodes[:20] == ["out-1"] * 20
    assert nodes.count("out-2") > 15


@pytest.mark.parametrize("camera_id", ["porch", "", "DOOR"])
def test_an_unknown_camera_is_refused(stage: Stage, camera_id: str) -> None:
    (refused,) = stage.offer("s1", camera_id)
    assert (refused.status, refused.code) == (404, "unknown_camera")
    assert stage.director.session("s1") is None


@pytest.mark.parametrize(
    ("egresses", "expected"),
    [
        ({"out-1": {"cpu": 0.1}, "out-2": {"cpu": 0.6, "neighbourhood": "here"}}, ("out-2", "out-1")),
        ({"out-1": {"cpu": 0.1}, "out-2": {"cpu": 0.9, "neighbourhood": "here"}}, ("out-1", "out-1")),
        ({"out-1": {"cpu": 0.1}, "out-2": {"neighbourhood": "elsewhere"}}, ("out-2", "out-2")),
    ],
)
def test_who_is_handed_over_gets_an_egress_next_to_the_front_door(egresses: dict, expected: tuple[str, str]) -> None:
    stage = Stage(camera(), neighbourhood="here")
    for node, fields in egresses.items():
        stage.egress(node, **fields)
    handed = sent(stage(ViewerOffered("s", "door", "", takes=("H264",))))
    assert [node for node, message in handed if isinstance(message, Offer)] == [expected[0]]
    assert stage.watch("webrtc") == expected[1]


def test_without_egress_an_offer_is_refused() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1")
    (refused,) = of(OfferRefused, stage.offer("s1"))
    assert (refused.status, refused.code) == (503, "no_egress")


def test_offers_that_are_large_together_are_refused(stage: Stage) -> None:
    large = "x" * (MAX_PENDING_CHARACTERS // 4)
    for i in range(4):
        stage(ViewerOffered(f"s{i}", "door", large))
    (refused,) = of(OfferRefused, stage.offer("one more"))
    assert (refused.status, refused.code) == (503, "busy")
    stage.hear("out-1", Answered("s0", "sdp"))
    stage(ViewerLeft("s1"))
    assert of(OfferRefused, stage(ViewerOffered("another", "door", large * 2))) == []
    assert of(OfferRefused, stage(ViewerOffered("yet another", "door", "x"))) != []


def test_what_the_egress_refuses_is_passed_on(stage: Stage) -> None:
    stage.offer("s1")
    assert stage.hear("out-1", Refused("s1", 406, "no_codec", "H265 only.")) == [
        OfferRefused("s1", 406, "no_codec", "H265 only.")
    ]
    assert stage.director.session("s1") is None
    assert stage.director.camera("door").viewers == 0


@pytest.mark.parametrize("status", [0, 200, 399, 500, 502, 504, 600])
def test_what_is_no_viewers_fault_is_told_as_try_again(stage: Stage, status: int) -> None:
    stage.offer("s1")
    (refused,) = stage.hear("out-1", Refused("s1", status, "x", "y"))
    assert (refused.status, refused.code) == (503, "egress_gave_up")


def test_an_egress_that_can_take_nobody_is_not_the_last_word(stage: Stage) -> None:
    stage.egress("out-2", cpu=0.5)
    stage.offer("s1")
    full = Refused("s1", 503, "draining", "This one is draining.")
    assert sent(stage.hear("out-1", full)) == [("out-2", Offer("s1", "door", "offer of s1", revision=1))]
    assert stage.hear("out-1", full) == []  # it has no say in it any more
    (refused,) = stage.hear("out-2", full)
    assert (refused.status, refused.code) == (503, "no_egress")
    assert "This one is draining." in refused.message


def test_an_egress_that_says_that_it_is_full_is_asked_last(stage: Stage) -> None:
    stage.egress("out-1", full=True)
    stage.egress("out-2", cpu=0.9)
    assert sent(stage.offer("s1")) == [("out-2", Offer("s1", "door", "offer of s1", revision=1))]
    stage.egress("out-2", cpu=0.9, full=True)
    assert sent(stage.offer("s2")) == [("out-1", Offer("s2", "door", "offer of s2", revision=1))], (
        "that may be a second old"
    )


def test_an_egress_that_waits_for_a_processor_is_asked_last_until_it_is_heard(stage: Stage) -> None:
    stage.egress("out-2", cpu=0.9)
    stage(Witnessed({"out-1": Condition.WAITS}))
    assert sent(stage.offer("s1"))[0][0] == "out-2"
    stage(Witnessed({"out-1": Condition.WAITS, "out-2": Condition.WAITS}))
    assert sent(stage.offer("s2"))[0][0] == "out-1"
    stage(Witnessed({"out-1": Condition.WAITS}))
    stage.egress("out-1")
    assert sent(stage.offer("s3"))[0][0] == "out-1"


def test_an_offer_that_could_not_be_delivered_goes_elsewhere(stage: Stage) -> None:
    stage.egress("out-2", cpu=0.5)
    ((node, offer),) = sent(stage.offer("s1"))
    assert sent(stage(Undelivered(node, offer))) == [("out-2", offer)]
    (refused,) = stage(Undelivered("out-2", offer))
    assert refused.code == "no_egress"


def test_other_messages_that_could_not_be_delivered_are_left_to_the_next_report(stage: Stage) -> None:
    assert stage(Undelivered("out-1", HangUp("s1"))) == []


def test_an_offer_that_is_not_answered_in_time_is_given_up(stage: Stage) -> None:
    stage.offer("s1")
    stage.now += OFFER_TIMEOUT - 0.1
    stage.egress("out-1")
    assert stage.tick() == []
    commands = stage.tick(0.1)
    assert [(c.status, c.code) for c in of(OfferRefused, commands)] == [(503, "egress_timeout")]
    assert sent(commands) == [("out-1", HangUp("s1"))]
    assert sent(stage.hear("out-1", Answered("s1", "late"))) == [("out-1", HangUp("s1"))]


def test_the_offers_of_an_egress_that_stops_go_to_another(stage: Stage) -> None:
    stage.egress("out-2", cpu=0.9)
    stage.offer("s1")
    assert sent(stage.leave("out-1")) == [("out-2", Offer("s1", "door", "offer of s1", revision=1))]
    assert of(OfferAnswered, stage.hear("out-2", Answered("s1", "sdp"))) == [OfferAnswered("s1", "sdp")]


@pytest.mark.parametrize(
    "death",
    [lambda stage: stage.tick(DEAD_AFTER - 1.0 + DOUBT), lambda stage: stage.egress("out-1", incarnation="2")],
    ids=["silent", "restarted"],
)
def test_an_offer_that_may_have_killed_its_egress_is_given_to_no_other(stage: Stage, death) -> None:
    stage.offer("s1")
    stage.now += 1.0
    stage.egress("out-2", cpu=0.9)
    commands = death(stage)
    assert [(c.session, c.status, c.code) for c in of(OfferRefused, commands)] == [("s1", 503, "egress_died")]
    assert not any(isinstance(message, Offer) for _, message in sent(commands))
    assert stage.director.session("s1") is None


def test_an_offer_that_a_dead_egress_never_saw_goes_elsewhere(stage: Stage) -> None:
    stage.offer("s1")
    stage.now += OVERDUE
    stage.egress("out-2", cpu=0.0)
    commands = stage(Undelivered("out-1", Offer("s1", "door", "offer of s1", revision=1)))
    assert sent(commands) == [("out-2", Offer("s1", "door", "offer of s1", revision=1))]
    assert of(OfferRefused, commands) == []


@pytest.mark.parametrize(
    ("death", "reason"),
    [
        (lambda stage: stage.tick(DEAD_AFTER), "worker_lost"),
        (lambda stage: stage.leave("out-1"), "worker_stopped"),
        (lambda stage: stage.egress("out-1", incarnation="2"), "worker_restarted"),
    ],
)
def test_the_sessions_of_an_egress_that_dies_end(stage: Stage, death, reason: str) -> None:
    stage.watch("s1")
    assert of(SessionEnded, death(stage)) == [SessionEnded("s1", "door", reason)]
    assert stage.director.session("s1") is None
    assert stage.director.camera("door").viewers == 0


def test_a_session_that_its_egress_ends(stage: Stage) -> None:
    stage.watch("s1")
    assert stage.hear("out-1", Ended("s1", "consent expired")) == [
        SessionEnded("s1", "door", EndReason.EGRESS, "consent expired")
    ]
    assert stage.hear("out-1", Ended("s1", "again")) == []


def test_a_session_that_ends_before_it_was_answered(stage: Stage) -> None:
    stage.offer("s1")
    (refused,) = stage.hear("out-1", Ended("s1", "out of memory"))
    assert (refused.status, refused.code) == (503, "egress_gave_up")


def test_a_viewer_that_leaves_is_hung_up_until_the_egress_has_done_it(stage: Stage) -> None:
    stage.watch("s1")
    assert stage(ViewerLeft("s1")) == [Send("out-1", HangUp("s1"))]
    assert sent(stage.egress("out-1", viewer("s1"))) == [("out-1", HangUp("s1"))]
    assert stage.director.session("s1") is None
    assert stage.egress("out-1") == []


def test_a_viewer_that_gives_up_before_the_answer(stage: Stage) -> None:
    stage.offer("s1")
    assert sent(stage(ViewerLeft("s1"))) == [("out-1", HangUp("s1"))]
    assert stage.hear("out-1", Answered("s1", "sdp")) == [Send("out-1", HangUp("s1"))]


def test_who_leaves_without_a_session_does_nothing(stage: Stage) -> None:
    assert stage(ViewerLeft("nobody")) == []


def test_a_viewer_that_leaves_before_a_new_broker_knows_it_is_hung_up() -> None:
    stage = Stage(camera("door"), started_now=True)
    assert sent(stage(ViewerLeft("s1"))) == []
    assert sent(stage.egress("out-1", viewer("s1"))) == [("out-1", HangUp("s1"))]


def test_sessions_may_appear_while_the_broker_is_new() -> None:
    stage = Stage(camera("door"), started_now=True)
    stage.egress("out-1")
    stage.watch("s1")
    stage(ViewerLeft("s1"))
    assert stage.director.may_appear("s2")
    assert not stage.director.may_appear("s1")
    stage.tick(GRACE)
    assert not stage.director.may_appear("s2")


def test_a_session_missing_from_the_report_is_over(stage: Stage) -> None:
    stage.watch("s1")
    assert of(SessionEnded, stage.egress("out-1", viewer("s1"))) == []
    assert of(SessionEnded, stage.egress("out-1")) == [SessionEnded("s1", "door", "lost")]


def test_an_offer_missing_from_the_report_is_still_on_its_way(stage: Stage) -> None:
    stage.offer("s1")
    assert stage.egress("out-1") == []
    assert stage.hear("out-1", Answered("s1", "sdp")) == [OfferAnswered("s1", "sdp")]


def test_of_one_egress_no_more_sessions_are_adopted_than_an_egress_takes() -> None:
    stage = Stage(camera("door"), sessions_each=3)
    stage.egress("out-1", *(viewer(f"s{number}") for number in range(10)))
    assert len(stage.director.sessions) == 3
    assert stage.director.counters["sessions_not_believed"] == 7
    stage.egress("out-2", viewer("another"))
    assert stage.director.session("another") is not None, "of another one they are"


def test_sessions_of_an_earlier_broker_are_adopted(stage: Stage) -> None:
    report = viewer("s1")
    assert stage.egress("out-1", report) == []
    status = stage.director.session("s1")
    assert (status.camera, status.node, status.answered, status.report) == ("door", "out-1", True, report)
    assert stage.director.camera("door").viewers == 1
    assert sent(stage(ViewerLeft("s1"))) == [("out-1", HangUp("s1"))]


def test_a_session_of_a_camera_that_is_gone_is_hung_up(stage: Stage) -> None:
    assert sent(stage.egress("out-1", viewer("s1", "porch"))) == [("out-1", HangUp("s1"))]


def test_a_session_that_two_egresses_have_is_taken_from_the_wrong_one(stage: Stage) -> None:
    stage.watch("s1")
    assert sent(stage.egress("out-2", viewer("s1"))) == [("out-2", HangUp("s1"))]


def test_sessions_of_an_egress_that_was_thought_dead_are_hung_up(stage: Stage) -> None:
    stage.watch("s1")
    stage.tick(DEAD_AFTER)
    assert sent(stage.egress("out-1", viewer("s1"))) == [("out-1", HangUp("s1"))]


@pytest.mark.parametrize(
    "message",
    [Answered("s1", "sdp"), Refused("s1", 400, "x", "y"), Ended("s1", "x")],
    ids=lambda message: message.type,
)
def test_only_the_egress_that_was_asked_may_speak_for_a_session(stage: Stage, message) -> None:
    stage.offer("s1")
    stage.egress("out-2", cpu=1.0)
    commands = stage.hear("out-2", message)
    assert of(OfferAnswered, commands) + of(OfferRefused, commands) + of(SessionEnded, commands) == []
    assert stage.director.session("s1").node == "out-1"


def test_a_second_answer_changes_nothing(stage: Stage) -> None:
    stage.watch("s1")
    assert stage.hear("out-1", Answered("s1", "again")) == []


def test_an_answer_to_an_offer_of_an_earlier_broker_is_hung_up(stage: Stage) -> None:
    assert stage.hear("out-1", Answered("s1", "sdp")) == [Send("out-1", HangUp("s1"))]
    assert sent(stage.egress("out-1", viewer("s1"))) == [("out-1", HangUp("s1"))]


def test_a_worker_may_not_report_under_another_name(stage: Stage) -> None:
    assert stage(FromWorker("out-1", Report("out-2", Role.EGRESS, "1"))) == []
    assert stage.director.counters["wrong_node"] == 1
    assert [worker.node for worker in stage.director.workers] == ["out-1"]


@pytest.mark.parametrize("reason", EndReason)
def test_every_end_has_a_sentence(reason: EndReason) -> None:
    assert reason.sentence.endswith(".")


def test_an_egress_is_told_why_a_session_is_over(stage: Stage) -> None:
    """Some viewers are told by nobody else."""
    for session, reason in (("s1", EndReason.NO_RIGHT), ("s2", EndReason.OPERATOR)):
        stage.offer(session)
        stage.hear("out-1", Answered(session, "sdp"))
        [(_, told)] = sent(stage(EndSession(SessionName(session), reason)))
        assert (told.session, told.reason) == (session, reason.value)


def test_a_session_that_is_not_answered_yet_is_not_ended_as_one_that_is() -> None:
    """Its player waits for the answer, and is told by that."""
    stage = Stage(camera())
    stage.ingest("in-1")
    stage.egress("out-1")
    stage.offer("s")
    assert stage(EndSession(SessionName("s"), EndReason.NO_RIGHT)) == []
    assert stage.director.session("s") is not None
