"""Token buckets: how often something may happen, on average and at once; pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class TokenBucket:
    """``burst`` at once, ``rate`` more a second; full at first. Times are monotonic seconds."""

    burst: float
    rate: float
    _tokens: float = field(init=False)
    _filled_at: float = field(default=float("-inf"), init=False)

    def __post_init__(self) -> None:
        self._tokens = self.burst

    def take(self, now: float) -> bool:
        """Use one token, if there is one."""
        if self.fill(now) < 1.0:
            return False
        self._tokens -= 1.0
        return True

    @property
    def left(self) -> float:
        """How many tokens there were when it was filled last, less those that were used since."""
        return self._tokens

    def fill(self, now: float) -> float:
        """How many tokens there are now. Time that goes backwards fills nothing."""
        if now > self._filled_at:
            self._tokens = min(self.burst, self._tokens + (now - self._filled_at) * self.rate)
            self._filled_at = now
        return self._tokens

    def spend(self, count: float) -> None:
        """Use ``count`` tokens, also such as are not there yet."""
        self._tokens -= count


class TokenBuckets:
    """A bucket for each key, all alike. Of ``most`` keys it is kept; the one that was used longest ago is forgotten."""

    def __init__(self, burst: float, rate: float, most: int) -> None:
        self._burst = burst
        self._rate = rate
        self._most = most
        self._buckets: dict[str, TokenBucket] = {}  # the one that was used last stands last

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, now: float) -> bool:
        """Use one token of ``key``'s, if there is one."""
        bucket = self._buckets.pop(key) if key in self._buckets else TokenBucket(self._burst, self._rate)
        self._buckets[key] = bucket
        if len(self._buckets) > self._most:
            del self._buckets[next(iter(self._buckets))]
        return bucket.take(now)
