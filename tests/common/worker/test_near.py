"""Publishers and subscribers of one machine, and the relay between them that has nothing to do then."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from broker.relay import Relay
from common.errors import ProtocolError
from common.media import live_topic, replay_topic
from common.near import CALL, Call
from common.worker import near_door, neighbours, pipe
from common.worker.publisher import Publisher
from tests.fakes.near_machine import DOOR, GROUP, Camera, Express, Machine, whole
from tests.fakes.private_bus import private_endpoints, zmq_context


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    with zmq_context() as context, private_endpoints() as endpoints:
        async with Relay(context, endpoints, None) as relay:
            machine = Machine(context, endpoints, relay)
            with machine.stack:
                yield machine


async def test_nothing_passes_the_relay_where_nobody_far_takes_it_and_one_copy_comes(machine: Machine) -> None:
    camera, viewer = Camera(machine.publisher(), 1), machine.viewer()
    await machine.until(lambda: viewer.near, camera)
    await machine.all_came(camera, viewer)
    before, seen, sent = await machine.relayed(), viewer.frames, camera.pictures
    await machine.until(lambda: camera.pictures >= sent + 50, camera)
    await machine.all_came(camera, viewer)
    assert await machine.relayed() == before
    assert viewer.frames == seen + 3 * (camera.pictures - sent)
    whole(viewer, camera)
    assert viewer.incoming.counters["gaps"] == 0


async def test_who_is_far_gets_it_by_the_relay_and_who_is_near_once(machine: Machine) -> None:
    camera, near, far = Camera(machine.publisher(), 1), machine.viewer(), machine.viewer(calls=False)
    await machine.until(lambda: near.near and far.shown(), camera)
    await machine.all_came(camera, near, far)
    seen, sent = near.frames, camera.pictures
    await machine.until(lambda: camera.pictures >= sent + 50, camera)
    await machine.all_came(camera, near, far)
    assert near.frames == seen + 3 * (camera.pictures - sent)
    whole(near, camera)
    whole(far, camera)
    near.subscriber.unsubscribe("door")
    far.subscriber.unsubscribe("door")
    await machine.until(lambda: not camera.publisher.taken("door"))


async def test_who_connects_is_asked_for_the_start_that_is_still_missing(machine: Machine) -> None:
    """The relay was asked for it before, and the publisher answers a neighbour by its own way alone."""
    publisher, viewer = machine.publisher(), machine.viewer()
    camera = Camera(publisher, 1)
    for _ in range(20):
        camera.goes_on()  # nobody takes it yet: it is cached
    asked = live_topic("door"), replay_topic("door", "out-0")
    said: list[bytes] = []
    pipe = SimpleNamespace(put=said.append, flush=lambda: None)
    viewer.subscriber._welcome(pipe)  # type: ignore[arg-type]
    assert said == [b"\1" + topic for topic in asked]
    await machine.until(lambda: viewer.near, camera)
    said.clear()
    viewer.subscriber._welcome(pipe)  # type: ignore[arg-type]
    assert said == [b"\1" + asked[0]]


async def test_what_is_cached_comes_near_by_and_only_so(machine: Machine) -> None:
    camera, first = Camera(machine.publisher(), 1), machine.viewer()
    for _ in range(20):
        camera.goes_on()
    await machine.until(lambda: first.near, camera)
    second = machine.viewer(watches=False)
    await machine.until(lambda: second.subscriber._door.pipes)  # type: ignore[union-attr]
    replays, relayed = camera.publisher.counters["replays"], await machine.relayed()
    taken: list[str] = []
    camera.publisher.on_taken = taken.append
    second.watch()
    begin = (camera.pictures - 1) // GROUP * GROUP
    await machine.until(lambda: second.shown())
    await machine.until(lambda: second.near, camera)
    whole(second, camera, first=begin)
    assert camera.publisher.counters["replays"] == replays + 1
    assert await machine.relayed() <= relayed + 6, "the first batches by both ways at most"
    assert "door" in taken


async def test_what_goes_straight_to_one_is_not_missing_for_who_comes_or_who_takes_over(machine: Machine) -> None:
    camera, first = Express(machine.publisher(), 1), machine.viewer()
    camera.group = 1 << 30  # who comes later begins with what was kept, or not at all
    await machine.until(lambda: first.near, camera)
    await machine.until(lambda: camera.straight > 20, camera)
    second = machine.viewer()
    await machine.until(lambda: second.near, camera)
    straight = camera.straight
    await machine.until(lambda: second.shown()[-1] > straight + 20, camera)
    assert camera.straight == straight, "two take it now"
    second.subscriber.unsubscribe("door")
    await machine.until(lambda: camera.straight > straight + 20, camera)
    await machine.until(lambda: first.shown()[-1] == camera.pictures - 1)
    for viewer in (first, second):
        assert viewer.shown() == list(range(viewer.shown()[-1] + 1))


async def test_a_publisher_that_is_gone_leaves_no_gap_behind_the_one_that_takes_over(machine: Machine) -> None:
    with Publisher(machine.context, machine.endpoints, None) as publisher:
        former, viewer = Camera(publisher, 1), machine.viewer()
        await machine.until(lambda: viewer.near, former)
        latter = Camera(machine.publisher(), 2)
        await machine.until(lambda: viewer.shown(epoch=2), former, latter)
        await machine.until(lambda: not former.goes_on() and viewer.incoming.epoch == 2, latter)
    await machine.until(lambda: len(viewer.shown(epoch=2)) > 20 and viewer.near, latter)
    await machine.until(lambda: viewer.shown(epoch=2)[-1] == latter.pictures - 1)
    whole(viewer, latter)
    assert viewer.shown(epoch=2)[0] % GROUP == 0
    shown = viewer.shown()
    assert shown == list(range(shown[0], shown[-1] + 1))


async def test_one_that_comes_later_has_no_start_shown_by_the_relay(machine: Machine) -> None:
    camera, viewer = Camera(machine.publisher(), 1), machine.viewer()
    await machine.until(lambda: viewer.near, camera)
    latter, called = Camera(machine.publisher(), 2), asyncio.Event()
    latter.publisher._neighbours.called = lambda _call: called.set()  # type: ignore[method-assign]
    latter.goes_on()  # it is cached
    await machine.until(called.is_set, camera)
    sent = camera.pictures
    await machine.until(lambda: camera.pictures >= sent + 20, camera)
    assert latter.publisher.counters["replays"] == 0, "what follows it would come from near by, or not at all"
    assert viewer.incoming.epoch == 1


async def test_a_publisher_that_was_killed_is_missed_until_another_one_has_the_camera(machine: Machine) -> None:
    with Publisher(machine.context, machine.endpoints, None) as publisher:
        former, viewer = Camera(publisher, 1), machine.viewer()
        await machine.until(lambda: viewer.near, former)
    await machine.until(lambda: viewer.subscriber._ways.relayed(DOOR))
    far = Camera(machine.publisher(), 2)  # it never hears a call
    far.publisher._neighbours.called = lambda _call: None  # type: ignore[method-assign]
    await machine.until(lambda: viewer.shown(epoch=2), far)
    assert not viewer.near


async def test_the_relay_may_come_and_go(machine: Machine) -> None:
    camera, viewer = Camera(machine.publisher(), 1), machine.viewer()
    await machine.until(lambda: viewer.near, camera)
    for _ in range(3):
        sent = camera.pictures
        await machine.relay.renew()
        await machine.until(lambda sent=sent: camera.pictures >= sent + 50, camera)  # type: ignore[misc]
    await machine.until(lambda: viewer.shown()[-1] == camera.pictures - 1)
    whole(viewer, camera)
    assert viewer.incoming.counters["gaps"] == 0


async def test_calls_begin_and_end_while_pictures_are_on(machine: Machine) -> None:
    camera, viewer = Camera(machine.publisher(), 1), machine.viewer(calls=False)
    await machine.until(lambda: len(viewer.shown()) > 10, camera)
    for _ in range(3):
        viewer.subscriber.call_neighbours(True)
        await machine.until(lambda: viewer.near, camera)
        viewer.subscriber.call_neighbours(False)
        assert not viewer.near
        sent = camera.pictures
        await machine.until(lambda sent=sent: camera.pictures >= sent + 20, camera)  # type: ignore[misc]
    await machine.until(lambda: viewer.shown()[-1] == camera.pictures - 1)
    whole(viewer, camera)
    assert viewer.incoming.counters["gaps"] == 0


async def test_a_publisher_with_no_connection_tells_and_is_heard_by_the_relay(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera, viewer = Camera(machine.publisher(), 1), machine.viewer()
    await machine.until(lambda: viewer.near, camera)
    monkeypatch.setattr(neighbours, "uid_of_peer", lambda _socket: -1)
    monkeypatch.setattr(neighbours, "RETRY_INTERVAL", 0.02)
    other = Camera(machine.publisher(), 2)
    await machine.until(lambda: viewer.subscriber._doubt is not None, camera)
    await machine.until(lambda: viewer.shown(epoch=2), camera, other)
    await machine.until(lambda: viewer.shown(epoch=2)[-1] == other.pictures - 1)
    assert viewer.shown(epoch=2)[0] % GROUP == 0, "at a keyframe: the former epoch flowed until then"
    monkeypatch.undo()
    monkeypatch.setattr("common.worker.subscriber.CERTAIN_AFTER", 0.02)
    viewer.subscriber._unreached()
    await machine.until(lambda: viewer.near, camera, other)
    whole(viewer, other)


async def test_a_subscriber_that_stands_still_is_given_up_and_comes_back(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera, viewer = Camera(machine.publisher(), 1), machine.viewer()
    await machine.until(lambda: viewer.near, camera)
    monkeypatch.setattr(pipe, "MAX_WAITING", 100_000)
    monkeypatch.setattr(neighbours, "RETRY_INTERVAL", 0.05)
    monkeypatch.setattr("common.worker.subscriber.CERTAIN_AFTER", 0.2)
    (connection,) = viewer.subscriber._door.pipes  # type: ignore[union-attr]
    connection.rest()
    await machine.until(lambda: camera.publisher.counters["near_given_up"], camera)
    connection.open()
    await machine.until(lambda: viewer.subscriber._ways.relayed(DOOR), camera)
    await machine.until(lambda: viewer.near, camera)
    await machine.until(lambda: viewer.shown()[-1] == camera.pictures - 1)
    shown = viewer.shown()
    assert shown == sorted(set(shown)), "nothing came twice"


async def test_a_rendition_that_is_silent_is_taken_from_the_relay_too(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SILENT_AFTER", "LOOK_INTERVAL"):
        monkeypatch.setattr(f"common.worker.subscriber.{name}", 0.05)
    camera, viewer = Camera(machine.publisher(), 1), machine.viewer()
    await machine.until(lambda: viewer.near, camera)
    await machine.until(lambda: viewer.subscriber._ways.relayed(DOOR))
    await machine.until(lambda: viewer.near, camera)
    await machine.until(lambda: viewer.shown()[-1] == camera.pictures - 1)
    whole(viewer, camera)


async def test_sound_that_rests_is_taken_together(machine: Machine) -> None:
    camera, viewer = Camera(machine.publisher(), 1), machine.viewer()
    await machine.until(lambda: viewer.near, camera)
    viewer.subscriber.rest(0.02)
    sent = camera.pictures
    await machine.until(lambda: camera.pictures >= sent + 20, camera)
    await machine.until(lambda: viewer.shown()[-1] == camera.pictures - 1)
    viewer.subscriber.rest(0.0)
    await machine.until(lambda: camera.pictures >= sent + 40, camera)
    await machine.until(lambda: viewer.shown()[-1] == camera.pictures - 1)
    whole(viewer, camera)


async def test_strangers_are_let_in_by_neither_side(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    camera, viewer = Camera(machine.publisher(), 1), machine.viewer()
    await machine.until(lambda: viewer.near, camera)
    door = viewer.subscriber._door
    assert door is not None
    with socket.socket(socket.AF_UNIX) as guesses, socket.socket(socket.AF_UNIX) as other:
        guesses.connect(door.call.address)
        guesses.sendall((3).to_bytes(4) + b"let")
        await machine.until(lambda: viewer.subscriber.counters["near_strangers"] == 1, camera)
        monkeypatch.setattr(near_door, "uid_of_peer", lambda _socket: -1)
        other.connect(door.call.address)
        await machine.until(lambda: viewer.subscriber.counters["near_strangers"] == 2, camera)
        for each in (guesses, other):
            each.setblocking(False)
            assert each.recv(100) == b""
    assert len(door.pipes) == 1


async def test_garbage_from_near_by_is_dropped_and_counted(machine: Machine) -> None:
    camera, viewer = Camera(machine.publisher(), 1), machine.viewer()
    await machine.until(lambda: viewer.near, camera)
    (neighbour,) = camera.publisher._neighbours.takers["door"]
    for frame in (b"", b"door", DOOR + b"garbage", live_topic("other")):
        neighbour.pipe.send(frame)
    await machine.until(lambda: viewer.subscriber.counters["media_garbage"] == 4, camera)
    door = viewer.subscriber._door
    assert door is not None
    door.say(b"", b"\1", b"\1\xff\0", b"\1door\0x")
    await machine.until(lambda: camera.publisher.counters["subscription_garbage"] == 4, camera)
    assert viewer.near
    whole_after = camera.pictures
    await machine.until(lambda: camera.pictures > whole_after + 5, camera)
    await machine.until(lambda: viewer.shown()[-1] == camera.pictures - 1)
    whole(viewer, camera)


async def test_calls_are_bounded(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "MAX_NEIGHBOURS", 2)
    publisher = machine.publisher()
    for n in range(4):
        publisher._subscribed(b"\1" + Call("out", f"{n:032x}", "0" * 32).topic)
    assert publisher.counters["subscription_garbage"] == 2
    for n in range(4):
        publisher._subscribed(b"\0" + Call("out", f"{n:032x}", "0" * 32).topic)
    assert not publisher._neighbours._calls


def test_a_call_is_its_topic() -> None:
    call = Call("out-1", "0123456789abcdef" * 2, "f" * 32)
    assert Call.parse(call.topic) == call
    assert call.topic == b"@near\0out-1\0" + b"0123456789abcdef" * 2 + b"\0" + b"f" * 32 + b"\0"
    assert call.ticket not in repr(call)


@pytest.mark.parametrize(
    "topic",
    [
        b"",
        b"out\0" + b"0" * 32,
        b"\0" + b"0" * 32 + b"\0" + b"0" * 32 + b"\0",
        b"out\0../../tmp\0" + b"0" * 32 + b"\0",
        b"out\0" + b"0" * 32 + b"\0short\0",
        b"out\0" + b"0" * 32 + b"\0" + b"0" * 32 + b"\0more",
        b"\xff\0" + b"0" * 32 + b"\0" + b"0" * 32 + b"\0",
    ],
)
def test_what_is_no_call_is_refused(topic: bytes) -> None:
    with pytest.raises(ProtocolError):
        Call.parse(CALL + topic)
