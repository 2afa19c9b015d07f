"""Every picture with every sound, from GStreamer's RTSP server and from files of ffmpeg's, in Chromium: 175 cameras.

``make codecs`` runs it, in a quarter of an hour, and writes the tables of docs/codec-table.md; ``PART=2/5`` runs a part
of it, beside what other parts have seen. Else it is left out: test_codecs.py and test_sources.py try each codec.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from rigs import chromium as chromium_rig
from rigs import gst_camera as gst_rig
from rigs.chromium import CHROMIUM, Chromium, Viewing
from rigs.cluster import Cluster
from rigs.codec_sources import PICTURES, SOUNDS, file_of, numbered, pipeline
from rigs.gst_launch import FPS, TONE, GstLaunch, missing

PART = os.environ.get("CODEC_TABLE", "")  # such as 1/1 for all of it, or 2/5
PAGE = Path(__file__).parents[2] / "docs" / "codec-table.md"
SECONDS = 3.0
AT_ONCE = 2  # cameras: each costs an encoder of GStreamer's, a conversion and a decoder of Chromium's
LEAST = 0.95  # of the pictures
FIRST_MS = 500.0
TRIES = 3

pytestmark = [
    *(pytest.mark.e2e, pytest.mark.browser, pytest.mark.gstreamer, pytest.mark.timeout(300)),
    pytest.mark.skipif(not PART, reason="make codecs runs it"),
]


@dataclass(frozen=True)
class Seen:
    """One cell of the table."""

    share: float  # of the pictures that were decoded
    in_order: bool
    first_ms: float  # of somebody who joins one that watches already
    hz: float
    got: list[str]  # codecs of picture and sound; a star stands for a conversion


def rows() -> list[tuple[str, str]]:
    """The rows of this part: where from, and which picture."""
    part, parts = map(int, PART.split("/")) if PART else (1, 1)
    every = [(source, name) for source in ("gstreamer", "ffmpeg") for name in PICTURES]
    return [row for row in every if getattr(PICTURES[row[1]], "gst" if row[0] == "gstreamer" else "ffmpeg")][
        part - 1 :: parts
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watched(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> AsyncIterator[Callable[[str, str, str], Any]]:
    """Watches the camera of a source, a picture and a sound."""
    if problem := chromium_rig.missing() or gst_rig.missing():
        pytest.skip(problem)
    assert pytestconfig.cache is not None
    directory = tmp_path_factory.mktemp("codecs")
    recording = numbered(pytestconfig.cache.mkdir("clips"))
    cells = [(*row, heard) for row in rows() for heard in SOUNDS]
    pipelines = [pipeline(name, heard, recording, directory) for source, name, heard in cells if source == "gstreamer"]
    if problem := missing(" ! ".join(pipelines)):
        pytest.skip(problem)
    with GstLaunch(pipelines or ["videotestsrc ! rtpvrawpay name=pay0"]) as launched:
        urls, cameras = iter(launched.urls), {}
        for number, (source, name, heard) in enumerate(cells):
            made = next(urls) if source == "gstreamer" else f"file://{file_of(name, heard, recording, directory)}"
            cameras[f"camera-{number}"] = {"url": made, "on_demand": True, "keep_after": 0.0}
        names = dict(zip(cells, cameras, strict=True))
        config = {"sources": {"allow": ["rtsp", "file"]}}
        async with Cluster(directory, cameras, config=config) as running, chromium_rig.chromium(CHROMIUM) as browser:
            yield lambda *cell: _watch(browser, running, names[cell], cell)


async def _watch(browser: Chromium, running: Cluster, camera: str, cell: tuple[str, str, str]) -> Seen:
    async with browser.window() as window:
        viewing = await window.whep(running.whep(camera))
        await viewing.read_codes()
        await viewing.shows(FPS, seconds=60)
        (share, in_order), hz = await asyncio.gather(_counted(viewing), _heard(viewing, cell[2]))
        first_ms = await _joined(window, running.whep(camera))
        got = await _got(viewing, running, camera)
        await viewing.close()
    return Seen(min(share, 1.0), in_order, first_ms, hz, got)


async def _counted(viewing: Viewing) -> tuple[float, bool]:
    """The share of the pictures that are decoded, and whether in their order."""
    share, in_order = 0.0, False
    for _ in range(TRIES):
        before, shown = await viewing.stats(), len(await viewing.frames())
        await asyncio.sleep(SECONDS)  # the time to measure, not to wait for something
        after = await viewing.stats()
        share = (after.frames_decoded - before.frames_decoded) / (FPS * SECONDS)
        in_order = _in_order([frame.code for frame in (await viewing.frames())[shown:]])
        if share >= LEAST and in_order:
            break
    return share, in_order


async def _heard(viewing: Viewing, heard: str) -> float:
    return await viewing.loudest_hz() if heard != "none" else 0.0


async def _joined(window: Chromium, whep: str) -> float:
    """The time to the first picture of one more viewer, in milliseconds."""
    first_ms = math.inf
    for _ in range(TRIES):
        second = await window.whep(whep)
        first_ms = min(first_ms, await second.first_frame_ms(seconds=60))
        await second.close()
        if first_ms <= FIRST_MS:
            break
    return first_ms


def _in_order(codes: list[int | None]) -> bool:
    """Whether the numbers grow; a file that begins again, or a picture that cannot be read, says nothing."""
    numbers = [code for code in codes if code is not None]
    steps = [after - before for before, after in itertools.pairwise(numbers)]
    return len(numbers) > FPS and all(0 <= step <= FPS or step < -4 * FPS for step in steps)


async def _got(viewing: Viewing, running: Cluster, camera: str) -> list[str]:
    stats = await viewing.stats()
    nodes = await running.get("nodes")
    made = {name for node in nodes if node["role"] == "transcode" for name in node["cameras"]}
    codecs = (stats.video_codec, "h264"), (stats.audio_codec, "opus")
    return [codec.partition("/")[2] + "*" * (f"{camera}/{rendition}" in made) for codec, rendition in codecs]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("source", "name"), rows())
async def test_a_picture_moves_beside_each_sound(
    source: str, name: str, watched: Callable[[str, str, str], Any], pytestconfig: pytest.Config
) -> None:
    seen: dict[str, Seen] = {}
    room = asyncio.Semaphore(AT_ONCE)

    async def watch(heard: str) -> None:
        async with room:
            seen[heard] = await watched(source, name, heard)

    await asyncio.gather(*map(watch, SOUNDS))
    _write(pytestconfig, source, name, {heard: asdict(cell) for heard, cell in seen.items()})
    for heard, cell in seen.items():
        assert cell.share >= LEAST, f"{heard}: {cell}"
        assert cell.in_order, f"{heard}: {cell}"
        assert cell.got == [PICTURES[name].got, SOUNDS[heard].got], f"{heard}: {cell}"
        assert cell.first_ms <= FIRST_MS, f"{heard}: {cell}"
        assert heard == "none" or cell.hz == pytest.approx(TONE, rel=0.02), f"{heard}: {cell}"


def _write(config: pytest.Config, source: str, name: str, cells: dict[str, dict[str, Any]]) -> None:
    """Add a row to what was seen before, and make the page of all of it anew."""
    assert config.cache is not None
    file = config.cache.mkdir("codecs") / "seen.json"
    seen = json.loads(file.read_text()) if file.exists() else {}
    seen.setdefault(source, {})[name] = cells
    file.write_text(json.dumps(seen, indent=1))
    head, begin, _ = PAGE.read_text().partition("<!-- made by make codecs -->\n")
    tables = []
    for title, key in (("Cameras of GStreamer's RTSP server", "gstreamer"), ("Files of ffmpeg's", "ffmpeg")):
        lines = [f"## {title}", "", f"| picture | {' | '.join(SOUNDS)} |", f"|---|{'---|' * len(SOUNDS)}"]
        lines += [_row(each, seen.get(key, {}).get(each)) for each in PICTURES]
        tables.append("\n".join(lines))
    PAGE.write_text(f"{head}{begin}\n" + "\n\n".join(tables) + "\n")


def _row(name: str, cells: dict[str, dict[str, Any]] | None) -> str:
    if cells is None:
        return f"| {name} |{' |' * len(SOUNDS)}"
    return (
        f"| {name} | {' | '.join(_cell([PICTURES[name].got, SOUNDS[heard].got], cells[heard]) for heard in SOUNDS)} |"
    )


def _cell(due: list[str], cell: dict[str, Any]) -> str:
    wrong = [] if cell["share"] >= LEAST else ["too few"]
    wrong += [] if cell["in_order"] else ["out of order"]
    wrong += [] if cell["got"] == due else [f"got {' and '.join(cell['got'])}"]
    wrong += [] if cell["first_ms"] <= FIRST_MS else ["late"]
    wrong += [] if not due[1] or abs(cell["hz"] - TONE) < 0.02 * TONE else ["no tone"]
    return f"{cell['share']:.0%}, {cell['first_ms']:.0f} ms" + (f" ({', '.join(wrong)})" if wrong else "")
