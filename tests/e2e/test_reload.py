"""The file of a running cluster is changed while people watch: nobody loses a picture that need not."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509

from broker.access.tokens import digest_of
from rigs.authority import Authority
from rigs.clip import SMALL
from rigs.gst_camera import GstCamera
from rigs.load.crowd import Crowd
from rigs.load.report import Window
from rigs.load.signalling import Whep

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer]

VIEWERS = 20
PATIENCE = 30.0  # seconds
TOKENS = {
    "root": {"sha256": digest_of("t-root"), "role": "admin"},
    "wall": {"sha256": digest_of("t-wall"), "cameras": ["door"]},
    "old": {"sha256": digest_of("t-old"), "cameras": ["*"]},
}
PLAYS_ON = 3.0  # seconds in which a session that was ended, or lost pictures, would show it


def lines(running: Any, words: str) -> list[dict[str, Any]]:
    """Lines of the log that hold these words."""
    found = (json.loads(line) for line in running.log.splitlines() if line.startswith("{"))
    return [line for line in found if words in line["event"]]


async def until(condition: Callable[[], Any], what: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - of another process, which sends no event
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(what) from None


async def states(running: Any) -> dict[str, str]:
    params = {"token": "t-root"}  # where one is needed
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{running.url}/api/cameras", params=params, ssl=False) as response,
    ):
        return {camera["id"]: camera["state"] for camera in await response.json()}


async def until_playing(running: Any, *names: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while await states(running) != dict.fromkeys(names, "playing"):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)


async def taken(running: Any, key: str, before: int) -> None:
    def told() -> list[dict[str, Any]]:  # by the supervisor; its processes say it in detail alone
        return [line for line in lines(running, "configuration read again") if line["level"] == "info"]

    await until(lambda: len(told()) > before, f"{key} was not taken")
    assert key in told()[-1]["changed"]


async def serial_shown(running: Any) -> int:
    """The serial number of the certificate that a new connection gets."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(running.host, running.port, ssl=context)
    found = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
    writer.close()
    await writer.wait_closed()
    return found.serial_number


def nobody_lost(window: Window) -> None:
    assert len(window.viewers) == VIEWERS
    for viewer in window.viewers:
        assert viewer.lost == 0
        assert viewer.restarts == 0
        assert viewer.frames >= 0.95 * window.seconds * SMALL.fps


@pytest.mark.timeout(240)
async def test_twenty_viewers_lose_nothing_while_cameras_tokens_and_the_certificate_change(
    cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera], tmp_path: Path
) -> None:
    door, yard = gst_camera(SMALL), gst_camera(SMALL)
    authority = Authority(tmp_path)
    pair = authority.issue("cams")
    always = {"http": {"tls_cert": str(pair.cert), "tls_key": str(pair.key)}, "auth": {"tokens": TOKENS}}
    running = await cluster({"door": door.url, "yard": yard.url}, egress=2, config=always)
    await until_playing(running, "door", "yard")
    pids = running.pids()
    async with Crowd() as crowd:
        assert len(await crowd.join(Whep(f"{running.whep('door')}?token=t-wall"), VIEWERS)) == VIEWERS
        await crowd.watching()
        crowd.begin()

        running.cameras = {"door": door.url, "yard": yard.url, "garage": yard.url}  # another one
        running.write()
        await taken(running, "cameras.garage", 0)
        await until_playing(running, "door", "yard", "garage")

        running.cameras = {"door": {"url": door.url, "keep_after": 20}, "yard": {"url": yard.url, "transport": "udp"}}
        tokens = {**TOKENS, "wall": {**TOKENS["wall"], "cameras": ["door", "yard"]}, "new": TOKENS["old"]}
        del tokens["old"]
        changed = {**always, "auth": {"tokens": tokens}, "limits": {"offers_per_address": 7}, "log": {"level": "debug"}}
        running.config = changed
        renewed = authority.issue("cams").serial  # the same files, written anew
        running.write()  # one is gone, one changed, and of the one that is watched what needs no new session
        await taken(running, "cameras.garage", 1)
        await until(
            lambda: any("auth.tokens" in line["changed"] for line in lines(running, "configuration read again")),
            "the tokens are those from before",
        )
        await until_playing(running, "door", "yard")
        async with asyncio.timeout(PATIENCE):
            while await serial_shown(running) != renewed:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.1)
        await until(lambda: lines(running, "report") or '"level": "debug"' in running.log, "nothing is told in detail")

        good = (running.directory / "camshaft.yaml").read_text()
        (running.directory / "camshaft.yaml").write_text(good + "htpp: {}\n")
        await until(lambda: lines(running, "configuration has a mistake"), "the mistake is not told")
        (line,) = lines(running, "configuration has a mistake")
        number = good.count("\n") + 1
        assert line["mistake"].startswith(f"camshaft.yaml, line {number}: htpp: unknown key; did you mean http?")
        assert line["level"] == "error"
        assert await states(running) == {"door": "playing", "yard": "playing"}

        running.config = {**changed, "media": {"listen": "127.0.0.1"}}
        running.write()
        await until(lambda: lines(running, "need a restart"), "nobody says that a restart is needed")
        assert [line["settings"] for line in lines(running, "need a restart")] == ["media.listen"]

        await asyncio.sleep(PLAYS_ON)
        nobody_lost(crowd.end())
    assert running.pids() == pids
    assert [line["camera"] for line in lines(running, "playing")].count("door") == 1, "it was not connected anew"


@pytest.mark.timeout(240)
async def test_a_changed_camera_connects_anew_and_its_viewers_see_it_again(
    cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    old, new = gst_camera(SMALL), gst_camera(SMALL)
    running = await cluster({"door": old.url})
    await until_playing(running, "door")
    async with Crowd() as crowd:
        assert await crowd.join(Whep(running.whep("door")))
        await crowd.watching()
        running.cameras = {"door": new.url}
        running.write()
        os.kill(running.pid, signal.SIGHUP)  # and nobody need wait for the next look
        await taken(running, "cameras.door", 0)
        await until_playing(running, "door")
        crowd.begin()
        await asyncio.sleep(PLAYS_ON)
        (viewer,) = crowd.end().viewers
        assert viewer.frames > 0.8 * PLAYS_ON * SMALL.fps

        running.cameras = {}
        running.write()
        await taken(running, "cameras.door", 1)
        await until_playing(running)  # none any more
        await until(lambda: lines(running, "session ended"), "its session is not ended")
        assert lines(running, "session ended")[0]["reason"] == "camera_removed"


@pytest.mark.timeout(240)
async def test_processes_that_die_while_the_file_has_a_mistake_begin_with_what_was_before(
    cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    door = gst_camera(SMALL)
    running = await cluster({"door": door.url})
    await until_playing(running, "door")
    good = (running.directory / "camshaft.yaml").read_text()
    (running.directory / "camshaft.yaml").write_text(good.replace("egress:", "egres:"))
    await until(lambda: lines(running, "configuration has a mistake; nothing"), "the mistake is not told")
    before = running.pids()
    for role in ("broker", "ingest", "egress"):
        running.kill(role)
    await until(lambda: len(lines(running, "the previous one stays in use")) >= 3, "not everybody has begun anew")
    await running.ready()
    await until_playing(running, "door")
    assert all(running.pids()[role] != before[role] for role in ("broker", "ingest", "egress"))
    async with Crowd() as crowd:
        assert await crowd.join(Whep(running.whep("door")))
        await crowd.watching()
    running.cameras = {"door": door.url, "yard": door.url}
    running.write()
    await until_playing(running, "door", "yard")
