"""Frames from the bus where each is sealed: what is opened, dropped and asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import zmq

from common import seal
from common.media import Batch, encode_batch, encode_replay, live_topic, replay_topic, taken_topic
from common.seal import STREAM_KEY_BYTES, Sealer
from common.worker.incoming import Incoming
from common.worker.subscriber import Subscriber
from rigs.waiting import until
from tests.fakes.bus import FakeBroker
from tests.fakes.media import audio, video
from tests.fakes.sink import recording_sinks

KEY, OTHER = bytes(STREAM_KEY_BYTES), bytes(range(STREAM_KEY_BYTES))
NODE = "out-1"


class Worker:
    """A subscriber to the door."""

    def __init__(self, broker: FakeBroker, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.broker = broker
        self.wanted: list[str] = []
        self.subscriber = Subscriber(context, broker.endpoints, None, NODE, sealed=True, key_wanted=self.wanted.append)
        self.sinks = recording_sinks()
        self.incoming = Incoming(self.sinks, lambda: self.subscriber.request_replay("door"))
        self.live_ones: list[Batch] = []  # that were passed on
        self.subscriber.subscribe("door", self.incoming, self.live_ones.append)

    @property
    def sounds(self) -> list[int]:
        """Sequence numbers of the sound that was passed on."""
        return [batch.sequence for batch in self.sinks["audio"].batches]

    @property
    def forged(self) -> int:
        return self.subscriber.counters["media_forged"]

    def live(self, batch: Batch, key: bytes | None, camera: str = "door") -> None:
        frame = live_topic(camera) + encode_batch(batch)
        self.broker.publish_frame(Sealer(key).seal(frame) if key else frame)


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    async with FakeBroker(tmp_path) as broker:
        with zmq.Context() as context:
            worker = Worker(broker, context)
            with worker.subscriber:
                await until(lambda: broker.watches("door"))
                yield worker


async def test_what_the_worker_of_the_camera_sealed_is_taken_live_and_replayed(worker: Worker) -> None:
    worker.subscriber.learn("door", KEY)
    frame = replay_topic("door", NODE) + encode_replay([encode_batch(video(0, 0, keyframe=True))])
    await until(lambda: replay_topic("door", NODE) in worker.broker.subscriptions)
    worker.broker.publish_frame(Sealer(KEY).seal(frame))
    await until(lambda: worker.incoming.counters["replays"])
    worker.live(audio(0), KEY)
    await until(lambda: worker.sounds)
    assert worker.forged == 0
    assert worker.wanted == []


async def test_what_another_worker_made_is_dropped_counted_and_harms_nobody(worker: Worker) -> None:
    worker.subscriber.learn("door", KEY)
    for key in (OTHER, None):
        worker.live(audio(0), key)
    frame = live_topic("yard") + encode_batch(audio(0))  # sealed for another camera
    worker.broker.publish_frame(live_topic("door") + Sealer(KEY).seal(frame)[len(live_topic("yard")) :])
    worker.broker.publish_frame(replay_topic("door", NODE) + b"\x90")
    await until(lambda: worker.forged >= 4)
    assert worker.sounds == []
    assert worker.incoming.counters["replays"] == 0
    worker.live(audio(0), KEY)
    await until(lambda: worker.sounds)


async def test_a_missed_key_is_asked_for_once_a_second_and_then_all_is_well(worker: Worker) -> None:
    for number in range(20):
        worker.live(audio(number), KEY)
    await until(lambda: worker.forged == 20)
    assert worker.wanted == ["door"]
    worker.subscriber.learn("door", KEY)
    worker.live(audio(20), KEY)
    await until(lambda: worker.sounds)


async def test_a_camera_that_moved_is_seen_from_its_new_worker_and_no_longer_from_the_former(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal, "AFTER_FIRST", 0.0)
    worker.subscriber.learn("door", KEY)
    worker.subscriber.learn("door", OTHER)
    worker.live(audio(0), KEY)  # was on its way
    await until(lambda: worker.sounds == [0])
    worker.live(audio(1), OTHER)
    await until(lambda: worker.sounds == [0, 1])
    worker.live(audio(2), KEY)
    await until(lambda: worker.forged == 1)
    assert worker.sounds == [0, 1]


async def test_a_key_that_is_none_is_counted_and_the_former_stays(worker: Worker) -> None:
    worker.subscriber.learn("door", KEY)
    worker.subscriber.learn("door", b"short")
    assert worker.subscriber.counters["control_garbage"] == 1
    worker.live(audio(0), KEY)
    await until(lambda: worker.sounds)


async def test_keys_go_with_the_subscription(worker: Worker) -> None:
    worker.subscriber.learn("door", KEY)
    worker.live(audio(0), OTHER)
    await until(lambda: worker.forged)
    worker.subscriber.unsubscribe("door")
    assert worker.subscriber._seals == {}
    assert worker.subscriber._key_wanted_at == {}


async def test_after_the_end_of_a_subscription_nothing_comes_and_the_publisher_sees_it(worker: Worker) -> None:
    worker.subscriber.learn("door", KEY)
    worker.subscriber.unsubscribe("door")
    await until(lambda: not worker.broker.subscriptions)
    worker.subscriber.unsubscribe("door")
    worker.subscriber.subscribe("yard", worker.incoming)
    worker.subscriber.learn("yard", KEY)
    await until(lambda: worker.broker.watches("yard"))
    worker.live(audio(0), KEY)
    worker.live(audio(1), KEY, "yard")
    await until(lambda: worker.sounds)
    assert worker.sounds == [1]


async def test_who_publishes_beside_the_worker_of_the_camera_is_told_which_epoch_is_taken(worker: Worker) -> None:
    def told() -> set[bytes]:
        return {topic for topic in worker.broker.subscriptions if topic.startswith(b"door\0") and topic != b"door\0"}

    worker.subscriber.learn("door", KEY)
    worker.live(audio(0, epoch=7), KEY)
    worker.live(audio(9, epoch=6), KEY)
    await until(lambda: told() == {taken_topic("door", 7)})
    worker.live(audio(0, epoch=8), KEY)
    worker.live(audio(10, epoch=6), OTHER)  # its key is forgotten by now
    await until(lambda: told() == {taken_topic("door", 8)})
    worker.subscriber.unsubscribe("door")
    await until(lambda: not worker.broker.subscriptions)


async def test_of_live_batches_each_that_was_passed_on_is_told_and_of_cached_ones_none(worker: Worker) -> None:
    worker.subscriber.learn("door", KEY)
    await until(lambda: replay_topic("door", NODE) in worker.broker.subscriptions)
    frame = replay_topic("door", NODE) + encode_replay([encode_batch(video(0, 0, keyframe=True))])
    worker.broker.publish_frame(Sealer(KEY).seal(frame))
    for number in (0, 1, 1, 2):
        worker.live(audio(number), KEY)
    await until(lambda: worker.sounds == [0, 1, 2])
    assert [batch.sequence for batch in worker.sinks["video"].batches] == [0]
    assert worker.live_ones == worker.sinks["audio"].batches
