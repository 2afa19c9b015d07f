"""The simulated cameras against a foreign client."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from rigs import farm
from rigs.clip import TINY


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_foreign_client_plays_every_camera(cameras: list[str], transport: str) -> None:
    for url in cameras:
        with av.open(url, options={"rtsp_transport": transport}, timeout=10) as container:
            pictures = container.decode(video=0)
            sizes = {(next(pictures).width, next(pictures).height) for _ in range(5)}
        assert sizes == {(320, 240)}


def test_cameras_show_the_clip_from_other_places_at_other_moments(clip: Path) -> None:
    [first, second] = farm.cameras(clip, TINY.fps, 2)
    half = TINY.frames // 2
    assert second.clip.pictures == first.clip.pictures[half:] + first.clip.pictures[:half]
    assert second.clip.keyframes[0] is first.clip.keyframes[half]
    assert first.now() - second.now() == pytest.approx(0.5 / TINY.fps, abs=0.01)
