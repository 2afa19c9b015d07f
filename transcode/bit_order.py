"""The order in which G.726 has its samples in a byte, by what is heard; no I/O, no clock.

RFC 3551 4.5.4 packs the first sample into the lowest bits, AAL2 (ITU-T I.366.2) into the highest, and has names of its
own. Senders use the name of the first for both (GStreamer does unless it is told otherwise). Read in the wrong order it
is noise, or sound with noise upon it. What is right can be foretold better from the samples before (linear prediction
of the second order): speech and tones by half and more, noise of any colour by less than a fifth in favour of the wrong
one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul

WINDOW = 800  # samples that are judged together: 100 ms
QUIET = 20  # of 32,768: the mean of samples below which nothing can be told
ENOUGH, MOST = 8, 60  # windows after which the other order may be taken, and after which nothing is judged any more
BETTER = math.log(1.35)  # by so much, in the mean, the other one has to be foretold better


class BitOrder:
    """One track's: hears both orders until it is known which of them is right."""

    def __init__(self) -> None:
        self.known = False
        self._windows = 0
        self._sum = 0.0  # of logarithms
        self._one: list[int] = []
        self._other: list[int] = []

    def hear(self, announced: Sequence[int], other: Sequence[int]) -> bool:
        """The same packet read in the order that was announced, and in the other. Whether that one is right."""
        self._one += announced
        self._other += other
        while not self.known and min(len(self._one), len(self._other)) >= WINDOW:
            one, self._one = self._one[:WINDOW], self._one[WINDOW:]
            two, self._other = self._other[:WINDOW], self._other[WINDOW:]
            if min(_power(one), _power(two)) < WINDOW * QUIET**2:
                continue
            self._windows += 1
            self._sum += math.log(_unforetold(one)) - math.log(_unforetold(two))
            better = self._windows >= ENOUGH and self._sum > BETTER * self._windows
            self.known = better or self._windows == MOST
            if better:
                return True
        return False


def _power(samples: list[int]) -> int:
    return sum(map(mul, samples, samples))


def _unforetold(samples: list[int]) -> float:
    """The share of the power that the two samples before do not tell (Levinson's recursion, two steps)."""
    power = _power(samples) + 1
    first: float = sum(map(mul, samples, samples[1:])) / power
    second: float = sum(map(mul, samples, samples[2:])) / power
    left: float = max(1 - first * first, 1e-6)
    step = (second - first * first) / left
    return max(left * (1 - step * step), 1e-6)
