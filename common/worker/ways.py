"""By which way each rendition comes to a subscriber: by the relay, or from a publisher near by; pure.

A publisher sends the same frames in the same order by each way that is taken, from the moment on that it is. So nothing
is missing and nothing twice if a rendition changes its way like this:

* It comes by the relay at first. What comes from near by meanwhile is held, until the relay brings something that is
  held, or that follows it: the near way has everything from there on. The relay's is let go, and what was held is
  passed on; ``Incoming`` drops what is there already. A relay that does not bring it within ``PATIENCE`` is away. If
  nothing has come at all yet, the near way has everything.
* The near publisher's connection ends: it comes by the relay again.
* The near publisher is silent, or it is not certain any more that each publisher has a connection: the relay is taken
  as well, as another one's epoch may come by it alone. What it brings of the epoch that comes from near by is no news.
* Of two publishers near by, or where both ways are taken, an epoch wins by the rules of ``Incoming``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from common.media import Batch

PATIENCE = 0.5  # seconds
MAX_HELD = 1_000  # batches: more than come in that time

Pipe = TypeVar("Pipe")


@dataclass(slots=True)
class Joining(Generic[Pipe]):
    """Batches of a rendition that came from near by, while it still comes by the relay."""

    pipe: Pipe
    first: Batch
    since: float
    held: list[Batch] = field(default_factory=list)

    def has(self, batch: Batch, expected: int | None) -> bool:
        """Whether a batch that the relay brings comes from near by as well: then all before the first has come.

        Of a kind of which nothing is held yet it may have been published before the first: then it is the one that is
        ``expected``. If it is not, the relay was late to be asked, and what is between comes from near by.
        """
        if batch.epoch != self.first.epoch:
            return False
        held = next((each.sequence for each in self.held if each.kind == batch.kind), None)
        if held is not None:
            return batch.sequence >= held
        return expected is not None and batch.sequence > expected


class Ways(Generic[Pipe]):
    """``relay`` subscribes to a topic there, or unsubscribes.

    ``sources`` has by topic what a rendition comes by, where that is not the relay alone: frames that come by their
    source need no ``come``.
    """

    def __init__(self, relay: Callable[[bytes, bool], object]) -> None:
        self.sources: dict[bytes, Pipe | Joining[Pipe]] = {}
        self._relay = relay
        self._relayed: dict[bytes, bool] = {}  # by topic: whether it is subscribed to at the relay
        self._certain = False

    def relayed(self, topic: bytes) -> bool:
        """Whether the relay brings it."""
        return self._relayed.get(topic, False)

    def begin(self, topic: bytes) -> None:
        """Take a rendition's live batches, from the relay at first."""
        self.sources.pop(topic, None)
        self._take_from_relay(topic)

    def over(self, topic: bytes) -> None:
        """Take them no more."""
        self.sources.pop(topic, None)
        if self._relayed.pop(topic, False):
            self._relay(topic, False)

    def certain(self, certain: bool) -> None:
        """Hear whether each publisher has a connection, so that the relay has nothing that does not come near by."""
        self._certain = certain
        for topic in self._relayed:
            near = self.sources.get(topic)
            if not certain:
                self._take_from_relay(topic)
            if isinstance(near, Joining):
                del self.sources[topic]
            elif near is not None and certain:
                self._let_go(topic)

    def ended(self, pipe: Pipe) -> None:
        """Go back to the relay for what came by a publisher's connection, which has ended."""
        for topic, near in tuple(self.sources.items()):
            if near is pipe or (isinstance(near, Joining) and near.pipe is pipe):
                del self.sources[topic]
                self._take_from_relay(topic)

    def silent(self, topic: bytes) -> None:
        """See whether the relay has a rendition of which nothing has come for a while, whoever publishes it there."""
        self._take_from_relay(topic)

    def flows(self, topic: bytes) -> None:
        """Let go of the relay for what comes from near by again."""
        near = self.sources.get(topic)
        if near is not None and not isinstance(near, Joining) and self._certain:
            self._let_go(topic)

    def come(
        self,
        topic: bytes,
        batch: Batch,
        pipe: Pipe | None,
        take: Callable[[Batch], bool],
        *,
        epoch: int | None,
        expected: int | None,
        now: float,
    ) -> None:
        """Take a live batch that came by ``pipe``, or with ``None`` by the relay, while it has more ways than one.

        ``take`` passes a batch on and says whether it was one to be passed on. ``epoch`` is that which is taken now,
        ``None`` if no live batch has come; ``expected`` the next number in it of the batch's kind.
        """
        near = self.sources.get(topic)
        if isinstance(near, Joining):
            self._join(topic, near, batch, pipe, take, epoch=epoch or 0, expected=expected, now=now)
        elif near is None:
            if pipe is not None and (self._certain or epoch is None):
                self._begin_near(topic, batch, pipe, take, epoch=epoch, now=now)
        elif pipe is None:
            if batch.epoch != epoch and take(batch):
                self.sources.pop(topic, None)
        elif take(batch) and topic in self._relayed:  # it may have been the last that was wanted
            self.sources[topic] = pipe

    def _begin_near(
        self,
        topic: bytes,
        batch: Batch,
        pipe: Pipe,
        take: Callable[[Batch], bool],
        *,
        epoch: int | None,
        now: float,
    ) -> None:
        if epoch is not None:
            self.sources[topic] = Joining(pipe, batch, now, [batch])
            return
        self.sources[topic] = pipe
        if self._certain:
            self._let_go(topic)
        take(batch)

    def _join(
        self,
        topic: bytes,
        joining: Joining[Pipe],
        batch: Batch,
        pipe: Pipe | None,
        take: Callable[[Batch], bool],
        *,
        epoch: int,
        expected: int | None,
        now: float,
    ) -> None:
        if pipe is None:
            ready = joining.has(batch, expected)
            if not ready:
                take(batch)
        else:
            if pipe is not joining.pipe or len(joining.held) >= MAX_HELD:
                if batch.epoch >= joining.first.epoch:  # else the relay brings it too, and it is as old there
                    self.sources[topic] = Joining(pipe, batch, now, [batch])
                return
            joining.held.append(batch)
            ready = now - joining.since >= PATIENCE
        if batch.epoch > joining.first.epoch or (ready and joining.first.epoch < epoch):
            self.sources.pop(topic, None)
        elif ready and topic in self._relayed:
            self.sources[topic] = joining.pipe
            self._let_go(topic)
            for each in joining.held:
                take(each)

    def _take_from_relay(self, topic: bytes) -> None:
        if not self._relayed.get(topic, False):
            self._relayed[topic] = True
            self._relay(topic, True)

    def _let_go(self, topic: bytes) -> None:
        if self._relayed[topic]:
            self._relayed[topic] = False
            self._relay(topic, False)
