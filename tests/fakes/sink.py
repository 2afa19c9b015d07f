"""A sink for a rendition from the bus, which remembers all of it."""

from __future__ import annotations

from common.media import Batch, Kind


class RecordingSink:
    """Keeps the batches of one track."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.pauses: list[int] = []  # how many batches had come when each was announced

    def push(self, batch: Batch, now: float) -> None:
        """The next batch."""
        self.batches.append(batch)

    def pause(self) -> None:
        """A cached group of pictures comes."""
        self.pauses.append(len(self.batches))


def recording_sinks() -> dict[str, RecordingSink]:
    """One for each kind of track."""
    return {kind: RecordingSink() for kind in Kind}
