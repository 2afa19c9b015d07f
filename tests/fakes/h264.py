"""An H.264 track under test: packets in, batches out, and every rule of a batch checked on the way."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from common.media import MAX_PAYLOAD, Batch, Kind
from common.payload.output import GATHER_NS, Output
from ingest.payload.h264 import H264
from rigs.video import Packet, encode, kind, units_of
from tests.fakes.clocks import ArrivalClock

UNITS = encode()
SLICES = [[nal for nal in unit if kind(nal) in (1, 5)] for unit in UNITS]
PARAMETER_SETS = list(UNITS[0][:2])
SPROP = ",".join(base64.b64encode(nal).decode() for nal in PARAMETER_SETS)
WANTED = [[*(PARAMETER_SETS if kind(nals[0]) == 5 else []), *nals] for nals in SLICES]
ARRIVAL_NS = 1_700_000_000_000_000_000
AUD, SEI = b"\x09\xf0", b"\x06\x05\x03abc\x80"
RECOVERY_POINT = b"\x06\x06\x01\xc4\x80"


class Stream:
    """A track under test: packets in, batches out."""

    def __init__(self, sprop: str = "", **parameters: str) -> None:
        self.output = Output(Kind.VIDEO, "H264", ArrivalClock(), epoch=7)
        self.track = H264({"sprop-parameter-sets": sprop, **parameters}, self.output)
        self.batches: list[Batch] = []
        self.arrival_ns = ARRIVAL_NS

    def feed(self, packets: Iterable[Packet], *, read: int = 1, flush: bool = True) -> Stream:
        """Give it packets, ``read`` at a time, and flush what is left."""
        for number, packet in enumerate(packets, 1):
            if packet.payload:
                start, data = 12, bytes(12) + packet.payload + b"beyond"
                end = start + len(packet.payload)
                self.track.receive(data, start, end, packet.timestamp, packet.marker, self.arrival_ns)
            if number % read == 0:
                self.flush()
        return self.flush() if flush else self

    def flush(self) -> Stream:
        self.batches += self.output.take(self.arrival_ns + GATHER_NS)
        return self

    def units(self) -> list[list[bytes]]:
        """All that was published; every rule of a batch is checked on the way."""
        sequence = 0
        timestamps: list[int] = []
        for batch in self.batches:
            assert batch.sequence == sequence
            sequence += len(batch.payloads)
            assert (batch.kind, batch.codec, batch.epoch) == ("video", "H264", 7)
            assert all(0 < len(payload) <= MAX_PAYLOAD for payload in batch.payloads)
            assert batch.capture_ns <= batch.arrival_ns
            if batch.keyframe:
                first = batch.payloads[0]
                assert kind(first) == 7 or (kind(first) == 24 and kind(first[3:]) == 7)
            if not timestamps or timestamps[-1] != batch.timestamp:
                assert not timestamps or batch.timestamp > timestamps[-1]
                timestamps.append(batch.timestamp)
        if self.batches:
            assert self.batches[0].keyframe
        return units_of(self.batches)
