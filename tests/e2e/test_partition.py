"""An ingest is cut off from its broker alone, with its clock an hour off: the picture stays, and one session of two."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rigs.gst_camera import GstCamera
from rigs.load.crowd import Crowd
from rigs.partition import LASTS, OTHER, cut_off

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer, pytest.mark.timeout(240)]

VIEWERS = 3
DARK = 5.0  # seconds, on a machine that has much else to do
KEPT = 15.0  # of the cut's seconds, for which the camera may have two sessions: ten until the old one knows


@pytest.mark.parametrize("hours", [1, -1])
async def test_its_camera_is_another_ones_and_is_let_go(gst_camera: Callable[..., GstCamera], hours: int) -> None:
    camera = gst_camera(transports=("tcp",))
    seen = await cut_off(camera.url, Crowd(), VIEWERS, hours)
    print(seen)
    assert (seen.worker, seen.lost, seen.anew) == (OTHER, 0, 0)
    assert seen.dark < DARK
    assert seen.twice < KEPT < LASTS
