"""The simulated camera on the page, in Chromium: each picture holds its number, and so the time it was taken."""

from __future__ import annotations

import shutil
import time
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from camshaft.demo_camera.picture import CELLS, CHECK_BITS
from camshaft.demo_camera.settings import LOOP_SECONDS
from rigs.command import Command

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.quiet]

FPS = 30
PICTURES = 60
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# Resolves with [cells of the picture as a number, Unix time of its presentation] for each of so many pictures.
READ_PICTURES = """async ([pictures, cells]) => {
    const find = (root) => {
        for (const element of root.querySelectorAll("*")) {
            const found = element.tagName === "VIDEO" ? element : element.shadowRoot && find(element.shadowRoot);
            if (found) return found;
        }
        return null;
    };
    let video = null;
    while (!(video = find(document)) || !video.videoWidth) await new Promise((resolve) => setTimeout(resolve, 20));
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    const context = canvas.getContext("2d", {willReadFrequently: true});
    const read = [];
    while (read.length < pictures) {
        const now = await new Promise((resolve) => video.requestVideoFrameCallback((now) => resolve(now)));
        context.drawImage(video, 0, 0);
        const row = context.getImageData(0, Math.floor((1 - 1 / 36) * canvas.height), canvas.width, 1).data;
        let value = 0;
        for (let cell = 0; cell < cells; cell++) {
            value = value * 2 + (row[4 * Math.floor((cell + 0.5) / cells * canvas.width)] > 128);
        }
        read.push([value, (performance.timeOrigin + now) / 1000]);
    }
    return read;
}"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
async def test_page_shows_the_clock(tmp_path: Path) -> None:
    with Command(tmp_path, "demo") as cluster:
        cluster.ready()
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
            )
            page = await browser.new_page()
            await page.goto(f"{cluster.page}/watch/demo")
            read = await page.evaluate(READ_PICTURES, [PICTURES, CELLS])
            await browser.close()
    numbers = [value >> CHECK_BITS for value, _ in read]
    loop = LOOP_SECONDS * FPS
    steps = [(after - before) % loop for before, after in pairwise(numbers)]
    # One may be drawn twice, and some be left out, where others use the machine.
    assert all(step < 2 * FPS for step in steps), "the clock goes on"
    assert sorted(steps)[len(steps) // 2] == 1, "picture by picture"
    # A picture may be drawn some milliseconds after the time that its predecessor's callback was given.
    late = [(shown - number / FPS + 1) % LOOP_SECONDS - 1 for (_, shown), number in zip(read, numbers, strict=True)]
    assert -0.1 < min(late) <= max(late) < 5, "the clock is the real one"
    assert abs(read[-1][1] - time.time()) < 60
