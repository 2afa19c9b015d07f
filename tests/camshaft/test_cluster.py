"""The command line says how a cluster is that runs, and changes it: a real broker behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from camshaft.cli import cli
from common.cameras import CameraState
from common.control import Drain, HangUp, Leaving
from tests.fakes.broker import RunningBroker, broker_in
from tests.fakes.workers import FakeEgress

OFFER = {"Content-Type": "application/sdp"}


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with broker_in(tmp_path, cameras={"door": {"url": "rtsp://door/"}}) as broker:
        yield broker


async def camshaft(broker: RunningBroker, *arguments: str) -> Result:
    command = [*arguments, "--api", broker.url.rstrip("/")]
    return await asyncio.to_thread(lambda: CliRunner().invoke(cli, command))


async def said(broker: RunningBroker, *arguments: str) -> str:
    result = await camshaft(broker, *arguments)
    assert result.exit_code == 0, result.output
    return result.output


async def test_a_camera_is_shown_and_edited(broker: RunningBroker) -> None:
    await said(
        broker, "camera", "add", "yard", "rtsp://user:secret@yard/", "--shown-as", "Yard, left", "--group", "Outside"
    )
    shown = json.loads(await said(broker, "camera", "show", "yard", "--json"))
    assert (shown["name"], shown["group"], shown["url"]) == ("Yard, left", "Outside", "rtsp://***@yard/")
    await said(
        broker, "camera", "edit", "yard", "--shown-as", "Yard", "--order", "-1", "--on-demand", "--sub", "rtsp://yard/s"
    )
    shown = json.loads(await said(broker, "camera", "show", "yard", "--json"))
    assert (shown["name"], shown["group"], shown["order"], shown["on_demand"]) == ("Yard", "Outside", -1, True)
    assert shown["streams"]["sub"]["url"] == "rtsp://yard/s"
    await said(broker, "camera", "edit", "yard", "--always", "--sub", "-", "--transport", "udp")
    shown = json.loads(await said(broker, "camera", "show", "yard", "--json"))
    assert (shown["on_demand"], shown["transport"], list(shown["streams"])) == (False, "udp", ["main"])
    await said(broker, "camera", "edit", "yard", "--keep-after", "30", "--one-session", "--tls-fingerprint", "ab" * 32)
    await said(broker, "camera", "edit", "yard", "--no-tls-verify", "--group", "")
    shown = json.loads(await said(broker, "camera", "show", "yard", "--json"))
    assert (shown["keep_after"], shown["one_session"], shown["group"]) == (30, True, "")
    assert (shown["tls"]["verify"], shown["tls"]["fingerprint"]) == (False, "ab" * 32)
    await said(broker, "camera", "edit", "yard", "--tls-verify", "--tls-fingerprint", "-", "--several-sessions")
    shown = json.loads(await said(broker, "camera", "show", "yard", "--json"))
    assert (shown["tls"]["verify"], shown["tls"]["fingerprint"], shown["one_session"]) == (True, None, False)


async def test_a_camera_is_shown_for_people_a_line_for_each_thing(broker: RunningBroker) -> None:
    await said(broker, "camera", "add", "yard", "rtsp://user:secret@yard/", "--shown-as", "Küche, hinten")
    lines = {
        line.split()[0]: line.split(maxsplit=1)[1]
        for line in (await said(broker, "camera", "show", "yard")).splitlines()
    }
    assert (lines["name"], lines["url"], lines["tls.verify"]) == ("Küche, hinten", "rtsp://***@yard/", "yes")
    assert "group" not in lines, "what is empty is left out"
    heads, *rows = (await said(broker, "camera", "list")).splitlines()
    assert heads.split()[:3] == ["NAME", "SHOWN", "AS"]
    assert next(row for row in rows if row.startswith("yard")).split()[1:3] == ["Küche,", "hinten"]
    await said(broker, "camera", "remove", "yard")
    assert "SHOWN AS" not in await said(broker, "camera", "list"), "nobody has another name"


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["camera", "add", "a b", "rtsp://h/"], 1, "NAME: must be 1 to 64"),
        (["camera", "add", "x", "nonsense"], 1, "URL: must start with rtsp://"),
        (["camera", "add", "x", "rtsp://h/", "--sub", "nonsense"], 1, "--sub: must start with"),
        (["nodes", "drain", "none"], 1, "`camshaft nodes` lists the workers"),
        (["camera", "edit", "door", "--group", "x"], 1, "comes from the configuration"),
        (["camera", "edit", "none", "--group", "x"], 1, "no camera"),
        (["camera", "edit", "door"], 2, "say what to change"),
        (["camera", "add", "x", "rtsp://h/", "--tls-fingerprint", "ab"], 1, "--tls-fingerprint: must be the 64"),
        (["camera", "show", "none"], 1, "no camera"),
        (["close", "none"], 1, "no such session"),
        (["why", "none"], 1, "no such session"),
    ],
)
async def test_a_mistake_is_one_sentence(broker: RunningBroker, arguments: list[str], code: int, sentence: str) -> None:
    result = await camshaft(broker, *arguments)
    assert result.exit_code == code
    assert sentence in result.output
    assert "Traceback" not in result.output


async def test_viewers_and_nodes_are_listed_and_a_viewer_is_closed(broker: RunningBroker) -> None:
    assert await said(broker, "viewers") == "Nobody watches.\n"
    async with FakeEgress(broker.endpoints, "out-1") as egress:
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        lines = (await said(broker, "nodes")).splitlines()
        assert [line.split()[:2] for line in lines] == [["NODE", "ROLE"], ["broker", "broker"], ["out-1", "egress"]]
        async with broker.http.post("/whep/door", data="v=0", headers=OFFER) as response:
            secret = response.headers["Location"].rpartition("/")[2]
        (viewer,) = json.loads(await said(broker, "viewers", "--json"))
        heads, line = (await said(broker, "viewers")).splitlines()
        assert heads.split()[:2] == ["SESSION", "CAMERA"]
        assert line.split()[:3] == [viewer["session"], "door", "main"]
        assert "is closed" in await said(broker, "close", viewer["session"])
        await egress.until(lambda: HangUp(secret) in egress.messages)
        assert await said(broker, "viewers") == "Nobody watches.\n"


async def test_it_says_why_a_session_has_no_picture(broker: RunningBroker) -> None:
    result = await camshaft(broker, "why")
    assert (result.exit_code, result.output) == (1, "Every session has a picture.\n")
    async with FakeEgress(broker.endpoints, "out-1"):
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        async with broker.http.post("/whep/door", data="v=0", headers=OFFER) as response:
            assert response.status == 201
        (viewer,) = await broker.until("/api/viewers", lambda viewers: viewers)
        for arguments in (("why", viewer["session"]), ("why",)):
            head, sentence, advice, *facts = (await said(broker, *arguments)).splitlines()
            assert head.startswith(f"{viewer['session']}, camera door, now (")
            assert head.endswith("camera")
            assert sentence in {f"  {state.sentence}" for state in (CameraState.WAITING, CameraState.CONNECTING)}
            assert "camshaft camera show door" in advice
            assert any("- camera: " in fact for fact in facts)
        assert json.loads(await said(broker, "why", viewer["session"], "--json"))["link"] == "camera"
        assert len(json.loads(await said(broker, "why", "--json"))) == 1


async def test_a_page_is_told_that_its_session_was_closed(broker: RunningBroker) -> None:
    async with FakeEgress(broker.endpoints, "out-1"), broker.http.ws_connect("/ws") as page:
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        await page.send_json({"type": "offer", "camera": "door", "sdp": "v=0"})
        (viewer,) = await broker.until("/api/viewers", lambda viewers: viewers)
        await said(broker, "close", viewer["session"])
        told: dict[str, Any] = {}
        async with asyncio.timeout(30):
            while told.get("type") != "close":
                told = await page.receive_json()
        assert (told["reason"], told["sentence"]) == ("closed_by_operator", "An operator closed this session.")


async def test_health_says_what_readiness_says(broker: RunningBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    def health() -> Result:
        listen = broker.url.removeprefix("http://").rstrip("/")
        return CliRunner().invoke(cli, ["health", "--http-listen", listen])

    result = await asyncio.to_thread(health)
    assert result.exit_code == 1
    assert result.output.startswith("not ready: No ingest process is connected.")
    async with FakeEgress(broker.endpoints, "out-1"):
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        assert "No egress" not in (await asyncio.to_thread(health)).output


async def test_a_process_is_drained_and_waited_for(broker: RunningBroker) -> None:
    assert "no such worker" in (await camshaft(broker, "nodes", "drain", "out-1")).output
    async with FakeEgress(broker.endpoints, "out-1") as egress, FakeEgress(broker.endpoints, "out-2"):
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 3)
        assert "drains" in await said(broker, "nodes", "drain", "out-1", "--no-wait")
        await egress.told(Drain)
        waiting = asyncio.create_task(said(broker, "nodes", "drain", "out-1"))
        await egress.told(Drain)
        egress.report(draining=True)
        egress.send(Leaving("out-1", "1"))
        egress.channel.close()
        egress._timer.cancel()
        assert "has ended" in await waiting


async def test_a_process_that_does_not_end_is_not_waited_for_without_end(broker: RunningBroker) -> None:
    async with FakeEgress(broker.endpoints, "out-1"), FakeEgress(broker.endpoints, "out-2") as egress:
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 3)
        result = await camshaft(broker, "nodes", "drain", "out-2", "--within", "0.3")
        assert result.exit_code == 1
        assert "out-2 has not ended within 0.3 s" in result.output
        egress.report(draining=True)
        await broker.until("/api/nodes", lambda nodes: any(node["draining"] for node in nodes))
        assert "draining" in await said(broker, "nodes")


async def test_players_are_asked_to_go_where_fewer_viewers_are(broker: RunningBroker) -> None:
    assert "Players have been asked" in await said(broker, "nodes", "rebalance")
