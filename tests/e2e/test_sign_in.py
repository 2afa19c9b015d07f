"""A person before a closed door: the first admin, a viewer with a right to one camera, and a right that is taken."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Page, expect

from broker.access.tokens import digest_of
from rigs.chromium import Chromium
from rigs.clip import Clip
from rigs.gst_camera import GstCamera

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.gstreamer]

CLIP = Clip(width=320, height=180, fps=15, bitrate=300_000, gop=15)
ANNA, BEN = ("anna", "anna's password"), ("ben", "ben's password")
REQUIRED = {"auth": {"mode": "required"}}


async def sign_in(page: Page, user: str, password: str, *, again: bool = False) -> None:
    await page.get_by_label("Name", exact=True).fill(user)
    await page.get_by_label("Password", exact=True).fill(password)
    if again:
        await page.get_by_label("Password, once more").fill(password)
    await page.locator("#go").click()


async def test_from_the_first_start_to_a_viewer_who_is_thrown_out(
    chromium: Chromium, cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    camera = gst_camera(CLIP)
    running = await cluster({"yard": camera.url, "hall": camera.url}, config=REQUIRED)
    link = re.search(r"http://\S+/sign-in#code=\S+", running.log)
    assert link is not None

    viewing = await chromium.open(f"{running.url}/")
    page = viewing.page
    await expect(page).to_have_url(re.compile("/sign-in$"))
    await expect(page.get_by_text("printed a link")).to_be_visible()
    await sign_in(page, *ANNA)
    await expect(page.get_by_role("alert")).to_have_text("The name or password is wrong.")

    await page.goto("about:blank")
    await page.goto(link[0])
    await sign_in(page, *ANNA, again=True)
    await expect(page).to_have_url(f"{running.url}/")
    await expect(page.locator("#cameras li")).to_have_count(2)
    await expect(page.get_by_role("button", name="Add camera")).to_be_visible()

    await page.get_by_role("link", name="anna").click()
    users = page.locator("#users")
    await users.get_by_label("Name", exact=True).fill(BEN[0])
    await users.get_by_label("Password").fill(BEN[1])
    await users.get_by_role("textbox", name="Cameras").fill("yard")
    await users.get_by_role("button", name="Add").click()
    await expect(users.get_by_text("ben: may watch yard")).to_be_visible()
    cookies = {each["name"]: each["value"] for each in await page.context.cookies()}
    await page.get_by_role("button", name="Sign out").click()
    await expect(page).to_have_url(re.compile("/sign-in$"))

    await page.goto(f"{running.url}/watch/yard")
    await expect(page).to_have_url(f"{running.url}/sign-in?next=watch%2Fyard")
    await sign_in(page, *BEN)
    await expect(page).to_have_url(f"{running.url}/watch/yard")
    await viewing.shows(5)
    await page.goto(f"{running.url}/")
    await expect(page.locator("#cameras li")).to_have_count(1)
    await expect(page.get_by_role("button", name="Add camera")).to_be_hidden()
    await page.get_by_role("button", name="Connect", exact=True).click()
    await viewing.shows(5)

    async with aiohttp.ClientSession(running.url) as http:
        assert (await http.get("/api/users", cookies=cookies)).status == 401, "she has signed out"
        cookie = {"Cookie": f"camshaft_login={await _login(running.url)}"}
        assert (await http.delete("/api/users/ben", headers=cookie)).status == 204
    await expect(page).to_have_url(re.compile("/sign-in"), timeout=10_000)


async def _login(url: str) -> str:
    async with (
        aiohttp.ClientSession(url) as http,
        http.post("/api/login", json={"user": ANNA[0], "password": ANNA[1]}) as answer,
    ):
        return answer.cookies["camshaft_login"].value


async def test_a_page_whose_sign_in_ended_while_it_heard_nothing_asks_for_another(
    chromium: Chromium, cluster: Callable[..., Any]
) -> None:
    """A laptop wakes up, say. It must not blame a proxy."""
    running = await cluster({}, config=REQUIRED)
    link = re.search(r"http://\S+/sign-in#code=\S+", running.log)
    assert link is not None
    page = (await chromium.open(link[0])).page
    await sign_in(page, *ANNA, again=True)
    await expect(page.get_by_role("button", name="Add camera")).to_be_visible()
    running.kill("broker")
    with closing(sqlite3.connect(running.directory / "camshaft.db.people", timeout=5.0)) as people:
        people.execute("DELETE FROM login")
        people.commit()
    await expect(page).to_have_url(f"{running.url}/sign-in?next=", timeout=20_000)


async def test_a_page_in_a_frame_shows_its_token(
    chromium: Chromium, cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    camera = gst_camera(CLIP)
    tokens = {"wall": {"sha256": digest_of("t-wall"), "cameras": ["yard"]}}
    running = await cluster({"yard": camera.url}, config={"auth": {"tokens": tokens}})
    for way in ("", "&signalling=whep"):
        viewing = await chromium.open(f"{running.url}/watch/yard?token=t-wall{way}")
        await viewing.shows(5)
        await viewing.close()
    bare = await chromium.whep(f"{running.whep('yard')}?token=t-wall")
    await bare.shows(5)
    assert "t-wall" not in running.log
