"""Foretells what the next packet of a track has to be, and what will be made of it; no I/O.

What has come of that is entered a moment later.
"""

from __future__ import annotations

from ingest import native
from ingest.payload.h265 import H265
from ingest.payload.standalone import Standalone
from ingest.rtp.unpacking import Unpacking

AHEAD_NS = 10_000_000_000  # for which sound is foretold at most


def foretold(unpacking: Unpacking, channel: int, sequence: int, ssrc: int, arrival_ns: int) -> native.Due | None:
    """The next ordinary picture, or piece of sound, of a track whose packets come on an interleaved ``channel``.

    ``sequence`` is the number that is due, and ``arrival_ns`` now. ``None`` if it cannot be told.
    """
    form, pictured = unpacking.format, unpacking.pictured
    if pictured is not None:
        of = native.H265 if isinstance(pictured, H265) else native.H264
        until_ns = pictured.expects_pictures_until(arrival_ns)
    elif isinstance(form, Standalone) and form.as_it_comes:
        of, until_ns = native.SOUND, arrival_ns + AHEAD_NS
    else:
        return None
    clock = unpacking.clock.due(unpacking.raw) if until_ns and unpacking.punctual else None
    out = unpacking.output.due(clock[0]) if clock is not None else None
    if clock is None or out is None:
        return None
    timestamp, rate, ahead_ns, learns, leap, measured_ns = clock
    payload_type, until_ns = unpacking.choice.format.payload_type, min(until_ns, measured_ns)
    numbers = of, channel, payload_type, sequence, ssrc, unpacking.raw, leap, until_ns
    number, begin = out
    return native.Due(*numbers, timestamp, rate, ahead_ns, learns, number, begin)


def enter_picture(unpacking: Unpacking, raw: int, first: int, payloads: int, arrival_ns: int) -> None:
    """Remember an ordinary picture of so many ``payloads`` that went out, as ``Unpacking.take_picture`` would.

    ``raw`` is its timestamp as it came, and ``first`` the byte behind the NAL unit header of its first slice.
    """
    unpacking.turn_to(raw, arrival_ns)
    assert unpacking.pictured is not None
    unpacking.pictured.receive_picture([b""] * payloads, first, unpacking.timestamp, arrival_ns)
