"""Counts of all that one viewer is sent, summed over its senders; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from egress.sender import Sender
from egress.wire.rtcp import ReceptionReport

MAX_JITTER = 60.0  # seconds: a report can say thirteen hours


@dataclass(frozen=True, slots=True)
class Totals:
    """See ``common.control.ViewerReport``, which has them by the same names."""

    packets: int
    bytes: int
    dropped: int
    nacked: int
    retransmitted: int
    plis: int
    lost: int
    jitter: float  # seconds, the largest


def total(senders: Collection[Sender], reports: Mapping[int, ReceptionReport]) -> Totals:
    """Sum up these senders, with the newest report of the viewer's on each SSRC."""
    packets = octets = blocked = nacked = retransmitted = plis = lost = 0
    jitter = 0.0
    for sender in senders:  # a loop, for a thousand viewers are reported every second
        again, lane, feed = sender.retransmission.stats, sender.lane, sender.feed
        packets += lane.packets
        octets += lane.octets
        blocked += sender.cursor.blocked
        nacked += again.nacked
        retransmitted += again.retransmitted
        plis += sender.stats.plis
        if reception := reports.get(feed.source.ssrc):
            lost += reception.lost
            jitter = max(jitter, min(reception.jitter / feed.timeline.clock_rate, MAX_JITTER))
    # RFC 3550 6.4.1: fewer than none are lost where packets came twice.
    return Totals(packets, octets, blocked, nacked, retransmitted, plis, max(0, lost), jitter)
