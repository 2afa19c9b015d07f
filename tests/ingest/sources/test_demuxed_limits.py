"""Limits of a source that is not RTSP: what it may not reach, and a demuxer that dies, hangs or wants too much."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from aiohttp import web

from common.cameras import CameraSpec, CameraState
from common.config_limits import SourcesConfig
from common.control import Assign, Release
from common.errors import CameraError
from ingest import starts
from ingest.budget import Budget
from ingest.sources import demuxed as demuxed_module
from ingest.sources.demuxed import TURN_FRAMES, Demuxed
from ingest.sources.wire import FrameKind, Order, encode, encode_failure
from ingest.starts import PROCESSES, PROCESSES_AT_ONCE
from ingest.worker import Ingest
from rigs.waiting import until
from tests.fakes.demuxed import (
    demuxers,
    motion_jpeg,
    playlist,
    pulled,
    sees,
    serving,
    static,
    until_gone,
    write_clip,
)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "segment",
    [
        "file://{path}",
        "{path}",
        "concat:{path}",
        "subfile,,start,0,end,9999999,,:{path}",
        "crypto:file://{path}",
        "pipe:0",
        "/leads/there",
    ],
)
async def test_a_playlist_reaches_no_file(tmp_path: Path, segment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes play when they come by HTTP: see above. What FFmpeg itself passes over is waited for in vain."""
    monkeypatch.setattr(demuxed_module, "START_TIMEOUT", 4.0)
    path = write_clip(tmp_path / "secret.ts")

    async def leads(_request: web.Request) -> web.Response:
        raise web.HTTPFound(f"file://{path}")

    listed = playlist(*[segment.format(path=path)] * 3)
    handlers = {"/index.m3u8": static(listed, "application/vnd.apple.mpegurl"), "/leads/there": leads}
    async with serving(handlers) as address, pulled(f"{address}/index.m3u8") as camera:
        await camera.until_report(lambda report: report.state.failed)
        refused = {CameraState.REJECTED, CameraState.NOT_FOUND, CameraState.SILENT}
        assert camera.state in refused
        assert not camera.batches


@pytest.mark.thorough
async def test_a_file_reaches_no_other_file(tmp_path: Path) -> None:
    write_clip(tmp_path / "secret.ts")
    (tmp_path / "list.m3u8").write_text(playlist("secret.ts"))
    (tmp_path / "list.ffconcat").write_text("ffconcat version 1.0\nfile secret.ts\n")
    for name in ("list.m3u8", "list.ffconcat"):
        async with pulled(f"file://{tmp_path}/{name}") as camera:
            await camera.reached(CameraState.NOT_MEDIA)
            assert not camera.batches


async def test_a_kind_that_is_not_allowed_is_not_opened(tmp_path: Path) -> None:
    url = f"file://{write_clip(tmp_path / 'clip.mp4')}"
    async with pulled(url, SourcesConfig()) as camera:
        report = await camera.reached(CameraState.NOT_ALLOWED)
        assert "add file to sources.allow" in report.detail
        assert not demuxers()


async def test_another_list_of_kinds_holds_at_once(image: bytes) -> None:
    published: list[Any] = []
    link = SimpleNamespace(node="ingest-1", report_soon=lambda: None)
    publisher = SimpleNamespace(
        publish=lambda _rendition, batches: published.extend(batches),
        straight=lambda *_: None,
        forget=lambda _rendition: None,
        use_key=lambda *_: 0,
    )

    async def until(state: CameraState) -> None:
        async with asyncio.timeout(15):
            while ingest._cameras["yard"].report.state is not state:  # noqa: ASYNC110  # reports are asked for
                await asyncio.sleep(0.02)

    async with serving({"/": motion_jpeg(image)}) as address, asyncio.TaskGroup() as group:
        ingest = Ingest(link, publisher, group, sources=SourcesConfig(allow=("rtsp",)))  # type: ignore[arg-type]
        ingest.handle(Assign(CameraSpec("yard", f"{address}/")))  # type: ignore[arg-type]
        await until(CameraState.NOT_ALLOWED)
        assert not published
        ingest.allow(SourcesConfig(allow=("http",)))
        await until(CameraState.PLAYING)
        ingest.allow(SourcesConfig(allow=("http",), memory=100))
        assert len(demuxers()) == 1
        ingest.allow(SourcesConfig(allow=("rtsp",)))
        await until(CameraState.NOT_ALLOWED)
        await until_gone()
        ingest.handle(Release("yard"))  # type: ignore[arg-type]


@pytest.mark.thorough
async def test_many_sources_at_once_begin_a_few_at_a_time_and_take_what_others_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the cores are theirs for as long as all of them take to begin, and their ingest has no pictures.

    Those of which nothing comes are in nobody's way once their processes have begun.
    """
    monkeypatch.setattr(starts, "LONGEST", 60.0)
    link = SimpleNamespace(node="ingest-1", report_soon=lambda: None)
    publisher = SimpleNamespace(
        publish=lambda *_: True, straight=lambda *_: None, forget=lambda _rendition: None, use_key=lambda *_: 0
    )
    asked: set[str] = set()

    async def silent(request: web.Request) -> web.Response:
        if request.method == "GET":
            asked.add(request.path)
        await asyncio.sleep(60)
        return web.Response()

    handlers = {f"/{number}": silent for number in range(6)}
    async with serving(handlers) as address, asyncio.TaskGroup() as group:  # type: ignore[arg-type]
        ingest = Ingest(link, publisher, group, sources=SourcesConfig(allow=("http",)))  # type: ignore[arg-type]
        for number in range(6):
            ingest.handle(Assign(CameraSpec(f"c{number}", f"{address}/{number}")))
        line = ingest._shared.processes._hosts
        async with asyncio.timeout(50):
            while len(asked) < 6:  # the system tells nobody of a process
                assert sum(start.begun is not None for start in line.get(PROCESSES, ())) <= PROCESSES_AT_ONCE
                await asyncio.sleep(0.01)
        assert all(process.nice() > os.nice(0) for process in demuxers())
        for number in range(6):
            ingest.handle(Release(f"c{number}"))
    await until_gone()


@pytest.mark.thorough
async def test_of_sources_that_take_too_much_together_one_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.sources.household.ORDINARY", -(100 << 20))  # as if a harmless one had so much more
    path = write_clip(tmp_path / "clip.mp4")
    sources = SourcesConfig(allow=("file",), memory_together=64)
    async with pulled(f"file://{path}", sources) as camera:
        await camera.until_report(lambda report: report.state is CameraState.OVER_LIMIT)
        assert "sources.memory_together" in camera.camera.report.detail
    await until_gone()


async def test_a_source_that_is_there_does_not_wait_for_those_that_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred of the latter kept it for 30 s at the start, when nothing was known of any."""
    made: list[str] = []

    async def started(order: Order) -> object:
        made.append(order.url.rpartition("/")[2])
        await asyncio.sleep(0.3)  # in which the others come and stand in line
        raise CameraError(CameraState.NOT_FOUND, "no process in this test")

    monkeypatch.setattr(demuxed_module, "_started", started)
    link = SimpleNamespace(node="ingest-1", report_soon=lambda: None)
    publisher = SimpleNamespace(
        publish=lambda *_: True, straight=lambda *_: None, forget=lambda _rendition: None, use_key=lambda *_: 0
    )
    missing = 12
    async with serving({"/good": static(b"", "image/jpeg")}) as address, asyncio.TaskGroup() as group:
        ingest = Ingest(link, publisher, group, sources=SourcesConfig(allow=("http",)))  # type: ignore[arg-type]
        for name in (*map(str, range(missing)), "good"):
            ingest.handle(Assign(CameraSpec(f"c{name}", f"{address}/{name}")))
        await until(lambda: len(made) > missing)
        for name in (*map(str, range(missing)), "good"):
            ingest.handle(Release(f"c{name}"))
    assert made.index("good") <= 2 * PROCESSES_AT_ONCE, made


@pytest.mark.parametrize("scheme", ["http", "rtmp"])
async def test_a_source_at_whose_address_nobody_answered_costs_no_further_process(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred of them would take two cores, as they are tried again and again, and living ones wait behind them."""
    made, start = [], demuxed_module._started

    async def started(order: Order) -> object:
        made.append(order)
        return await start(order)

    monkeypatch.setattr(demuxed_module, "_started", started)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        async with pulled(f"{scheme}://127.0.0.1:{port}/live") as camera:
            for failures in (1, 2, 3):
                await camera.until_report(
                    lambda _, failures=failures: sum(camera.camera._attempts._failures.values()) >= failures
                )
                assert camera.state is CameraState.CONNECTION_REFUSED
            assert len(made) == 1
    await until_gone()


@pytest.mark.thorough
async def test_an_address_outside_of_the_networks_is_not_spoken_to() -> None:
    asked = asyncio.Event()

    async def ask(_request: web.Request) -> web.Response:
        asked.set()
        return web.Response()

    async with serving({"/": ask}) as address:
        port = address.rpartition(":")[2]
        for url in (f"{address}/", f"rtmp://127.0.0.1:{port}/live", f"udp://127.0.0.1:{port}"):
            async with pulled(url, networks=("192.0.2.0/24",)) as camera:
                report = await camera.reached(CameraState.NOT_ALLOWED)
                assert "sources.networks allows 192.0.2.0/24" in report.detail
    assert not asked.is_set()


@pytest.mark.thorough
async def test_a_demuxer_that_dies_is_replaced(image: bytes) -> None:
    async with serving({"/": motion_jpeg(image)}) as address, pulled(f"{address}/") as camera:
        await sees(camera, 5)
        [process] = demuxers()
        os.kill(process.pid, signal.SIGSEGV)
        await camera.until_report(lambda report: report.reconnects == 1)
        assert "ended by signal 11" in camera.camera.report.last_error


@pytest.mark.thorough
async def test_a_demuxer_that_hangs_is_ended(image: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demuxed_module, "SILENT_AFTER", 0.5)
    async with serving({"/": motion_jpeg(image)}) as address, pulled(f"{address}/") as camera:
        await sees(camera, 5)
        [process] = demuxers()
        os.kill(process.pid, signal.SIGSTOP)
        await camera.reached(CameraState.SILENT)
        await camera.until_report(lambda report: report.reconnects == 1)
        assert not process.is_running()


async def test_a_server_that_never_answers_ends_in_a_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demuxed_module, "START_TIMEOUT", 2.0)
    asked = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        asked.set()
        await asyncio.sleep(60)
        return web.Response()

    async with serving({"/": hang}) as address:
        async with pulled(f"{address}/") as camera:
            await camera.reached(CameraState.SILENT)
            async with asyncio.timeout(
                60.0
            ):  # where others keep the machine busy, an attempt may be over before it asks
                await asked.wait()
        await until_gone()


async def test_a_demuxer_that_wants_too_much_memory_is_ended(tmp_path: Path) -> None:
    """An MP4 whose index says that it has half a gigabyte of entries."""
    clip = write_clip(tmp_path / "clip.mp4").read_bytes()
    at = clip.index(b"stsz")
    hostile = clip[: at + 12] + (1 << 27).to_bytes(4, "big") + clip[at + 16 :]
    (tmp_path / "hostile.mp4").write_bytes(hostile)
    async with pulled(f"file://{tmp_path}/hostile.mp4", SourcesConfig(allow=("file",), memory=64)) as camera:
        await camera.until_report(lambda report: report.state.failed or bool(camera.batches))
        for process in demuxers():
            assert process.memory_info().rss < 200 << 20


@pytest.mark.thorough
async def test_no_password_shows(image: bytes, log: list[Any]) -> None:
    async with serving({"/": motion_jpeg(image, images=3)}) as address:
        secret = address.replace("://", "://admin:hunter2@")
        for url in (
            f"{secret}/",
            f"{secret}/missing",
            "rtmp://admin:hunter2@127.0.0.1:1/live",
            "http://a:hunter2/3@h/",
        ):
            async with pulled(url) as camera:
                await camera.until_report(lambda report: report.state.failed)
                assert "hunter2" not in repr(camera.camera.report)
                for process in demuxers():
                    assert "hunter2" not in f"{process.cmdline()} {process.environ()}"
    assert "hunter2" not in repr(log)


async def test_a_demuxer_gets_none_of_our_variables(image: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMSHAFT_CLUSTER_SECRET", "hunter2-0123456789")
    async with serving({"/": motion_jpeg(image)}) as address, pulled(f"{address}/") as camera:
        await sees(camera, 2)
        [process] = demuxers()
        assert set(process.environ()) <= {"PYTHONPATH", "PATH", "LANG", "LC_CTYPE"}
        assert process.nice() > os.nice(0), "a source that keeps it busy has what others leave of a core"
        assert process.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
        assert process.rlimit(psutil.RLIMIT_DATA) == (512 << 20, 512 << 20)


async def test_what_comes_at_once_leaves_others_their_turns() -> None:
    """As fast as a process can send it: the cameras beside it are read, and their pictures leave, in between."""
    packets = [encode(FrameKind.RTP, b"\x80\x60" + n.to_bytes(2) + bytes(9) + b"\x09") for n in range(2_000)]
    stdout = asyncio.StreamReader()
    description = b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    stdout.feed_data(b"".join((encode(FrameKind.UP, b""), encode(FrameKind.DESCRIPTION, description), *packets)))
    stdout.feed_data(encode_failure(CameraError(CameraState.CLOSED)))
    turns, up, held = 0, asyncio.Event(), asyncio.Event()

    async def beside() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    session = Demuxed(
        SimpleNamespace(stdout=stdout),  # type: ignore[arg-type]  # all of a process that is read
        "http",
        epoch=1,
        publish=lambda _batches: None,
        on_media=lambda _session: None,
        on_up=up.set,
        budget=Budget(200, 0.0, 0.0),
        reins=SimpleNamespace(take_up=held.set, stopped=0, greedy=False),  # type: ignore[arg-type]  # there is no process
    )
    await session.begin()
    assert up.is_set()
    assert held.is_set(), "from now on its process is held to its share"
    other = asyncio.create_task(beside())
    with pytest.raises(CameraError):
        await session.ended()
    other.cancel()
    [receiver] = session.stream.receivers
    assert receiver.packets == len(packets), "nothing is left out"
    assert turns >= len(packets) // TURN_FRAMES
