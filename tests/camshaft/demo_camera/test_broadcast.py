"""One clock and one set of packets for all receivers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from camshaft.demo_camera.broadcast import BURST, Broadcast, Part
from camshaft.demo_camera.clip import Clip
from camshaft.demo_camera.settings import Audio, Settings
from common.media import Kind
from rigs.rtsp_client import Rtp


class Receiver:
    """Keeps the parts it gets."""

    def __init__(self) -> None:
        self.parts: list[tuple[Kind, Part]] = []
        self.reports: list[Kind] = []
        self._changed = asyncio.Event()

    def media(self, kind: Kind, part: Part) -> None:
        self.parts.append((kind, part))
        self._changed.set()

    def report(self, kind: Kind, packet: bytes) -> None:
        self.reports.append(kind)

    def packets(self, kind: Kind) -> list[Rtp]:
        return [Rtp.parse(packet) for which, part in self.parts if which is kind for packet in part.packets]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


def clip(pictures: list[list[bytes] | None], audio: Audio = Audio.NONE) -> Clip:
    """A clip that loops after a few pictures, of which the first is a keyframe; one for each frame of 20 ms."""
    sound = [b"sound"] * 50 if audio is not Audio.NONE else []
    return Clip(Settings(fps=50, audio=audio), pictures, [True] + [False] * (len(pictures) - 1), sound)


@asynccontextmanager
async def playing(what: Clip) -> AsyncIterator[tuple[Broadcast, Receiver]]:
    broadcast, receiver = Broadcast(what), Receiver()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(broadcast.run())
        broadcast.add(receiver)
        yield broadcast, receiver
        task.cancel()


async def test_sequence_and_timestamps_run_on_over_the_loop() -> None:
    async with playing(clip([[b"a", b"b"], [b"c"], [b"d"]])) as (_, receiver):
        await receiver.until(lambda: len(receiver.packets(Kind.VIDEO)) > 20)
    packets = receiver.packets(Kind.VIDEO)
    for before, after in pairwise(packets):
        assert after.sequence == (before.sequence + 1) & 0xFFFF
        step = (after.timestamp - before.timestamp) & 0xFFFFFFFF
        assert step % 1800 == 0
        assert (step == 0) == (after.payload == b"b")
    assert [packet.marker for packet in packets] == [packet.payload != b"a" for packet in packets]


async def test_large_picture_comes_in_parts_and_only_the_first_is_a_fresh_start() -> None:
    big = [b"%d" % number for number in range(2 * BURST + 3)]
    async with playing(clip([big])) as (_, receiver):
        await receiver.until(lambda: len(receiver.parts) >= 6)
    assert [len(part.packets) for _, part in receiver.parts[:6]] == [BURST, BURST, 3] * 2
    assert [part.fresh for _, part in receiver.parts[:6]] == [True, False, False] * 2


async def test_who_comes_in_the_middle_of_a_picture_gets_the_next_one() -> None:
    big = [b"%d" % number for number in range(4 * BURST)]
    async with playing(clip([big])) as (broadcast, receiver):
        late = Receiver()
        await receiver.until(lambda: len(receiver.parts) == 1)
        broadcast.add(late)
        await late.until(lambda: len(late.parts) >= 2)
    assert late.parts[0][1].fresh


async def test_who_leaves_in_the_middle_of_a_picture_gets_nothing_more() -> None:
    big = [b"%d" % number for number in range(4 * BURST)]
    async with playing(clip([big])) as (broadcast, receiver):
        stays = Receiver()
        broadcast.add(stays)
        await receiver.until(lambda: len(receiver.parts) >= 1)
        broadcast.remove(receiver)
        broadcast.remove(receiver)
        count = len(receiver.parts)
        await stays.until(lambda: len(stays.parts) > 8)
        assert len(receiver.parts) == count


async def test_picture_that_is_not_encoded_yet_is_left_out_without_a_gap_in_sequence() -> None:
    async with playing(clip([[b"a"], None, [b"c"]])) as (_, receiver):
        await receiver.until(lambda: len(receiver.parts) > 6)
    packets = receiver.packets(Kind.VIDEO)
    assert {packet.payload for packet in packets} == {b"a", b"c"}
    assert all(after.sequence == (before.sequence + 1) & 0xFFFF for before, after in pairwise(packets))


async def test_reports_come_at_once_for_each_track() -> None:
    async with playing(clip([[b"a"]], Audio.PCMU)) as (_, receiver):
        assert receiver.reports == [Kind.VIDEO, Kind.AUDIO]
        await receiver.until(lambda: bool(receiver.packets(Kind.AUDIO)))
    assert receiver.packets(Kind.AUDIO)[0].payload_type == 0


async def test_process_that_was_stopped_leaves_pictures_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async with playing(clip([[b"a"]])) as (broadcast, receiver):
        await receiver.until(lambda: len(receiver.parts) >= 2)
        broadcast._started += 3600  # what the clock shows after an hour in SIGSTOP
        count = len(receiver.parts)
        await receiver.until(lambda: len(receiver.parts) > count + 3)
    packets = receiver.packets(Kind.VIDEO)
    steps = [(after.timestamp - before.timestamp) & 0xFFFFFFFF for before, after in pairwise(packets)]
    assert sum(step > 3000 * 90_000 for step in steps) == 1
    assert all(after.sequence == (before.sequence + 1) & 0xFFFF for before, after in pairwise(packets))
