"""Batches go out on the bus, and an egress that comes late is sent what it missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import zmq

from common.bus import Channel, open_socket
from common.endpoints import Endpoints
from common.media import MAX_GOP_BYTES, Batch, Flags, decode_frame, encode_batch, live_topic, replay_topic, taken_topic
from common.seal import Sealer, StreamSeals
from common.worker.groups import OVERHEAD, Gop
from common.worker.publisher import Publisher
from rigs.waiting import until

BOUND = 10.0


def batch(sequence: int, *, kind: str = "video", flags: int = 0, epoch: int = 1, size: int = 10) -> Batch:
    codec = "H264" if kind == "video" else "opus"
    return Batch(kind, codec, epoch, sequence, sequence * 3_600, 1, 2, flags, [bytes(size)])


def video(count: int, gop: int = 10, start: int = 0) -> list[Batch]:
    return [
        batch(n, flags=Flags.UNIT_END | (Flags.KEYFRAME if n % gop == 0 else 0)) for n in range(start, start + count)
    ]


class Egress:
    """A subscriber on a bus without a relay: it is what the publisher connects to."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoints: Endpoints) -> None:
        self.frames: list[bytes] = []
        self._changed = asyncio.Event()
        self._socket = open_socket(context, zmq.XSUB)
        self._socket.bind(endpoints.media_in)
        self.channel = Channel(self._socket, self._receive)

    def _receive(self, frame: bytes) -> None:
        self.frames.append(frame)
        self._changed.set()

    def subscribe(self, topic: bytes) -> None:
        self.channel.send(b"\x01" + topic)

    def unsubscribe(self, topic: bytes) -> None:
        self.channel.send(b"\x00" + topic)

    def of(self, topic: bytes) -> list[Batch]:
        return [each for frame in self.frames if frame.startswith(topic) for each in decode_frame(frame).batches]

    async def until(self, topic: bytes, count: int) -> list[Batch]:
        async with asyncio.timeout(BOUND):
            while len(self.of(topic)) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.of(topic)


@asynccontextmanager
async def bus(tmp_path: Path, cache_bytes: int = 1 << 30) -> AsyncIterator[tuple[Publisher, Egress]]:
    endpoints = Endpoints.parse(f"ipc://{tmp_path}")
    with zmq.Context() as context:
        egress = Egress(context, endpoints)
        try:
            with Publisher(context, endpoints, None, cache_bytes) as publisher:
                yield publisher, egress
        finally:
            egress.channel.close()


async def flowing(publisher: Publisher, egress: Egress, camera: str) -> None:
    """Publish until the subscription has reached the publisher."""
    egress.subscribe(live_topic(camera))
    async with asyncio.timeout(BOUND):
        while not egress.of(live_topic(camera)):
            publisher.publish(camera, [batch(0, kind="audio")])
            await asyncio.sleep(0)
        publisher.publish(camera, [batch(1, kind="audio")])
        while not egress.of(live_topic(camera))[-1].sequence:  # noqa: ASYNC110
            await asyncio.sleep(0)
    egress.frames.clear()


async def test_live(tmp_path: Path) -> None:
    async with bus(tmp_path) as (publisher, egress):
        await flowing(publisher, egress, "door")
        sent = video(5)
        publisher.publish("door", sent)
        publisher.publish("doorbell", video(5))
        publisher.publish("door", [batch(9, kind="audio")])
        got = await egress.until(live_topic("door"), 6)
        assert [each for each in got if each.kind == "video"] == sent
        assert not egress.of(live_topic("doorbell"))


async def test_a_picture_that_comes_alone_is_sent_at_once_and_those_that_come_together_go_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bus(tmp_path) as (publisher, egress):
        await flowing(publisher, egress, "front")
        sent: list[int] = []
        monkeypatch.setattr(publisher._channel, "send_all", lambda frames: sent.append(len(frames)))
        loop = asyncio.get_running_loop()
        now = loop.time()
        monkeypatch.setattr(loop, "time", lambda: now)

        def turn(pictures: int) -> list[int]:
            """How many frames went together before the turn was over."""
            nonlocal now
            sent.clear()
            now += 0.04
            for _ in range(pictures):
                publisher.publish("front", [batch(1)])
            return list(sent)

        assert turn(1) == [1]
        assert turn(3) == [1], "nobody can know that two more come"
        await asyncio.sleep(0)
        assert sent == [1, 2]
        assert turn(3) == [], "as many may come again"
        await asyncio.sleep(0)
        assert sent == [3]
        assert turn(1) == []
        await asyncio.sleep(0)
        assert turn(1) == [1]


async def test_replay_is_the_group_up_to_now(tmp_path: Path) -> None:
    async with bus(tmp_path) as (publisher, egress):
        publisher.publish("door", [*video(25), batch(0, kind="audio")])
        egress.subscribe(replay_topic("door", "egress-1"))
        assert await egress.until(replay_topic("door", "egress-1"), 5) == video(25)[20:]
        assert len(egress.frames) == 1
        publisher.publish("door", video(2, start=25))
        egress.subscribe(replay_topic("door", "egress-2"))
        assert await egress.until(replay_topic("door", "egress-2"), 7) == video(27)[20:]


async def test_replay_again_after_unsubscribing(tmp_path: Path) -> None:
    async with bus(tmp_path) as (publisher, egress):
        publisher.publish("door", video(3))
        topic = replay_topic("door", "e")
        for times in (1, 2, 3):
            egress.subscribe(topic)
            await egress.until(topic, 3 * times)
            egress.unsubscribe(topic)
        egress.subscribe(replay_topic("door", "last"))
        await egress.until(replay_topic("door", "last"), 3)
        assert publisher.counters["replays"] == 4


async def test_replay_for_one_that_subscribes_twice(tmp_path: Path) -> None:
    async with bus(tmp_path) as (publisher, egress):
        publisher.publish("door", video(3))
        for times in (1, 2):
            egress.subscribe(replay_topic("door", "e"))
            await egress.until(replay_topic("door", "e"), 3 * times)


async def test_whoever_comes_late_misses_nothing_of_what_nobody_took(tmp_path: Path) -> None:
    async with bus(tmp_path) as (publisher, egress):
        await flowing(publisher, egress, "yard")
        publisher.publish("door", [*video(13), batch(0, kind="audio")])
        assert not publisher._unsent
        egress.subscribe(live_topic("door"))
        egress.subscribe(replay_topic("door", "egress-1"))
        number = 13
        async with asyncio.timeout(BOUND):
            while not egress.of(live_topic("door")):
                publisher.publish("door", video(1, start=number))
                number += 1
                await asyncio.sleep(0)
        replayed = [each.sequence for each in await egress.until(replay_topic("door", "egress-1"), 1)]
        live = [each.sequence for each in egress.of(live_topic("door"))]
        assert replayed == [*range(replayed[0] // 10 * 10, replayed[-1] + 1)]
        assert live == [*range(live[0], live[-1] + 1)]
        assert live[0] <= replayed[-1] + 1


async def test_it_knows_what_is_taken(tmp_path: Path) -> None:
    async with bus(tmp_path) as (publisher, egress):
        told: list[str] = []
        publisher.on_taken = told.append
        await flowing(publisher, egress, "door")
        egress.subscribe(replay_topic("doorbell", "egress-1"))
        assert told == ["door"]
        assert publisher.taken("door")
        assert not publisher.taken("doorbell")
        egress.unsubscribe(live_topic("door"))
        await until(lambda: not publisher.taken("door"), BOUND)


async def test_it_knows_what_is_taken_from_another_instead(tmp_path: Path) -> None:
    async with bus(tmp_path) as (publisher, egress):
        await flowing(publisher, egress, "door")
        assert not publisher.outdated("door", 5)
        for epoch in (8, 7):
            egress.subscribe(taken_topic("door", epoch))
        egress.subscribe(taken_topic("yard", 9))
        await until(lambda: publisher.outdated("yard", 5), BOUND)
        assert [publisher.outdated("door", epoch) for epoch in (7, 8, 9)] == [True, False, False]
        egress.unsubscribe(taken_topic("door", 7))
        egress.unsubscribe(taken_topic("yard", 9))
        await until(lambda: not publisher.outdated("yard", 5), BOUND)
        assert publisher.outdated("door", 7)
        egress.channel.close()
        await until(lambda: not publisher.outdated("door", 7), BOUND)


async def test_nothing_is_taken_where_the_relay_is_gone(tmp_path: Path) -> None:
    async with bus(tmp_path) as (publisher, egress):
        await flowing(publisher, egress, "door")
        egress.channel.close()
        await until(lambda: not publisher.taken("door"), BOUND)


async def test_no_replay_for_who_only_listens(tmp_path: Path) -> None:
    async with bus(tmp_path) as (publisher, egress):
        publisher.publish("door", video(3))
        egress.subscribe(live_topic("door"))
        egress.subscribe(replay_topic("door", "e"))
        await egress.until(replay_topic("door", "e"), 3)
        assert publisher.counters["replays"] == 1


async def test_nothing_to_replay(tmp_path: Path) -> None:
    async with bus(tmp_path) as (publisher, egress):
        publisher.publish("sound", [batch(0, kind="audio")])
        publisher.publish("late", video(5, start=1))
        publisher.publish("gone", video(5))
        publisher.forget("gone")
        publisher.publish("door", video(5))
        for camera in ("unknown", "sound", "late", "gone", "door"):
            egress.subscribe(replay_topic(camera, "e"))
        await egress.until(replay_topic("door", "e"), 5)
        assert len(egress.frames) == 1


@pytest.mark.parametrize("topic", [b"", b"no end", b"\xff\xfe\0", b"door\0", b"door@\0x", b"door\0-1"])
async def test_strange_subscriptions(tmp_path: Path, topic: bytes) -> None:
    async with bus(tmp_path) as (publisher, egress):
        publisher.publish("door", video(5))
        egress.subscribe(topic)
        egress.channel.send(b"\x02what")
        egress.subscribe(replay_topic("door", "e"))
        await egress.until(replay_topic("door", "e"), 5)


async def test_wishes_for_what_is_not_published_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.worker.publisher.MAX_WANTED", 3)
    async with bus(tmp_path) as (publisher, egress):
        publisher.publish("door", video(1))
        for number in range(10):
            egress.subscribe(live_topic(f"none-{number}"))
            egress.subscribe(taken_topic(f"none-{number}", 7))
        async with asyncio.timeout(BOUND):
            while publisher.counters["subscription_garbage"] < 2 * (10 - 3):  # it reads them one after the other
                publisher.publish("door", [batch(0, kind="audio")])
                await asyncio.sleep(0)
        await flowing(publisher, egress, "door")
        assert publisher.taken("door")
        assert [publisher.taken(f"none-{number}") for number in range(4)] == [True] * 3 + [False]
        assert [publisher.outdated(f"none-{number}", 6) for number in range(4)] == [True] * 3 + [False]
        assert publisher.counters["subscription_garbage"] == 14


async def test_subscriptions_are_seen_while_a_lot_is_sent(tmp_path: Path) -> None:
    # The descriptor signals once, and a send may swallow the signal.
    async with bus(tmp_path) as (publisher, egress):
        await flowing(publisher, egress, "door")
        for number in range(50):
            egress.subscribe(replay_topic("door", str(number)))
            async with asyncio.timeout(BOUND):
                while not egress.of(replay_topic("door", str(number))):
                    publisher.publish("door", video(10))
                    await asyncio.sleep(0)


def test_a_group_that_is_too_large_is_not_cached() -> None:
    gop = Gop()
    encoded = bytes(MAX_GOP_BYTES // 4 - OVERHEAD)
    for number in range(4):
        gop.add(batch(number, flags=Flags.KEYFRAME if number == 0 else 0), encoded)
    assert len(gop.batches) == 4
    gop.add(batch(4), encoded)
    gop.add(batch(5), encoded)
    assert gop.batches == []
    gop.add(batch(6, flags=Flags.KEYFRAME), b"new")
    assert gop.batches == [b"new"]


def test_a_new_epoch_ends_the_group() -> None:
    gop = Gop()
    gop.add(batch(0, flags=Flags.KEYFRAME), b"a")
    gop.add(batch(1, epoch=2), b"b")
    assert gop.batches == [b"a"]
    gop.add(batch(0, epoch=2, flags=Flags.KEYFRAME), b"c")
    assert gop.batches == [b"c"]


def test_what_is_cached_is_what_was_sent() -> None:
    gop = Gop()
    batches = video(3)
    for each in batches:
        gop.add(each, encode_batch(each))
    assert gop.batches == [encode_batch(each) for each in batches]


async def test_with_a_key_live_frames_and_replays_are_sealed_and_without_they_are_not(tmp_path: Path) -> None:
    async with bus(tmp_path) as (publisher, egress):
        await flowing(publisher, egress, "door")
        topic, key = replay_topic("door", "e"), bytes(range(16))
        publisher.use_key("door", key)
        publisher.publish("door", video(3))
        egress.subscribe(topic)
        await until(lambda: len(egress.frames) >= 4, BOUND)
        seals = StreamSeals()
        seals.learn(key, 0.0)
        opened = [seals.open(frame, 0.0) for frame in egress.frames]
        assert [decode_frame(frame).batches for frame in opened if frame] == [*([each] for each in video(3)), video(3)]
        egress.frames.clear()
        publisher.use_key("door", b"")
        publisher.publish("door", video(1, start=3))
        assert await egress.until(live_topic("door"), 1) == video(1, start=3)


async def test_a_key_that_is_given_again_goes_on_with_its_nonces(tmp_path: Path) -> None:
    with zmq.Context() as context:
        publisher = Publisher(context, Endpoints.parse(f"ipc://{tmp_path}"), None)
        publisher.use_key("door", bytes(16))
        before = publisher._sealers["door"]
        publisher.use_key("door", bytes(16))
        assert publisher._sealers["door"] is before
        publisher.use_key("door", bytes(range(16)))
        assert isinstance(publisher._sealers["door"], Sealer)
        assert publisher._sealers["door"] is not before
        publisher._socket.close()


async def test_all_groups_together_are_bounded_and_the_largest_gives_way(tmp_path: Path) -> None:
    async with bus(tmp_path, cache_bytes=1 << 20) as (publisher, egress):
        publisher.publish("front", video(5))
        for number in range(40):
            keyframe = Flags.KEYFRAME if number % 7 == 0 else 0
            publisher.publish("hostile", [batch(number, flags=keyframe | Flags.UNIT_END, size=400_000)])
        assert publisher.counters["caches_given_up"] > 0
        egress.subscribe(replay_topic("front", "egress-1"))
        assert await egress.until(replay_topic("front", "egress-1"), 5) == video(5)


async def test_a_camera_that_is_forgotten_takes_no_room(tmp_path: Path) -> None:
    async with bus(tmp_path, cache_bytes=1 << 20) as (publisher, _egress):
        for number in range(10):
            publisher.publish(f"camera-{number}", [batch(0, flags=Flags.KEYFRAME, size=800_000)])
            publisher.forget(f"camera-{number}")
        assert not publisher.counters


def test_small_batches_count_for_what_they_take() -> None:
    gop = Gop()
    for number in range(1_000):
        each = batch(number, flags=Flags.KEYFRAME if not number else 0, size=1)
        gop.add(each, encode_batch(each))
    assert gop.size >= 1_000 * (len(encode_batch(batch(0, size=1))) + 40)


async def test_what_was_just_published_goes_before_the_cached_group_that_has_it_too(tmp_path: Path) -> None:
    async with bus(tmp_path) as (publisher, egress):
        await flowing(publisher, egress, "door")
        wanted = replay_topic("door", "out-1")
        publisher.publish("door", video(1))
        egress.subscribe(wanted)
        await egress.until(wanted, 1)
        egress.frames.clear()
        publisher.publish("door", video(1, start=1))
        publisher._subscribed(b"\x01" + wanted)
        assert [each.sequence for each in await egress.until(wanted, 2)] == [0, 1]
        assert egress.frames[0].startswith(live_topic("door"))
