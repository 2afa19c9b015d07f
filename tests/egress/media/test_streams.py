"""An egress keeps its subscriptions for as long as it should."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import zmq

from common.cameras import CameraName
from common.media import Kind, Rendition, first_epoch
from common.seal import STREAM_KEY_BYTES
from common.worker.subscriber import Subscriber
from egress.media.streams import LINGER, Streams
from egress.mse.reel import Reel
from tests.fakes.bus import FakeBroker
from tests.fakes.media import audio, gop_stream

KEY = bytes(STREAM_KEY_BYTES)


class Egress:
    """The streams of an egress, and the subscriber that they have."""

    def __init__(self, broker: FakeBroker, subscriber: Subscriber) -> None:
        self.broker = broker
        self.subscriber = subscriber
        self.streams = Streams(subscriber)

    def sweep(self, *, after: float) -> None:
        self.streams.sweep(asyncio.get_running_loop().time() + after)


@pytest.fixture
async def egress(tmp_path: Path) -> AsyncIterator[Egress]:
    async with FakeBroker(tmp_path) as broker:
        with zmq.Context() as context, Subscriber(context, broker.endpoints, None, "out-1", sealed=True) as subscriber:
            yield Egress(broker, subscriber)


async def test_viewers_of_one_rendition_have_one_stream(egress: Egress) -> None:
    assert egress.streams.acquire("door") is egress.streams.acquire("door")
    assert egress.streams.acquire("yard").rendition == "yard"
    assert list(egress.streams.renditions) == ["door", "yard"]


async def test_all_streams_are_one_source_to_a_viewer(egress: Egress) -> None:
    stream, other = egress.streams.acquire("door"), egress.streams.acquire("door/h264")
    for kind in Kind:
        assert other.feeds[kind].source == stream.feeds[kind].source


async def test_a_stream_is_kept_for_a_page_that_is_reloaded(egress: Egress) -> None:
    stream = egress.streams.acquire("door")
    egress.streams.release(stream)
    egress.sweep(after=LINGER / 2)
    assert egress.streams.acquire("door") is stream
    egress.sweep(after=2 * LINGER)
    assert list(egress.streams.renditions) == ["door"]


async def test_of_a_camera_that_another_one_has_the_name_of_nothing_is_kept(egress: Egress) -> None:
    streams = egress.streams
    door, made, yard = CameraName("door"), Rendition("door/h264"), Rendition("yard")
    streams.renew({door: 1})
    former = [streams.acquire(each) for each in (Rendition("door"), made, yard)]
    streams.renew({door: 1})
    streams.release(*former)
    assert streams.acquire(made) is former[1], "it is the same camera"
    streams.learn(Rendition("door"), KEY)
    streams.renew({door: 2})
    assert streams.acquire(Rendition("door")) is not former[0]
    assert egress.subscriber._seals is not None
    assert "door" in egress.subscriber._seals, "the key is of now"
    assert streams.acquire(made) is former[1], "somebody watches it"
    assert streams.acquire(yard) is former[2], "another camera"


async def test_nobody_begins_with_pictures_of_a_former_camera_that_somebody_still_watches(egress: Egress) -> None:
    streams, door = egress.streams, CameraName("door")
    before, after = 1_000, 2_000  # revisions, and fences that are a little later
    streams.renew({door: before})
    stream = streams.acquire(Rendition("door"))
    reel = Reel(stream, Kind.VIDEO, 0)
    reel.open(0.0)
    now = 10.0
    for batch in itertools.islice(gop_stream(epoch=first_epoch(before + 1)), 15):
        stream.incoming.receive(batch, now=now, unix_ns=batch.arrival_ns)
    assert stream.picture.fresh(now)
    streams.renew({door: before})
    streams.renew({door: 0})
    assert stream.picture.fresh(now), "it is the same camera, or nobody knows"
    streams.renew({door: after})
    assert not stream.picture.fresh(now)
    assert reel.keyframe is None
    for batch in itertools.islice(gop_stream(epoch=first_epoch(after + 1)), 5):
        stream.incoming.receive(batch, now=now + 2, unix_ns=batch.arrival_ns)
    streams.renew({door: after})
    assert stream.picture.fresh(now + 2)
    streams.release(stream)
    assert streams.acquire(Rendition("door")) is stream


async def test_pictures_that_came_since_a_camera_has_its_name_are_begun_with(egress: Egress) -> None:
    """The first offer that tells of another camera comes when that plays already."""
    streams, door = egress.streams, CameraName("door")
    streams.renew({door: 1_000})
    stream = streams.acquire(Rendition("door"))
    for batch in itertools.islice(gop_stream(epoch=first_epoch(2_001)), 5):
        stream.incoming.receive(batch, now=1.0, unix_ns=batch.arrival_ns)
    streams.renew({door: 2_000})
    assert stream.picture.fresh(1.0)


async def test_of_streams_whose_camera_is_not_known_nothing_is_kept(egress: Egress) -> None:
    """A predecessor of the release before told of them, and of no revision."""
    stream = egress.streams.acquire(Rendition("door"))
    egress.streams.release(stream)
    egress.streams.renew({CameraName("door"): 1})
    assert egress.streams.acquire(Rendition("door")) is not stream


async def test_a_key_outlives_the_pictures_of_a_former_camera_no_longer_than_others(egress: Egress) -> None:
    streams, door = egress.streams, Rendition("door")
    streams.renew({CameraName("door"): 1})
    streams.release(streams.acquire(door))
    streams.learn(door, KEY)
    streams.renew({CameraName("door"): 2})
    egress.sweep(after=2 * LINGER)
    assert egress.subscriber._seals == {}
    assert not streams.key(door)
    assert not streams._revisions


async def test_a_stream_that_nobody_watches_any_more_is_given_up_with_its_key_and_its_counts_stay(
    egress: Egress,
) -> None:
    stream = egress.streams.acquire("door")
    await egress.broker.until(lambda: egress.broker.watches("door"))
    egress.streams.learn("door", KEY)
    for number in (0, 5):
        stream.incoming.receive(audio(number), now=0.0, unix_ns=0)
    egress.streams.release(stream)
    egress.sweep(after=2 * LINGER)
    assert list(egress.streams.renditions) == []
    assert egress.subscriber._seals == {}
    assert egress.streams.statistics()["lost"] == 4
    await egress.broker.until(lambda: not egress.broker.subscriptions)


async def test_a_key_for_a_viewer_that_never_came_is_forgotten(egress: Egress) -> None:
    egress.streams.acquire("door")
    egress.streams.learn("door", KEY)
    for number in range(100):
        egress.streams.learn(f"yard-{number}", KEY)
    egress.sweep(after=2 * LINGER)
    assert egress.subscriber._seals is not None
    assert list(egress.subscriber._seals) == ["door"], "the one that is watched"
