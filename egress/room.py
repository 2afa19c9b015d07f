"""Room for further viewers: how many there may be, and whether memory and time are left for one."""

from __future__ import annotations

import time
from collections.abc import Sized

from common.config_limits import LimitsConfig
from common.errors import RequestError
from common.memory import Shortage
from common.process import CoreWaits
from egress.burden import Burden


class Room:
    """``viewers`` are those of each way in; all of them count. ``now`` is in monotonic seconds.

    To be made and looked at by the thread that sends: its time is what viewers share.
    """

    def __init__(self, limits: LimitsConfig, *viewers: Sized, now: float) -> None:
        self.limits = limits
        self._viewers = viewers
        self._shortage = Shortage(limits.free_memory << 20)
        self._waits = CoreWaits()
        self._burden = Burden(time.thread_time(), self._waits.seconds, now)

    def look(self, now: float, due: float, skips: int = 0) -> None:
        """See how busy the process is; to be called all the time. ``due`` (monotonic seconds) is when that was to be.

        ``skips`` is how often it was too slow so far for all viewers of a stream.
        """
        late, most = max(0.0, now - due), self.limits.egress_load / 100
        self._burden.look(time.thread_time(), self._waits.seconds, now, late=late, most=most, skips=skips)

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
        return self.taken >= self.limits.egress_viewers or self._burden.over or self._shortage.now(now)

    def check(self, now: float) -> None:
        """Raise ``RequestError``, which names the limit, if there is none."""
        if self.taken >= self.limits.egress_viewers:
            message = f"This node has {self.taken} viewers, as many as limits.egress_viewers allows."
            raise RequestError(503, "full", message)
        if self._burden.over:
            message = (
                f"This node has no time for a further viewer beside its {self.taken}: "
                f"in the last {self._burden.seconds:.0f} s it was busy "
                f"for {self._burden.share:.0%} of the time that it had (limits.egress_load is "
                f"{self.limits.egress_load}), {self._burden.late:.1f} s late, and skipped pictures "
                f"{self._burden.skipped} times."
            )
            raise RequestError(503, "overloaded", message)
        if self._shortage.now(now):
            message = f"This node has less than {self.limits.free_memory} MiB of memory left (limits.free_memory)."
            raise RequestError(503, "no_memory", message)
