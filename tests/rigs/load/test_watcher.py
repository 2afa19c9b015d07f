"""The times without a picture, of packets as they came."""

from __future__ import annotations

from typing import Any, cast

import pytest

from rigs.load.players import Plain
from rigs.load.rtp import Stream
from rigs.load.viewer import Viewer
from rigs.load.watcher import Watcher

START = 1_700_000_000  # Unix seconds, at second 0 of the monotonic clock
FRAME_NS = 33_000_000


class Session:
    """A viewer, as far as a watcher sees one."""

    def __init__(self) -> None:
        self.streams = {1: Stream(1, "video", "H264", 90_000), 2: Stream(2, "audio", "opus", 48_000)}

    def came(self, *times: int) -> None:
        """Packets of the picture, in nanoseconds since the start."""
        for at in times:
            self.streams[1].last_ns = START * 10**9 + at
            self.streams[1].arrivals.append(START * 10**9 + at)
            self.streams[2].arrivals.append(START * 10**9 + at + 1)


def looked(watcher: Watcher, *times: float) -> list[float]:
    for now in times:
        watcher.look(now, START + now)
    return [round(end - start, 3) for start, end in watcher.gaps]


def frames(start: int, count: int) -> list[int]:
    return [number * FRAME_NS for number in range(start, start + count)]


@pytest.fixture
def watcher() -> Watcher:
    return Watcher(cast(Any, Plain)("http://127.0.0.1/whep/door"), seen=0.0)


def test_looks_that_come_late_make_no_gap(watcher: Watcher) -> None:
    session = Session()
    watcher.viewers.append(cast(Viewer, session))
    session.came(*frames(1, 30))
    assert looked(watcher, 1.0) == []
    session.came(*frames(31, 30))
    assert looked(watcher, 2.0, 3.0) == []
    assert watcher.seen == pytest.approx(60 * FRAME_NS / 1e9)


def test_a_gap_is_the_time_between_two_packets(watcher: Watcher) -> None:
    session = Session()
    watcher.viewers.append(cast(Viewer, session))
    session.came(*frames(1, 10), *frames(14, 10))
    assert looked(watcher, 1.0, 2.0) == [0.132]


def test_what_came_by_another_session_fills_it_also_when_it_was_read_later(watcher: Watcher) -> None:
    old, new = Session(), Session()
    watcher.viewers += [cast(Viewer, old), cast(Viewer, new)]
    new.came(*frames(13, 10))
    assert looked(watcher, 0.75) == []
    old.came(*frames(1, 13))
    assert looked(watcher, 0.77, 2.0) == []


def test_a_session_that_is_left_was_seen_to_its_end(watcher: Watcher) -> None:
    old, new = Session(), Session()
    watcher.viewers.append(cast(Viewer, old))
    old.came(*frames(1, 10))
    watcher._collect(cast(Viewer, old))
    watcher.viewers[:] = [cast(Viewer, new)]
    new.came(*frames(12, 5))
    assert looked(watcher, 2.0) == [0.066]
