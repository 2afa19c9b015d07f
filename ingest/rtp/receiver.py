"""A track's packets from the socket to their order: checked, counted, and handed to what unpacks them; no I/O.

This is ingest's hot path: a camera at 2 Mb/s sends some 200 packets a second, and a process has a hundred cameras. What
is done for every packet is in ``TrackReceiver.receive`` and ``Unpacking.deliver``, and for most packets of large
pictures in ``TrackReceiver._receive_fragments``; ``bench run ingest`` and ``bench run loads`` measure it.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Protocol

from common.control import TrackStats
from common.media import Kind, Track
from ingest.payload.nal_format import NalPayloadFormat
from ingest.payload.registry import Choice, choice_by_type
from ingest.rtp.clock import CameraClock
from ingest.rtp.numbers import Numbers
from ingest.rtp.reorder import Reorder
from ingest.rtp.rtcp import SenderReport, parse
from ingest.rtp.strays import KnownSource, OtherType
from ingest.rtp.unpacking import Packet, Unpacking

_HEADER = Struct("!BBHII")  # RFC 3550 5.1
_unpack = _HEADER.unpack_from

TAIL = 12  # bytes of a packet by which it is known again: no packet is shorter


class Tracks(Protocol):
    """All tracks of a session, as one of them, ``receiver``, asks for them."""

    def expected(self, receiver: TrackReceiver) -> set[int]:
        """The sequence numbers that the other tracks have next."""

    def hand_over(self, receiver: TrackReceiver, payload_type: int, packet: bytes, arrival_ns: int) -> bool:
        """Whether a packet that came to one track is another's, or wraps media, and has been taken as that."""

    def gap(self, packet: bytes) -> None:
        """A packet of any track is not the next one."""

    def new_source(self, receiver: TrackReceiver, new_format: bool) -> None:
        """The source of the track has changed, or, with ``new_format``, what it sends."""


class TrackReceiver:
    """One track of one session; ``tracks`` has it and the others."""

    def __init__(self, choice: Choice, camera: CameraClock, *, udp: bool, epoch: int, tracks: Tracks) -> None:
        self.kind: Kind = choice.track.kind
        self.payload_type = choice.format.payload_type  # of its packets
        self.packets = 0
        self.bytes = 0
        self.unexpected_type: int | None = None  # payload type of packets that were not announced
        self._goodbye = -1  # packets that had come when the camera said that there will be no more
        self._dropped = 0
        self._numbers = Numbers(udp=udp)
        self.last = -1, b""  # timestamp of the last packet that came, and the end of it
        self.source = KnownSource()
        self._other_type = OtherType(self.payload_type, pictures=self.kind is Kind.VIDEO)
        self.order: Reorder[Packet] = Reorder(udp=udp)
        self._tracks = tracks
        self.unpacking = Unpacking(choice, camera, epoch=epoch, changed=lambda: tracks.new_source(self, True))

    @property
    def expected(self) -> int:
        """The sequence number of its next packet; -1 before the first."""
        return self.order.expected

    def review(self) -> None:
        """See ``Unpacking.review``; to be called every few seconds."""
        self.unpacking.review(self.packets, self.order.lost)

    @property
    def track(self) -> Track:
        """The track as it is known now."""
        return self.unpacking.track

    @property
    def stats(self) -> TrackStats:
        """Counters since the session began."""
        order, unpacking, form = self.order, self.unpacking, self.unpacking.format
        return TrackStats(
            kind=self.kind,
            packets=self.packets,
            bytes=self.bytes,
            lost=order.lost,
            duplicates=order.duplicates,
            reordered=order.reordered,
            dropped=self._dropped + order.dropped + unpacking.dropped + form.dropped,
            frames=form.frames,
            keyframes=form.keyframes,
            jitter=round(unpacking.reception.jitter, 6),
        )

    @property
    def said_goodbye(self) -> bool:
        """Whether the camera said that this track ends, and kept to it so far."""
        return self._goodbye == self.packets

    @property
    def deadline_ns(self) -> int | None:
        """When ``expire`` and ``take`` have to be called, in Unix time."""
        return earlier(self.order.deadline_ns, self.unpacking.deadline_ns)

    @property
    def begun(self) -> bool:
        """Whether a part of something has come, of which the rest may come at any time."""
        return self.deadline_ns is not None or self.unpacking.begun

    def receive(self, packet: bytes, arrival_ns: int) -> None:
        """An RTP packet came."""
        if len(packet) < 12:
            self._dropped += 1
            return
        first, second, sequence, timestamp, ssrc = _unpack(packet)
        if second & 0x7F != self.payload_type or first < 0x80 or first > 0xBF:
            self._reject(packet, first, second, arrival_ns)
            return
        if ssrc != self.source.ssrc and not self._change_source(ssrc, packet, arrival_ns):
            return
        before, self.last = self.last, (timestamp, packet[-TAIL:])
        self.packets += 1  # as ``count`` does, whose call would be 0.06 of 4 µs
        self.bytes += len(packet)
        if self.order.in_order(sequence):
            self.unpacking.deliver(packet, first, second, timestamp, arrival_ns)
        elif self._is_next(sequence, repeated=before == self.last):
            self.order.take_as_next(sequence)
            self.unpacking.deliver(packet, first, second, timestamp, arrival_ns)
        else:
            self._tracks.gap(packet)
            held = (packet, first, second, timestamp, arrival_ns)
            self.unpacking.deliver_all(self.order.push(sequence, held, arrival_ns))

    def count(self, packets: int, octets: int, timestamp: int, end: bytes) -> None:
        """Count packets that came; the last of them has that timestamp and that ``end``."""
        self.packets += packets
        self.bytes += octets
        self.last = timestamp, end

    def _is_next(self, sequence: int, *, repeated: bool) -> bool:
        order, others = self.order, self._tracks.expected(self)
        return self._numbers.is_next(sequence, order.expected, order.received, others, repeated=repeated)

    def receive_run(self, data: memoryview, bounds: Sequence[tuple[int, int]], arrival_ns: int) -> None:
        """RTP packets came together, each between two places of ``data``."""
        at, count = 0, len(bounds)
        while at < count:
            start, stop = bounds[at]
            self.receive(bytes(data[start:stop]), arrival_ns)
            at += 1
            form = self.unpacking.nal_format  # a packet may have changed it
            if at < count and form is not None and form.fragment:
                at = self._receive_fragments(form, data, bounds, at, arrival_ns)

    def _receive_fragments(
        self, form: NalPayloadFormat, data: memoryview, bounds: Sequence[tuple[int, int]], at: int, arrival_ns: int
    ) -> int:
        """Take packets from ``at`` on that go on with the NAL unit which the last one was of. Returns which comes next.

        What they carry is handed on in one piece: 0.6 µs a packet in place of 5.
        """
        order = self.order
        if order.held:
            return at
        header = 0x8000 | self.payload_type, order.expected, self.unpacking.raw, self.source.ssrc
        pieces = form.fragments(data, bounds, at, *header)
        if pieces:
            order.came_in_order(len(pieces))
            carried = b"".join(pieces)
            octets = len(carried) + form.fragment_at * len(pieces)
            self.count(len(pieces), octets, self.unpacking.raw, bytes(pieces[-1][-TAIL:]))
            form.receive_fragments(carried, arrival_ns)
        return at + len(pieces)

    def expire(self, now_ns: int) -> None:
        """Wait no longer for packets that are overdue."""
        self.unpacking.deliver_all(self.order.expire(now_ns))

    def receive_rtcp(self, packet: bytes, arrival_ns: int) -> None:
        """An RTCP packet came; or RTP, from a camera that has mixed its two channels up."""
        if len(packet) > 12 and packet[1] & 0x7F == self.payload_type and not 192 <= packet[1] <= 223:
            self.receive(packet, arrival_ns)
            return
        for item in parse(packet):
            if isinstance(item, SenderReport):
                self.unpacking.reported(item, arrival_ns)
            elif self.source.ssrc in item.ssrcs:
                self._goodbye = self.packets

    def report_block(self, now_ns: int) -> bytes | None:
        """The block for a receiver report; ``None`` before the first packet."""
        order, ssrc = self.order, self.source.ssrc
        if ssrc is None or order.expected < 0:
            return None
        return self.unpacking.reception.block(ssrc, order.highest, order.received, order.lost, now_ns)

    def _reject(self, packet: bytes, first: int, second: int, arrival_ns: int) -> None:
        if 0x80 <= first <= 0xBF:
            if 192 <= second <= 223:  # RFC 5761 4: RTCP; some cameras mix it in
                self.receive_rtcp(packet, arrival_ns)
                return
            if self._tracks.hand_over(self, second & 0x7F, packet, arrival_ns):
                return
            self.unexpected_type = second & 0x7F
            if self._adopt(packet, second & 0x7F, arrival_ns):
                return
        self._dropped += 1

    def _adopt(self, packet: bytes, payload_type: int, arrival_ns: int) -> bool:
        """Whether a packet of another payload type is taken, as are those after it: it is what the camera sends."""
        _, _, sequence, _, ssrc = _unpack(packet)
        waiting = packet, arrival_ns
        if not self._other_type.push(payload_type, ssrc, sequence, self.packets, waiting):
            return False
        choice = choice_by_type(self.unpacking.choice, payload_type)
        if choice is None:
            return False
        taken = self._other_type.take()
        self._dropped -= len(taken) - 1  # the last one was not counted yet
        self.payload_type = payload_type
        if self.unpacking.adopt(choice, self.order.received, self.order.lost) and self.packets:
            self._tracks.new_source(self, True)
        for each in taken:
            self.receive(*each)
        return True

    def _change_source(self, ssrc: int, packet: bytes, arrival_ns: int) -> bool:
        """Judge another SSRC: of a camera that began anew, a stray packet, or one of the old source that took its time.

        The first packet of one that began anew is held until the second shows it. One that goes on with the numbers of
        this source is of it: some cameras give each packet, or each picture, an SSRC of its own.
        """
        if self.source.begins(ssrc, int.from_bytes(packet[2:4]), self.order.expected):
            return True
        waited = self.source.take_over(ssrc, self.packets, (packet, arrival_ns))
        if waited is None:
            self._dropped += 1
            return False
        self.order.reset()
        self.unpacking.restart(self.order.received, self.order.lost)
        self._tracks.new_source(self, False)
        for each in waited:
            self._dropped -= 1
            self.receive(*each)
        return True


def earlier(one_ns: int | None, other_ns: int | None) -> int | None:
    """The earlier of two times, either of which may be that there is nothing to wait for."""
    if one_ns is None or other_ns is None:
        return other_ns if one_ns is None else one_ns
    return min(one_ns, other_ns)
