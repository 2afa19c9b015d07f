"""All tracks of one session with a camera; no I/O."""

from __future__ import annotations

from collections.abc import Sequence

from common.errors import ProtocolError
from common.media import Batch, Kind
from ingest.payload.redundant import HEADER, media_of
from ingest.payload.registry import Choice
from ingest.rtp.clock import CameraClock
from ingest.rtp.garbled import Garbled
from ingest.rtp.receiver import TrackReceiver, earlier


class CameraStream:
    """The tracks of one session of a camera, on one capture clock and in one epoch."""

    def __init__(self, choices: Sequence[Choice], *, udp: bool, epoch: int) -> None:
        self.epoch = epoch
        self.clock = CameraClock()
        self.garbled = Garbled()
        self.receivers = [TrackReceiver(choice, self.clock, udp=udp, epoch=epoch, tracks=self) for choice in choices]

    @property
    def flowing(self) -> bool:
        """Whether a packet of a track has come."""
        return any(receiver.packets for receiver in self.receivers)

    @property
    def repaired(self) -> int:
        """Timestamps that were wrong, and sender reports that were not believed."""
        return self.clock.distrusted + sum(receiver.unpacking.repaired for receiver in self.receivers)

    @property
    def deadline_ns(self) -> int | None:
        """When ``expire`` and ``take`` have to be called, in Unix time."""
        first: int | None = None
        for receiver in self.receivers:
            first = earlier(first, receiver.deadline_ns)
        return first

    @property
    def begun(self) -> bool:
        """Whether part of something has arrived whose rest may arrive at any time."""
        return any(receiver.begun for receiver in self.receivers)

    def review(self, junk: int = 0) -> None:
        """Check whether the packets are still what they were taken for; call it every few seconds.

        ``junk`` is the number of useless bytes between packets so far.
        """
        self.garbled.look((receiver.stats for receiver in self.receivers), junk)
        for receiver in self.receivers:
            receiver.review()

    def expire(self, now_ns: int) -> None:
        """Stop waiting for packets that are overdue."""
        for receiver in self.receivers:
            receiver.expire(now_ns)

    def take(self, now_ns: int) -> list[Batch]:
        """Return the batches since the last call; an incomplete unit waits a moment for its rest."""
        batches: list[Batch] = []
        for receiver in self.receivers:
            batches += receiver.unpacking.take(now_ns)
        return batches

    def read_as_it_comes(self, punctual: bool) -> None:
        """Note whether packets are read as soon as they come."""
        for receiver in self.receivers:
            receiver.unpacking.read_as_it_comes(punctual)

    def expected(self, receiver: TrackReceiver) -> set[int]:
        """The sequence numbers that the other tracks have next."""
        return {other.expected for other in self.receivers if other is not receiver}

    def hand_over(self, receiver: TrackReceiver, payload_type: int, packet: bytes, arrival_ns: int) -> bool:
        """Whether a packet that came to one track is another's, by its payload type, or wraps or corrects media of the
        track, and has been taken as that: cameras mix their channels up."""
        if receiver.unpacking.announces(payload_type):
            return _unwrap(receiver, packet, arrival_ns)
        for other in self.receivers:
            if other is not receiver and other.payload_type == payload_type:
                other.receive(packet, arrival_ns)
                return True
        return False

    def gap(self, packet: bytes) -> None:
        """Note that a packet of some track is not the next one."""
        self.garbled.gap(packet)

    def new_source(self, receiver: TrackReceiver, new_format: bool) -> None:
        """Begin a new epoch of all tracks if the source of the picture has changed, or what a track sends.

        New sound of the same format goes on in the old epoch: its timestamps are made to continue, and its decoder
        needs nothing from before.
        """
        if receiver.kind is Kind.VIDEO or new_format:
            self.epoch += 1
            for each in self.receivers:
                each.unpacking.renew(self.epoch)


def _unwrap(receiver: TrackReceiver, packet: bytes, arrival_ns: int) -> bool:
    try:
        media = media_of(packet, receiver.unpacking.choice.section, receiver.payload_type)
    except ProtocolError:
        media = b""  # which counts as one of no use
    if media is None:
        return False
    if len(media) != HEADER or int.from_bytes(media[8:HEADER]) == receiver.source.ssrc:
        receiver.receive(media, arrival_ns)
    return True
