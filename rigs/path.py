"""One direction of a network path as arithmetic: rate with a shallow queue, delay, loss and reordering.

Pure: packets' sizes and times go in, times of arrival come out, and the same seed gives the same losses. The UDP relay
and the link between namespaces both move their packets by it, so neither needs root's ``tc`` nor a kernel with netem.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Path:
    """The fate of packets on one way. The default is a perfect wire."""

    delay: float = 0.0  # seconds, one way
    loss: float = 0.0  # share of packets lost at random, 0..1
    reorder: float = 0.0  # share of packets held back for ``reorder_delay`` more, so that later ones overtake
    reorder_delay: float = 0.02  # seconds
    rate: float | None = None  # bit/s of the bottleneck
    queue: int = 64_000  # bytes that wait before the bottleneck; what comes then is lost
    cut: bool = False  # pulled cable: everything is lost
    udp: str = (
        "open"  # or "dropped", "rejected", "nat": see ``rigs.firewall``; only the link between namespaces has one
    )
    largest: int = 0  # bytes of a UDP packet that passes, likewise; 0 for all
    tcp: tuple[int, ...] = ()  # the only ports that TCP gets to, likewise; empty for all
    seed: int = 1
    counts: Counter[str] = field(default_factory=Counter)  # packets: passed, lost, queue_full, reordered
    _free_at: float = field(default=float("-inf"), init=False)
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def carry(self, size: int, now: float) -> float | None:
        """When a packet of ``size`` bytes that enters ``now`` comes out; ``None`` if it is lost. Call in time order."""
        if self.cut or (self.loss and self._random.random() < self.loss):
            self.counts["lost"] += 1
            return None
        out = now
        if self.rate is not None:
            waiting = max(0.0, self._free_at - now) * self.rate / 8
            if waiting + size > self.queue:
                self.counts["queue_full"] += 1
                return None
            out = self._free_at = max(now, self._free_at) + size * 8 / self.rate
        out += self.delay
        if self.reorder and self._random.random() < self.reorder:
            self.counts["reordered"] += 1
            out += self.reorder_delay
        self.counts["passed"] += 1
        return out
