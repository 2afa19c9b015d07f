"""The predecessor's packets in the successor's histories; pure.

Both read the same renditions, but their histories began at different times, and either may have missed batches. So a
packet is known by its epoch and its number there, as ingest gave them. A number is turned into an index only as far
back as neither has missed anything, and both have given the epoch the same timestamps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from common.media import Batch
from egress.media.feed import Feed
from egress.succession.states import FeedState


class Witness:
    """A ``Tap`` of a feed: since which number of its epoch nothing was missed. ``on_take`` is called at each batch."""

    def __init__(self, feed: Feed, on_take: Callable[[], object] = bool) -> None:
        self.epoch: int | None = None
        self.first = self.next = 0
        self._feed, self._on_take = feed, on_take
        feed.taps.add(self)

    def take(self, batch: Batch, timestamp: int) -> None:
        """See ``Tap``."""
        if (batch.epoch, batch.sequence) != (self.epoch, self.next):
            self.epoch, self.first = batch.epoch, batch.sequence
        self.next = batch.sequence + len(batch.payloads)
        self._on_take()

    def forget(self) -> None:
        """See ``Tap``. What was not missed stays known."""

    def end(self) -> None:
        """See nothing more."""
        self._feed.taps.discard(self)


@dataclass(frozen=True, slots=True)
class Place:
    """``shift`` leads from the predecessor's indices to ours, as far back as the predecessor's ``oldest``."""

    shift: int
    oldest: int


def warm(told: FeedState, witness: Witness) -> bool:
    """Whether what flows at the predecessor flows here, up to what it had when it was ``told``."""
    if not told.flows or told.sequence is None or told.epoch is None:
        return True
    return witness.epoch is not None and (witness.epoch, witness.next) >= (told.epoch, told.sequence)


def reached(now: FeedState, witness: Witness) -> bool:
    """Whether all that the predecessor has sent has come here too, or never will."""
    return now.sequence is None or witness.epoch != now.epoch or witness.next >= now.sequence


def place(before: FeedState | None, now: FeedState, witness: Witness, feed: Feed) -> Place | None:
    """The way to the predecessor's packets here, by what it said ``before`` we began to look, and says ``now``.

    ``None`` if that cannot be told: viewers go on at a keyframe.
    """
    timeline = feed.timeline
    if now.sequence is None or now.epoch is None or (witness.epoch, timeline._epoch) != (now.epoch, now.epoch):
        return None
    if timeline._offset != now.offset or timeline.clock_rate != now.clock_rate:
        return None  # the epoch began for each of us with another batch
    if not witness.first <= now.sequence <= witness.next:
        return None
    known = now.sequence  # from here on the predecessor has missed nothing
    if (
        before is not None
        and before.sequence is not None
        and before.epoch == now.epoch
        and now.end - before.end == now.sequence - before.sequence
    ):
        known = before.sequence
    ours = feed.history.end - witness.next
    back = now.sequence - max(known, witness.first)
    return Place(ours - (now.end - now.sequence), now.end - back)
