"""A picture that cameras without RTSP send, and the log of whoever reads them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import pytest
import structlog


@pytest.fixture
def image() -> bytes:
    context = av.CodecContext.create("mjpeg", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt, context.time_base = 160, 120, "yuvj420p", Fraction(1, 25)
    return b"".join(
        bytes(packet) for packet in [*context.encode(av.VideoFrame(160, 120, "yuvj420p")), *context.encode()]
    )


@pytest.fixture
def log() -> Iterator[list[Any]]:
    """The log, as structured events."""
    with structlog.testing.capture_logs() as events:
        yield events
