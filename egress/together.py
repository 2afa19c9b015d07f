"""Viewers that lack the same packets get them by one call, as live ones do.

Caught up each by itself (``egress.catch_up``) a hundred viewers take ten times as long, and the last of them waits for
all others. It is for those whose paths take a burst, and for once: who lacks more, or whose buffer is full, goes on
alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from common.media import MAX_PAYLOAD
from egress.media.fanout import fan_out
from egress.media.feed import Feed
from egress.media.group import Audience, GroupKey
from egress.path.pace import LOCAL_BURST
from egress.position import Position
from egress.sender import Sender

MOST = LOCAL_BURST // MAX_PAYLOAD  # packets at once, as of one by itself


def catch_up_together(senders: Iterable[Sender]) -> None:
    """Send what these lack, as far as several lack the same."""
    alike: dict[tuple[Feed, int, GroupKey], list[Sender]] = {}
    for sender in senders:
        cursor = sender.cursor
        if cursor.position is Position.BEHIND and not (cursor.thin or cursor.held or cursor.target.stalled):
            alike.setdefault((cursor.feed, cursor.next, cursor.group().key), []).append(sender)
    for (feed, first, _), those in alike.items():
        if len(those) > 1 and feed.history.start <= first < feed.history.end:
            _send(feed, first, those)


def _send(feed: Feed, first: int, senders: Sequence[Sender]) -> None:
    parcel = feed.parcel(first, MOST, senders[0].cursor.group())
    lacking = fan_out(parcel, first, Audience([(each.lane, each.cursor.target) for each in senders]))
    for sender in senders:
        if sender.sent(parcel, lacking.get(sender.lane)):
            sender.cursor.go_live()
