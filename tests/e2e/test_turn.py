"""Viewers behind a symmetric NAT, or whose network lets next to nothing out: Debian's coturn, and nginx at port 443."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

import pytest

from rigs import chromium as chromium_rig
from rigs import coturn as coturn_rig
from rigs import cradle, reverse_proxy
from rigs.authority import Authority
from rigs.chromium import SHELL, Viewing
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
TRUSTING = "--ignore-certificate-errors"  # a TURN server's, which is none of a page's
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

# Whatever the player does, with the milliseconds of the page at which it does it.
LISTENS = """{
    window.heard = [];
    for (const name of ["statechange", "playing", "stalled", "closed", "error"]) {
        const hear = (event) => heard.push(`${Math.round(performance.now())} ${name} ${JSON.stringify(event.detail)}`);
        addEventListener(name, hear, true);
    }
}"""
# What it and its connections have come to: of each the pairs, and the servers that failed.
SEEN = """async () => {
    const player = document.querySelector("camshaft-player");
    const { reportOf } = await import(new URL("../static/report.js", location));
    return {
        now: Math.round(performance.now()),
        way: (await player.stats()).way,
        timing: player.timing,
        heard,
        connections: await Promise.all(probe.connections.map(async (pc) => ({
            gathering: pc.iceGatheringState, ice: pc.iceConnectionState, ...(await reportOf(pc, [])),
        }))),
    };
}"""


async def by(viewing: Viewing, right: Callable[[list[str]], bool], directory: FilePath) -> None:
    """Wait until media goes by the right pair, or fail with all that is known."""
    try:
        async with asyncio.timeout(60):
            while not right(await viewing.page.evaluate(PAIR)):  # noqa: ASYNC110 - Chromium has to be asked
                await asyncio.sleep(0.1)
    except TimeoutError:
        seen = json.dumps(await viewing.page.evaluate(SEEN), indent=1)
        logs = [f"{path}\n{path.read_text(errors='replace')[-4_000:]}" for path in directory.glob("**/*log")]
        pytest.fail("\n".join([str(await viewing.page.evaluate(PAIR)), seen, *logs]))


async def goes(viewing: Viewing, protocol: str, directory: FilePath) -> None:
    """Wait until media comes by a relay that this protocol leads to, and pictures with it.

    No other protocol may lead to one: a browser that is connected looks for nothing more, so it keeps the relay that
    answered first, which on a busy machine is any.
    """
    await by(viewing, lambda pair: pair == ["relay", protocol], directory)
    before = (await viewing.stats()).frames_decoded
    await viewing.shows(30, seconds=60)
    assert (await viewing.stats()).frames_decoded >= before + 20


async def ways_of(running: Cluster) -> list[dict[str, Any]]:
    """The viewers that media goes to."""
    return [viewer for viewer in await running.get("viewers") if viewer["state"] == "connected"]


async def told(viewing: Viewing, network: str) -> None:
    """Print when the first picture came. Figures are those of a machine that has nothing else to do."""
    print(f"{network}: first picture after {await viewing.first_frame_ms(seconds=60) / 1000:.2f} s")


async def test_a_picture_comes_through_the_networks_that_let_out_least(
    two_hosts: Callable[..., Any], gst_camera: Callable[..., GstCamera], tmp_path: FilePath
) -> None:
    if problem := chromium_rig.missing() or coturn_rig.missing() or reverse_proxy.missing():
        pytest.skip(problem)
    nat = Path(udp="nat")
    with two_hosts(nat, nat) as (server, viewer, link), server.entered():
        turn = f"turn:{server.address}:{PORT}"
        turns = f"turns:{server.address}:{coturn_rig.TLS_PORT}?transport=tcp"
        config = {
            "auth": {"mode": "none"},
            "http": {
                "ice_servers": [turn, f"{turn}?transport=tcp", turns],
                "turn_secret": SECRET,
                "trusted_proxies": [server.address],
            },
            "media": {"port": 0, "tcp": "off"},
        }
        for name in ("turn", "proxy"):
            (tmp_path / name).mkdir()
        issued = Authority(tmp_path).issue("turn", server.address)
        at = {"host": server.address, "port": PORT, "peer": server.address}
        async with (
            Cluster(
                tmp_path, {"yard": gst_camera(SMALL).url}, config=config, host=server.address, begin=cradle.begin
            ) as running,
            chromium_rig.chromium(viewer.wrapper(SHELL, tmp_path), TRUSTING) as browser,
        ):
            await browser.context.add_init_script(LISTENS)
            async with coturn_rig.coturn(tmp_path / "turn", secret=SECRET, tls=issued, **at):
                free = await browser.open(f"{running.url}/watch/yard")
                await told(free, "symmetric NAT")
                await by(free, bool, tmp_path)  # whatever way: with the egress behind no NAT, no relay is needed
                await free.close()
                by_udp = Path(udp="nat", tcp=(running.port,))
                link.change(down=by_udp, up=by_udp)
                page = await browser.context.new_page()
                await page.add_init_script(RELAY_ONLY)
                await page.goto(f"{running.url}/watch/yard")
                await goes(viewing := Viewing(page), "udp", tmp_path)
                await viewing.close()
                for protocol, port in (("tcp", PORT), ("tls", coturn_rig.TLS_PORT)):
                    path = Path(udp="dropped", tcp=(port, running.port))
                    link.change(down=path, up=path)
                    free = await browser.open(f"{running.url}/watch/yard")  # which finds out by itself what goes
                    await told(free, f"only the page's port, and a relay by {protocol}")
                    await goes(free, protocol, tmp_path)
                    async with asyncio.timeout(60):  # the page may have gone by its own port at first
                        while len(found := await ways_of(running)) > 1:  # noqa: ASYNC110 - it has to be asked
                            await asyncio.sleep(0.1)
                    assert found[0]["remote"].startswith(f"{server.address}:"), "the relay's, not the viewer's"
                    await free.close()
            proxy = reverse_proxy.nginx(
                f"{server.address}:{running.port}", tmp_path / "proxy", below=False, tls=True, at=(server.address, 443)
            )
            async with proxy as address:
                only = Path(udp="dropped", tcp=(443,))
                link.change(down=only, up=only)
                free = await browser.open(f"{address}watch/yard")
                await told(free, "only a proxy on TCP 443")
                await free.shows(30, seconds=60)
                assert "websocket" in {viewer["transport"] for viewer in await ways_of(running)}
                assert link.counts()["up"]["dropped"], "the firewall has seen that it tried another way"
