"""A publisher and its subscribers on one machine, with the relay between them that has nothing to do then."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import ExitStack

import zmq

from broker.relay import Relay
from common.endpoints import Endpoints
from common.media import Batch, encode_batch, live_topic
from common.worker.incoming import Incoming
from common.worker.publisher import Publisher
from common.worker.straight import Straight
from common.worker.subscriber import Subscriber
from rigs.waiting import until
from tests.fakes.media import audio, video
from tests.fakes.sink import recording_sinks

BOUND = 10.0
GROUP = 50  # pictures from one keyframe to the next
DOOR = live_topic("door")


class Camera:
    """A camera at the door in a publisher: a picture and two sounds each time."""

    def __init__(self, publisher: Publisher, epoch: int) -> None:
        self.publisher, self.epoch = publisher, epoch
        self.pictures = self.sounds = 0
        self.group = GROUP

    def goes_on(self) -> None:
        frame = video(
            self.pictures, self.pictures, keyframe=self.pictures % self.group == 0, packets=1, epoch=self.epoch
        )
        self.pictures += 1
        self.publisher.publish("door", [frame])
        for _ in range(2):
            self.publisher.publish("door", [audio(self.sounds, epoch=self.epoch)])
            self.sounds += 1


class Express(Camera):
    """A camera whose pictures go straight to the one who takes them, and are entered when somebody looks."""

    def __init__(self, publisher: Publisher, epoch: int) -> None:
        super().__init__(publisher, epoch)
        self.straight = 0
        self._way: Straight | None = None
        self._sent: list[tuple[Batch, bytes]] = []

    def goes_on(self) -> None:
        if self.pictures % self.group == 0:
            self.end()
            super().goes_on()
            return
        self._way = self._way or self.publisher.straight("door", self)
        if self._way is None:
            super().goes_on()
            return
        batch = video(self.pictures, self.pictures, keyframe=False, packets=1, epoch=self.epoch)
        frame = self._way.topic + encode_batch(batch)
        self._sent.append((batch, encode_batch(batch)))
        self._way.send(memoryview(len(frame).to_bytes(4) + frame))
        self.pictures += 1
        self.straight += 1

    def end(self) -> None:
        way, self._way = self._way, None
        for each in self._sent if way is not None else ():
            way.keep(*each)
        self._sent.clear()


class Viewer:
    """A subscriber to the door. Times of batches are made up, so none of them is stale."""

    def __init__(self, subscriber: Subscriber) -> None:
        self.subscriber = subscriber
        self.sinks = recording_sinks()
        self.incoming = Incoming(self.sinks, lambda: subscriber.request_replay("door"))
        self.incoming._stale = lambda *_: False  # type: ignore[method-assign]
        self.frames = 0
        receive = subscriber._receive

        def counted(message: bytes, pipe: object = None) -> None:
            self.frames += message.startswith(DOOR)
            receive(message, pipe)

        subscriber._receive = counted  # type: ignore[method-assign]

    def watch(self) -> None:
        self.subscriber.subscribe("door", self.incoming)

    @property
    def near(self) -> bool:
        """Whether its pictures come from near by alone."""
        return (
            bool(self.shown(epoch=self.incoming.epoch or 0))
            and DOOR in self.subscriber._ways.sources
            and not self.subscriber._ways.relayed(DOOR)
        )

    def shown(self, kind: str = "video", epoch: int = 1) -> list[int]:
        return [batch.sequence for batch in self.sinks[kind].batches if batch.epoch == epoch]


class Machine:
    """A bus, and who is on it."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoints: Endpoints, relay: Relay) -> None:
        self.context, self.endpoints, self.relay = context, endpoints, relay
        self.stack = ExitStack()
        self._names = itertools.count()

    def publisher(self) -> Publisher:
        return self.stack.enter_context(Publisher(self.context, self.endpoints, None))

    def viewer(self, *, calls: bool = True, watches: bool = True) -> Viewer:
        viewer = Viewer(Subscriber(self.context, self.endpoints, None, f"out-{next(self._names)}"))
        self.stack.enter_context(viewer.subscriber)
        viewer.subscriber.call_neighbours(calls)
        if watches:
            viewer.watch()
        return viewer

    async def relayed(self) -> int:
        """Frames that the relay took so far."""
        self.relay.refresh()
        await until(lambda: not self.relay.unanswered, BOUND)
        return self.relay.statistics.frames_in

    async def until(self, condition: Callable[[], object], *cameras: Camera) -> None:
        """Wait, and let cameras go on meanwhile."""
        async with asyncio.timeout(BOUND):
            while not condition():
                for camera in cameras:
                    camera.goes_on()
                await asyncio.sleep(0.001)

    async def all_came(self, camera: Camera, *viewers: Viewer) -> None:
        """Wait until nothing of it is on its way."""
        await self.until(
            lambda: all(
                each.shown(kind, camera.epoch)[-1:] == [count - 1]
                for each in viewers
                for kind, count in (("video", camera.pictures), ("audio", camera.sounds))
            )
        )


def whole(viewer: Viewer, camera: Camera, *, first: int | None = None) -> None:
    """Each batch since the first has come, once and in order."""
    for kind, end in (("video", camera.pictures), ("audio", camera.sounds)):
        shown = viewer.shown(kind, camera.epoch)
        begin = shown[0] if first is None or kind == "audio" else first
        assert shown == list(range(begin, end)), kind
    assert viewer.incoming.counters["lost"] == 0
