"""The tap before simulated cameras and GStreamer's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from rigs.clip import TINY
from rigs.gst_camera import GstCamera, missing
from rigs.load.tap import Between, Tap, TapError
from rigs.waiting import until


async def heard(tap: Tap, condition: Callable[[], bool]) -> None:
    await until(condition, 10)


@pytest.mark.thorough
async def test_the_tap_knows_when_frames_left(cameras: list[str]) -> None:
    async with Tap(cameras[1]) as tap:
        await heard(tap, lambda: len(tap._tails) > 5)
        tail, timestamp = next(iter(tap._tails.items()))
        assert tap.recognise(tail) == timestamp
        sent = tap.sent_ns(timestamp)
        assert sent is not None
        assert tap.sent_ns(timestamp + 1) == sent  # rounded by a server
        assert tap.sent_ns(timestamp + 1000) is None
        later = [at for at in tap._sent.values() if at > sent]
        assert later


@pytest.mark.gstreamer
async def test_between_two_taps_is_the_middle(clip: Path) -> None:
    if problem := missing():
        pytest.skip(problem)
    with GstCamera(clip, TINY.fps) as camera:
        async with AsyncExitStack() as stack:
            before = await stack.enter_async_context(Tap(camera.url))
            await heard(before, lambda: len(before._tails) > 0)
            after = await stack.enter_async_context(Tap(camera.url))
            between = Between(before, after)
            await heard(after, lambda: len(after._tails) > 5)
            tail, timestamp = list(after._tails.items())[1]
            await heard(before, lambda: before.sent_ns(timestamp) is not None)
            assert between.recognise(tail) == timestamp
            sent = before.sent_ns(timestamp), after.sent_ns(timestamp)
            middle = between.sent_ns(timestamp)
            assert None not in sent
            assert middle is not None
            assert min(sent) < middle < max(sent)  # type: ignore[type-var]  # none of them is None
            alone = next(stamp for stamp in before._sent if stamp not in after._sent)
            assert between.sent_ns(alone) is None  # one of them has not seen it


@pytest.mark.gstreamer
@pytest.mark.parametrize("auth", ["digest", "basic"])
async def test_the_tap_logs_in(clip: Path, auth: str) -> None:
    if problem := missing():
        pytest.skip(problem)
    with GstCamera(clip, TINY.fps, user="viewer", password="p:w", auth=auth) as camera:  # type: ignore[arg-type]
        async with Tap(camera.url) as tap:
            await heard(tap, lambda: len(tap._tails) > 5)
        with pytest.raises(TapError, match="401"):
            async with Tap(camera.url.replace("viewer", "somebody")):
                pass
