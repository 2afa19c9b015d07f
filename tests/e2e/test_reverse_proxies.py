"""Each recipe of ``deploy`` for a reverse proxy, by the real program: all goes through, at a name and below a path."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from playwright.async_api import expect

from broker.access.tokens import digest_of
from rigs import reverse_proxy
from rigs.browser import Browser, video_section
from rigs.chromium import Chromium
from rigs.clip import Clip
from rigs.cluster import Cluster
from rigs.gst_camera import GstCamera
from rigs.reverse_proxy import HOST, PREFIX, caddy, nginx, traefik

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.gstreamer, pytest.mark.timeout(240)]

CLIP = Clip(width=320, height=180, fps=15, bitrate=300_000, gop=15)
BEN = {"user": "ben", "password": "ben's password"}
CONFIG = {
    "http": {"hosts": [HOST], "trusted_proxies": ["127.0.0.1"]},
    "auth": {"tokens": {"ops": {"sha256": digest_of("t-ops"), "role": "admin"}}},
}
Case = tuple[Callable[..., Any], dict[str, bool]]
CASES: list[Case] = [
    (nginx, {"below": False, "tls": True}),
    (nginx, {"below": True, "tls": False}),
    (caddy, {"below": False, "tls": False}),
    (caddy, {"below": True, "tls": True}),
]
TRAEFIK: list[Case] = [(traefik, {"below": False, "tls": True}), (traefik, {"below": True, "tls": False})]


class Loopback(AbstractResolver):
    """Every name is this machine's."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0),
        ]

    async def close(self) -> None:
        pass


@contextlib.asynccontextmanager
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(resolver=Loopback(), ssl=False)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(30)) as http:
        yield http


async def look(page: str, *, below: bool, tls: bool) -> None:
    """A program that asks for everything which has an address of its own."""
    prefix, origin = PREFIX if below else "", {"Origin": page.removesuffix("/").removesuffix(PREFIX)}
    async with client() as http:
        async with http.get(f"{page}watch/yard") as answer:
            assert str(answer.url) == f"{page}sign-in?next=watch/yard"
        async with http.post(f"{page}api/login", json=BEN, headers=origin) as answer:
            assert answer.status == 204, await answer.text()
            guard = ("__Secure-" if below else "__Host-") if tls else ""
            cookie = answer.cookies[f"{guard}camshaft_login"]
            assert (cookie["path"], bool(cookie["secure"])) == (prefix or "/", tls)
        async with http.get(f"{page}api/arrival") as answer:
            arrival = await answer.json()
            assert arrival["believed"]
            assert arrival["forwarded_for"]
            assert (arrival["scheme"], arrival["prefix"]) == ("https" if tls else "http", prefix)
        async with http.get(f"{page}api/openapi.json") as answer:
            assert (await answer.json())["servers"] == [{"url": prefix or "/"}]
        async with http.get(f"{page}api/events") as answer:
            line = await answer.content.readline()
            assert json.loads(line.removeprefix(b"data: "))["type"] == "cameras"
        async with http.ws_connect(f"{page}ws", headers=origin) as socket:
            await socket.send_json({"type": "ping"})
            assert (await socket.receive_json(timeout=30))["type"] == "pong"
        async with http.ws_connect(f"{page}mse/yard?codecs=H264", headers=origin) as media:
            assert (await media.receive_json(timeout=30))["type"] == "hello"
            while (await media.receive(timeout=30)).type is not aiohttp.WSMsgType.BINARY:
                pass
        async with http.get(f"{page}api/cameras/yard/snapshot.jpg") as answer:
            assert (answer.status, answer.content_type) == (200, "image/jpeg")
        offer = Browser().offer(video_section())
        async with http.post(f"{page}whep/yard", data=offer, headers={"Content-Type": "application/sdp"}) as answer:
            assert answer.status == 201, await answer.text()
            session = urljoin(str(answer.url), answer.headers["Location"])
        assert session.startswith(f"{page}whep/yard/")
        async with http.delete(session) as answer:
            assert answer.status == 200


async def watch(chromium: Chromium, page: str) -> None:
    """A person who signs in, and watches by WebSocket and by WHEP."""
    await chromium.context.clear_cookies()  # which go by the host, whatever its port
    viewing = await chromium.open(f"{page}watch/yard")
    form = viewing.page
    await form.get_by_label("Name", exact=True).fill(BEN["user"])
    await form.get_by_label("Password", exact=True).fill(BEN["password"])
    await expect(form.locator("#missing")).to_be_hidden()
    await form.locator("#go").click()
    await expect(form).to_have_url(f"{page}watch/yard")
    await viewing.shows(3, seconds=60)
    if PREFIX in page:  # whose addresses are the harder ones
        await form.goto(f"{page}watch/yard?signalling=whep")
        await viewing.shows(3, seconds=60)
    await form.goto(page)
    await expect(form.locator("[data-camera=yard]")).to_have_attribute("data-state", "playing")
    await expect(form.locator("#offline")).to_be_hidden()
    await viewing.close()


async def each_lets_everything_through(
    cases: Sequence[Case], chromium: Chromium, running: Cluster, directory: Path
) -> None:
    user = {**BEN, "cameras": ["yard"]}
    async with client() as http, http.post(f"{running.url}/api/users?token=t-ops", json=user) as answer:
        assert answer.status == 201
    for number, (program, how) in enumerate(cases):
        own = directory / f"{number}-{program.__name__}"
        own.mkdir()
        async with program(urlsplit(running.url).netloc, own, **how) as page:
            print(program.__name__, how, page)
            await look(page, **how)
            await watch(chromium, page)
    assert not re.search(r'"reason":"cross_origin"', running.log)


async def test_each_recipe_lets_everything_through(
    chromium: Chromium, cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera], tmp_path: Path
) -> None:
    if problem := reverse_proxy.missing():
        pytest.skip(problem)
    running: Cluster = await cluster({"yard": gst_camera(CLIP).url}, config=CONFIG)
    await each_lets_everything_through(CASES, chromium, running, tmp_path)


async def test_traefiks_recipes_let_everything_through(
    chromium: Chromium, cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera], tmp_path: Path
) -> None:
    if problem := reverse_proxy.traefik_missing():
        pytest.skip(problem)
    running: Cluster = await cluster({"yard": gst_camera(CLIP).url}, config=CONFIG)
    await each_lets_everything_through(TRAEFIK, chromium, running, tmp_path)


def test_the_documents_have_each_recipe() -> None:
    text = (reverse_proxy.RECIPES.parent / "docs/proxies.md").read_text("utf-8")
    recipes = [each for name in ("nginx", "caddy", "traefik") for each in (reverse_proxy.RECIPES / name).iterdir()]
    assert len(recipes) == 6
    for recipe in recipes:
        assert recipe.read_text("utf-8") in text, recipe
