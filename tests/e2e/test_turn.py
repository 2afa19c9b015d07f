"""Viewers behind a symmetric NAT, or whose network lets out nothing but TCP to a TURN server: Debian's coturn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

import aiohttp
import pytest

from rigs import chromium as chromium_rig
from rigs import coturn as coturn_rig
from rigs.chromium import CHROMIUM, Viewing
from rigs.clip import SMALL
from rigs.cluster import Cluster
from rigs.gst_camera import GstCamera
from rigs.path import Path

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.gstreamer,
    pytest.mark.namespace,
    pytest.mark.timeout(240),
]

SECRET = "of a server that is gone after this test"
PORT = 3_478
RELAY_ONLY = """{
    const Real = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Real {
        constructor(configuration) {
            super({ ...configuration, iceTransportPolicy: "relay" });
        }
    };
}"""
# Of the pair that media goes by: the type of the browser's candidate, and the protocol that leads to its relay.
PAIR = """async () => {
    const pc = document.querySelector("camshaft-player")?.pc;
    const found = [...((await pc?.getStats()) ?? new Map()).values()];
    const by = Object.fromEntries(found.map((each) => [each.id, each]));
    const transport = found.find((each) => each.type === "transport");
    const local = by[by[transport?.selectedCandidatePairId]?.localCandidateId];
    return local ? [local.candidateType, local.relayProtocol ?? ""] : [];
}"""


async def goes(viewing: Viewing, protocol: str) -> None:
    """Wait until media comes by a relay that this protocol leads to, and pictures with it."""
    async with asyncio.timeout(60):
        while await viewing.page.evaluate(PAIR) != ["relay", protocol]:  # noqa: ASYNC110 - Chromium has to be asked
            await asyncio.sleep(0.1)
    before = (await viewing.stats()).frames_decoded
    await viewing.shows(30, seconds=60)
    assert (await viewing.stats()).frames_decoded >= before + 20


async def test_a_relay_carries_the_picture_by_udp_and_by_tcp(
    two_hosts: Callable[..., Any], gst_camera: Callable[..., GstCamera], tmp_path: FilePath
) -> None:
    if problem := chromium_rig.missing() or coturn_rig.missing():
        pytest.skip(problem)
    nat, no_udp = Path(udp="nat"), Path(udp="dropped")
    with two_hosts(nat, nat) as (server, viewer, link), server.entered():
        turn = f"turn:{server.address}:{PORT}"
        config = {
            "auth": {"mode": "none"},
            "http": {"ice_servers": [turn, f"{turn}?transport=tcp"], "turn_secret": SECRET},
            "media": {"port": 0, "tcp": "off"},
        }
        (tmp_path / "turn").mkdir()
        at = {"host": server.address, "port": PORT, "peer": server.address}
        async with (
            coturn_rig.coturn(tmp_path / "turn", secret=SECRET, **at),
            Cluster(tmp_path, {"yard": gst_camera(SMALL).url}, config=config, host=server.address) as running,
            chromium_rig.chromium(viewer.wrapper(CHROMIUM, tmp_path)) as browser,
        ):
            free = await browser.open(f"{running.url}/watch/yard")
            print(f"symmetric NAT: first picture after {await free.first_frame_ms(seconds=60) / 1000:.2f} s")
            assert await free.page.evaluate(PAIR), "by whatever way: with the egress behind no NAT, none needs a relay"
            await free.close()
            page = await browser.context.new_page()
            await page.add_init_script(RELAY_ONLY)
            await page.goto(f"{running.url}/watch/yard")
            await goes(viewing := Viewing(page), "udp")
            await viewing.close()
            link.change(down=no_udp, up=no_udp)
            free = await browser.open(f"{running.url}/watch/yard")  # which finds out by itself that nothing else goes
            print(f"only TCP to the relay: first picture after {await free.first_frame_ms(seconds=60) / 1000:.2f} s")
            await goes(free, "tcp")
            async with aiohttp.ClientSession() as http, http.get(f"{running.url}/api/viewers") as answer:
                viewers = [viewer for viewer in await answer.json() if viewer["state"] == "connected"]
            assert viewers[0]["remote"].startswith(f"{server.address}:"), "the relay's address, not the viewer's"
