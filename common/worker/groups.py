"""The newest group of pictures of each rendition that a publisher has, for those who join; pure."""

from __future__ import annotations

from collections import Counter

from common.media import MAX_GOP_BYTES, Batch, Flags, Kind, Rendition

OVERHEAD = 48  # bytes that Python needs for each batch: a hostile camera's are small and many


class Gop:
    """A rendition's encoded video batches since its last keyframe."""

    def __init__(self) -> None:
        self.size = 0  # bytes held, what Python needs to hold them included
        self._batches: list[bytes] = []
        self._epoch = -1

    def __len__(self) -> int:
        return len(self._batches)

    @property
    def batches(self) -> list[bytes]:
        """The batches in order; empty without a keyframe, or if too much came since."""
        return self._batches

    def add(self, batch: Batch, encoded: bytes) -> None:
        """Keep the next batch of the picture."""
        if batch.flags & _KEYFRAME:
            self.clear()
            self._epoch = batch.epoch
        elif not self._batches or batch.epoch != self._epoch:
            return
        self.size += len(encoded) + OVERHEAD
        self._batches.append(encoded)
        if self.size > MAX_GOP_BYTES:  # the rest of this group is not cached: its beginning would be missing
            self.clear()

    def clear(self) -> None:
        """Hold nothing until the next keyframe."""
        self._batches, self.size = [], 0


class Groups:
    """The groups of all renditions, which together hold ``most`` bytes; the largest gives way first."""

    def __init__(self, most: int, counters: Counter[str]) -> None:
        self._groups: dict[Rendition, Gop] = {}
        self._held = 0  # bytes of all of them
        self._most = most
        self._counters = counters

    def of(self, rendition: Rendition) -> Gop:
        """The group of a rendition, which is empty if nothing of it was kept."""
        return self._groups.get(rendition) or Gop()

    def keep(self, rendition: Rendition, batch: Batch, encoded: bytes) -> None:
        """Keep a batch for those who join, if it is of a picture that they need; of ``batch`` payloads do not count."""
        if batch.kind != _VIDEO:
            return
        group = self._groups.get(rendition)
        if group is None:
            group = self._groups[rendition] = Gop()
        before = group.size
        group.add(batch, encoded)
        self._held += group.size - before
        if self._held > self._most:
            self._relieve()

    def forget(self, rendition: Rendition) -> None:
        """Keep nothing of a rendition any more."""
        if group := self._groups.pop(rendition, None):
            self._held -= group.size

    def limit(self, most: int) -> None:
        """Hold so many bytes at most from now on."""
        self._most = most
        self._relieve()

    def _relieve(self) -> None:
        """Give up what the largest groups hold: viewers of those renditions wait for the next keyframe."""
        while self._held > self._most:
            largest = max(self._groups.values(), key=lambda group: group.size)
            self._held -= largest.size
            largest.clear()
            self._counters["caches_given_up"] += 1


_VIDEO = Kind.VIDEO.value
_KEYFRAME = int(Flags.KEYFRAME)
