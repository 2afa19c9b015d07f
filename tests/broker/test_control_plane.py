import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import zmq

from broker.answers import Answer
from broker.catalogue import Catalogue
from broker.control_plane import ControlPlane
from broker.director.commands import CameraChanged, CameraRemoved, SessionEnded
from broker.director.events import StoodStill, Tick, Wish
from broker.director.state import GRACE
from broker.store import Store
from common.cameras import CameraState
from common.config import Config
from common.config_cameras import CameraConfig
from common.control import (
    DEAD_AFTER,
    Answered,
    Ended,
    HangUp,
    Leaving,
    Offer,
    Report,
    Role,
    ViewerReport,
    ViewerState,
)
from common.demand import Demand, Teller
from common.endpoints import Endpoints
from common.errors import AddressInUseError, RequestError
from common.wire import OURS
from tests.fakes.log import Recorder
from tests.fakes.private_bus import free_tcp_endpoints, private_endpoints, zmq_context
from tests.fakes.workers import H264, PATIENCE, FakeEgress, FakeIngest

CONFIG = Config(cameras={"door": CameraConfig(url="rtsp://user:secret@host/door")})


@pytest.fixture
def context() -> Iterator[zmq.Context]:
    with zmq_context() as context:
        yield context


@pytest.fixture
def endpoints() -> Iterator[Endpoints]:
    with private_endpoints() as endpoints:
        yield endpoints


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    store = Store(tmp_path / "camshaft.db")
    yield Catalogue(CONFIG, store)
    store.close()


class Clock:
    """Real time, and as much more as a test wants."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def control(context, endpoints: Endpoints, catalogue: Catalogue, clock: Clock) -> AsyncIterator[ControlPlane]:
    async with ControlPlane(context, endpoints, None, catalogue, clock) as control:
        yield control


@pytest.fixture
async def egress(control: ControlPlane, endpoints: Endpoints) -> AsyncIterator[FakeEgress]:
    async with FakeEgress(endpoints, "out-1") as egress:
        await until(control, lambda: list(control.director.workers))
        yield egress


async def until(control: ControlPlane, condition) -> None:
    """Wait until the condition holds; it is asked whenever a worker has said something and four times a second."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await control.news()


async def test_an_offer_is_answered(control: ControlPlane, egress: FakeEgress) -> None:
    answer = await control.offer("door", "sdp")
    offer = await egress.told(Offer)
    assert answer == Answer(offer.session, "answer of sdp")
    assert len(answer.session) == 38  # 192 bits in base64, and a mark of the offer


async def test_the_log_names_workers_beside_the_process_that_writes_it(
    control: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.notices.log", recorder := Recorder())
    for incarnation, host, pid in (("1", "there", 1), ("2", "here", 2), ("1", "there", 1)):
        report = Report("out-1", Role.EGRESS, incarnation, host, pid=pid, wire=OURS)
        control._hear("out-1", report)
    assert not any("node" in fields for _, fields in recorder.lines), "that is the broker's own name"
    assert [(event, fields["worker"]) for event, fields in recorder.lines] == [
        ("worker joined", "out-1"),
        ("worker lost", "out-1"),
        ("worker joined", "out-1"),
        ("two processes run under one --node name; give each its own", "out-1"),
    ]
    assert recorder.lines[-1][1]["processes"] == ("here, process 2", "there, process 1")


async def test_a_worker_that_says_goodbye_is_nothing_to_warn_of(
    control: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.notices.log", recorder := Recorder())
    control._hear("out-1", Report("out-1", Role.EGRESS, "1", "here", pid=1, wire=OURS))
    control._hear("out-1", Leaving("out-1", "1"))
    assert [(event, fields["worker"]) for event, fields in recorder.lines] == [
        ("worker joined", "out-1"),
        ("worker left in good order", "out-1"),
    ]


async def test_a_refusal_is_an_error(control: ControlPlane, egress: FakeEgress) -> None:
    egress.refusal = (406, "no_codec", "H.265 only.")
    with pytest.raises(RequestError) as caught:
        await control.offer("door", "sdp")
    assert (caught.value.status, caught.value.code, caught.value.message) == (406, "no_codec", "H.265 only.")


async def test_who_stops_waiting_for_an_answer_ends_the_session(control: ControlPlane, egress: FakeEgress) -> None:
    egress.silent = True
    waiting = asyncio.create_task(control.offer("door", "sdp"))
    offer = await egress.told(Offer)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await egress.told(HangUp) == HangUp(offer.session)
    egress.send(Answered(offer.session, "late"))
    assert await egress.told(HangUp) == HangUp(offer.session)


async def test_who_stops_waiting_although_the_answer_is_there_ends_the_session(control, egress) -> None:
    egress.silent = True
    waiting = asyncio.create_task(control.offer("door", "sdp"))
    offer = await egress.told(Offer)
    egress.send(Answered(offer.session, "answer"))
    await until(control, lambda: control.director.session(offer.session).answered)
    waiting.cancel()
    try:
        await waiting  # it was quicker: then the session is its to keep
    except asyncio.CancelledError:
        assert await egress.told(HangUp) == HangUp(offer.session)


async def test_stopping_lets_nobody_wait(control: ControlPlane, egress: FakeEgress) -> None:
    egress.silent = True
    waiting = asyncio.create_task(control.offer("door", "sdp"))
    await egress.told(Offer)
    control.stop()
    with pytest.raises(RequestError) as caught:
        await waiting
    assert (caught.value.status, caught.value.code) == (503, "stopping")


async def test_the_end_reaches_the_egress(control: ControlPlane, egress: FakeEgress) -> None:
    session = (await control.offer("door", "sdp")).session
    control.hang_up(session)
    assert await egress.told(HangUp) == HangUp(session)
    assert await control.find(session) is None


async def test_an_offer_to_an_egress_that_is_gone_goes_to_another(control, endpoints: Endpoints) -> None:
    async with FakeEgress(endpoints, "out-2") as second:
        async with FakeEgress(endpoints, "out-1"):
            await until(control, lambda: len(list(control.director.workers)) == 2)
            second.report(subscribed=())
        # out-1 comes first by name, and is closed without a farewell; that may have been seen before the offer comes.
        seen = any(not worker.alive for worker in control.director.workers)
        answer = await control.offer("door", "sdp")
        assert (await second.told(Offer)).session == answer.session
    assert seen or control.counters["control_undelivered"] >= 1


async def test_a_worker_whose_connection_is_gone_is_soon_lost(control: ControlPlane, endpoints: Endpoints) -> None:
    ended: list[object] = []
    with control.notices.listening(ended.append):
        async with FakeEgress(endpoints, "out-1"):
            await until(control, lambda: list(control.director.workers))
            session = (await control.offer("door", "sdp")).session
            await until(control, lambda: control.director.session(session).report)
        await until(control, lambda: not next(iter(control.director.workers)).alive)
    assert SessionEnded(session, "door", "worker_lost") in ended
    assert next(iter(control.director.workers)).seen > time.monotonic() - DEAD_AFTER


async def test_after_standing_still_nobody_is_thought_dead(
    control: ControlPlane, egress: FakeEgress, clock: Clock
) -> None:
    session = (await control.offer("door", "sdp")).session
    await until(control, lambda: control.director.session(session).report)
    clock.ahead += 60.0
    await control.news()  # a tick
    egress.report()
    for _ in range(3):
        await control.news()
    assert control.director.session(session) is not None


async def test_a_session_of_an_earlier_broker_is_waited_for(control: ControlPlane, endpoints: Endpoints) -> None:
    finding = asyncio.create_task(control.find("s1"))
    async with FakeEgress(endpoints, "out-1") as egress:
        egress.report(viewers=(ViewerReport("s1", "door", ViewerState.CONNECTED),))
        status = await finding
        assert (status.camera, status.node) == ("door", "out-1")


async def test_a_session_is_not_waited_for_once_the_start_is_over(control: ControlPlane, clock: Clock) -> None:
    clock.ahead += GRACE
    await control.news()
    assert await asyncio.wait_for(control.find("s1"), 1.0) is None


async def test_notices(control: ControlPlane, endpoints: Endpoints, catalogue: Catalogue) -> None:
    notices: list[object] = []
    with control.notices.listening(notices.append):
        async with FakeIngest(endpoints, "in-1"):
            await until(control, lambda: control.director.camera("door").state is CameraState.PLAYING)
            catalogue.add({"id": "yard", "url": "rtsp://host/"})
            catalogue.remove("yard")
    catalogue.add({"id": "hall", "url": "rtsp://host/"})  # nobody listens any more
    assert notices == [
        CameraChanged("door", CameraState.PLAYING, "", "H264"),
        CameraChanged("yard", CameraState.CONNECTING, ""),
        CameraRemoved("yard"),
    ]


async def test_what_is_to_be_remembered_reaches_the_catalogue(control, endpoints, catalogue: Catalogue) -> None:
    async with FakeIngest(endpoints, "in-1"):
        await until(control, lambda: control.director.camera("door").tracks)
    assert catalogue.tracks == {"door": (H264,)}
    assert catalogue.last_workers == {"door": "in-1"}


async def test_garbage_is_counted_and_harms_nobody(control: ControlPlane, egress: FakeEgress) -> None:
    egress.send(b"\xff")
    egress.channel.send(b"two", b"frames")
    egress.send(Ended("nobody", "x"))
    egress.send(Report("another name", Role.EGRESS, "1"))
    await until(control, lambda: control.director.counters.get("wrong_node"))
    assert control.counters["control_garbage"] == 2
    assert await control.offer("door", "sdp")


async def test_a_port_in_use_is_named(context, catalogue: Catalogue) -> None:
    endpoints = free_tcp_endpoints()
    async with ControlPlane(context, endpoints, None, catalogue):
        with pytest.raises(AddressInUseError, match="--broker-address"):
            async with ControlPlane(context, endpoints, None, catalogue):
                pass


async def test_a_process_that_is_always_late_still_sees_what_times_out(
    control: ControlPlane, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each tick stands behind a stall; what waits for time to pass must not wait for ever."""
    monkeypatch.setattr("broker.ticks.INTERVAL", 0.01)
    monkeypatch.setattr("broker.ticks.STALLED_AFTER", 0.0)
    events: list[type] = []
    handle = control.director.handle
    monkeypatch.setattr(
        control.director, "handle", lambda event, now: (events.append(type(event)), handle(event, now))[1]
    )
    async with asyncio.timeout(PATIENCE):
        while events.count(Tick) < 3:  # noqa: ASYNC110 - of a timer, which tells nobody
            await asyncio.sleep(0.01)
    assert StoodStill in events


async def test_a_broker_to_which_nothing_happens_ticks_seldom_until_something_does(
    control: ControlPlane, egress: FakeEgress, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.ticks.CALM_AFTER", 0.05)
    monkeypatch.setattr("broker.ticks.REPORT_INTERVAL", 1_000.0)  # a second is soon enough to come by itself
    await until(control, lambda: control._ticker.due > clock() + PATIENCE)
    ticks: list[Tick] = []
    handle = control.director.handle
    monkeypatch.setattr(
        control.director,
        "handle",
        lambda event, now: (ticks.append(event) if isinstance(event, Tick) else None, handle(event, now))[1],
    )
    egress.send(Ended("nobody", "x"))
    await until(control, lambda: ticks)


async def test_a_transcode_worker_that_is_needed_is_told_of_at_once(context, endpoints, catalogue) -> None:
    asked, telling = os.pipe()
    try:
        async with ControlPlane(context, endpoints, None, catalogue) as control:
            control.director.reserve.open()
            control.on_demand = Teller(telling).tell
            control._handle(Tick())
            assert Demand.heard(os.read(asked, 10)) is Demand.NONE
            still = asyncio.create_task(control.still("door", Wish()))
            await asyncio.sleep(0)
            assert Demand.heard(os.read(asked, 10)) is Demand.MUCH
            still.cancel()
    finally:
        os.close(asked)
        os.close(telling)
