"""Packets of a track that cannot be played are counted, and nothing is made of them."""

from __future__ import annotations

from common.media import Kind, Track
from ingest.payload.unplayable import Unplayable


def test_each_packet_is_counted_as_dropped() -> None:
    unplayable = Unplayable(Track(Kind.VIDEO, "H264", 90_000))
    for timestamp in (0, 3_600):
        unplayable.receive(bytes(20), 12, 20, timestamp, marker=True, arrival_ns=0)
    assert (unplayable.dropped, unplayable.frames, unplayable.keyframes) == (2, 0, 0)
