"""A camera that sends much, or takes long to be served, is read in turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import uvloop

from common.cameras import CameraState
from common.errors import CameraError
from common.media import Batch
from ingest import budget
from ingest.budget import LOOK_BYTES, Budget
from ingest.rtsp import publishing, turns
from ingest.rtsp.client import Connection
from ingest.rtsp.interleaved import Interleaved
from ingest.rtsp.message import InterleavedFrame
from ingest.rtsp.parser import MAX_ROOM, Parser
from ingest.rtsp.session import SessionState
from rigs.camera import BOUND, FakeCamera, h264_track
from rigs.reading import H264, H265, Reading
from rigs.video import encode
from rigs.waiting import until
from tests.fakes.pictures import Camera
from tests.fakes.viewer import Viewer, playing

WANTED = [list(unit) for unit in encode()]


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_more_than_a_turns_worth_at_once_is_taken_to_its_end(loop: Any) -> None:
    tiny = bytes(InterleavedFrame(77, b"")) * 5_000  # of a channel that nobody set up

    async def watch() -> None:
        viewer = Viewer()
        async with FakeCamera(wrap=lambda frame: tiny + frame) as camera, playing(camera, viewer):
            assert await viewer.watch(5) == WANTED[:5]

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(watch())


class Nobody(Viewer):
    """Takes nothing, until somebody comes."""

    def __init__(self) -> None:
        super().__init__()
        self.somebody = False

    def publish(self, batches: list[Batch]) -> bool:  # type: ignore[override]  # tells whether anybody is there
        super().publish(batches)
        return self.somebody


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> list[turns.Turns]:
    """Each time that a camera rests, which begins at once."""
    monkeypatch.setattr(publishing, "WARM_UP", 0.0)
    rested: list[turns.Turns] = []
    rest = turns.Turns.rest

    def noted(self: turns.Turns) -> None:
        before = self._resting
        rest(self)
        if self._resting and not before:
            rested.append(self)

    monkeypatch.setattr(turns.Turns, "rest", noted)
    return rested


async def resting(connection: Connection) -> None:
    await until(lambda: connection._turns._resting, BOUND)


async def test_a_camera_that_nobody_watches_is_read_less_often(rests: list[turns.Turns]) -> None:
    viewer = Nobody()
    async with FakeCamera(interval=0.01) as camera, playing(camera, viewer) as connection:
        video = connection.stream.receivers[0]
        assert await viewer.watch(60) == (3 * WANTED)[:60]
        assert len(rests) >= 2
        jitter, viewer.somebody = video.stats.jitter, True
        assert jitter < turns.REST / 4  # what waited for us says nothing of the network
        assert await viewer.watch(90) == (3 * WANTED)[:90]
        rests.clear()
        await viewer.watch(120)
        assert not rests
        assert video.stats.lost == 0


async def test_who_comes_to_a_camera_that_rests_gets_what_has_come(rests: list[turns.Turns]) -> None:
    viewer = Nobody()
    async with FakeCamera(interval=0.01) as camera, playing(camera, viewer) as connection:
        await viewer.watch(10)
        await resting(connection)
        viewer.somebody = True
        rests.clear()
        connection.watched()
        assert not connection._turns._paused
        assert not connection._publishing.may_rest
        frames = connection.stream.receivers[0].stats.frames
        await viewer.watch(frames + 20)
        assert not rests


async def test_a_camera_rests_some_seconds_after_it_began_to_play(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "WARM_UP", 3_600.0)
    viewer = Nobody()
    async with FakeCamera(interval=0.01) as camera, playing(camera, viewer) as connection:
        await viewer.watch(30)
        assert not connection._publishing.may_rest
        connection._publishing._rests_from = 0.0
        await resting(connection)


@pytest.mark.parametrize("h265", [False, True])
def test_what_has_begun_is_awaited(h265: bool) -> None:
    reading, camera, now_ns = (
        Reading(H265 if h265 else H264),
        Camera(1, h265=h265, strange=False),
        1_700_000_000 * 10**9,
    )
    reading.read(camera.keyframe(), now_ns)
    assert not reading.stream.begun
    picture = camera.ordinary(6_000)
    at = 4 + int.from_bytes(picture[2:4])
    reading.read(picture[:at], now_ns)
    assert reading.stream.begun
    reading.read(picture[at:], now_ns)
    assert not reading.stream.begun


@pytest.mark.usefixtures("rests")
async def test_the_ports_of_a_camera_that_nobody_watches_are_read_as_ever() -> None:
    """A datagram that the kernel has no room for would be lost."""
    viewer, answer = Nobody(), b"RTSP/1.0 200 OK\r\nCSeq: 7\r\n\r\n"
    async with FakeCamera(interval=0.01) as camera, playing(camera, viewer, udp=True) as connection:
        await viewer.watch(10)
        await until(lambda: connection._publishing.may_rest, BOUND)
        connection.get_buffer(-1)[: len(answer)] = answer
        connection.buffer_updated(len(answer))
        assert not connection._turns._paused


@pytest.mark.usefixtures("rests")
async def test_the_answer_to_a_goodbye_is_read_though_nobody_watches() -> None:
    viewer = Nobody()
    async with FakeCamera(interval=0.01) as camera, playing(camera, viewer) as connection:
        await viewer.watch(10)
        await resting(connection)
    assert connection._session.state is SessionState.CLOSED


def flooding(kilobytes: int) -> FakeCamera:
    """A camera that sends so much with each packet of its picture."""
    junk = bytes(InterleavedFrame(77, bytes(1_020))) * kilobytes  # of a channel that nobody set up
    return FakeCamera(wrap=lambda frame: junk + frame)


async def test_a_camera_over_its_bitrate_is_read_no_faster() -> None:
    async with flooding(20) as camera, playing(camera, Viewer(), bitrate=8) as connection:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while connection.counters["slowed"] < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert loop.time() - begun >= 0.1
        assert sum(receiver.bytes for receiver in connection.stream.receivers) < 1_000_000  # the junk is most of it


@pytest.mark.thorough
@pytest.mark.parametrize("udp", [False, True])
async def test_a_camera_that_stays_over_its_bitrate_is_given_up(udp: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "PATIENCE", 0.5)
    camera = FakeCamera([h264_track(encode(width=640, height=480))], interval=0.0) if udp else flooding(20)
    async with camera:
        with pytest.raises(CameraError) as caught:
            async with playing(camera, Viewer(), udp=udp, bitrate=1) as connection:
                await connection.ended()
        assert connection.counters["slowed"] > 0
    assert caught.value.state is CameraState.OVER_LIMIT
    assert "more than the 1 Mbit/s that limits.camera_bitrate allows" in caught.value.detail


@pytest.mark.thorough
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_one_turn_takes_a_bounded_part_of_a_flood(loop: Any) -> None:
    async def watch() -> None:
        taken = [0]
        async with flooding(400) as camera, playing(camera, Viewer()) as connection:
            running, read = asyncio.get_running_loop(), Interleaved.read

            def count(interleaved: Interleaved, size: int, arrival_ns: int) -> int:
                taken[-1] += size
                return read(interleaved, size, arrival_ns)

            def beat() -> None:
                taken.append(0)
                running.call_soon(beat)

            connection._transport.pause_reading()  # type: ignore[union-attr]
            await asyncio.sleep(0.2)  # so that there is much to be read at once
            monkeypatch.setattr(Interleaved, "read", count)
            beat()
            connection._transport.resume_reading()  # type: ignore[union-attr]
            await until(lambda: sum(taken) >= 2_000_000, 10)
        assert max(taken) <= 2 * MAX_ROOM

    with pytest.MonkeyPatch.context() as monkeypatch, asyncio.Runner(loop_factory=loop) as runner:
        runner.run(watch())


async def test_a_camera_that_takes_long_to_serve_is_read_in_smaller_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_NS", -1)  # whatever it takes is long
    async with FakeCamera() as camera, playing(camera, Viewer()) as connection:
        while connection._parser.room > turns.MIN_ROOM:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        monkeypatch.setattr(turns, "TURN_NS", 10**10)
        while connection._parser.room < MAX_ROOM:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def spin(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


@pytest.mark.parametrize(("take", "smaller"), [(spin, True), (time.sleep, False)])
async def test_only_time_of_the_processor_makes_a_turn_long(take: Callable[[float], None], smaller: bool) -> None:
    rooms: list[int] = []

    def serve(_data: memoryview, _bounds: Sequence[tuple[int, int]], _arrival_ns: int) -> None:
        take(1.5 * turns.TURN_NS / 1e9)
        rooms.append(connection._parser.room)

    async with FakeCamera() as camera, playing(camera, Viewer()) as connection:
        connection._interleaved.routes[0], connection._interleaved.takes = serve, {}
        await until(lambda: len(rooms) >= 20, 20)
    assert (min(rooms) < MAX_ROOM) == smaller


async def test_the_budget_is_told_after_what_may_matter_and_a_few_times_a_second() -> None:
    told: list[int] = []

    class Told(Budget):
        def spend(self, size: int, packets: int, batches: int, passed_ns: int) -> None:
            told.append(size)

    def each() -> turns.Turns:
        told.clear()
        return turns.Turns(Told(200, 0.0, 0.0), Parser(), [], lambda: None, lambda _error: None)

    turn = each()
    for _ in range(10):
        turn.spend(1_400, 1, 1, 50_000)
    assert not told
    turn.tick(1.0)
    assert not told
    for _ in range(100):
        turn.spend(1_400, 1, 1, 50_000)
    turn.tick(1.25)
    assert told == [154_000]
    turn = each()
    turn.spend(LOOK_BYTES + 1, 1, 1, 50_000)
    assert told
    turn = each()
    turn.spend(1, 1, 1, turns.TURN_NS + 1)
    assert told
