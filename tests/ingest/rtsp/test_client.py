"""The client against cameras on real sockets: what goes right, how it ends, and what is released."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from common.cameras import CameraState
from common.errors import CameraError
from ingest.rtsp import client
from ingest.rtsp.message import Headers, Request, Response
from rigs.camera import Answer, FakeCamera, h264_track, opus_track, pcmu_track
from rigs.video import encode
from tests.fakes.descriptors import descriptors
from tests.fakes.viewer import Viewer, error_of, playing

UNITS = encode()
WANTED = [list(unit) for unit in UNITS]


@pytest.mark.parametrize("udp", [False, True])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_plays(udp: bool, host: str) -> None:
    viewer = Viewer()
    async with FakeCamera([h264_track(), opus_track()], host=host) as camera:
        async with playing(camera, viewer, udp=udp) as connection:
            assert await viewer.watch() == (WANTED * 2)[:40]
            assert viewer.started == 1
            assert [track.codec for track in connection.tracks] == ["H264", "opus"]
            video, audio = (receiver.stats for receiver in connection.stream.receivers)
            assert (video.lost, video.dropped, audio.lost, audio.dropped) == (0, 0, 0, 0)
            assert len(viewer.of("audio")) > 30
            assert {batch.epoch for batch in viewer.batches} == {5}
        await camera.asked("TEARDOWN")
    assert camera.methods == ["OPTIONS", "DESCRIBE", "SETUP", "SETUP", "PLAY", "TEARDOWN"]


@pytest.mark.parametrize("udp", [False, True])
def test_plays_on_uvloop(udp: bool) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test_plays(udp, "127.0.0.1"))


@pytest.mark.parametrize("udp", [False, True])
async def test_receiver_reports_go_out_from_the_start(udp: bool) -> None:
    async with (
        FakeCamera([h264_track(), pcmu_track()], silent={"tcp", "udp"}) as camera,
        playing(camera, Viewer(), udp=udp),
    ):
        if udp:
            await camera.until(lambda: sum(packet[1] == 201 for packet in camera.packets) >= 4)  # punches among them
        else:
            await camera.until(lambda: {frame.channel for frame in camera.frames} == {1, 3})
            assert all(frame.payload[1] == 201 for frame in camera.frames)


async def test_sender_reports_set_the_capture_clock() -> None:
    viewer = Viewer()
    async with FakeCamera(reports=True, interval=0.02) as camera, playing(camera, viewer):
        await viewer.watch(20)
    last = viewer.batches[-1]
    assert abs(last.arrival_ns - last.capture_ns) < 2 * 10**9


async def test_a_camera_may_put_rtp_and_rtcp_on_one_channel() -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        headers = [each for each in response.headers if each[0] != "Transport"]
        transport = ("Transport", "RTP/AVP/TCP;unicast;interleaved=0-0")
        return replace(response, headers=Headers([*headers, transport])) if request.method == "SETUP" else response

    viewer = Viewer()
    async with FakeCamera(reports=True, rewrite=rewrite) as camera, playing(camera, viewer):
        assert await viewer.watch(10) == WANTED[:10]


@pytest.mark.parametrize("udp", [False, True])
async def test_everything_is_released(udp: bool) -> None:
    async with FakeCamera([h264_track(), opus_track()]) as camera:
        before = descriptors()
        for _ in range(3):
            viewer = Viewer()
            async with playing(camera, viewer, udp=udp):
                await viewer.watch(5)
        await camera.until(lambda: not camera._peers)
        assert descriptors() <= before
    gc.collect()


async def test_a_camera_that_reads_no_answers_is_given_up() -> None:
    flood = bytes(Request("OPTIONS", "*", Headers([("CSeq", "1"), ("Session", "x" * 8_000)]))) * 4_000

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport that reads, too
        with suppress(OSError):
            writer.write(flood)
            await writer.drain()
        with suppress(OSError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await error_of(f"rtsp://127.0.0.1:{port}/")
    assert error.state is CameraState.CLOSED
    assert "does not read the answers" in error.detail


async def test_a_camera_that_does_not_answer_teardown_is_not_waited_for() -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        return None if request.method == "TEARDOWN" else response

    viewer = Viewer()
    loop = asyncio.get_running_loop()
    async with FakeCamera(rewrite=rewrite) as camera:
        async with playing(camera, viewer):
            await viewer.watch(5)
            before = loop.time()
        assert loop.time() - before < 5 * client.TEARDOWN_TIMEOUT
        await camera.asked("TEARDOWN")


async def test_cancelled_sessions_say_goodbye() -> None:
    async def watch() -> None:
        async with playing(camera, viewer) as connection:
            await connection.ended()

    viewer = Viewer()
    async with FakeCamera() as camera:
        task = asyncio.create_task(watch())
        await viewer.watch(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await camera.asked("TEARDOWN")


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_goodbye_that_is_cancelled_leaves_nothing_open(loop: Any) -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        return None if request.method == "TEARDOWN" else response

    async def watch(camera: FakeCamera, viewer: Viewer) -> None:
        async with playing(camera, viewer) as connection:
            await connection.ended()

    async def cancel_twice() -> None:
        viewer = Viewer()
        async with FakeCamera(rewrite=rewrite) as camera:
            task = asyncio.create_task(watch(camera, viewer))
            await viewer.watch(5)
            for _ in range(2):
                task.cancel()
                await camera.asked("TEARDOWN")
            with pytest.raises(asyncio.CancelledError):
                await task
            await camera.until(lambda: not camera._peers)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(cancel_twice())


async def test_cancelled_while_connecting() -> None:
    async def watch() -> None:
        async with playing(camera, Viewer()):
            pass

    async with FakeCamera(rewrite=lambda _request, _response: None) as camera:
        task = asyncio.create_task(watch())
        await camera.asked("OPTIONS")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_the_camera_closes() -> None:
    viewer = Viewer()
    async with FakeCamera() as camera, playing(camera, viewer) as connection:
        await viewer.watch(5)
        camera.drop()
        with pytest.raises(CameraError) as caught:
            await connection.ended()
    assert caught.value.state is CameraState.CLOSED


@pytest.mark.parametrize(
    ("banner", "state"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", CameraState.NOT_RTSP),
        (b"SSH-2.0-OpenSSH_9.6\r\n", CameraState.NOT_RTSP),
        (b"", CameraState.CLOSED),
    ],
)
async def test_something_else_answers(banner: bytes, state: CameraState) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(banner)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        error = await error_of(f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/live")
    assert error.state is state
