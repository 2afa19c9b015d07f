"""How much there is to do for processes in reserve, told to the supervisor when that changes, by an inherited pipe.

An egress tells its own demand, and the broker that on transcode processes. ``serve`` starts and ends processes by it
(``camshaft.reserves``).
"""

from __future__ import annotations

import os
from contextlib import suppress
from enum import Enum

DEMAND_FD = "CAMSHAFT_DEMAND_FD"  # environment variable: number of the inherited pipe's writing end
MUCH_CPU = (
    0.25  # share of a core from which another process is of use; the rest is for those who come until it is there
)
MUCH_VIEWERS = 50  # the same in viewers: their cameras may rest, and sound alone takes little


class Demand(Enum):
    """The value is what goes through the pipe."""

    NONE = b"0"  # nobody watches, or nothing is to be converted
    SOME = b"1"
    MUCH = b"2"  # another process should begin, if there can be one

    @classmethod
    def of(cls, cpu: float, viewers: int, most: int) -> Demand:
        """The demand for an egress with this share of a core and so many viewers, of ``most`` that it would take."""
        if cpu >= MUCH_CPU or viewers >= min(MUCH_VIEWERS, most / 2):
            return cls.MUCH
        return cls.SOME if viewers else cls.NONE

    @classmethod
    def heard(cls, told: bytes) -> Demand:
        """The demand that was told last. Raises ``ValueError`` for what is none."""
        return cls(told[-1:])


class Teller:
    """The teller's end; ``pipe`` is the inherited one, if there is one."""

    def __init__(self, pipe: int | None) -> None:
        self._pipe = pipe
        self._told: Demand | None = None
        if pipe is not None:
            os.set_blocking(pipe, False)
            os.set_inheritable(pipe, False)

    def tell(self, demand: Demand) -> None:
        """Tell the supervisor, if it does not know."""
        if self._pipe is not None and demand is not self._told:
            with suppress(OSError):  # full: the supervisor stands still, and is told the next time; closed: it is gone
                os.write(self._pipe, demand.value)
                self._told = demand
