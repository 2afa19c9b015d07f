"""When a process of ``serve`` is taken for hung; no I/O.

Rules:

* A process whose event loop works sends a beat a second (``common.pulse``). One that has been silent for ``HUNG_LOOKS``
  looks of the supervisor hangs, be it stopped, blocked or swapped out for good.
* Silence is counted in looks, not in seconds: where the supervisor itself stood still (the machine was suspended, or
  too busy for anybody), that is one look, and the processes have as long as ever to be heard.
* Until its first beat a process imports and connects, which takes long on a small machine: ``FIRST_LOOKS``.
"""

from __future__ import annotations

from dataclasses import dataclass

LOOK_INTERVAL = 0.25  # seconds
HUNG_LOOKS = 20  # 5 s: four beats missed; less would kill what a busy disk or a full swap holds up
FIRST_LOOKS = 240  # 60 s: a Raspberry Pi that boots takes 20 to import everything


@dataclass(slots=True)
class Heard:
    """One process's pulse, as the supervisor hears it."""

    silent_looks: int = 0
    beats: int = 0

    @property
    def listens(self) -> bool:
        """Whether it has taken its signals: it does so before its loop gives the second beat."""
        return self.beats > 1

    def beat(self, count: int = 1) -> None:
        """So many beats were heard."""
        self.silent_looks = 0
        self.beats += count

    def look(self) -> bool:
        """To be called each ``LOOK_INTERVAL``. ``True`` once, when the process is to be killed."""
        self.silent_looks += 1
        return self.silent_looks == (HUNG_LOOKS if self.beats else FIRST_LOOKS)
