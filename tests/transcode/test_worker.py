"""A transcode process: it takes a camera's stream, makes what the broker orders, and says so."""

from __future__ import annotations

import asyncio
import itertools
import resource
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest

from common import memory
from common.config import BrokerConfig, Config, TranscodeConfig
from common.control import Convert, EndConversion, Leaving, Made, Role, Snapshot, SnapshotFailed, SnapshotTaken
from common.media import MAX_PAYLOAD, Batch, Flags, Kind, Rendition, Track
from common.payload.access_unit import access_unit
from common.payload.output import pieces
from rigs.codecs import pictures, tone
from tests.fakes.bus import FakeBroker
from transcode import worker
from transcode.worker import Transcoder, run

NODE = "transcode-1"
DOOR, PICTURE, SOUND = Rendition("door"), Rendition("door/h264"), Rendition("door/opus")
PLAIN = Rendition("door/pcmu")
JPEG = Track(Kind.VIDEO, "JPEG", 90_000, convert="browsers do not play Motion JPEG")
PCM = Track(Kind.AUDIO, "L16", 48_000, 2, convert="browsers do not play uncompressed sound (L16)")


@asynccontextmanager
async def at_work(directory: Path) -> AsyncIterator[FakeBroker]:
    stop = asyncio.Event()
    async with FakeBroker(directory) as broker, asyncio.TaskGroup() as group:
        group.create_task(run(Config(broker=BrokerConfig(address=broker.address)), NODE, stop))
        broker.follow(PICTURE)
        broker.follow(SOUND)
        broker.follow(PLAIN)
        try:
            await broker.until(lambda: broker.reports.get(NODE))
            yield broker
        finally:
            stop.set()


async def test_a_transcode_process_has_a_memory_limit_while_it_works(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    async with at_work(tmp_path):
        assert resource.getrlimit(resource.RLIMIT_DATA)[0] == TranscodeConfig().memory << 20
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def images() -> list[Batch]:
    """A camera's pictures, which do not end."""
    coded, sequence, batches = pictures("mjpeg", 10, pixels="yuvj420p"), 0, []
    for number, picture in enumerate(itertools.islice(itertools.cycle(coded), 400)):
        payloads, now = pieces(picture.data, MAX_PAYLOAD), time.time_ns()
        flags = int(Flags.KEYFRAME | Flags.UNIT_END)
        batches.append(Batch("video", "JPEG", 1, sequence, number * 3_000, now, now, flags, payloads))
        sequence += len(payloads)
    return batches


def sounds() -> list[Batch]:
    batches, sequence = [], 0
    for number, data in enumerate(tone("pcm_s16be", 2.0, rate=48_000, channels=2).payloads):
        payloads, now = pieces(data, MAX_PAYLOAD), time.time_ns() + number * 20_000_000
        batches.append(Batch("audio", "L16", 1, sequence, number * 960, now, now, int(Flags.UNIT_END), payloads))
        sequence += len(payloads)
    return batches


async def played(broker: FakeBroker, batches: list[Batch], rendition: Rendition, least: int) -> list[Batch]:
    """Publish until so much of a rendition has come."""
    async with asyncio.timeout(20):
        for batch in batches:
            now = time.time_ns()
            broker.publish(DOOR, batch._replace(arrival_ns=now, capture_ns=now))
            await asyncio.sleep(0.02)
            if len(came := [each for name, each in broker.published if name == rendition]) >= least:
                return came
    raise AssertionError(f"only {len(came)} batches came")


async def test_a_picture_is_converted_from_the_order_on_until_its_end(tmp_path: Path) -> None:
    async with at_work(tmp_path) as broker:
        broker.tell(NODE, Convert(PICTURE, JPEG))
        await broker.until(lambda: broker.watches(DOOR))
        made = await played(broker, images(), PICTURE, 10)
        assert {(batch.kind, batch.codec) for batch in made} == {("video", "H264")}
        assert made[0].keyframe
        decoder = av.CodecContext.create("h264", "r")
        assert isinstance(decoder, av.VideoCodecContext)
        decoder.thread_count = 1
        assert sum(len(decoder.decode(av.Packet(access_unit("H264", batch.payloads)))) for batch in made) == len(made)
        report = await broker.until(lambda: broker.reports[NODE] if broker.reports[NODE].made else None)
        assert (report.role, report.made, report.full) == (Role.TRANSCODE, (Made(PICTURE, JPEG),), False)
        broker.tell(NODE, EndConversion(PICTURE))
        await broker.until(lambda: not broker.watches(DOOR))
        await broker.until(lambda: broker.reports[NODE].made == ())
    assert any(isinstance(message, Leaving) for message in broker.messages)


async def test_picture_and_sound_of_a_camera_share_its_stream(tmp_path: Path) -> None:
    async with at_work(tmp_path) as broker:
        broker.tell(NODE, Convert(PICTURE, JPEG))
        broker.tell(NODE, Convert(SOUND, PCM))
        broker.tell(NODE, Convert(PLAIN, PCM))
        await broker.until(lambda: broker.watches(DOOR))
        both = [batch for pair in zip(images(), sounds(), strict=False) for batch in pair]
        made = await played(broker, both, SOUND, 20)
        assert {batch.codec for batch in made} == {"opus"}
        others = [batch for name, batch in broker.published if name == PLAIN]
        assert {(batch.codec, batch.size) for batch in others} == {("PCMU", 160)}
        for rendition in (SOUND, PLAIN):
            broker.tell(NODE, EndConversion(rendition))
        await broker.until(lambda: broker.reports[NODE].made == (Made(PICTURE, JPEG),))
        assert broker.watches(DOOR), "the picture goes on"
        broker.published.clear()
        await played(broker, images()[200:], PICTURE, 3)


async def test_another_codec_begins_another_conversion_and_the_same_one_goes_on(tmp_path: Path) -> None:
    async with at_work(tmp_path) as broker:
        for track in (JPEG, JPEG):
            broker.tell(NODE, Convert(PICTURE, track))
        first = (await played(broker, images(), PICTURE, 3))[-1].epoch
        broker.tell(NODE, Convert(PICTURE, JPEG))
        broker.published.clear()
        assert (await played(broker, images()[100:], PICTURE, 3))[-1].epoch == first
        broker.tell(NODE, Convert(PICTURE, Track(Kind.VIDEO, "H265", 90_000)))
        broker.tell(NODE, Convert(PICTURE, JPEG))
        await asyncio.sleep(0.05)  # so that the next batches are of the newest order, which tells nobody
        broker.published.clear()
        assert (await played(broker, images()[200:], PICTURE, 3))[-1].epoch > first


async def test_another_revision_of_the_camera_is_another_conversion(tmp_path: Path) -> None:
    """It may be another camera: what its former self was made into is sent to nobody."""
    async with at_work(tmp_path) as broker:
        broker.tell(NODE, Convert(PICTURE, JPEG, revision=1))
        first = (await played(broker, images(), PICTURE, 3))[-1].epoch
        broker.tell(NODE, Convert(PICTURE, JPEG, revision=1))
        broker.published.clear()
        assert (await played(broker, images()[100:], PICTURE, 3))[-1].epoch == first
        broker.tell(NODE, Convert(PICTURE, JPEG, revision=2))
        await broker.until(lambda: broker.reports[NODE].made and broker.reports[NODE].made[0].revision == 2)
        broker.published.clear()
        assert (await played(broker, images()[200:], PICTURE, 3))[-1].epoch > first


async def test_a_still_is_not_of_a_former_camera(tmp_path: Path) -> None:
    async with at_work(tmp_path) as broker:
        assert isinstance(await still(broker, images(), revision=1), SnapshotTaken)
        broker.tell(NODE, Snapshot("r", "door", JPEG, 60, revision=1))
        await broker.said(SnapshotTaken)
        broker.tell(NODE, Snapshot("r", "door", JPEG, 120, revision=2))
        await broker.until(lambda: broker.watches(DOOR))
        assert not [m for m in broker.messages if isinstance(m, SnapshotTaken)], "it waits for a keyframe"


async def test_an_order_that_cannot_be_is_left_alone(tmp_path: Path) -> None:
    async with at_work(tmp_path) as broker:
        broker.tell(NODE, Convert(Rendition("door/vp8"), JPEG))
        broker.tell(NODE, Convert(SOUND, JPEG))
        broker.tell(NODE, EndConversion(PICTURE))
        broker.tell(NODE, Convert(PICTURE, JPEG))
        await broker.until(lambda: broker.reports[NODE].made == (Made(PICTURE, JPEG),))


async def test_the_key_of_a_rendition_outlives_a_change_of_codec(tmp_path: Path) -> None:
    link = SimpleNamespace(node=NODE, report_soon=lambda: None)
    keys: dict[str, bytes] = {}
    publisher = SimpleNamespace(use_key=keys.__setitem__, forget=lambda _: None, publish=lambda *_: None)
    subscriber = SimpleNamespace(
        learn=lambda *_: None,
        subscribe=lambda *_: None,
        unsubscribe=lambda _: None,
        request_replay=lambda _: None,
        rest=lambda _: None,
    )
    with ThreadPoolExecutor(1) as executor:
        worker = Transcoder(link, subscriber, publisher, executor, executor)  # type: ignore[arg-type]
        worker.handle(Convert(PICTURE, JPEG, b"k" * 16, b"s" * 16))
        worker.handle(Convert(PICTURE, Track(Kind.VIDEO, "H265", 90_000), b"n" * 16, b"s" * 16))
        assert keys[PICTURE] == b"n" * 16
        worker.close()
        assert keys[PICTURE] == b""


async def test_sound_of_another_rate_is_another_conversion(tmp_path: Path) -> None:
    async with at_work(tmp_path) as broker:
        slower = replace(PCM, clock_rate=16_000)
        broker.tell(NODE, Convert(SOUND, PCM))
        broker.tell(NODE, Convert(SOUND, slower))
        await broker.until(lambda: broker.reports[NODE].made == (Made(SOUND, slower),))


async def still(
    broker: FakeBroker, batches: list[Batch], track: Track = JPEG, height: int = 0, revision: int = 0
) -> Any:
    """The answer to a request for a still, while these come."""
    broker.tell(NODE, Snapshot("r", "door", track, height, revision=revision))
    async with asyncio.timeout(20):
        for batch in batches:
            now = time.time_ns()
            broker.publish(DOOR, batch._replace(arrival_ns=now, capture_ns=now))
            await asyncio.sleep(0.02)
            if answers := [m for m in broker.messages if isinstance(m, SnapshotTaken | SnapshotFailed)]:
                broker.messages.clear()
                return answers[0]
    return None


async def test_a_still_is_drawn_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = threading.Event()
    monkeypatch.setattr(memory, "give_back", given.set)
    monkeypatch.setattr(worker, "GivingBack", partial(memory.GivingBack, calm=0.1))
    async with at_work(tmp_path) as broker:
        taken = await still(broker, images(), height=120)
        assert isinstance(taken, SnapshotTaken)
        assert taken.jpeg[:2] == b"\xff\xd8"
        assert abs(taken.captured - time.time()) < 10
        await broker.until(lambda: not broker.watches("door"))
        assert await asyncio.to_thread(given.wait, 5.0), "what its pictures took goes back to the system"


async def test_a_conversion_goes_on_beside_a_still(tmp_path: Path) -> None:
    async with at_work(tmp_path) as broker:
        broker.tell(NODE, Convert(PICTURE, JPEG))
        frames = images()
        before = await played(broker, frames, PICTURE, 5)
        assert isinstance(await still(broker, frames[100:]), SnapshotTaken)
        assert broker.watches("door")
        after = await played(broker, frames[200:], PICTURE, len(before) + 5)
        assert {batch.epoch for batch in after} == {batch.epoch for batch in before}


async def test_a_still_of_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    async with at_work(tmp_path) as broker:
        failed = await still(broker, images()[:3], track=PCM)
        assert failed == SnapshotFailed("r", "its picture cannot be decoded")
        damaged = [batch._replace(payloads=[b"\xff" * 50]) for batch in images()]
        failed = await still(broker, damaged)
        assert isinstance(failed, SnapshotFailed)
        assert "keyframe" in failed.reason
