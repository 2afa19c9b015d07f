"""Room for further viewers: how many there may be, and whether memory is left for one."""

from __future__ import annotations

from collections.abc import Sized

from common.config_limits import LimitsConfig
from common.errors import RequestError
from common.memory import Shortage


class Room:
    """``viewers`` are those of each way in; all of them count. ``now`` is in monotonic seconds."""

    def __init__(self, limits: LimitsConfig, *viewers: Sized) -> None:
        self.limits = limits
        self._viewers = viewers
        self._shortage = Shortage(limits.free_memory << 20)

    @property
    def taken(self) -> int:
        """How many viewers there are."""
        return sum(map(len, self._viewers))

    def limit(self, limits: LimitsConfig) -> None:
        """Keep to other limits from now on. Nobody who watches is sent away."""
        self.limits = limits
        self._shortage.limit(limits.free_memory << 20)

    def full(self, now: float) -> bool:
        """Whether another viewer would be refused."""
        return self.taken >= self.limits.egress_viewers or self._shortage.now(now)

    def check(self, now: float) -> None:
        """Raise ``RequestError``, which names the limit, if there is none."""
        if self.taken >= self.limits.egress_viewers:
            message = f"This node has {self.taken} viewers, as many as limits.egress_viewers allows."
            raise RequestError(503, "full", message)
        if self._shortage.now(now):
            message = f"This node has less than {self.limits.free_memory} MiB of memory left (limits.free_memory)."
            raise RequestError(503, "no_memory", message)
