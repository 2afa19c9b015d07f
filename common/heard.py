"""When a process is taken for hung, by the supervisor or by itself; no I/O.

Rules:

* A process whose event loop works gives a beat a second (``common.pulse``). One that has been silent for ``HUNG_LOOKS``
  looks of whoever listens hangs, be it stopped, blocked or swapped out for good.
* Silence is counted in looks, not in seconds: where who listens stood still as well (the machine was suspended, or
  too busy for anybody), that is one look, and the processes have as long as ever to be heard.
* One that gets no processor cannot beat, and would not if it were started anew: looks at which it waits for one
  (``common.onlooker``) count for nothing, up to ``FIRST_LOOKS`` of them.
* The relay has less to do than any other and is missed by everybody: it beats twice as often, and ``RELAY_HUNG_LOOKS``
  are enough.
* Until its first beat a process imports and connects, which takes long on a small machine: ``FIRST_LOOKS``.
"""

from __future__ import annotations

from dataclasses import dataclass

LOOK_INTERVAL = 0.5  # seconds
HUNG_LOOKS = 10  # 5 s: four beats missed; less would kill what a busy disk or a full swap holds up
RELAY_HUNG_LOOKS = 4  # 2 s: three of its beats missed; pictures go round no relay, and another is there in 0.3 s
DOUBTFUL = 2  # looks without a beat, from which on it is worth while to see whether it waits: a beat comes every second
FIRST_LOOKS = 120  # 60 s: a Raspberry Pi that boots takes 20 to import everything


@dataclass(slots=True)
class Heard:
    """One process's pulse, as it is heard; ``hung_looks`` of silence are too many."""

    hung_looks: int = HUNG_LOOKS
    silent_looks: int = 0
    waited_looks: int = 0  # beside them
    beats: int = 0

    @property
    def listens(self) -> bool:
        """Whether it has taken its signals: it does so before its loop gives the second beat."""
        return self.beats > 1

    def beat(self, count: int = 1) -> None:
        """Count beats that were heard."""
        self.silent_looks = self.waited_looks = 0
        self.beats += count

    @property
    def doubtful(self) -> bool:
        """Whether a beat is missing."""
        return self.silent_looks + self.waited_looks >= DOUBTFUL

    def look(self, *, waits: bool = False) -> bool:
        """To be called each ``LOOK_INTERVAL``. ``True`` once, when the process is to be killed.

        ``waits`` is whether it is known to wait for a processor.
        """
        if waits and self.waited_looks < FIRST_LOOKS:
            self.waited_looks += 1
            return False
        self.silent_looks += 1
        return self.silent_looks == (self.hung_looks if self.beats else FIRST_LOOKS)
