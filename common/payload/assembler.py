"""From batches on the bus back to the access units that a decoder takes; no I/O.

Codecs that have an RTP payload format of WebRTC travel in it, normalised: no interleaving, whole access units in order.
All others travel as their access units, cut into pieces that are simply put together again. Batches come in order; what
is missing between them is said by ``lost``, after which only a keyframe begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import ProtocolError
from common.media import Batch, Kind
from common.payload.access_unit import access_unit

MAX_UNIT_BYTES = 16 << 20  # of an access unit: a lossless 8K picture is larger, and nobody's camera sends it


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One picture, or one packet of sound, as its decoder takes it."""

    data: bytes
    capture_ns: int  # Unix time
    arrival_ns: int  # Unix time
    keyframe: bool
    timestamp: int = 0  # extended, in the track's clock


class Assembler:
    """Puts the access units of one track together again."""

    def __init__(self, kind: Kind, codec: str) -> None:
        self.damaged = 0  # access units that could not be put together
        self._codec = codec
        self._always_whole = kind is Kind.AUDIO  # each packet of sound stands for itself
        self._open = self._always_whole  # whether nothing is missing since a keyframe
        self._payloads: list[bytes] = []
        self._first: Batch | None = None
        self._size = 0

    def lost(self) -> None:
        """Batches are missing between the last one and the next."""
        self._forget()
        self._open = self._always_whole

    def push(self, batch: Batch) -> AccessUnit | None:
        """The access unit that ``batch`` ends, if it ends one and nothing of it is missing."""
        if batch.keyframe:
            self._forget()
            self._open = True
        if not self._open:
            return None
        first = self._first = self._first or batch
        self._payloads += batch.payloads
        self._size += batch.size
        if self._size > MAX_UNIT_BYTES:
            self.damaged += 1
            self.lost()
            return None
        if not batch.unit_end:
            return None
        payloads = self._payloads
        self._forget()
        try:
            data = access_unit(self._codec, payloads)
        except ProtocolError:
            self.damaged += 1
            self.lost()
            return None
        keyframe = first.keyframe or self._always_whole
        return AccessUnit(data, first.capture_ns, first.arrival_ns, keyframe, first.timestamp)

    def _forget(self) -> None:
        self._payloads, self._first, self._size = [], None, 0
