"""A payload format that has not shown yet that what comes is what was announced; no I/O.

While nothing of a picture could be published, each packet is looked at. If it proves another codec, that one's format
goes on from this very packet. If it proves the one that was announced, or at the first keyframe, there is no doubt any
more, and the format is asked directly.
"""

from __future__ import annotations

from collections.abc import Callable

from common.media import Track
from ingest.payload.recognise import Recogniser
from ingest.payload.registry import PayloadFormat

UNPROVED = {"AV1"}  # codecs that no packet proves: another one is believed only when it is proved twice


class Doubted:
    """Stands for ``format`` until ``settled`` is called, or ``other`` with a codec, which returns what takes that."""

    def __init__(
        self, format: PayloadFormat, settled: Callable[[], None], other: Callable[[str], PayloadFormat | None]
    ) -> None:
        self.format = format
        self._settled, self._other = settled, other
        self._recogniser = Recogniser()
        self._keyframes = format.keyframes
        self._suspected = ""  # the other codec that the last proof was of

    @property
    def dropped(self) -> int:
        """Packets that were of no use."""
        return self.format.dropped

    @property
    def frames(self) -> int:
        """Published access units."""
        return self.format.frames

    @property
    def keyframes(self) -> int:
        """Published access units with which a decoder can start."""
        return self.format.keyframes

    @property
    def track(self) -> Track:
        """The track as it is known now."""
        return self.format.track

    @property
    def hindrance(self) -> str:
        """Why nothing of what comes is published."""
        return self.format.hindrance

    @property
    def unseen(self) -> bool:
        """Whether nothing of it will be seen as it comes."""
        return self.format.unseen

    def receive(self, packet: bytes, start: int, end: int, timestamp: int, marker: bool, arrival_ns: int) -> None:
        """Take the next packet's payload."""
        codec = self._recogniser.look(packet[start:end], marker)
        announced = self.format.track.codec
        if codec and codec != announced and self._believes(codec) and (other := self._other(codec)) is not None:
            other.receive(packet, start, end, timestamp, marker, arrival_ns)
            return
        self.format.receive(packet, start, end, timestamp, marker, arrival_ns)
        if codec == announced or self.format.keyframes > self._keyframes:
            self._settled()

    def _believes(self, codec: str) -> bool:
        before, self._suspected = self._suspected, codec
        return self.format.track.codec not in UNPROVED or codec == before

    def mark(self) -> None:
        """Take the marker of a packet without a payload."""
        self.format.mark()

    def lost(self) -> None:
        """Note that packets are missing between the last one and the next."""
        self.format.lost()

    def restart(self) -> None:
        """Begin another stream with the next packet."""
        self.format.restart()
