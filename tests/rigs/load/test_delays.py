from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from rigs.load.delays import SETTLED_NS, Delays


class Camera:
    """A timeline that knows one frame: its last bytes, its timestamp, and when it was sent."""

    def __init__(self, tail: bytes, timestamp: int, sent_ns: int) -> None:
        self.tail, self.timestamp, self.at = tail, timestamp, sent_ns

    def recognise(self, tail: bytes) -> int | None:
        return self.timestamp if tail == self.tail else None

    def sent_ns(self, timestamp: int) -> int | None:
        return self.at if timestamp == self.timestamp else None


def viewer(*tails: tuple[bytes, int, float]) -> Any:
    return SimpleNamespace(tails=list(tails), shift=None)


def test_a_frame_is_found_by_its_last_bytes_and_then_by_its_timestamp() -> None:
    delays, arrived = Delays(), time.time_ns() - 2 * SETTLED_NS
    delays.timeline = Camera(b"tail", 1_000, arrived - 5_000_000)
    watching = viewer((b"tail", 1_000 + 77, time.monotonic() - 1.0))  # the server counts from elsewhere
    delays.marks.append((watching, 1_000 + 77, arrived))
    delays.resolve([watching])
    assert watching.shift == 77
    assert list(delays.seconds) == [pytest.approx(0.005)]
    assert delays.marks == []


def test_a_frame_that_came_just_now_is_asked_for_later() -> None:
    delays = Delays()
    delays.timeline = Camera(b"tail", 1_000, time.time_ns())
    watching = viewer()
    watching.shift = 0
    delays.marks.append((watching, 1_000, time.time_ns()))
    delays.resolve([watching])
    assert len(delays.marks) == 1
    assert not delays.seconds


def test_frames_of_another_camera_are_not_measured() -> None:
    delays = Delays()
    delays.timeline = Camera(b"tail", 1_000, 0)
    watching = viewer((b"other", 5, time.monotonic() - 1.0))
    delays.marks.append((watching, 5, time.time_ns() - 2 * SETTLED_NS))
    delays.resolve([watching])
    assert watching.shift is None
    assert not delays.seconds
    assert delays.marks == []


def test_a_new_window_forgets_what_was_measured() -> None:
    delays = Delays()
    delays.seconds.append(0.1)
    delays.restart([])
    assert not delays.seconds
