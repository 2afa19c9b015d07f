"""The wire version: which releases understand each other; pure.

All that the processes of a cluster say to each other, control messages and batches alike, has one version, a number
that each release with another first or second part of its number has one more of. A release speaks its own and the one
before: so it runs beside the release before it and the one after, and beside no other.

A worker's reports tell the range that it speaks. The broker finds the highest version that all of them and it speak,
and has each speak that (``Speak``); a worker with which there is none is refused (``Unfit``) with a sentence that says
which releases fit. What a process that tells of no range speaks is version 1. ``Spoken`` and these two messages are
read alike in every version to come, or there is nothing to agree by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

from pydantic import Field

RELEASES: Mapping[int, str] = MappingProxyType({1: "before 0.1", 2: "0.1"})
"""The releases by the wire version that is their own."""

TELLS = 2  # the first version with a range, ``Speak`` and ``Unfit``
SILENT_FOR = 5.0  # seconds in which a broker that tells of versions does so; it answers the first report at once


@dataclass(frozen=True, slots=True)
class Spoken:
    """The wire versions that a process speaks, first and last."""

    oldest: Annotated[int, Field(ge=1)] = 1
    newest: Annotated[int, Field(ge=1)] = 1

    def __contains__(self, version: object) -> bool:
        return isinstance(version, int) and self.oldest <= version <= self.newest

    def __str__(self) -> str:
        one = self.oldest == self.newest
        return f"version {self.newest}" if one else f"versions {self.oldest} to {self.newest}"


UNTOLD = Spoken()
"""The range of a process that tells of none."""

OURS = Spoken(max(RELEASES) - 1, max(RELEASES))
"""The range of this release."""


def common_range(ranges: Iterable[Spoken], ours: Spoken = OURS) -> Spoken | None:
    """The versions that all of them speak, and we do; ``None`` if there is none."""
    oldest, newest = ours.oldest, ours.newest
    for each in ranges:
        oldest, newest = max(oldest, each.oldest), min(newest, each.newest)
    return Spoken(oldest, newest) if oldest <= newest else None


def fitting(spoken: Spoken) -> str:
    """The releases that run beside who speaks that, as people say it."""
    known = [RELEASES[version] for version in sorted(RELEASES) if version in spoken]
    return ", ".join([*known, f"and the one after {known[-1]}" if known else "none that is known here"])


def refusal(theirs: Spoken, release: str, cluster: Spoken) -> str:
    """The sentence for a worker of ``release`` that speaks nothing of what the cluster does."""
    return (
        f"release {release or 'unknown'} speaks wire {theirs}, and this cluster {cluster}: releases that fit are "
        f"{fitting(cluster)}; go from release to release, one at a time"
    )


class Agreement:
    """A worker's side: the version that it speaks, and why it cannot be of this cluster.

    One that a broker has had before goes on when another broker refuses it: what it does goes on, and that broker may
    be the one that has to go.
    """

    def __init__(self, spoken: Spoken = OURS) -> None:
        self.spoken = spoken
        self.version = spoken.oldest  # until the broker has said another
        self.problem = ""  # the sentence by which it was refused last
        self._told = False
        self._reported: float | None = None  # when it reported first to a broker that says nothing

    @property
    def hopeless(self) -> bool:
        """Whether it was refused, and no broker ever took it."""
        return bool(self.problem) and not self._told

    def told(self, version: int) -> None:
        """Speak the version that the broker says is spoken."""
        if version in self.spoken:
            self.version, self._told, self.problem = version, True, ""

    def refused(self, sentence: str) -> None:
        """Note that the broker cannot have this worker."""
        self.problem = sentence

    def reported(self, now: float) -> None:
        """Note that a report was sent at ``now``: a broker that speaks no version 1 is given so long to name one."""
        if self._told or self.spoken.oldest < TELLS:
            return
        if self._reported is None:
            self._reported = now
        elif now - self._reported >= SILENT_FOR:
            self.problem = (
                f"the broker names no wire version, like releases {RELEASES[1]}, and this one speaks {self.spoken}: "
                f"releases that fit are {fitting(self.spoken)}; go from release to release, one at a time"
            )
