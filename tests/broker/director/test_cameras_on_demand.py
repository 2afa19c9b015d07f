"""Cameras that are pulled while somebody watches, and those that a broker finds which has just started."""

from broker.director.commands import CameraChanged, OfferRefused, RememberWorker
from broker.director.events import ViewerLeft
from broker.director.state import GRACE
from common.cameras import CameraState
from common.control import Assign, Release
from tests.fakes.stage import Stage, camera, of, sent, stream, viewer


def test_an_on_demand_camera_is_pulled_while_somebody_watches_and_a_while_after() -> None:
    spec = camera("door", on_demand=True, keep_after=10.0)
    stage = Stage(spec)
    stage.ingest("in-1")
    stage.egress("out-1")
    assert stage.state_of("door") is CameraState.IDLE

    assert ("in-1", Assign(spec)) in sent(stage.offer("s1"))
    stage.ingest("in-1", stream("door"))
    stage(ViewerLeft("s1"))
    for _ in range(9):
        stage.ingest("in-1", stream("door"))
        stage.egress("out-1")
        assert sent(stage.tick(1.0)) == []
    commands = stage.tick(1.0)
    assert sent(commands) == [("in-1", Release("door"))]
    assert of(CameraChanged, commands) == [CameraChanged("door", CameraState.IDLE, "", "H264")]


def test_an_on_demand_camera_is_not_released_when_a_viewer_comes_in_time() -> None:
    stage = Stage(camera("door", on_demand=True, keep_after=1.0))
    stage.ingest("in-1")
    stage.egress("out-1")
    stage.watch("s1")
    stage(ViewerLeft("s1"))
    stage.tick(0.9)
    stage.watch("s2")
    assert sent(stage.tick(1.0)) == []


def test_an_on_demand_camera_with_nothing_kept_after_is_released_at_the_next_tick() -> None:
    stage = Stage(camera("door", on_demand=True, keep_after=0.0))
    stage.ingest("in-1")
    stage.egress("out-1")
    stage.watch("s1")
    stage(ViewerLeft("s1"))
    assert sent(stage.tick()) == [("in-1", Release("door"))]


def test_a_refused_offer_leaves_no_claim_on_an_on_demand_camera() -> None:
    stage = Stage(camera("door", on_demand=True, keep_after=0.0))
    stage.ingest("in-1")
    assert [c.code for c in of(OfferRefused, stage.offer("s1"))] == ["no_egress"]
    assert stage.worker_of("door") is None


def test_changing_an_idle_on_demand_camera_does_not_start_it() -> None:
    stage = Stage(camera("door", on_demand=True))
    stage.ingest("in-1")
    assert sent(stage.want(camera("door", on_demand=True, revision=2))) == []


def test_a_camera_that_becomes_on_demand_is_kept_its_while() -> None:
    stage = Stage(camera("door"))
    stage.ingest("in-1")
    stage.ingest("in-1", stream("door"))
    stage.want(camera("door", on_demand=True, keep_after=2.0, revision=2))
    assert sent(stage.tick(1.9)) == []
    assert sent(stage.tick(0.1)) == [("in-1", Release("door"))]


def test_a_new_broker_waits_for_the_worker_that_had_the_camera() -> None:
    stage = Stage(camera("door"), started_now=True, last_workers={"door": "in-1"})
    assert sent(stage.ingest("in-2")) == []
    assert sent(stage.ingest("in-1", stream("door"))) == []
    assert stage.worker_of("door") == "in-1"
    assert stage.state_of("door") is CameraState.PLAYING


def test_a_new_broker_waits_no_longer_than_the_grace() -> None:
    stage = Stage(camera("door"), started_now=True, last_workers={"door": "in-1"})
    stage.ingest("in-2")
    assert sent(stage.tick(GRACE - 0.1)) == []
    commands = stage.tick(0.1)
    assert sent(commands) == [("in-2", Assign(camera("door")))]
    assert of(RememberWorker, commands) == [RememberWorker("door", "in-2")]


def test_a_new_broker_need_not_wait_once_the_worker_is_back_without_the_camera() -> None:
    stage = Stage(camera("door"), started_now=True, last_workers={"door": "in-1"})
    stage.ingest("in-2", cpu=0.5)
    assert sent(stage.ingest("in-1")) == [("in-1", Assign(camera("door")))]


def test_a_new_broker_does_not_wait_for_a_camera_that_nobody_had() -> None:
    stage = Stage(camera("door"), started_now=True)
    assert stage.state_of("door") is CameraState.CONNECTING
    assert sent(stage.ingest("in-1")) == [("in-1", Assign(camera("door")))]


def test_a_new_broker_leaves_an_on_demand_camera_running_until_its_viewers_are_known() -> None:
    spec = camera("door", on_demand=True, keep_after=0.0)
    stage = Stage(spec, started_now=True)
    assert sent(stage.ingest("in-1", stream("door"))) == []
    stage.now += GRACE - 0.1
    stage.egress("out-1", viewer("s1"))
    stage.ingest("in-1", stream("door"))
    assert sent(stage.tick(1.0)) == []
    stage.egress("out-1")
    assert sent(stage.tick()) == [("in-1", Release("door"))]


def test_an_ingest_that_is_not_to_be_trusted_keeps_only_a_camera_that_it_is_remembered_to_have() -> None:
    """The answer to a report carries the camera's password."""
    stage = Stage(camera("door"), camera("yard"), started_now=True, last_workers={"door": "in-1"}, trusting=False)
    claimed = stream("door"), stream("yard")
    assert ("in-2", Release("door")) in sent(stage.ingest("in-2", *claimed))
    assert stage.worker_of("door") != "in-2"
    stage.ingest("in-1", *claimed)
    assert stage.worker_of("door") == "in-1"


def test_the_worker_of_a_camera_is_remembered_and_forgotten() -> None:
    stage = Stage(camera("door"))
    assert of(RememberWorker, stage.ingest("in-1")) == [RememberWorker("door", "in-1")]
    assert of(RememberWorker, stage.ingest("in-1", stream("door"))) == []
    assert of(RememberWorker, stage.leave("in-1")) == [RememberWorker("door", None)]
