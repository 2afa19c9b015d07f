"""``camshaft probe`` against the simulated camera, and against what is none."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from camshaft.cli import cli
from camshaft.demo_camera import broadcast
from camshaft.demo_camera.camera import serving
from camshaft.demo_camera.clip import Clip
from camshaft.demo_camera.rtsp import Account
from camshaft.demo_camera.settings import Settings

SMALL = Settings(width=320, height=180, fps=25, gop=0.4, bitrate=400_000)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the camera's clip, so that no picture is left out because it is not encoded yet."""
    clips, clip = tmp_path_factory.mktemp("clips"), Clip.empty(SMALL)
    assert clip.encode(0, threading.Event(), lambda: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(clips))
        clip.save()
    return clips


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(clips))
    monkeypatch.setattr(broadcast, "MAX_LATENESS", 60.0)  # a busy machine has it late, and it leaves no picture out


async def probe(*arguments: str, text: str = "") -> Result:
    """In a thread: the command has an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, cli, ["probe", *arguments], input=text)


@pytest.mark.thorough
@pytest.mark.parametrize("transport", ["auto", "tcp", "udp"])
async def test_camera_that_plays(transport: str) -> None:
    async with serving(SMALL, "127.0.0.1:0", Account("admin", "hunter2")) as address:
        result = await probe("-", "--transport", transport, text=f"rtsp://admin:hunter2@{address}/\n")
    lines = result.output.splitlines()
    assert result.exit_code == 0, result.output
    assert lines[0] == f"The camera plays over {'tcp' if transport == 'auto' else transport}."
    assert lines[1].startswith("video: H.264, profile 42c0")
    assert "kbit/s" in lines[1]
    assert f"{SMALL.width}x{SMALL.height}, {SMALL.fps} frames/s, a keyframe every {SMALL.gop:g} s" in lines[1]
    assert lines[2].startswith("audio: Opus, 48000 Hz")
    assert len(lines) == 3


@pytest.mark.thorough
async def test_report_for_programs() -> None:
    async with serving(SMALL, "127.0.0.1:0") as address:
        report = json.loads((await probe(f"rtsp://{address}/", "--json")).output)
    assert report["state"] == "playing"
    assert [seen["track"]["codec"] for seen in report["tracks"]] == ["H264", "opus"]
    assert report["tracks"][0]["keyframe_interval"] > 0
    assert report["problems"] == []


async def test_failure_for_programs() -> None:
    async with serving(SMALL, "127.0.0.1:0", Account("admin", "hunter2")) as address:
        result = await probe(f"rtsp://admin:hunter3@{address}/", "--json")
    assert result.exit_code == 1
    report = json.loads(result.output)
    assert report["state"] == "unauthorized"
    assert "the account may be locked" in report["detail"]


async def test_camera_that_refuses_the_password() -> None:
    async with serving(SMALL, "127.0.0.1:0", Account("admin", "hunter2")) as address:
        result = await probe(f"rtsp://admin:hunter3@{address}/")
    assert result.exit_code == 1
    assert result.output.startswith("The camera refused the user name or password; check them in the camera's URL. (")


async def test_nobody_there() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        result = await probe(f"rtsp://127.0.0.1:{bound.getsockname()[1]}/")
    assert result.exit_code == 1
    assert result.output.startswith("The camera's host refused the connection; check the port")


async def test_url_that_is_none() -> None:
    result = await probe("ftp://user:hunter2@camera/")
    assert result.exit_code == 2
    assert result.output.startswith("camshaft: url: must start with rtsp://, rtsps://, http://")
    assert "hunter2" not in result.output


async def test_camera_that_is_silent_ends_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is bounded by the attempt, not by a wish."""
    monkeypatch.setattr("camshaft.demo_camera.broadcast.Broadcast.add", lambda self, receiver: None)
    monkeypatch.setattr("ingest.rtsp.silence.SILENCE_TIMEOUT", 1.0)
    async with serving(SMALL, "127.0.0.1:0") as address:
        result = await probe(f"rtsp://{address}/", "--transport", "tcp")
    assert result.exit_code == 1
    assert "sends no media" in result.output
