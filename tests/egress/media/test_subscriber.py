"""Frames from the bus where each is sealed: what is opened, dropped and asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import zmq

from common.media import Batch, encode_batch, encode_replay, live_topic, replay_topic
from common.seal import STREAM_KEY_BYTES, Sealer
from egress.media import subscriber as module
from egress.media.stream import Stream
from egress.media.subscriber import LINGER, Subscriber
from tests.fakes.bus import FakeBroker
from tests.fakes.media import audio, video

KEY, OTHER = bytes(STREAM_KEY_BYTES), bytes(range(STREAM_KEY_BYTES))
NODE = "out-1"


class Egress:
    """A subscriber that somebody watches the door with."""

    def __init__(self, broker: FakeBroker, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.broker = broker
        self.wanted: list[str] = []
        self.subscriber = Subscriber(context, broker.endpoints, None, NODE, sealed=True)
        self.subscriber.start(key_wanted=self.wanted.append)
        self.stream: Stream = self.subscriber.acquire("door")

    @property
    def forged(self) -> int:
        return self.subscriber.counters["media_forged"]

    async def until(self, condition) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - nothing tells it
                await asyncio.sleep(0.01)

    def live(self, batch: Batch, key: bytes | None, camera: str = "door") -> None:
        frame = live_topic(camera) + encode_batch(batch)
        self.broker.publish_frame(Sealer(key).seal(frame) if key else frame)


@pytest.fixture
async def egress(tmp_path: Path) -> AsyncIterator[Egress]:
    async with FakeBroker(tmp_path) as broker:
        with zmq.Context() as context:
            egress = Egress(broker, context)
            await broker.until(lambda: broker.watches("door"))
            yield egress
            egress.subscriber.close()


async def test_what_the_worker_of_the_camera_sealed_is_taken_live_and_replayed(egress: Egress) -> None:
    egress.subscriber.learn("door", KEY)
    frame = replay_topic("door", NODE) + encode_replay([encode_batch(video(0, 0, keyframe=True))])
    await egress.broker.until(lambda: replay_topic("door", NODE) in egress.broker.subscriptions)
    egress.broker.publish_frame(Sealer(KEY).seal(frame))
    await egress.until(lambda: egress.stream.counters["replays"])
    egress.live(audio(0), KEY)
    await egress.until(lambda: egress.stream._expected["audio"])
    assert egress.forged == 0
    assert egress.wanted == []


async def test_what_another_worker_made_is_dropped_counted_and_harms_nobody(egress: Egress) -> None:
    egress.subscriber.learn("door", KEY)
    for key in (OTHER, None):
        egress.live(audio(0), key)
    frame = live_topic("yard") + encode_batch(audio(0))  # sealed for another camera
    egress.broker.publish_frame(live_topic("door") + Sealer(KEY).seal(frame)[len(live_topic("yard")) :])
    egress.broker.publish_frame(replay_topic("door", NODE) + b"\x90")
    await egress.until(lambda: egress.forged >= 4)
    assert egress.stream._expected["audio"] is None
    assert egress.stream.counters["replays"] == 0
    egress.live(audio(0), KEY)
    await egress.until(lambda: egress.stream._expected["audio"])


async def test_a_missed_key_is_asked_for_once_a_second_and_then_all_is_well(egress: Egress) -> None:
    for number in range(20):
        egress.live(audio(number), KEY)
    await egress.until(lambda: egress.forged == 20)
    assert egress.wanted == ["door"]
    egress.subscriber.learn("door", KEY)
    egress.live(audio(20), KEY)
    await egress.until(lambda: egress.stream._expected["audio"])


async def test_a_camera_that_moved_is_seen_from_its_new_worker_and_no_longer_from_the_former(egress: Egress) -> None:
    egress.subscriber.learn("door", KEY)
    egress.subscriber.learn("door", OTHER)
    egress.live(audio(0), KEY)  # was on its way
    await egress.until(lambda: egress.stream._expected["audio"] == 1)
    egress.live(audio(1), OTHER)
    await egress.until(lambda: egress.stream._expected["audio"] == 2)
    egress.live(audio(2), KEY)
    await egress.until(lambda: egress.forged == 1)
    assert egress.stream._expected["audio"] == 2


async def test_a_key_for_a_viewer_that_never_came_is_forgotten(egress: Egress) -> None:
    egress.subscriber.learn("door", KEY)
    for number in range(100):
        egress.subscriber.learn(f"yard-{number}", KEY)
    egress.subscriber.sweep(asyncio.get_running_loop().time() + 2 * LINGER)
    assert egress.subscriber._seals is not None
    assert list(egress.subscriber._seals) == ["door"], "the one that is watched"


async def test_a_key_that_is_none_is_counted_and_the_former_stays(egress: Egress) -> None:
    egress.subscriber.learn("door", KEY)
    egress.subscriber.learn("door", b"short")
    assert egress.subscriber.counters["control_garbage"] == 1
    egress.live(audio(0), KEY)
    await egress.until(lambda: egress.stream._expected["audio"])


async def test_keys_go_with_their_streams(egress: Egress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINGER", 0.0)
    egress.subscriber.learn("door", KEY)
    egress.live(audio(0), OTHER)
    await egress.until(lambda: egress.forged)
    egress.subscriber.release(egress.stream)
    egress.subscriber.sweep(asyncio.get_running_loop().time() + 1)
    assert egress.subscriber._seals == {}
    assert egress.subscriber._key_wanted_at == {}
